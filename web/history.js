/** The last pictures of this API key, newest first. */

import { byId, element } from "./dom.js";
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
      const items = page.jobs.filter((job) => job.images.length).map((job) => this.#item(job));
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
    const [image] = job.images;
    const { prompt } = job.request;
    const picture = element("img", {
      src: image.url,
      alt: "",
      width: image.width,
      height: image.height,
      loading: "lazy",
      decoding: "async",
    });
    const button = element("button", {
      type: "button",
      title: prompt,
      ariaLabel: TEXT.history.again(prompt, image.seed),
    });
    button.append(picture, element("span", {}, prompt));
    button.addEventListener("click", () => this.#onChoose(job));
    return element("li", {}, button);
  }
}
