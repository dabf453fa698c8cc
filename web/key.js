/** Who calls, in the header: an API key or a person; entry, acceptance, refusal. */

import { byId } from "./dom.js";
import { TEXT } from "./text.js";

export class KeyPanel {
  #slot;
  #signIn;
  #input = byId("api-key");

  /**
   * @param {{get(): string | null, set(key: string): void, clear(): void}} slot
   * @param {import("./signin.js").SignIn} signIn
   * @param {() => void} onKey Called when a new key was entered.
   */
  constructor(slot, signIn, onKey) {
    this.#slot = slot;
    this.#signIn = signIn;
    byId("key").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = this.#input.value.trim();
      if (!key) return this.ask(TEXT.key.missing);
      signIn.forget();
      this.#slot.set(key);
      this.#input.value = "";
      onKey();
    });
    byId("key-change").addEventListener("click", () => this.ask(""));
    byId("sign-out").addEventListener("click", () => signIn.signOut());
    byId("sign-in").addEventListener("click", () => {
      this.#slot.clear();
      signIn.begin();
    });
    byId("sign-in").hidden = !signIn.isOffered;
    // index.html has it disabled: a key sent before this script runs would be lost.
    byId("key-use").disabled = false;
  }

  /** Whether anything is there to call with. */
  get isKnown() {
    return this.#signIn.isSignedIn || Boolean(this.#slot.get());
  }

  /** Headers that say who calls. */
  async credentials() {
    const token = await this.#signIn.accessToken();
    if (token) return { authorization: `Bearer ${token}` };
    return { "x-api-key": this.#slot.get() ?? "" };
  }

  /** Shows that the service knows the caller. */
  accept() {
    this.settle(this.#signIn.isSignedIn ? TEXT.key.signedIn : TEXT.key.inUse);
  }

  /** Shows that a key or a person is there, and what is known of it. */
  settle(status) {
    byId("key-status").textContent = status;
    this.#show({ known: true, error: "" });
  }

  /** Asks for a key, saying why; a key that was there stays until another one is entered. */
  ask(error) {
    this.#show({ known: false, error });
    this.#input.focus();
  }

  /** Forgets key and person, since the service refused them. */
  refuse() {
    const words = this.#slot.get() ? TEXT.key.refused : TEXT.key.signInAgain;
    this.#slot.clear();
    this.#signIn.forget();
    this.ask(words);
  }

  #show({ known, error }) {
    byId("key-known").hidden = !known;
    byId("key-entry").hidden = known;
    byId("sign-out").hidden = !this.#signIn.isSignedIn;
    byId("key-error").textContent = error;
    this.#input.setAttribute("aria-invalid", String(Boolean(error)));
  }
}
