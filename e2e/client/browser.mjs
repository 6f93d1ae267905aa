// A headless Chromium. Reads from standard input one JSON line for each request, {"id", "page", "endpoint", "init"}, opens the
// page and calls its `post(endpoint, init)`; writes one JSON line with the outcome, and what the browser said on its console.
// Environment: CLIENTS, the folder with node_modules; PROFILE, a folder of the browser's own.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";

const { chromium } = createRequire(path.join(process.env.CLIENTS, "package.json"))("playwright-core");

const browser = await chromium.launchPersistentContext(process.env.PROFILE, {
  executablePath: "/usr/bin/chromium-headless-shell",
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const { id, page: url, endpoint, init } = JSON.parse(line);
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  await page.goto(url);
  const outcome = await page.evaluate(({ endpoint, init }) => window.post(endpoint, init), { endpoint, init });
  await page.close();
  console.log(JSON.stringify({ id, ...outcome, said: said.join("\n") }));
}
await browser.close();
