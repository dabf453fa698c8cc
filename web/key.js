/** The API key's place in the header: entry, acceptance, refusal. */

import { byId } from "./dom.js";
import { TEXT } from "./text.js";

export class KeyPanel {
  #slot;
  #input = byId("api-key");

  /**
   * @param {{get(): string | null, set(key: string): void, clear(): void}} slot
   * @param {() => void} onKey Called when a new key was entered.
   */
  constructor(slot, onKey) {
    this.#slot = slot;
    byId("key").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = this.#input.value.trim();
      if (!key) return this.ask(TEXT.key.missing);
      this.#slot.set(key);
      this.#input.value = "";
      onKey();
    });
    byId("key-change").addEventListener("click", () => this.ask(""));
    // index.html has it disabled: a key sent before this script runs would be lost.
    byId("key-use").disabled = false;
  }

  get key() {
    return this.#slot.get();
  }

  /** Shows that a key is there, and what is known of it. */
  settle(status) {
    byId("key-status").textContent = status;
    this.#show({ known: true, error: "" });
  }

  /** Asks for a key, saying why; a key that was there stays until another one is entered. */
  ask(error) {
    this.#show({ known: false, error });
    this.#input.focus();
  }

  /** Forgets the key, since the service refused it. */
  refuse() {
    this.#slot.clear();
    this.ask(TEXT.key.refused);
  }

  #show({ known, error }) {
    byId("key-known").hidden = !known;
    byId("key-entry").hidden = known;
    byId("key-error").textContent = error;
    this.#input.setAttribute("aria-invalid", String(Boolean(error)));
  }
}
