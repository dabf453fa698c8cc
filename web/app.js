/** Wires the page: key, form, job, picture and history around one API client. */

import { ApiClient, ApiError, ConnectionError } from "./api.js";
import { announce, byId } from "./dom.js";
import { JobFollower } from "./follower.js";
import { RequestForm } from "./form.js";
import { History } from "./history.js";
import { KeyPanel } from "./key.js";
import { session } from "./session.js";
import { loadConfiguration } from "./settings.js";
import { SignIn, SignInError } from "./signin.js";
import { Stage } from "./stage.js";
import { fillText, TEXT } from "./text.js";

class Console {
  #api;
  #follower;
  #history;
  #busy = false;
  #form = new RequestForm((request) => this.#submit(request));
  #key;
  #person;
  #stage = new Stage({
    onCancel: () => this.#guard(() => this.#follower.cancel()),
    onKeepSeed: (seed) => this.#form.keepSeed(seed),
    onRenew: (job) => this.#guard(() => this.#show(job.id)),
  });

  constructor({ apiUrl, signIn }) {
    this.#person = new SignIn(signIn, session.tokens, session.signInAttempt);
    this.#key = new KeyPanel(session.apiKey, this.#person, () => this.#enter());
    this.#api = new ApiClient(apiUrl, () => this.#key.credentials());
    this.#history = new History(this.#api, (job) => this.#guard(() => this.#reuse(job)));
    this.#follower = new JobFollower(this.#api, session.pending, {
      onJob: (job) => this.#stage.progress(job),
      onTrouble: (error) => this.#stage.trouble(error && troubleWords(error)),
    });
  }

  /** Goes on where the last load of this tab ended. */
  async start() {
    this.#form.write(this.#follower.pending?.request ?? {});
    try {
      await this.#person.complete();
    } catch (error) {
      return this.#key.ask(
        error instanceof SignInError ? TEXT.key.signInFailed : TEXT.key.unchecked,
      );
    }
    if (this.#key.isKnown) return this.#enter();
    return this.#key.ask("");
  }

  async #enter() {
    this.#key.settle(TEXT.key.checking);
    const resumed = this.#resume();
    try {
      this.#form.showModels((await this.#api.listModels()).data);
      this.#key.accept();
    } catch (error) {
      if (error instanceof ApiError && error.isKeyRefused) return this.#key.refuse();
      this.#key.settle(TEXT.key.unchecked);
    }
    await this.#history.refresh();
    return resumed;
  }

  async #submit(request) {
    if (!this.#key.isKnown) this.#key.ask(TEXT.key.missing);
    else await this.#watch(Date.now(), () => this.#follower.submit(request));
  }

  async #resume() {
    const pending = this.#follower.pending;
    if (pending) await this.#watch(pending.startedAt, () => this.#follower.resume());
  }

  /** Follows one job at a time. */
  async #watch(startedAt, follow) {
    if (this.#busy) return;
    this.#setBusy(true);
    this.#stage.start(startedAt);
    try {
      await this.#guard(async () => this.#conclude(await follow()));
    } finally {
      this.#setBusy(false);
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    this.#form.setBusy(busy);
  }

  async #conclude(job) {
    const words = TEXT.ended;
    if (job?.state === "succeeded") {
      await this.#stage.finish(job);
      await this.#history.refresh();
    } else if (job?.state === "failed") {
      this.#stage.fail(words.failed, job.error?.detail, reference(job.error ?? {}));
    } else if (job?.state === "expired") {
      this.#stage.fail(words.expired, words.expiredDetail);
    } else {
      this.#stage.fail(words.cancelled, words.cancelledDetail);
    }
  }

  /** Takes over the settings of an earlier job, seed included, and shows its picture. */
  async #reuse(job) {
    this.#form.write({ ...job.request, seed: job.provenance?.seed ?? job.images[0].seed });
    announce(TEXT.announce.reused);
    if (this.#busy) return;
    const expired = job.images.some((image) => Date.parse(image.expires_at) < Date.now());
    if (expired) await this.#show(job.id);
    else await this.#stage.finish(job);
  }

  async #show(jobId) {
    await this.#stage.finish(await this.#api.getJob(jobId));
  }

  async #guard(action) {
    try {
      await action();
    } catch (error) {
      this.#explain(error);
    }
  }

  #explain(error) {
    if (error instanceof ConnectionError) return this.#stage.trouble(troubleWords(error));
    if (!(error instanceof ApiError)) throw error;
    if (error.isKeyRefused) {
      this.#stage.rest();
      return this.#key.refuse();
    }
    if (error.status === 404) {
      return this.#stage.fail(TEXT.ended.forgotten, TEXT.ended.forgottenDetail);
    }
    const { title = TEXT.errors.title, errors = [] } = error.problem;
    const strangers = this.#form.showErrors(errors);
    const detail = error.message || TEXT.errors.unexpected(error.status);
    const told = strangers.map(({ field, message }) => TEXT.errors.fieldDetail(field, message));
    return this.#stage.fail(title, detail, ...told, reference(error.problem));
  }
}

function troubleWords(error) {
  if (!navigator.onLine) return TEXT.errors.offline;
  if (error instanceof ConnectionError) return TEXT.errors.unreachable;
  const busy = error.status === 429 || error.status === 503;
  return busy ? TEXT.errors.busy : TEXT.errors.troubled(error.status);
}

function reference(problem) {
  return problem.instance ? TEXT.errors.reference(problem.instance) : null;
}

fillText(document);
try {
  new Console(await loadConfiguration()).start();
} catch (error) {
  byId("failure").hidden = false;
  byId("failure").textContent = TEXT.errors.configuration;
  throw error;
}
