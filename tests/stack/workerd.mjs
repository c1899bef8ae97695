// Runs the built Worker in workerd, as miniflare sets it up, for the stack (src/workerd.rs is the other end).
//
// stdin:  one line of JSON, the options that `Options` in src/workerd.rs describes; when stdin closes, everything ends, so that
//         nothing outlives the process that started this, however that one died.
// stdout: one JSON object a line: {"ready":true,"url":…} once, {"error":…,"code":…} instead of it, and a {"log":{…}} for each line that
//         the Worker or the runtime writes.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { Log, LogLevel, Miniflare } from "miniflare";

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
// Whoever listened is gone; there is nobody left to tell.
process.stdout.on("error", () => {});

/** miniflare's own messages, as log lines beside the Worker's. */
class Forward extends Log {
  log(message) {
    say({ log: { level: "miniflare", message: message.replace(/\u001b\[[0-9;]*m/g, ""), timestamp: Date.now() } });
  }
}

/** The one other server that it asks, which the stack has a double of. */
const TURNSTILE = "challenges.cloudflare.com";

/**
 * What the Worker's global `fetch` reaches, whatever other host it names: the gateway, over TLS with a client certificate. A service of workerd's
 * own behind a Worker of one line, since the option for outbound requests takes a Worker but no service. No JavaScript of Node's
 * touches a request, so bodies stream and WebSockets pass. `Host`, path and query are those of the URL that the Worker fetched.
 */
function gateway({ gateway: { address, ca, certificate, key, server_name }, turnstile }) {
  return {
    config: {
      name: "gateway",
      compatibilityDate: "2026-01-01",
      manifest: {
        mainModule: "gateway.mjs",
        modulesRoot: "/",
        modules: {
          "gateway.mjs": {
            type: "esm",
            contents: `export default { fetch: (request, env) =>
              (env.TURNSTILE && new URL(request.url).hostname === "${TURNSTILE}" ? env.TURNSTILE : env.GATEWAY).fetch(request) };`,
          },
        },
      },
      env: {
        GATEWAY: {
          type: "external",
          address,
          https: {
            certificateHost: server_name,
            tlsOptions: {
              trustedCertificates: ca,
              keypair: certificate === null ? undefined : { certificateChain: certificate, privateKey: key },
            },
          },
        },
        ...(turnstile && {
          TURNSTILE: {
            type: "external",
            address: turnstile,
            https: { certificateHost: TURNSTILE, tlsOptions: { trustedCertificates: ca } },
          },
        }),
      },
    },
    dev: { unsafeRegisterWorker: false, stripCfConnectingIp: false },
  };
}

/** The Worker itself, with its modules, bindings and assets. */
async function edge(options) {
  const modules = {};
  for (const [name, type] of [["index.js", "esm"], ["index_bg.wasm", "wasm"]]) {
    modules[name] = { type, contents: new Uint8Array(await readFile(path.join(options.worker, name))) };
  }
  modules["index.js"].contents = new TextDecoder().decode(modules["index.js"].contents);
  return {
    config: {
      name: "edge",
      compatibilityDate: options.compatibility_date,
      manifest: { mainModule: "index.js", modulesRoot: options.worker, modules },
      env: {
        ...Object.fromEntries(Object.entries(options.bindings).map(([name, value]) => [name, { type: "text", value }])),
        ...(options.limit && { LIMITER: { type: "rate-limit", namespace: "1", simple: { limit: options.limit, period: 60 } } }),
      },
      assets:
        options.assets === null
          ? undefined
          : { directory: options.assets, hasUserWorker: true, htmlHandling: "none", notFoundHandling: "none" },
    },
    dev: { unsafeRegisterWorker: false, zone: options.zone, outboundService: { type: "worker", worker: "gateway" } },
  };
}

async function start(options) {
  const miniflare = new Miniflare({
    host: options.host,
    port: options.port,
    // `request.cf` as a test wants it, else miniflare's constant; never fetched.
    cf: options.cf ?? false,
    verbose: options.verbose,
    log: new Forward(options.verbose ? LogLevel.VERBOSE : LogLevel.WARN),
    logRequests: false,
    handleStructuredLogs: (log) => say({ log }),
    enableDevRegistry: false,
    workers: [await edge(options), gateway(options)],
  });
  const url = await miniflare.ready;
  return { miniflare, url };
}

let running;
let ending = false;
async function end(code) {
  if (ending) return;
  ending = true;
  // miniflare kills workerd when this process exits, so a dispose that hangs costs no orphan.
  setTimeout(() => process.exit(code), 5_000).unref();
  await running?.then(({ miniflare }) => miniflare.dispose()).catch(() => {});
  process.exit(code);
}
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => void end(0));

const lines = createInterface({ input: process.stdin });
lines.once("line", (line) => {
  running = (async () => start(JSON.parse(line)))();
  running.then(
    ({ url }) => say({ ready: true, url: url.origin }),
    (error) => {
      say({ error: error.message, code: error.code ?? null });
      void end(1);
    },
  );
});
lines.once("close", () => void end(0));
