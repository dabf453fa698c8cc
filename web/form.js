/** The request form: its controls carry the names of the API's fields. */

import { byId, element } from "./dom.js";
import { MAX_PROMPT_CHARACTERS, MAX_SEED, PRESET_STEPS } from "./settings.js";
import { EXAMPLE_PROMPTS, TEXT } from "./text.js";

/** What a choice rests on, and which numbers mean the same as an empty control. */
const CHOICES = { preset: "balanced", image_format: "png" };
const SAME_AS_EMPTY = { eta: 0, num_images: 1 };
const TEXT_FIELDS = ["prompt", "negative_prompt"];

export class RequestForm {
  #form = byId("request");

  /** @param {(request: Record<string, unknown>) => void} onSubmit Hears of valid requests only. */
  constructor(onSubmit) {
    this.#buildExamples();
    this.#buildPresets();
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#validate()) onSubmit(this.read());
    });
    this.#form.addEventListener("input", ({ target }) => this.#mark(target, ""));
    this.#form.addEventListener("change", () => this.#showPresetSteps());
    byId("prompt").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    byId("roll").addEventListener("click", () => this.keepSeed(randomSeed()));
    this.#showPresetSteps();
    this.setBusy(false);
  }

  /** The request as typed. What was left empty is left out, so that the service's default holds. */
  read() {
    const request = {};
    for (const [name, value] of new FormData(this.#form)) {
      const typed = String(value).trim();
      if (typed === "") continue;
      request[name] = parse(this.#form.elements[name], typed);
    }
    return request;
  }

  /** Fills the form with a request, with empty controls for what it leaves to defaults. */
  write(request) {
    for (const { name } of this.#controls()) {
      const value = request[name] === SAME_AS_EMPTY[name] ? null : request[name];
      this.#form.elements[name].value = value ?? CHOICES[name] ?? "";
    }
    const rare = [...byId("more").querySelectorAll("[name]")];
    if (rare.some(({ name, value }) => value !== (CHOICES[name] ?? ""))) byId("more").open = true;
    this.#clearErrors();
    this.#showPresetSteps();
  }

  keepSeed(seed) {
    byId("seed").value = seed;
    this.#mark(byId("seed"), "");
  }

  /** @param {{id: string, native_width: number, native_height: number}[]} models */
  showModels(models) {
    const select = byId("model");
    const chosen = select.value;
    const options = models.map((model) =>
      element("option", { value: model.id }, TEXT.form.modelOption(model)),
    );
    select.replaceChildren(select.options[0], ...options);
    if (models.some(({ id }) => id === chosen)) select.value = chosen;
  }

  setBusy(busy) {
    byId("submit").disabled = busy;
  }

  /**
   * Puts the service's complaints beside their fields.
   *
   * @param {{field: string, message: string}[]} errors
   * @returns {{field: string, message: string}[]} Those that belong to no field of the form.
   */
  showErrors(errors) {
    const strangers = [];
    for (const error of errors) {
      const control = this.#control(error.field.split(".").at(-1));
      if (control) this.#mark(control, error.message);
      else strangers.push(error);
    }
    this.#focusFirstError();
    return strangers;
  }

  #validate() {
    this.#clearErrors();
    for (const control of this.#controls()) this.#mark(control, complaint(control));
    return !this.#focusFirstError();
  }

  #focusFirstError() {
    const first = this.#form.querySelector("[aria-invalid=true]");
    if (first?.closest("details")) first.closest("details").open = true;
    first?.focus();
    return first;
  }

  #clearErrors() {
    for (const control of this.#controls()) this.#mark(control, "");
  }

  #controls() {
    return [...this.#form.elements].filter((control) => control.name);
  }

  #control(name) {
    return this.#controls().find((control) => control.name === name);
  }

  #mark(control, message) {
    const field = control.closest(".field");
    const errorId = `${control.name}-error`;
    document.getElementById(errorId)?.remove();
    control.setAttribute("aria-invalid", String(Boolean(message)));
    if (message) {
      control.setAttribute("aria-describedby", errorId);
      field.append(element("p", { id: errorId, className: "error" }, message));
    } else {
      control.removeAttribute("aria-describedby");
    }
  }

  #buildExamples() {
    for (const prompt of EXAMPLE_PROMPTS) {
      const chip = element("button", { type: "button", className: "chip" }, prompt);
      chip.addEventListener("click", () => {
        byId("prompt").value = prompt;
        this.#mark(byId("prompt"), "");
        byId("prompt").focus();
      });
      byId("examples").append(chip);
    }
  }

  #buildPresets() {
    for (const [preset, steps] of Object.entries(PRESET_STEPS)) {
      const input = element("input", { type: "radio", name: "preset", value: preset });
      input.checked = preset === CHOICES.preset;
      const name = element("b", {}, TEXT.presets[preset]);
      const effect = element("small", {}, TEXT.form.presetSteps(steps));
      byId("presets").append(element("label", {}, input, name, effect));
    }
  }

  #showPresetSteps() {
    const steps = PRESET_STEPS[this.#form.elements.preset.value];
    byId("steps").placeholder = String(steps);
    byId("steps-hint").textContent = TEXT.form.stepsHint(steps);
  }
}

/** A control's text as the API takes it. A `data-list` holds numbers, with commas between. */
function parse(control, typed) {
  if (control.type === "number") return Number(typed);
  return control.dataset?.list === undefined ? typed : typed.split(/[\s,]+/).map(Number);
}

/** What is wrong with a control's value, in the page's words; empty when nothing is. */
function complaint(control) {
  const { validity, min, max, step } = control;
  const length = [...control.value].length;
  if (control.required && control.value.trim() === "") return TEXT.invalid.missing;
  if (validity.badInput) return TEXT.invalid.number;
  if (validity.rangeUnderflow || validity.rangeOverflow) return TEXT.invalid.range(min, max);
  if (validity.patternMismatch) return TEXT.invalid.interval;
  if (validity.stepMismatch) return TEXT.invalid.step(step);
  if (TEXT_FIELDS.includes(control.name) && length > MAX_PROMPT_CHARACTERS) {
    return TEXT.invalid.tooLong(length, MAX_PROMPT_CHARACTERS);
  }
  return "";
}

function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % (MAX_SEED + 1);
}
