// The Worker beside yours: one class, whose `send` is that of a Pipelines binding. All streams share it; which one is meant,
// and with which token, says the service binding in its `props`.

import { WorkerEntrypoint } from "cloudflare:workers";

import { send } from "./send.js";

/** What `env.STREAM` is. `props`: `{ "endpoint": "<endpoint of the stream>", "token": "<only with authentication on>" }`. */
export class Stream extends WorkerEntrypoint {
  /**
   * Stores all the records, or none.
   *
   * @param {object[]} records
   * @returns {Promise<void>} resolves when the server has them on disk
   */
  async send(records) {
    await send(this.ctx.props, records);
  }
}

export default {
  fetch() {
    return new Response("This Worker is only called through its entrypoint `Stream`.\n", { status: 404 });
  },
};
