// The Worker's entry, around what worker-build makes: its own goes through three proxies and an object for each request. What it does for a
// WASM that has trapped is kept: the next request begins with a new instance, which only its constructor makes.
import Entrypoint from "worker-build";

const { fetch } = Entrypoint.prototype;
const state = globalThis.__worker_init_state;

export default {
  async fetch(request, env, ctx) {
    if (state.criticalError) new Entrypoint(ctx, env);
    try {
      return await fetch.call({ env, ctx }, request);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) state.criticalError = true;
      throw error;
    }
  },
};
