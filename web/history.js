/** The last results of this API key, newest first. */

import { byId, element } from "./dom.js";
import { humanise } from "./fields.js";
import { isPicture } from "./results.js";
import { TEXT } from "./text.js";

const PAGE_SIZE = 12;

export class History {
  #api;
  #onChoose;
  #cursor = null;

  /**
   * @param {import("./api.js").ApiClient} api
   * @param {(job: any) => void} onChoose
   */
  constructor(api, onChoose) {
    this.#api = api;
    this.#onChoose = onChoose;
    byId("older").addEventListener("click", () => this.#load(this.#cursor));
  }

  /** Shows the newest page again. */
  refresh() {
    return this.#load(null);
  }

  async #load(cursor) {
    try {
      const page = await this.#api.listSucceeded(PAGE_SIZE, cursor);
      const items = page.jobs.map((job) => this.#item(job)).filter(Boolean);
      if (cursor) byId("thumbnails").append(...items);
      else byId("thumbnails").replaceChildren(...items);
      this.#cursor = page.next_cursor;
      byId("older").hidden = !this.#cursor;
      this.#note(byId("thumbnails").childElementCount ? null : TEXT.history.empty);
    } catch {
      const retry = element("button", { type: "button", className: "plain" }, TEXT.history.retry);
      retry.addEventListener("click", () => this.#load(cursor));
      this.#note(TEXT.history.failed, " ", retry);
    }
  }

  #note(...content) {
    byId("history-note").hidden = content[0] === null;
    byId("history-note").replaceChildren(...content.filter(Boolean));
  }

  #item(job) {
    const image = job.images[0] ?? job.files?.find(isPicture);
    if (!image && !job.files?.length) return null;
    const words = job.request.prompt ?? humanise(job.task);
    const seed = image?.seed ?? job.request.seed;
    const button = element("button", {
      type: "button",
      title: words,
      ariaLabel: TEXT.history.again(words, seed),
    });
    button.append(image ? thumbnail(image) : element("b", {}, humanise(job.task)));
    button.append(element("span", {}, words));
    button.addEventListener("click", () => this.#onChoose(job));
    return element("li", {}, button);
  }
}

function thumbnail({ url, width, height }) {
  const picture = element("img", { src: url, alt: "", loading: "lazy", decoding: "async" });
  if (width) Object.assign(picture, { width, height });
  return picture;
}
