/** What outlives a reload of this tab: the API key or the sign-in, and the job under way. Never longer. */

const PREFIX = "nvfp4-ddim.";

/** A value in sessionStorage; in memory where the browser forbids storage. */
class Slot {
  #name;
  #fallback = null;

  constructor(name) {
    this.#name = PREFIX + name;
  }

  get() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#name));
    } catch {
      return this.#fallback;
    }
  }

  set(value) {
    this.#fallback = value;
    try {
      sessionStorage.setItem(this.#name, JSON.stringify(value));
    } catch {
      // Storage is off: the value then lives as long as the page.
    }
  }

  clear() {
    this.set(null);
  }
}

/**
 * `pending` is `{request, idempotencyKey, jobId, startedAt}`. It is written before the request is
 * sent, so that a reload in the middle sends the same request under the same key, not a second one.
 */
export const session = {
  apiKey: new Slot("api-key"),
  pending: new Slot("pending"),
  signInAttempt: new Slot("sign-in"),
  tokens: new Slot("tokens"),
};
