// What only JavaScript can do for the Worker, each a single crossing: heads come over as one string of lines
// (no field value can hold a line feed), bodies stay streams that WASM never touches.

const lines = (headers) => {
  let all = "";
  for (const [name, value] of headers) all += name + "\n" + value + "\n";
  return all;
};

const headers = (packed) => {
  const made = new Headers();
  const parts = packed.split("\n");
  for (let i = 0; i + 1 < parts.length; i += 2) made.append(parts[i], parts[i + 1]);
  return made;
};

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

// A Response, or the status that says why there is none. `patience` bounds the wait for the head, in ms; 0 waits.
export async function forward(request, url, packed, patience) {
  const controller = new AbortController();
  const timer = patience > 0 ? setTimeout(() => controller.abort(), patience) : 0;
  try {
    return await fetch(url, {
      method: request.method,
      headers: headers(packed),
      body: request.body,
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

// `body` is a Response whose body goes on, or text. Redirecting statuses and 101 keep what only the runtime can make.
export function respond(body, status, packed, log) {
  if (log) console.log(log);
  const made = { status, headers: headers(packed) };
  if (typeof body === "string") return new Response(body === "" ? null : body, made);
  if (body.webSocket) made.webSocket = body.webSocket;
  return new Response(body.body, made);
}

export function cache_match(url) {
  return caches.default.match(url);
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
  if (all !== null) await caches.default.put(url, new Response(all, { status: 200, headers: headers(packed) }));
}

// Stores a copy once it is there to its end, and gives back the response to send. A stream is not put as it flows by: the store
// may take one that broke off for one that ended.
export function cache_put(context, url, response, packed, limit) {
  const copy = response.clone();
  context.waitUntil(
    store(url, copy.body, packed, limit).catch((error) => {
      console.error(JSON.stringify({ message: "cache put", error: String(error?.message ?? error) }));
    }),
  );
  return response;
}
