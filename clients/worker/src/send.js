// One call of `send`: checks, one request, and what becomes of its answer.
//
// A request is sent again only where the server has said that it kept nothing of it (429 and 503 with `Retry-After`). A
// connection that breaks leaves that open: sending again could store the records twice, so it is an error.

/** The limit of one request, Cloudflare's and the server's. */
export const REQUEST_BYTES_MAX = 5_000_000;
/** How often one call sends its request. */
export const ATTEMPTS_MAX = 4;
/** A server that asks for a longer pause than this is not waited for. */
export const PAUSE_SECONDS_MAX = 10;

/** What the world around a call does; the tests put something else here. */
const WORLD = {
  fetch: (url, init) => fetch(url, init),
  pause: (seconds) => new Promise((done) => setTimeout(done, seconds * 1000)),
  now: () => Date.now(),
};

/**
 * Sends `records` to `props.endpoint`.
 *
 * @param {{endpoint: string, token?: string}} props
 * @param {object[]} records
 * @param {typeof WORLD} world
 * @returns {Promise<void>} resolves when the server has stored them all
 * @throws {TypeError} the arguments are wrong, or the records are not JSON; nothing was sent
 * @throws {RangeError} they are more than one request may hold; nothing was sent
 * @throws {Error} the server's reason and status, or that it cannot be reached
 */
export async function send(props, records, world = WORLD) {
  const endpoint = endpointOf(props);
  const body = encode(records);
  const headers = { "content-type": "application/json" };
  if (props.token !== undefined) headers.authorization = `Bearer ${props.token}`;
  for (let attempt = 1; ; attempt += 1) {
    const { status, retryAfter, text } = await post(endpoint, headers, body, world);
    if (status === 200) {
      checkCommitted(endpoint, text, records.length);
      return;
    }
    const seconds = pauseSeconds(status, retryAfter, world.now());
    if (seconds === undefined || attempt === ATTEMPTS_MAX) throw new Error(`${reasonOf(text)} (status ${status})`);
    await world.pause(seconds);
  }
}

function endpointOf(props) {
  const endpoint = props?.endpoint;
  if (typeof endpoint !== "string" || !/^https?:\/\//.test(endpoint)) {
    throw new TypeError(`props.endpoint is ${kindOf(endpoint)}; the stream's endpoint is needed, an http or https URL`);
  }
  if (props.token !== undefined && typeof props.token !== "string") {
    throw new TypeError(`props.token is ${kindOf(props.token)}; a token is a string`);
  }
  return endpoint;
}

function encode(records) {
  if (!Array.isArray(records)) {
    throw new TypeError(`send() was given ${kindOf(records)}; it takes an array of records`);
  }
  const body = new TextEncoder().encode(JSON.stringify(records));
  if (body.byteLength > REQUEST_BYTES_MAX) {
    throw new RangeError(
      `the records are ${body.byteLength} bytes of JSON; one send() takes at most ${REQUEST_BYTES_MAX}: send them in parts`,
    );
  }
  return body;
}

/** What `value` is, for a message: never the value itself. */
function kindOf(value) {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "string" && value === "") return "an empty string";
  return `${/^[aeiou]/.test(typeof value) ? "an" : "a"} ${typeof value}`;
}

async function post(endpoint, headers, body, world) {
  try {
    // A redirect would be followed with GET, and its 200 be taken for the server's.
    const answer = await world.fetch(endpoint, { method: "POST", headers, body, redirect: "manual" });
    return { status: answer.status, retryAfter: answer.headers.get("retry-after"), text: await answer.text() };
  } catch (error) {
    // The runtime says the same of a connection refused and of one that broke behind the request.
    const reason = `${error?.message ?? error}`.replace(/\.$/, "");
    throw new Error(`cannot reach ${endpoint}: ${reason}; records that had arrived may be stored`, { cause: error });
  }
}

/** Seconds after which to send again; undefined: not again. */
export function pauseSeconds(status, retryAfter, now) {
  if ((status !== 429 && status !== 503) || retryAfter === null) return undefined;
  const seconds = /^\d+$/.test(retryAfter.trim()) ? Number(retryAfter) : (Date.parse(retryAfter) - now) / 1000;
  return seconds <= PAUSE_SECONDS_MAX ? Math.max(seconds, 0) : undefined;
}

/** The reason in an answer: the first error of the envelope, or the text itself. */
export function reasonOf(text) {
  try {
    const message = JSON.parse(text).errors[0].message;
    if (typeof message === "string") return message;
  } catch {
    // Not the server's own answer: something between it and us.
  }
  return text.trim().slice(0, 200) || "the answer has no reason";
}

/** Something else than the server may listen there and answer 200 to everything. */
function checkCommitted(endpoint, text, sent) {
  let committed;
  try {
    committed = JSON.parse(text).result.committed;
  } catch {
    // Reported below.
  }
  if (committed !== sent) {
    throw new Error(`${endpoint} answered 200, but not that it stored ${sent} records; is it a stream's endpoint?`);
  }
}
