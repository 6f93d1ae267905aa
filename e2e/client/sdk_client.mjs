// The TypeScript SDK of the folder CLIENTS, set up by the environment as `lakehead env` prints it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.CLIENTS}/package.json`);
export const { default: Cloudflare } = await import(pathToFileURL(require.resolve('cloudflare')));
export const account = { account_id: process.env.CLOUDFLARE_ACCOUNT_ID };
const baseURL = process.env.CLOUDFLARE_BASE_URL;
export const { pipelines } = new Cloudflare({ apiToken: process.env.CLOUDFLARE_API_TOKEN, baseURL });
// With a token nobody has made.
export const { pipelines: forStrangers } = new Cloudflare({ apiToken: '0'.repeat(40), baseURL });

// Every item of every page.
export const all = async (list) => {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
};

export const fails = async (call, type, status, code) => {
  const error = await call.then(() => null, (e) => e);
  assert.ok(error instanceof type, `${error}`);
  assert.equal(error.status, status);
  assert.equal(error.errors[0].code, code);
};
