// Create, read, list, change and delete through the TypeScript SDK. Prints one JSON object with what it saw.
import assert from 'node:assert/strict';
import { account, all, Cloudflare, fails, forStrangers, pipelines } from './sdk_client.mjs';

const streams = [];
for (let i = 0; i < 6; i++) {
  streams.push(await pipelines.streams.create({ ...account, name: `ts_stream_${i}` }));
}
assert.equal(streams[0].http.enabled, true);
assert.equal(streams[0].http.authentication, true);
const got = await pipelines.streams.get(streams[0].id, account);
assert.equal(got.name, 'ts_stream_0');
const changed = await pipelines.streams.update(streams[0].id, { ...account, http: { enabled: true, authentication: false } });
assert.equal(changed.http.authentication, false);
assert.ok(changed.version > streams[0].version);
const origins = ['https://a.example'];
const crossed = await pipelines.streams.update(streams[0].id, {
  ...account, http: { enabled: true, authentication: false, cors: { origins } }, worker_binding: { enabled: false },
});
assert.deepEqual(crossed.http.cors.origins, origins);
assert.equal(crossed.worker_binding.enabled, false);
const listed = await all(pipelines.streams.list({ ...account, per_page: 5 }));
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
for (let i = 1; i < 6; i++) {
  await pipelines.sinks.create({ ...account, name: `ts_sink_${i}`, type: 'r2', config: { ...account, bucket: 'ts-bucket' } });
  await pipelines.createV1({ ...account, name: `ts_pipeline_${i}`, sql: `INSERT INTO ts_sink_${i} SELECT * FROM ts_stream_${i}` });
}
const numbered = (word) => [word, ...[1, 2, 3, 4, 5].map((i) => `${word}_${i}`)];
const names = async (list) => (await all(list)).map((item) => item.name).sort();
assert.deepEqual(await names(pipelines.listV1({ ...account, per_page: 5 })), numbered('ts_pipeline'));
assert.deepEqual(await names(pipelines.sinks.list({ ...account, per_page: 5 })), numbered('ts_sink'));
assert.deepEqual(await names(pipelines.streams.list({ ...account, pipeline_id: pipeline.id })), ['ts_stream_0']);
assert.deepEqual(await names(pipelines.sinks.list({ ...account, pipeline_id: pipeline.id })), ['ts_sink']);

const { BadRequestError, NotFoundError } = Cloudflare;
await fails(pipelines.validateSql({ ...account, sql: 'INSERT INTO nowhere SELECT 1' }), BadRequestError, 400, 1004);
await fails(pipelines.createV1({ ...account, name: 'n', sql: 'INSERT INTO ts_sink SELECT nothing FROM ts_stream_0' }), BadRequestError, 400, 1004);
await fails(pipelines.streams.create({ ...account, name: 'ts_stream_0' }), BadRequestError, 400, 1003);
await fails(pipelines.createV1({ ...account, name: 'ts_pipeline', sql }), BadRequestError, 400, 1003);
await fails(pipelines.sinks.create({ ...account, name: 'ts_sink', type: 'r2', config: { ...account, bucket: 'b-bucket' } }), BadRequestError, 400, 1003);
await fails(pipelines.streams.create({ ...account, name: 'no table' }), BadRequestError, 400, 1001);
await fails(pipelines.streams.update('nothing', { ...account, http: { enabled: true, authentication: true } }), NotFoundError, 404, 1016);
await fails(pipelines.streams.delete('nothing', account), NotFoundError, 404, 1016);
await fails(pipelines.sinks.delete('nothing', account), NotFoundError, 404, 1015);
await fails(pipelines.deleteV1('nothing', account), NotFoundError, 404, 1000);
await fails(forStrangers.streams.list(account), Cloudflare.PermissionDeniedError, 403, 10000);

await pipelines.deleteV1(pipeline.id, account);
await fails(pipelines.getV1(pipeline.id, account), Cloudflare.NotFoundError, 404, 1000);
await pipelines.sinks.delete(sink.id, account);
await fails(pipelines.sinks.get(sink.id, account), Cloudflare.NotFoundError, 404, 1015);
for (const stream of streams) await pipelines.streams.delete(stream.id, account);
// The pipelines went with their streams, the sinks stayed.
assert.deepEqual(await all(pipelines.listV1(account)), []);
assert.equal((await all(pipelines.sinks.list(account))).length, 5);
await fails(pipelines.streams.get(streams[0].id, account), Cloudflare.NotFoundError, 404, 1016);
assert.deepEqual(await all(pipelines.streams.list(account)), []);
console.log(JSON.stringify({ streams: streams.length, endpoint: streams[0].endpoint }));
