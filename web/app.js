/** Wires the page: key, form, job, picture and history around one API client. */

import { ApiClient, ApiError, ConnectionError, UploadError } from "./api.js";
import { announce, byId } from "./dom.js";
import { humanise } from "./fields.js";
import { JobFollower } from "./follower.js";
import { RequestForm } from "./form.js";
import { History } from "./history.js";
import { KeyPanel } from "./key.js";
import { session } from "./session.js";
import { loadConfiguration } from "./settings.js";
import { SignIn, SignInError } from "./signin.js";
import { Stage } from "./stage.js";
import { Tabs } from "./tabs.js";
import { TaskForm } from "./task_form.js";
import { fillText, TEXT } from "./text.js";

const PAINTING = "generate";

class Console {
  #api;
  #follower;
  #history;
  #busy = false;
  #form = new RequestForm((request) => this.#submit(request));
  #tabs = new Tabs(byId("tabs"));
  #taskForms = new Map();
  #upload = new AbortController();
  #key;
  #person;
  #stage = new Stage({
    onCancel: () => {
      this.#upload.abort();
      return this.#guard(() => this.#follower.cancel());
    },
    onKeepSeed: (seed) => this.#openForm.keepSeed(seed),
    onRenew: (job) => this.#guard(() => this.#show(job.id)),
  });

  constructor({ apiUrl, signIn }) {
    this.#tabs.add(PAINTING, TEXT.page.paint, byId("request"));
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
    const pending = this.#follower.pending?.request ?? {};
    if (!isTask(pending)) this.#form.write(pending);
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
    await Promise.all([this.#showTasks(), this.#history.refresh()]);
    return resumed;
  }

  /** A tab for each task; a service that does not answer, or knows none, leaves pictures alone. */
  async #showTasks() {
    let tasks = [];
    try {
      tasks = (await this.#api.listTasks()).data;
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ConnectionError)) throw error;
    }
    for (const task of tasks) {
      if (this.#tabs.has(task.name)) continue;
      const form = new TaskForm(task, () => this.#submitTask(form));
      form.setBusy(this.#busy);
      this.#taskForms.set(task.name, form);
      byId("ask").append(form.node);
      this.#tabs.add(task.name, humanise(task.name), form.node);
    }
  }

  /** The form whose tab is open. */
  get #openForm() {
    const forms = [...this.#taskForms.values()];
    return forms.find(({ node }) => !node.hidden) ?? this.#form;
  }

  async #submit(request) {
    if (!this.#key.isKnown) this.#key.ask(TEXT.key.missing);
    else await this.#watch(Date.now(), () => this.#follower.submit(request));
  }

  async #submitTask(form) {
    if (!this.#key.isKnown) return this.#key.ask(TEXT.key.missing);
    this.#upload = new AbortController();
    const { signal } = this.#upload;
    await this.#watch(Date.now(), async () => {
      this.#stage.upload();
      try {
        const bring = (file, type) => this.#api.upload(file, type, signal);
        const request = await form.request(bring);
        return signal.aborted ? null : await this.#follower.submit(request);
      } catch (error) {
        if (signal.aborted) return null;
        if (error instanceof ConnectionError) throw new UploadError("not sent", { cause: error });
        throw error;
      }
    });
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
    for (const form of [this.#form, ...this.#taskForms.values()]) form.setBusy(busy);
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
    const name = isTask(job.request) ? job.request.task : PAINTING;
    const form = this.#taskForms.get(name) ?? this.#form;
    if (name === PAINTING || form !== this.#form) {
      form.write({ ...job.request, seed: job.provenance?.seed ?? job.images[0].seed });
      this.#tabs.open(name);
      announce(TEXT.announce.reused);
    }
    if (this.#busy) return;
    // A list leaves reports out.
    if (job.files?.length) return this.#show(job.id);
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
    if (error instanceof UploadError) {
      return this.#stage.fail(TEXT.tasks.uploadFailed, TEXT.tasks.uploadFailedDetail);
    }
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
    const strangers = this.#openForm.showErrors(errors);
    const detail = error.message || TEXT.errors.unexpected(error.status);
    const told = strangers.map(({ field, message }) => TEXT.errors.fieldDetail(field, message));
    return this.#stage.fail(title, detail, ...told, reference(error.problem));
  }
}

function isTask(request) {
  return (request.task ?? PAINTING) !== PAINTING;
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
