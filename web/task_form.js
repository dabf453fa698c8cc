/** The form of one task, made of its description. */

import { element } from "./dom.js";
import { humanise, Parameter } from "./fields.js";
import { FileInput } from "./files.js";
import { MAX_SEED, PRESET_STEPS } from "./settings.js";
import { TEXT } from "./text.js";

const DEFAULT_PRESET = "balanced";

export class TaskForm {
  #task;
  #files;
  #parameters;
  #preset;
  #seed;
  #submit = element("button", { type: "submit", className: "primary" }, TEXT.tasks.submit);

  /**
   * @param {any} task As `GET /v1/tasks` describes it.
   * @param {(form: TaskForm) => void} onSubmit Hears of forms that are filled in.
   */
  constructor(task, onSubmit) {
    this.#task = task;
    const id = (name) => `${task.name}-${name}`;
    this.#files = task.inputs.map((input) => new FileInput(id(input.name), input));
    const { properties = {}, $defs = {}, required = [] } = task.parameters;
    this.#parameters = Object.entries(properties).map(
      ([name, schema]) =>
        new Parameter(id(`p-${name}`), name, schema, $defs, required.includes(name)),
    );
    this.#preset = presetSelect(id("preset"));
    this.#seed = seedInput(id("seed"));
    this.node = this.#build(id);
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#validate()) onSubmit(this);
    });
    for (const kind of ["input", "change"]) {
      this.node.addEventListener(kind, ({ target }) => this.#mark(target, ""));
    }
  }

  /**
   * The request, once its files are uploaded.
   *
   * @param {(file: File, contentType: string) => Promise<string>} upload Answers with an id.
   */
  async request(upload) {
    const inputs = {};
    for (const input of this.#files) {
      if (input.file) inputs[input.name] = { upload: await upload(input.file, input.contentType) };
    }
    const parameters = {};
    for (const parameter of this.#parameters) {
      const value = parameter.read();
      if (value !== undefined) parameters[parameter.name] = value;
    }
    const request = { task: this.#task.name, preset: this.#preset.value, inputs, parameters };
    if (this.#seed.value.trim()) request.seed = Number(this.#seed.value);
    return request;
  }

  /** Takes over an earlier request's settings; its files can't be chosen again by a page. */
  write(request) {
    for (const parameter of this.#parameters) parameter.write(request.parameters?.[parameter.name]);
    this.#preset.value = request.preset ?? DEFAULT_PRESET;
    this.keepSeed(request.seed ?? "");
    for (const control of this.#controls()) this.#mark(control, "");
  }

  keepSeed(seed) {
    this.#seed.value = seed;
  }

  setBusy(busy) {
    this.#submit.disabled = busy;
  }

  /**
   * Puts the service's complaints beside their fields.
   *
   * @returns {{field: string, message: string}[]} Those that belong to no field of the form.
   */
  showErrors(errors) {
    const strangers = [];
    for (const error of errors) {
      const control = this.#controls().find(
        ({ name }) => error.field === name || error.field.startsWith(`${name}.`),
      );
      if (control) this.#mark(control, error.message);
      else strangers.push(error);
    }
    this.#focusFirstError();
    return strangers;
  }

  #build(id) {
    const title = element("h2", { id: id("title") }, humanise(this.#task.name));
    const lead = element("p", { className: "quiet" }, this.#task.summary);
    const shared = [
      field(this.#preset, TEXT.form.preset),
      field(this.#seed, TEXT.form.seed, TEXT.form.seedHint),
    ];
    const grid = element("div", { className: "grid" }, ...shared);
    grid.append(...this.#parameters.map(({ node }) => node));
    const end = element("div", { className: "submit" }, this.#submit);
    const files = this.#files.map(({ node }) => node);
    const form = element("form", { id: id("form"), noValidate: true }, title, lead);
    form.className = "card";
    form.append(...files, grid, end);
    return form;
  }

  #controls() {
    return [...this.node.elements].filter((control) => control.name);
  }

  #validate() {
    for (const part of [...this.#files, ...this.#parameters]) {
      this.#mark(part.control, part.complaint());
    }
    const { validity } = this.#seed;
    this.#mark(this.#seed, validity.valid ? "" : TEXT.invalid.range(0, MAX_SEED));
    return !this.#focusFirstError();
  }

  #focusFirstError() {
    const first = this.node.querySelector("[aria-invalid=true]");
    first?.focus();
    return first;
  }

  #mark(control, message) {
    if (!control?.name) return;
    const errorId = `${control.id}-error`;
    document.getElementById(errorId)?.remove();
    control.setAttribute("aria-invalid", String(Boolean(message)));
    const hint = `${control.id}-hint`;
    control.setAttribute("aria-describedby", message ? `${errorId} ${hint}` : hint);
    if (!message) return;
    control.closest(".field").append(element("p", { id: errorId, className: "error" }, message));
  }
}

function field(control, words, hint = "") {
  const label = element("label", { htmlFor: control.id }, words);
  const note = element("p", { id: `${control.id}-hint`, className: "hint" }, hint);
  return element("div", { className: "field" }, label, control, note);
}

function presetSelect(id) {
  const options = Object.entries(PRESET_STEPS).map(([value, steps]) =>
    element("option", { value }, `${TEXT.presets[value]} · ${TEXT.form.presetSteps(steps)}`),
  );
  const select = element("select", { id, name: "preset" }, ...options);
  select.value = DEFAULT_PRESET;
  return select;
}

function seedInput(id) {
  const seed = element("input", { id, name: "seed", type: "number", inputMode: "numeric" });
  Object.assign(seed, { min: "0", max: String(MAX_SEED), step: "1" });
  seed.placeholder = TEXT.form.seedPlaceholder;
  return seed;
}
