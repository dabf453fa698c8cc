/** Sends a job and follows it to its end, through dropped lines, busy services and reloads. */

import { ApiError, ConnectionError } from "./api.js";
import { TERMINAL_STATES } from "./settings.js";

const FIRST_POLL_MS = 300;
const LONGEST_POLL_MS = 4_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;
const GROWTH = 1.5;
/** About 45 s of errors: then a request that was never accepted is handed back to the person. */
const MAX_REFUSALS = 8;

/** Delays that grow while nothing new happens. */
class BackOff {
  #first;
  #longest;
  #next;

  constructor(first, longest) {
    this.#first = this.#next = first;
    this.#longest = longest;
  }

  next() {
    const delay = this.#next;
    this.#next = Math.min(delay * GROWTH, this.#longest);
    return delay;
  }

  reset() {
    this.#next = this.#first;
  }
}

export class JobFollower {
  #api;
  #slot;
  #onJob;
  #onTrouble;
  #sleepers = new Set();
  #abandoned = false;

  /**
   * @param {import("./api.js").ApiClient} api
   * @param {{get(): any, set(value: any): void, clear(): void}} slot Holds the job under way.
   * @param {{onJob(job: any): void, onTrouble(error: Error | null): void}} listeners `onTrouble`
   *   hears of every failed try, and null once the service answers again.
   */
  constructor(api, slot, { onJob, onTrouble }) {
    this.#api = api;
    this.#slot = slot;
    this.#onJob = onJob;
    this.#onTrouble = onTrouble;
    window.addEventListener("online", () => this.#wakeAll());
    document.addEventListener("visibilitychange", () => this.#wakeAll());
  }

  /** The job that a reload interrupted, or null. */
  get pending() {
    return this.#slot.get();
  }

  /** Sends a new request and follows it. */
  submit(request) {
    const idempotencyKey = crypto.randomUUID();
    this.#slot.set({ request, idempotencyKey, jobId: null, startedAt: Date.now() });
    return this.resume();
  }

  /**
   * Follows the remembered job until it ends.
   *
   * @returns {Promise<any>} The job at its end, or null when it was given up before it was sent.
   * @throws {ApiError} A refusal that trying again would not change. The job is then forgotten,
   *   unless only the key was refused.
   */
  async resume() {
    this.#abandoned = false;
    try {
      const job = await this.#run();
      this.#slot.clear();
      return job;
    } catch (error) {
      if (!(error instanceof ApiError && error.isKeyRefused)) this.#slot.clear();
      throw error;
    }
  }

  /** Asks the service to stop the job; `resume` then ends by itself. */
  async cancel() {
    const jobId = this.pending?.jobId;
    this.#abandoned = !jobId;
    try {
      if (jobId) await this.#persist(() => this.#api.cancelJob(jobId));
    } catch (error) {
      // A job that ended a moment ago can't be cancelled; following it shows how it ended.
      if (!(error instanceof ApiError && [404, 409].includes(error.status))) throw error;
    } finally {
      this.#wakeAll();
    }
  }

  async #run() {
    let { request, idempotencyKey, jobId } = this.pending;
    if (!jobId) {
      const create = () => this.#api.createJob(request, idempotencyKey);
      const job = await this.#persist(create, MAX_REFUSALS);
      if (!job) return null;
      jobId = job.id;
      this.#slot.set({ ...this.pending, jobId });
      // Someone gave it up while it was being accepted.
      if (this.#abandoned) await this.cancel();
    }
    return this.#follow(jobId);
  }

  async #follow(jobId) {
    const backOff = new BackOff(FIRST_POLL_MS, LONGEST_POLL_MS);
    let seen = "";
    for (;;) {
      const job = await this.#persist(() => this.#api.getJob(jobId));
      this.#onJob(job);
      if (TERMINAL_STATES.includes(job.state)) return job;
      const news = `${job.state} ${job.attempt} ${job.progress.step}`;
      if (news !== seen) backOff.reset();
      seen = news;
      await this.#pause(backOff.next());
    }
  }

  /** Tries until the service answers; null when the person gave up a job not yet accepted. */
  async #persist(call, maxRefusals = Infinity) {
    let refusals = 0;
    const backOff = new BackOff(FIRST_RETRY_MS, LONGEST_RETRY_MS);
    while (!this.#abandoned) {
      try {
        const answer = await call();
        this.#onTrouble(null);
        return answer;
      } catch (error) {
        const lost = error instanceof ConnectionError;
        if (!lost && !(error instanceof ApiError && error.isTransient)) throw error;
        if (!lost && ++refusals >= maxRefusals) throw error;
        this.#onTrouble(error);
        await this.#pause(Math.max(backOff.next(), (error.retryAfterSeconds ?? 0) * 1000));
      }
    }
    return null;
  }

  /** Waits, but no longer than until the line is back, the page is shown or someone cancels. */
  #pause(milliseconds) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.#sleepers.add(wake);
    });
  }

  #wakeAll() {
    for (const wake of [...this.#sleepers]) wake();
  }
}
