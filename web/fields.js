/** Controls made of the JSON schema of a task's parameters. */

import { element } from "./dom.js";
import { TEXT } from "./text.js";

/**
 * One parameter: its control, and what was typed into it.
 *
 * What is left as it was is left out of the request, so that the service's default holds.
 */
export class Parameter {
  #schema;
  #control;

  /**
   * @param {string} id Of the control.
   * @param {string} name
   * @param {any} schema Of the parameter.
   * @param {Record<string, any>} definitions What `$ref` leads to.
   * @param {boolean} required
   */
  constructor(id, name, schema, definitions, required) {
    this.name = name;
    this.#schema = resolve(schema, definitions);
    this.#control = make(this.#schema, schema.default);
    this.#control.id = id;
    this.#control.name = `parameters.${name}`;
    this.#control.required = required;
    this.node = this.#field(schema);
  }

  get control() {
    return this.#control;
  }

  /** The value as the API takes it; undefined where the default shall hold. */
  read() {
    const { type, value, checked, indeterminate } = this.#control;
    if (type === "checkbox") return indeterminate ? undefined : checked;
    const typed = value.trim();
    if (typed === "") return undefined;
    if (this.#schema.type === "number" || this.#schema.type === "integer") return Number(typed);
    if (this.#schema.type === "array") return typed.split(/[\s,;]+/).map(Number);
    if (this.#schema.type === "object") return parse(typed);
    return typed;
  }

  /** Shows a value of an earlier request. */
  write(value) {
    const set = value !== undefined && value !== null;
    if (this.#control.type === "checkbox") {
      if (set) this.#control.checked = value;
      return;
    }
    const shown = typeof value === "object" && !Array.isArray(value) ? JSON.stringify(value) : value;
    this.#control.value = set ? String(shown) : "";
  }

  /** What is wrong with it, in the page's words; empty when nothing is. */
  complaint() {
    const { validity, min, max } = this.#control;
    if (validity.valueMissing) return TEXT.invalid.needed;
    if (validity.badInput) return TEXT.invalid.number;
    if (validity.rangeUnderflow || validity.rangeOverflow) return TEXT.invalid.between(min, max);
    if (validity.stepMismatch) return TEXT.invalid.step(this.#control.step);
    const value = this.read();
    if (Array.isArray(value) && value.some(Number.isNaN)) return TEXT.invalid.numbers;
    if (this.#schema.type === "object" && value === null) return TEXT.invalid.json;
    return "";
  }

  #field(schema) {
    const words = schema.title ?? this.#schema.title ?? humanise(this.name);
    const hintId = `${this.#control.id}-hint`;
    const hint = element("p", { id: hintId, className: "hint" }, schema.description ?? "");
    this.#control.setAttribute("aria-describedby", hintId);
    if (this.#control.type === "checkbox") {
      const choice = element("label", { className: "choice" }, this.#control, words);
      return element("div", { className: "field" }, choice, hint);
    }
    const label = element("label", { htmlFor: this.#control.id }, words);
    return element("div", { className: "field" }, label, this.#control, hint);
  }
}

/** A name such as `mean_area_px` in words. */
export function humanise(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The schema behind references, and behind "this or null". */
function resolve(schema, definitions) {
  if (schema.$ref) return resolve(definitions[schema.$ref.split("/").at(-1)], definitions);
  const choices = (schema.anyOf ?? schema.allOf ?? []).filter(({ type }) => type !== "null");
  return choices.length ? { ...resolve(choices[0], definitions), title: undefined } : schema;
}

function make(schema, fallback) {
  const shown = fallback === undefined || fallback === null ? "" : String(fallback);
  if (schema.enum) {
    const none = shown ? [] : [element("option", { value: "" }, TEXT.tasks.automatic)];
    const options = schema.enum.map((value) => element("option", { value }, humanise(value)));
    const select = element("select", {}, ...none, ...options);
    select.value = shown;
    return select;
  }
  if (schema.type === "boolean") return element("input", { type: "checkbox", checked: fallback });
  const placeholder = shown || TEXT.tasks.automatic;
  if (schema.type === "integer" || schema.type === "number") {
    const control = element("input", { type: "number", inputMode: "decimal", placeholder });
    control.step = schema.type === "integer" ? "1" : "any";
    const least = schema.minimum ?? schema.exclusiveMinimum;
    const most = schema.maximum ?? schema.exclusiveMaximum;
    if (least !== undefined) control.min = String(least);
    if (most !== undefined) control.max = String(most);
    return control;
  }
  if (schema.format === "date-time") return element("input", { type: "datetime-local" });
  const control = element("input", { type: "text", placeholder });
  if (schema.maxLength) control.maxLength = schema.maxLength;
  return control;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
