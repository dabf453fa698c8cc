/** Where a job is shown: noise and progress, then the picture with its story, or what went wrong. */

import { announce, byId, element } from "./dom.js";
import { describe } from "./details.js";
import { figures as taskFigures, outcome as taskOutcome } from "./results.js";
import { TEXT } from "./text.js";

const COLD_START_AFTER_SECONDS = 15;
const ANNOUNCE_EVERY_PERCENT = 25;
const ENLARGE_BELOW_PIXELS = 256;

// Kept here because they leave the page while a picture is shown.
const noise = byId("noise");
const idle = byId("idle");

export class Stage {
  #onKeepSeed;
  #onRenew;
  #clock = 0;
  #startedAt = 0;
  #job = null;
  #announcedPercent = 0;
  #turn = 0;

  /**
   * @param {{onCancel(): void, onKeepSeed(seed: number): void, onRenew(job: any): void}} listeners
   *   `onRenew` is asked for the same job with fresh links.
   */
  constructor({ onCancel, onKeepSeed, onRenew }) {
    this.#onKeepSeed = onKeepSeed;
    this.#onRenew = onRenew;
    byId("cancel").addEventListener("click", () => {
      byId("cancel").disabled = true;
      byId("cancel").textContent = TEXT.stage.cancelling;
      onCancel();
    });
    drawNoise(1);
  }

  /** A job that is about to be sent, or that a reload interrupted. */
  start(startedAt) {
    this.#turn += 1;
    this.#startedAt = startedAt;
    this.#job = null;
    this.#announcedPercent = 0;
    this.#show({ working: true });
    this.#showProgress(TEXT.stage.sending, 0, 1);
    byId("step").textContent = "";
    byId("cancel").disabled = false;
    byId("cancel").textContent = TEXT.stage.cancel;
    drawNoise(1);
    clearInterval(this.#clock);
    this.#clock = setInterval(() => this.#tick(), 200);
    this.#tick();
    announce(TEXT.announce.submitted);
    byId("working").scrollIntoView({ block: "nearest" });
  }

  /** A file is on its way, before its job is sent. */
  upload() {
    this.#showProgress(TEXT.tasks.uploading, 0, 1);
  }

  /** News of the job under way. */
  progress(job) {
    this.#job = job;
    const { step, total_steps: total } = job.progress;
    const running = job.state === "running";
    const busy = job.request.prompt === undefined ? TEXT.tasks.running : TEXT.stage.running;
    this.#showProgress(running ? busy : TEXT.stage.queued, running ? step : 0, total);
    byId("step").textContent = running ? TEXT.stage.step(step, total) : "";
    if (running) drawNoise(1 - step / total);
    const percent = running ? Math.floor((100 * step) / total) : 0;
    if (percent >= this.#announcedPercent + ANNOUNCE_EVERY_PERCENT) {
      this.#announcedPercent = percent;
      announce(TEXT.announce.progress(percent));
    }
  }

  /** The pictures of a job that succeeded, shown once they have loaded. */
  async finish(job) {
    const turn = ++this.#turn;
    this.#showProgress(TEXT.stage.fetching, 1, 1);
    const made = job.files?.length ? taskFigures(job) : null;
    const figures = made ?? job.images.map((image) => figure(job, image));
    const loads = figures.map((item) => item.querySelector("img").decode());
    const [outcome] = await Promise.allSettled([Promise.all(loads)]);
    // Something newer may have been chosen while these were on their way.
    if (turn !== this.#turn) return;
    if (outcome.status === "rejected") {
      this.#offerReload(job);
      return;
    }
    this.#show({ details: true });
    byId("pictures").replaceChildren(...figures);
    const story = describe(job, this.#onKeepSeed);
    byId("details").replaceChildren(...(made ? taskOutcome(job) : []), ...story);
    byId("pictures").scrollIntoView({ block: "nearest" });
    announce(made ? TEXT.tasks.done : TEXT.announce.done);
  }

  /**
   * A job that ended without a picture, or a request that was not accepted.
   *
   * @param {string} title
   * @param {...(string | null | undefined)} paragraphs
   */
  fail(title, ...paragraphs) {
    this.#show({ failure: true });
    const told = paragraphs.filter(Boolean).map((words) => element("p", {}, words));
    byId("failure").replaceChildren(element("h3", {}, title), ...told);
  }

  /** Nothing is under way. */
  rest() {
    this.#show({});
  }

  /** What keeps the page from reaching the service; null once it answers. */
  trouble(words) {
    byId("trouble").hidden = !words;
    byId("trouble").textContent = words ?? "";
  }

  #offerReload(job) {
    this.fail(TEXT.stage.imageLost);
    const again = element("button", { type: "button" }, TEXT.stage.retryImage);
    again.addEventListener("click", () => this.#onRenew(job));
    byId("failure").append(again);
  }

  #show({ working = false, failure = false, details = false }) {
    if (!working) clearInterval(this.#clock);
    byId("working").hidden = !working;
    byId("failure").hidden = !failure;
    byId("details").hidden = !details;
    byId("note").hidden = true;
    if (!details) byId("pictures").replaceChildren(noise, ...(working ? [] : [idle]));
    byId("stage").setAttribute("aria-busy", String(working));
    this.trouble(null);
  }

  #showProgress(activity, step, total) {
    byId("activity").textContent = activity;
    byId("progress").max = total;
    byId("progress").value = step;
  }

  #tick() {
    const seconds = (Date.now() - this.#startedAt) / 1000;
    byId("elapsed").textContent = TEXT.stage.seconds(Math.max(seconds, 0));
    const waiting = this.#job?.state === "queued" && seconds > COLD_START_AFTER_SECONDS;
    const attempt = this.#job?.attempt ?? 1;
    byId("note").hidden = !waiting && attempt === 1;
    byId("note").textContent = attempt > 1 ? TEXT.stage.attempt(attempt) : TEXT.stage.coldStart;
  }
}

/** Noise that calms down as the sampler goes on; redrawn once a step, never animated. */
function drawNoise(strength) {
  const context = noise.getContext("2d");
  const pixels = context.createImageData(noise.width, noise.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const grey = 128 + (Math.random() - 0.5) * 100 * (0.25 + 0.75 * strength);
    pixels.data.set([grey, grey + 4, grey + 2, 64], at);
  }
  context.putImageData(pixels, 0, 0);
}

function figure(job, image) {
  const { prompt, image_format: format } = job.request;
  const picture = element("img", {
    src: image.url,
    alt: prompt,
    width: image.width,
    height: image.height,
  });
  picture.style.setProperty("--native", `${image.width}px`);
  const enlarged = image.width < ENLARGE_BELOW_PIXELS;
  picture.classList.toggle("enlarged", enlarged);
  const words = job.images.length > 1 ? TEXT.stage.downloadOne(image.seed) : TEXT.stage.download;
  const name = prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40);
  const link = element(
    "a",
    { href: image.url, download: `${name}-${image.seed}.${format}`, target: "_blank" },
    words,
  );
  link.rel = "noopener";
  const size = element("span", { className: "hint" }, TEXT.stage.size(image.width, image.height));
  const choices = enlarged ? [pixelChoice(picture)] : [];
  return element("figure", {}, picture, element("figcaption", {}, link, size, ...choices));
}

/** Drawings look better enlarged smoothly; whoever judges a model wants to see its pixels. */
function pixelChoice(picture) {
  const box = element("input", { type: "checkbox" });
  box.addEventListener("change", () => picture.classList.toggle("crisp", box.checked));
  return element("label", { className: "choice" }, box, TEXT.stage.pixels);
}
