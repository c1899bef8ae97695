// What `cargo measure worker` compares our Worker with: a Worker in plain JavaScript that does the same work for a GET, as one would write
// it by hand with speed in mind. It admits a request and gives it an id and a trace, answers it from the Cache API while it is fresh,
// or removes what a client may not say, signs (RFC 9421, HMAC by WebCrypto), forwards, stores what says how long, and logs one line.
//
// It knows of RFC 9111 what the measured answers need: Cache-Control's max-age, s-maxage, no-store and private, Age, and Set-Cookie.

const NEVER = new Set([
  "x-request-id", "edge-facts", "signature", "signature-input", "gateway", "handoff", "forwarded", "x-forwarded", "x-real-ip", "true-client-ip",
  "client-ip", "x-client-ip", "x-cluster-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr", "fastly-client-ip", "x-azure-clientip",
  "x-envoy-external-address", "x-original-url", "x-original-uri", "x-original-host", "x-rewrite-url", "x-host", "x-http-method",
  "x-http-method-override", "x-method-override", "proxy", "cdn-loop", "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding",
  "upgrade", "proxy-authenticate", "proxy-authorization", "traceparent",
]);
const COVERED = '("@method" "@authority" "@path" "@query" "edge-facts")';
const encoder = new TextEncoder();

let signing;
async function signingKey(env) {
  const [id, secret] = env.EDGE_KEY.trim().split(":");
  const bytes = Uint8Array.from(atob(secret), (c) => c.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return { id, key };
}

const hex = (bytes) => {
  let text = "";
  for (const byte of bytes) text += (byte < 16 ? "0" : "") + byte.toString(16);
  return text;
};

function lifetime(headers) {
  const control = headers.get("cache-control");
  if (control === null || headers.has("set-cookie")) return 0;
  let age, shared;
  for (const directive of control.split(",")) {
    const [name, value] = directive.trim().split("=");
    switch (name.toLowerCase()) {
      case "no-store": case "private": case "no-cache": return 0;
      case "max-age": age = Number(value); break;
      case "s-maxage": shared = Number(value); break;
    }
  }
  return (shared ?? age ?? 0) - Number(headers.get("age") ?? 0);
}

async function sign(env, headers, request, url, facts) {
  signing ??= await signingKey(env);
  const params = `${COVERED};created=${Math.floor(Date.now() / 1000)};keyid="${signing.id}";alg="hmac-sha256";tag="makenotwork-edge"`;
  const base =
    `"@method": ${request.method}\n"@authority": ${url.host}\n"@path": ${url.pathname}\n"@query": ${url.search || "?"}\n` +
    `"edge-facts": ${facts}\n"@signature-params": ${params}`;
  const made = await crypto.subtle.sign("HMAC", signing.key, encoder.encode(base));
  headers.set("edge-facts", facts);
  headers.set("signature-input", `edge=${params}`);
  headers.set("signature", `edge=:${btoa(String.fromCharCode(...new Uint8Array(made)))}:`);
}

function answer(response, id, status, extra) {
  const headers = new Headers(response.headers);
  for (const name of ["edge-received", "edge-lifetime", "gateway", "purge-sequence"]) headers.delete(name);
  headers.set("x-request-id", id);
  headers.append("cache-status", status);
  if (extra !== undefined) headers.set("age", String(extra));
  return new Response(response.body, { status: response.status, headers });
}

async function respond(request, env, context, id, url) {
  const key = `https://${url.host}/.edge-cache/${url.protocol.slice(0, -1)}${url.pathname}${url.search}`;
  const stored = await caches.default.match(key);
  if (stored !== undefined) {
    const age = Math.floor((Date.now() - Number(stored.headers.get("edge-received"))) / 1000);
    const ttl = Number(stored.headers.get("edge-lifetime")) - age;
    if (ttl > 0) return answer(stored, id, `edge; hit; ttl=${ttl}`, age);
  }
  const headers = new Headers();
  for (const [name, value] of request.headers) {
    if (!NEVER.has(name) && !name.startsWith("x-forwarded-") && !name.startsWith("cf-")) headers.append(name, value);
  }
  const { country, asn } = request.cf ?? {};
  let facts = `client="${request.headers.get("cf-connecting-ip") ?? "::"}", id="${id}"`;
  if (country) facts += `, country="${country}"`;
  if (asn) facts += `, asn=${asn}`;
  headers.set("traceparent", request.headers.get("traceparent") ?? `00-${id}-${id.slice(0, 16)}-00`);
  await sign(env, headers, request, url, facts);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 5000);
  let response;
  try {
    response = await fetch(request.url, { method: request.method, headers, redirect: "manual", signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
  const fresh = response.status === 200 ? lifetime(response.headers) : 0;
  if (fresh <= 0) return answer(response, id, "edge; fwd=uri-miss");
  const kept = new Headers(response.headers);
  kept.set("edge-received", String(Date.now()));
  kept.set("edge-lifetime", String(fresh));
  context.waitUntil(caches.default.put(key, new Response(response.clone().body, { headers: kept })));
  return answer(response, id, "edge; fwd=uri-miss; stored");
}

export default {
  async fetch(request, env, context) {
    context.passThroughOnException();
    const started = Date.now();
    const url = new URL(request.url);
    if (request.method !== "GET") return new Response(null, { status: 405 });
    if (url.pathname.startsWith("//") || /%(2f|5c|[01][0-9a-f]|25)/i.test(url.pathname)) return new Response(null, { status: 400 });
    const id = hex(crypto.getRandomValues(new Uint8Array(16)));
    const response = await respond(request, env, context, id, url);
    console.log(
      JSON.stringify({
        message: "request",
        "request.id": id,
        "http.request.method": request.method,
        "url.path": url.pathname,
        "http.response.status_code": response.status,
        "duration.ms": Date.now() - started,
      }),
    );
    return response;
  },
};
