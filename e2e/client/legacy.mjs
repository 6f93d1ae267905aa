// The older product through the deprecated methods of the TypeScript SDK. Prints one JSON object: the pipeline it leaves.
import assert from 'node:assert/strict';
import { account, Cloudflare, fails, forStrangers, pipelines } from './sdk_client.mjs';

const { BadRequestError, NotFoundError } = Cloudflare;

const definition = (name, destination = {}) => ({
  ...account, name,
  source: [{ type: 'http', format: 'json', authentication: true, cors: { origins: ['https://a.example'] } }, { type: 'binding', format: 'json' }],
  destination: {
    type: 'r2', format: 'json', compression: { type: 'gzip' }, batch: {}, path: { bucket: 'ts-bucket' },
    credentials: { endpoint: 'https://account.r2.cloudflarestorage.com', access_key_id: 'an-id', secret_access_key: 'hush-hush' },
    ...destination,
  },
});

const made = await pipelines.create(definition('ts-0'));
assert.deepEqual(made.destination.batch, { max_bytes: 100000000, max_duration_s: 300, max_rows: 10000000 });
assert.deepEqual(await pipelines.get('ts-0', account), made);
assert.ok(!JSON.stringify(made).includes('hush-hush'));
for (let i = 1; i < 6; i++) await pipelines.create(definition(`ts-${i}`));
const pages = [];
for (const page of ['1', '2', '3']) pages.push(await pipelines.list({ ...account, page, per_page: '5', search: 'ts-' }));
assert.deepEqual(pages.map((page) => page.results.length), [5, 1, 0]);
assert.ok(pages.every((page) => page.success && page.result_info.total_count === 6 && page.result_info.per_page === 5));
assert.deepEqual(pages.flatMap((page) => page.results.map((p) => p.name)).sort(), ['ts-0', 'ts-1', 'ts-2', 'ts-3', 'ts-4', 'ts-5']);
assert.deepEqual((await pipelines.list({ ...account, search: 's-1' })).results, []);

const changed = await pipelines.update('ts-0', {
  ...definition('ts-0', { compression: { type: 'none' }, batch: { max_duration_s: 0.25 }, path: { bucket: 'ts-other', prefix: 'p' } }),
  source: [{ type: 'http', format: 'json', authentication: false }],
});
assert.equal(changed.version, made.version + 1);
assert.deepEqual([changed.id, changed.endpoint], [made.id, made.endpoint]);
assert.deepEqual(changed.source, [{ type: 'http', format: 'json', authentication: false }]);
assert.equal(changed.destination.batch.max_duration_s, 0.25);

await fails(pipelines.create(definition('ts-0')), BadRequestError, 400, 1003);
await fails(pipelines.create(definition('no_dash')), BadRequestError, 400, 1001);
await fails(pipelines.create(definition('n', { batch: { max_rows: 1 } })), BadRequestError, 400, 1001);
await fails(pipelines.get('nothing', account), NotFoundError, 404, 1000);
await fails(pipelines.update('nothing', definition('nothing')), NotFoundError, 404, 1000);
await fails(pipelines.delete('nothing', account), NotFoundError, 404, 1000);
await fails(forStrangers.get('ts-0', account), Cloudflare.PermissionDeniedError, 403, 10000);
for (let i = 1; i < 6; i++) await pipelines.delete(`ts-${i}`, account);
assert.deepEqual((await pipelines.list(account)).results, [await pipelines.get('ts-0', account)]);
console.log(JSON.stringify(changed));
