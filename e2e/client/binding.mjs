// Miniflare with Pipelines bindings whose far end is the server. Reads from standard input one JSON line for each call,
// {"binding", "records"} or {"binding", "input"}, and writes what became of it, one JSON line each, in any order, with its "id".
// Environment: CLIENTS, the folder with node_modules; BINDINGS, {"NAME": "<remoteProxyConnectionString>"}.

import fs from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.CLIENTS, "package.json"));
const { Miniflare, convertV4MiniflareOptions } = await import(pathToFileURL(require.resolve("miniflare")));

// Miniflare knows one such URL a Worker: for each of them a Worker.
const script = fs.readFileSync(new URL("../worker/index.js", import.meta.url), "utf8");
const bindings = Object.entries(JSON.parse(process.env.BINDINGS));
const urls = [...new Set(bindings.map(([, url]) => url))];
const miniflare = new Miniflare(convertV4MiniflareOptions({
  workers: urls.map((url) => ({
    name: `worker-${urls.indexOf(url)}`, modules: true, script, compatibilityDate: "2026-01-01",
    pipelines: Object.fromEntries(bindings.filter(([, its]) => its === url).map(([name]) => [
      name, { stream: name, remoteProxyConnectionString: new URL(url) },
    ])),
  })),
}));
const workers = new Map();
for (const [name, url] of bindings) workers.set(name, await miniflare.getWorker(`worker-${urls.indexOf(url)}`));
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...call } = JSON.parse(line);
  const answer = workers.get(call.binding).fetch("http://worker/", { method: "POST", body: JSON.stringify(call) });
  answer.then(async (response) => console.log(JSON.stringify({ id, ...(await response.json()) })));
}
await miniflare.dispose();
