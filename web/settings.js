/** What the page must know of the API beforehand; a test holds it equal to the contracts. */

export const PRESET_STEPS = { fast: 10, balanced: 20, quality: 50 };
export const MAX_PROMPT_CHARACTERS = 2000;
export const MAX_SEED = 2 ** 32 - 1;
export const TERMINAL_STATES = ["succeeded", "failed", "cancelled", "expired"];

/** Where the API is, and where people sign in: `config.json` is published beside this page when the stack is deployed. */
export async function loadConfiguration() {
  const response = await fetch("config.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`config.json: status ${response.status}`);
  const { apiUrl, signIn = null } = await response.json();
  return { apiUrl: new URL(apiUrl).href.replace(/\/+$/, ""), signIn };
}
