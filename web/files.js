/** Choosing a file for a task: by the picker, or by dropping it. */

import { element } from "./dom.js";
import { humanise } from "./fields.js";
import { TEXT } from "./text.js";

const OCTET_STREAM = "application/octet-stream";

export class FileInput {
  #input;
  #control;
  #note = element("p", { className: "hint" });

  /**
   * @param {string} id Of the control.
   * @param {{name: string, endings: Record<string, string[]>, max_bytes: number,
   *   required: boolean}} input As `GET /v1/tasks` describes it.
   */
  constructor(id, input) {
    this.#input = input;
    this.name = input.name;
    const accept = Object.values(input.endings).flat().join(",");
    this.#control = element("input", { type: "file", id, accept, name: `inputs.${input.name}` });
    this.#control.required = input.required;
    this.#note.id = `${id}-hint`;
    this.#control.setAttribute("aria-describedby", this.#note.id);
    const words = humanise(input.name) + (input.required ? "" : ` ${TEXT.tasks.optional}`);
    const label = element("label", { htmlFor: id }, words);
    this.node = element("div", { className: "field drop" }, label, this.#control, this.#note);
    this.#control.addEventListener("change", () => this.#describe());
    this.#listenForDrops();
    this.#describe();
  }

  get control() {
    return this.#control;
  }

  get file() {
    return this.#control.files[0] ?? null;
  }

  /** What the file's name says that it is, of what the task takes; null of none. */
  get contentType() {
    const name = this.file?.name.toLowerCase() ?? "";
    const found = Object.entries(this.#input.endings)
      .flatMap(([type, endings]) => endings.map((ending) => [ending, type]))
      .filter(([ending]) => name.endsWith(ending))
      .sort(([one], [other]) => other.length - one.length);
    if (found.length) return found[0][1];
    const types = Object.keys(this.#input.endings);
    if (types.includes(this.file?.type)) return this.file.type;
    return types.includes(OCTET_STREAM) ? OCTET_STREAM : null;
  }

  /** What is wrong with it, in the page's words; empty when nothing is. */
  complaint() {
    if (!this.file) return this.#input.required ? TEXT.tasks.fileMissing : "";
    if (this.file.size === 0) return TEXT.tasks.fileEmpty;
    if (this.file.size > this.#input.max_bytes) {
      return TEXT.tasks.fileTooLarge(bytes(this.file.size), bytes(this.#input.max_bytes));
    }
    return this.contentType ? "" : TEXT.tasks.fileOfOtherType(this.#endings());
  }

  #endings() {
    return Object.values(this.#input.endings).flat().join(" ");
  }

  #describe() {
    this.#note.textContent = this.file
      ? TEXT.tasks.fileChosen(this.file.name, bytes(this.file.size))
      : TEXT.tasks.fileHint(this.#endings(), bytes(this.#input.max_bytes));
  }

  #listenForDrops() {
    const { node } = this;
    for (const kind of ["dragenter", "dragover"]) {
      node.addEventListener(kind, (event) => {
        event.preventDefault();
        node.classList.add("over");
      });
    }
    node.addEventListener("dragleave", () => node.classList.remove("over"));
    node.addEventListener("drop", (event) => {
      event.preventDefault();
      node.classList.remove("over");
      if (!event.dataTransfer?.files.length) return;
      const chosen = new DataTransfer();
      chosen.items.add(event.dataTransfer.files[0]);
      this.#control.files = chosen.files;
      this.#control.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
}

/** A number of bytes in words. */
export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}
