// A user's Worker, made to send what a test says. To it a stream is a Pipelines binding and nothing else.

// What JSON cannot carry into this Worker.
const INPUTS = {
  nothing: () => undefined,
  text: () => "[]",
  object: () => ({ a: 1 }),
  bigint: () => [{ n: 1n }],
  dates: () => [{ id: "date", at: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)) }],
  special: () => [{
    id: "special", at: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)), big: 12345678901234567890n, bytes: new Uint8Array([1, 2]),
    left_out: undefined, list: [undefined, Infinity, [new Date(NaN)]],
  }],
  functions: () => [{ id: 1, call: () => 1 }],
  stream: () => [{ id: 1, body: new Blob(["x"]).stream() }],
  deep: () => [JSON.parse(`${'{"a":'.repeat(65)}1${"}".repeat(65)}`)],
  large: () => [{ id: "large", text: "x".repeat(5_000_000) }],
};

export default {
  async fetch(request, env) {
    const { binding, records, input } = await request.json();
    try {
      const result = await env[binding].send(input ? INPUTS[input]() : records);
      return Response.json({ resolved: result === undefined ? "undefined" : typeof result });
    } catch (error) {
      return Response.json({ rejected: { name: error.name, message: error.message, isError: error instanceof Error } });
    }
  },
};
