// A Worker with a Pipelines binding. Nothing in it knows whether Cloudflare or Lakehead is behind `env.STREAM`.

export default {
  async fetch(request, env) {
    const click = { path: new URL(request.url).pathname, agent: request.headers.get("user-agent"), at: new Date() };
    try {
      await env.STREAM.send([click]);
    } catch (error) {
      return new Response(`not stored: ${error.message}\n`, { status: 502 });
    }
    return new Response("stored\n");
  },
};
