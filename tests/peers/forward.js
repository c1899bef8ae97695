// The least that a Worker can do: it forwards. What is above it in `cargo measure worker` is what a Worker's own work costs.
export default { fetch: (request) => fetch(request) };
