import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";

import { ATTEMPTS_MAX, PAUSE_SECONDS_MAX, REQUEST_BYTES_MAX, pauseSeconds, reasonOf, send } from "../src/send.js";

const ENDPOINT = "http://127.0.0.1:1/ingest/a-stream";
const stored = (n) => new Response(JSON.stringify({ success: true, result: { committed: n } }));
const refused = (status, message, headers = {}) =>
  new Response(JSON.stringify({ success: false, errors: [{ code: 1, message }], messages: [], result: null }), { status, headers });

/** A world that gives these answers, one after another, and notes what happened. */
function world(...answers) {
  const seen = { requests: [], pauses: [] };
  return {
    seen,
    now: () => 0,
    pause: async (seconds) => void seen.pauses.push(seconds),
    fetch: async (url, init) => {
      seen.requests.push({ url, ...init, body: new TextDecoder().decode(init.body) });
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
}

test("the records are posted as JSON and the call resolves with nothing", async () => {
  const w = world(stored(2));
  const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  assert.equal(await send({ endpoint: ENDPOINT, token: "a-token" }, [{ n: 1, at }, { text: "ü" }], w), undefined);
  const [request] = w.seen.requests;
  assert.equal(request.url, ENDPOINT);
  assert.equal(request.method, "POST");
  assert.equal(request.redirect, "manual");
  assert.deepEqual(request.headers, { "content-type": "application/json", authorization: "Bearer a-token" });
  assert.equal(request.body, '[{"n":1,"at":"2026-01-02T03:04:05.678Z"},{"text":"ü"}]');
});

test("without a token there is no authorization header", async () => {
  const w = world(stored(0));
  await send({ endpoint: ENDPOINT }, [], w);
  assert.deepEqual(w.seen.requests[0].headers, { "content-type": "application/json" });
});

test("what is not an array of JSON is a TypeError and nothing is sent", async () => {
  const cycle = {};
  cycle.self = cycle;
  for (const [records, message] of [
    [undefined, "send() was given undefined; it takes an array of records"],
    [null, "send() was given null; it takes an array of records"],
    [{ a: 1 }, "send() was given an object; it takes an array of records"],
    ["[]", "send() was given a string; it takes an array of records"],
    [7, "send() was given a number; it takes an array of records"],
    [[{ n: 1n }], /BigInt/],
    [[cycle], /circular/],
  ]) {
    const w = world();
    await assert.rejects(send({ endpoint: ENDPOINT }, records, w), { name: "TypeError", message });
    assert.equal(w.seen.requests.length, 0);
  }
});

test("props that cannot be right are named, without their values", async () => {
  for (const [props, message] of [
    [undefined, "props.endpoint is undefined; the stream's endpoint is needed, an http or https URL"],
    [{ endpoint: "" }, "props.endpoint is an empty string; the stream's endpoint is needed, an http or https URL"],
    [{ endpoint: "a-stream" }, "props.endpoint is a string; the stream's endpoint is needed, an http or https URL"],
    [{ endpoint: ENDPOINT, token: 5 }, "props.token is a number; a token is a string"],
  ]) {
    await assert.rejects(send(props, [], world()), { name: "TypeError", message });
  }
});

test("a request of the limit is sent and one byte more is refused with both numbers", async () => {
  const frame = JSON.stringify([{ t: "" }]).length;
  const w = world(stored(1));
  await send({ endpoint: ENDPOINT }, [{ t: "x".repeat(REQUEST_BYTES_MAX - frame) }], w);
  assert.equal(w.seen.requests[0].body.length, REQUEST_BYTES_MAX);
  await assert.rejects(send({ endpoint: ENDPOINT }, [{ t: "x".repeat(REQUEST_BYTES_MAX - frame + 1) }], w), {
    name: "RangeError",
    message: "the records are 5000001 bytes of JSON; one send() takes at most 5000000: send them in parts",
  });
  // Bytes count, not characters.
  await assert.rejects(send({ endpoint: ENDPOINT }, [{ t: "ü".repeat(REQUEST_BYTES_MAX / 2) }], w), { name: "RangeError" });
  assert.equal(w.seen.requests.length, 1);
});

test("a refusal rejects with the server's reason and status and is not sent again", async () => {
  for (const status of [400, 401, 404, 408, 413, 500, 502]) {
    const w = world(refused(status, "record 3 is not an object"));
    await assert.rejects(send({ endpoint: ENDPOINT }, [], w), { name: "Error", message: `record 3 is not an object (status ${status})` });
    assert.equal(w.seen.requests.length, 1);
  }
});

test("429 and 503 are sent again after the pause the server asks for", async () => {
  const w = world(refused(429, "busy", { "retry-after": "1" }), refused(503, "full", { "retry-after": "10" }), stored(1));
  await send({ endpoint: ENDPOINT }, [{}], w);
  assert.deepEqual(w.seen.pauses, [1, 10]);
  assert.deepEqual(w.seen.requests.map((r) => r.body), ["[{}]", "[{}]", "[{}]"]);
});

test("the number of attempts is bounded and the last reason is the one that is told", async () => {
  const answers = Array.from({ length: ATTEMPTS_MAX + 1 }, (_, i) => refused(503, `full ${i + 1}`, { "retry-after": "1" }));
  const w = world(...answers);
  await assert.rejects(send({ endpoint: ENDPOINT }, [], w), { message: `full ${ATTEMPTS_MAX} (status 503)` });
  assert.equal(w.seen.requests.length, ATTEMPTS_MAX);
  assert.equal(w.seen.pauses.length, ATTEMPTS_MAX - 1);
});

test("a pause is seconds or a date, and only of a status and a length that is waited for", () => {
  assert.equal(pauseSeconds(429, "0", 0), 0);
  assert.equal(pauseSeconds(503, " 7 ", 0), 7);
  assert.equal(pauseSeconds(503, String(PAUSE_SECONDS_MAX), 0), PAUSE_SECONDS_MAX);
  assert.equal(pauseSeconds(503, new Date(5000).toUTCString(), 1000), 4);
  assert.equal(pauseSeconds(503, new Date(5000).toUTCString(), 9000), 0);
  for (const [status, header] of [[503, String(PAUSE_SECONDS_MAX + 1)], [503, null], [503, "soon"], [503, "-1x"], [500, "1"], [200, "1"]]) {
    assert.equal(pauseSeconds(status, header, 0), undefined, `${status} ${header}`);
  }
});

test("a connection that breaks is an error at once, because the records may have been stored", async () => {
  let requests = 0;
  const server = createServer((request) => {
    requests += 1;
    request.on("end", () => request.socket.destroy()).resume();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = `http://127.0.0.1:${server.address().port}/ingest/x`;
  const unreachable = ({ message }) =>
    message.startsWith(`cannot reach ${endpoint}: `) && message.endsWith("; records that had arrived may be stored");
  await assert.rejects(send({ endpoint }, [{}]), unreachable);
  assert.equal(requests, 1);
  server.close();
  await once(server, "close");
  await assert.rejects(send({ endpoint }, [{}]), unreachable);
});

test("a 200 of something that is not a stream's endpoint is an error", async () => {
  for (const answer of [new Response("hello"), stored(1), new Response('{"success":true,"result":null}')]) {
    await assert.rejects(send({ endpoint: ENDPOINT }, [{}, {}], world(answer)), /answered 200, but not that it stored 2 records/);
  }
  await assert.rejects(send({ endpoint: ENDPOINT }, [], world(new Response("moved", { status: 302 }))), { message: "moved (status 302)" });
});

test("the reason is the envelope's, or what the answer says, or that it says nothing", () => {
  assert.equal(reasonOf('{"errors":[{"code":1003,"message":"not JSON"}]}'), "not JSON");
  assert.equal(reasonOf("<h1>Bad Gateway</h1>\n"), "<h1>Bad Gateway</h1>");
  assert.equal(reasonOf('{"errors":[{"message":5}]}'), '{"errors":[{"message":5}]}');
  assert.equal(reasonOf("x".repeat(1000)).length, 200);
  assert.equal(reasonOf(" "), "the answer has no reason");
});
