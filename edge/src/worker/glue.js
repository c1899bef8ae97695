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

// Stores a copy as the response streams by, and gives back the one to send.
export function cache_put(context, url, response, packed) {
  const copy = response.clone();
  const stored = new Response(copy.body, { status: 200, headers: headers(packed) });
  context.waitUntil(
    caches.default.put(url, stored).catch((error) => {
      console.error(JSON.stringify({ message: "cache put", error: String(error?.message ?? error) }));
    }),
  );
  return response;
}
