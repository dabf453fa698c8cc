/** Signing in: authorization code with PKCE (RFC 7636); this page keeps no password and no secret. */

const RENEW_BEFORE_MS = 60_000;
const SCOPE = "openid email";

/** The sign-in refused, or came back from somewhere else than it was sent to. */
export class SignInError extends Error {}

export class SignIn {
  #url;
  #clientId;
  #tokens;
  #attempt;
  #renewal = null;

  /**
   * @param {{url: string, clientId: string} | null} configuration null where nobody can sign in.
   * @param {{get(): any, set(value: any): void, clear(): void}} tokens
   * @param {{get(): any, set(value: any): void, clear(): void}} attempt What the page must remember
   *   while the person is away.
   */
  constructor(configuration, tokens, attempt) {
    this.#url = configuration?.url;
    this.#clientId = configuration?.clientId;
    this.#tokens = tokens;
    this.#attempt = attempt;
  }

  get isOffered() {
    return Boolean(this.#url && this.#clientId);
  }

  get isSignedIn() {
    return this.isOffered && Boolean(this.#tokens.get());
  }

  /** Leaves for the sign-in pages. */
  async begin() {
    const [verifier, state] = [randomText(), randomText()];
    this.#attempt.set({ verifier, state });
    this.#leave("authorize", {
      response_type: "code",
      redirect_uri: ownUrl(),
      scope: SCOPE,
      state,
      code_challenge: base64Url(await sha256(verifier)),
      code_challenge_method: "S256",
    });
  }

  /**
   * Ends a sign-in if this load of the page is the way back from one.
   *
   * @returns {Promise<boolean>} Whether it was.
   * @throws {SignInError}
   */
  async complete() {
    const query = new URLSearchParams(location.search);
    if (!query.has("state") || !(query.has("code") || query.has("error"))) return false;
    const attempt = this.#attempt.get();
    this.#attempt.clear();
    // A code in the address must not be kept in the history, nor be sent again by a reload.
    history.replaceState(null, "", ownUrl());
    if (!attempt || attempt.state !== query.get("state")) throw new SignInError("state");
    if (!query.has("code")) throw new SignInError(query.get("error"));
    await this.#fetchTokens({
      grant_type: "authorization_code",
      code: query.get("code"),
      redirect_uri: ownUrl(),
      code_verifier: attempt.verifier,
    });
    return true;
  }

  /** An access token that is good for a while yet, or null where nobody is signed in any more. */
  async accessToken() {
    const tokens = this.isOffered ? this.#tokens.get() : null;
    if (!tokens) return null;
    if (Date.now() < tokens.expiresAt - RENEW_BEFORE_MS) return tokens.access;
    this.#renewal ??= this.#renew(tokens.refresh).finally(() => {
      this.#renewal = null;
    });
    await this.#renewal;
    return this.#tokens.get()?.access ?? null;
  }

  forget() {
    this.#tokens.clear();
  }

  /** Forgets the person here and at the sign-in pages. */
  signOut() {
    this.forget();
    this.#leave("logout", { logout_uri: ownUrl() });
  }

  async #renew(refreshToken) {
    try {
      await this.#fetchTokens({ grant_type: "refresh_token", refresh_token: refreshToken });
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      this.forget();
    }
  }

  async #fetchTokens(parameters) {
    const response = await fetch(`${this.#url}/oauth2/token`, {
      method: "POST",
      body: new URLSearchParams({ client_id: this.#clientId, ...parameters }),
      cache: "no-store",
      credentials: "omit",
    });
    if (response.status >= 500) throw new TypeError(`status ${response.status}`);
    if (!response.ok) throw new SignInError("tokens");
    const { access_token, refresh_token, expires_in } = await response.json();
    this.#tokens.set({
      access: access_token,
      // A renewal brings no new refresh token.
      refresh: refresh_token ?? this.#tokens.get()?.refresh,
      expiresAt: Date.now() + expires_in * 1000,
    });
  }

  #leave(page, parameters) {
    const path = page === "authorize" ? "/oauth2/authorize" : `/${page}`;
    const query = new URLSearchParams({ client_id: this.#clientId, ...parameters });
    location.assign(`${this.#url}${path}?${query}`);
  }
}

/** The one address of this page that the sign-in sends people back to. */
function ownUrl() {
  return new URL("./", location.href.split(/[?#]/)[0]).href;
}

function randomText() {
  return base64Url(crypto.getRandomValues(new Uint8Array(32)));
}

async function sha256(text) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function base64Url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
