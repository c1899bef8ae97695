// What only JavaScript can do for the Worker, each a single crossing: heads come over as one string of lines
// (no field value can hold a line feed), bodies stay streams that WASM never touches.

const lines = (headers) => {
  let all = "";
  for (const [name, value] of headers) all += name + "\n" + value + "\n";
  return all;
};

const append = (headers, packed) => {
  const parts = packed.split("\n");
  for (let i = 0; i + 1 < parts.length; i += 2) headers.append(parts[i], parts[i + 1]);
  return headers;
};

const headers = (packed) => append(new Headers(), packed);

// By it wasm-bindgen wakes what has waited. The runtime's own costs ten times what a resolved promise does, for each step of each request.
globalThis.queueMicrotask = (task) => void Promise.resolve().then(task);

// The filter's rules, which the build puts in its place; empty where there is no filter.
export function rules() {
  return "@edge-rules@";
}

// method, URL, country, network, then the fields
export function request_head(request) {
  const cf = request.cf ?? {};
  return `${request.method}\n${request.url}\n${cf.country ?? ""}\n${cf.asn ?? ""}\n${lines(request.headers)}`;
}

export function response_head(response) {
  return lines(response.headers);
}

export function fill_random(bytes) {
  crypto.getRandomValues(bytes);
}

// A Response, or the status that says why there is none. `patience` bounds the wait for the head, in ms; 0 waits. `limiter` is a rate
// limit's binding, where there is one; where it fails the request goes on.
export async function forward(limiter, client, method, body, url, packed, patience) {
  const free = await limiter?.limit({ key: client }).catch(() => undefined);
  if (free?.success === false) return 429;
  const controller = new AbortController();
  const timer = patience > 0 ? setTimeout(() => controller.abort(), patience) : 0;
  try {
    return await fetch(url, {
      method,
      headers: headers(packed),
      body,
      redirect: "manual",
      signal: controller.signal,
    });
  } catch (error) {
    const status = controller.signal.aborted ? 504 : 502;
    console.error(JSON.stringify({ message: "gateway", status, error: String(error?.message ?? error) }));
    return status;
  } finally {
    clearTimeout(timer);
  }
}

// The text of the gateway's answer, or null.
export async function ask(url, packed, patience) {
  const asked = { headers: headers(packed), redirect: "manual", signal: AbortSignal.timeout(patience) };
  const response = await fetch(url, asked);
  return response.status === 200 && response.headers.has("gateway") ? await response.text() : null;
}

// What Turnstile says of a token: whether it is good, on which host's page the check was passed, what for, then error codes, a line each. Or
// 429, where the client asks too often, or nothing.
export async function verify(limiter, client, secret, response, remoteip, patience) {
  const free = await limiter?.limit({ key: client }).catch(() => undefined);
  if (free?.success === false) return 429;
  try {
    const answer = await fetch("https://challenges.cloudflare.com/turnstile/v0/siteverify", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ secret, response, remoteip }),
      signal: AbortSignal.timeout(patience),
    });
    const said = await answer.json();
    if (typeof said.success === "boolean") {
      return [said.success, said.hostname ?? "", said.action ?? "", ...(said["error-codes"] ?? [])].join("\n");
    }
  } catch (error) {
    console.error(JSON.stringify({ message: "turnstile", error: String(error?.message ?? error) }));
  }
}

// All of a body as text, or null where it has more than `limit` bytes.
export async function read_text(body, limit) {
  return (await whole(body, limit))?.text() ?? null;
}

export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

// Ends with the promise, or before it.
export function at_most(promise, milliseconds) {
  return Promise.race([promise, sleep(milliseconds)]);
}

// The log's line of a request, where it is of those that are logged.
const note = (line) => {
  if (line !== "") console.log(line);
};

// `body` is a Response whose body goes on, or text. Redirecting statuses and 101 keep what only the runtime can make.
export function respond(body, status, packed, log) {
  note(log);
  const made = { status, headers: headers(packed) };
  if (typeof body === "string") return new Response(body === "" ? null : body, made);
  if (body.webSocket) made.webSocket = body.webSocket;
  const empty = status === 204 || status === 205 || status === 304;
  return new Response(empty ? null : body.body, made);
}

// A Response that goes on, without the fields that are named and with others added.
export function pass_on(response, removed, added, log) {
  note(log);
  const passed = new Response(response.body, response);
  for (const name of removed.split("\n")) if (name !== "") passed.headers.delete(name);
  append(passed.headers, added);
  return passed;
}

// What is stored under a URL, or the part of its body from `start` to before `end`.
export function cache_match(url) {
  return caches.default.match(url);
}

export async function cache_part(url, start, end) {
  const range = `bytes=${start}-${end - 1}`;
  const part = await caches.default.match(new Request(url, { headers: { range } }));
  return part?.status === 206 ? part : undefined;
}

export function cache_delete(url) {
  return caches.default.delete(url);
}

const later = (context, what, promise) =>
  context.waitUntil(
    promise.catch((error) => console.error(JSON.stringify({ message: what, error: String(error?.message ?? error) }))),
  );

// The same body under other headers.
export function cache_refresh(context, url, response, packed) {
  const made = headers(packed);
  const length = response.headers.get("edge-length");
  if (length !== null) made.set("edge-length", length);
  later(context, "cache refresh", caches.default.put(url, new Response(response.clone().body, { headers: made })));
}

// Headers without a body.
export function cache_mark(context, url, packed) {
  later(context, "cache mark", caches.default.put(url, new Response(null, { headers: headers(packed) })));
}

export function wait_until(context, promise) {
  later(context, "background", promise);
}

// Nobody will read it.
export function discard(body) {
  body?.body?.cancel?.().catch(() => {});
}

// All of a body, or null where it has more than `limit` bytes; rejects where it breaks off.
async function whole(body, limit) {
  const chunks = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    // Leaving the loop cancels this copy of the stream only.
    if (size > limit) return null;
    chunks.push(chunk);
  }
  return new Blob(chunks);
}

async function store(url, body, packed, limit) {
  const all = await whole(body, limit);
  if (all === null) return;
  const made = headers(packed);
  made.set("edge-length", String(all.size));
  await caches.default.put(url, new Response(all, { headers: made }));
}

// Stores a copy once it is there to its end, and gives back the response to send. A stream is not put as it flows by: the store
// may take one that broke off for one that ended.
export function cache_put(context, url, response, packed, limit) {
  const copy = response.clone();
  later(context, "cache put", store(url, copy.body, packed, limit));
  return response;
}
