/** Tabs: one at a time, by mouse and by keyboard. Source: WAI-ARIA Authoring Practices, "Tabs". */

import { element } from "./dom.js";

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

export class Tabs {
  #list;
  #panels = new Map();

  /** @param {HTMLElement} list Gets a button for each tab; shown once there are two. */
  constructor(list) {
    this.#list = list;
    list.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Adds a tab. The first one is open. */
  add(name, words, panel) {
    const tab = element("button", { type: "button", id: `tab-${name}`, role: "tab" }, words);
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => this.open(name));
    this.#panels.set(name, { tab, panel });
    this.#list.append(tab);
    this.#list.hidden = this.#panels.size < 2;
    this.open(this.#panels.keys().next().value);
  }

  has(name) {
    return this.#panels.has(name);
  }

  open(name) {
    for (const [each, { tab, panel }] of this.#panels) {
      const chosen = each === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panel.hidden = !chosen;
    }
  }

  #move(event) {
    const names = [...this.#panels.keys()];
    const at = names.findIndex((name) => this.#panels.get(name).tab === document.activeElement);
    if (at < 0) return;
    let next = at + STEPS[event.key];
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = names.length - 1;
    if (Number.isNaN(next)) return;
    event.preventDefault();
    const name = names.at(next % names.length);
    this.open(name);
    this.#panels.get(name).tab.focus();
  }
}
