// Create, read, list, change and delete through the TypeScript SDK. Prints one JSON object with what it saw.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.env.CLIENTS}/package.json`);
const { default: Cloudflare } = await import(pathToFileURL(require.resolve('cloudflare')));
const client = new Cloudflare({ apiToken: process.env.CLOUDFLARE_API_TOKEN, baseURL: process.env.CLOUDFLARE_BASE_URL });
const account = { account_id: process.env.CLOUDFLARE_ACCOUNT_ID };
const { pipelines } = client;

const all = async (list) => {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
};
const fails = async (call, type, status, code) => {
  const error = await call.then(() => null, (e) => e);
  assert.ok(error instanceof type, `${error}`);
  assert.equal(error.status, status);
  assert.equal(error.errors[0].code, code);
};

const streams = [];
for (let i = 0; i < 5; i++) {
  streams.push(await pipelines.streams.create({ ...account, name: `ts_stream_${i}` }));
}
assert.equal(streams[0].http.enabled, true);
assert.equal(streams[0].http.authentication, true);
const got = await pipelines.streams.get(streams[0].id, account);
assert.equal(got.name, 'ts_stream_0');
const changed = await pipelines.streams.update(streams[0].id, { ...account, http: { enabled: true, authentication: false } });
assert.equal(changed.http.authentication, false);
assert.ok(changed.version > streams[0].version);
const listed = await all(pipelines.streams.list({ ...account, per_page: 2 }));
assert.deepEqual(listed.map((s) => s.id).sort(), streams.map((s) => s.id).sort());
assert.equal((await all(pipelines.streams.list({ ...account, name: 'STREAM_3' })))[0].name, 'ts_stream_3');

const sink = await pipelines.sinks.create({
  ...account, name: 'ts_sink', type: 'r2', format: { type: 'json' },
  config: { ...account, bucket: 'ts-bucket', credentials: { access_key_id: 'id', secret_access_key: 'hush-hush' } },
});
assert.equal((await pipelines.sinks.get(sink.id, account)).config.bucket, 'ts-bucket');
assert.ok(!JSON.stringify(await all(pipelines.sinks.list(account))).includes('hush-hush'));

const sql = 'INSERT INTO ts_sink SELECT * FROM ts_stream_0';
const checked = await pipelines.validateSql({ ...account, sql });
assert.deepEqual(Object.keys(checked.tables).sort(), ['ts_sink', 'ts_stream_0']);
const pipeline = await pipelines.createV1({ ...account, name: 'ts_pipeline', sql });
const full = await pipelines.getV1(pipeline.id, account);
assert.deepEqual(full.tables.map((t) => t.name).sort(), ['ts_sink', 'ts_stream_0']);
assert.deepEqual((await all(pipelines.listV1(account))).map((p) => p.name), ['ts_pipeline']);
await fails(pipelines.validateSql({ ...account, sql: 'INSERT INTO nowhere SELECT 1' }), Cloudflare.BadRequestError, 400, 1004);

await pipelines.deleteV1(pipeline.id, account);
await fails(pipelines.getV1(pipeline.id, account), Cloudflare.NotFoundError, 404, 1000);
await pipelines.sinks.delete(sink.id, account);
await fails(pipelines.sinks.get(sink.id, account), Cloudflare.NotFoundError, 404, 1015);
for (const stream of streams) await pipelines.streams.delete(stream.id, account);
await fails(pipelines.streams.get(streams[0].id, account), Cloudflare.NotFoundError, 404, 1016);
assert.deepEqual(await all(pipelines.streams.list(account)), []);
console.log(JSON.stringify({ streams: streams.length, endpoint: streams[0].endpoint }));
