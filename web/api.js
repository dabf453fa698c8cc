/** The HTTP API: one method per operation, typed errors. */

const REQUEST_TIMEOUT_MS = 20_000;

/** No answer came: offline, a line that dropped, or a service that is down. */
export class ConnectionError extends Error {}

/** The service answered with an error, as problem+json (RFC 9457) or as a gateway's own message. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, errors?: {field: string, message: string}[],
   *   instance?: string | null, message?: string}} problem
   * @param {number} [retryAfterSeconds]
   */
  constructor(status, problem, retryAfterSeconds = 0) {
    super(problem.detail ?? problem.message ?? problem.title ?? "");
    this.status = status;
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  get isKeyRefused() {
    return this.status === 401 || this.status === 403;
  }

  /** Whether the same request may succeed a little later. */
  get isTransient() {
    return this.status === 429 || this.status >= 500;
  }
}

/** A file did not reach its place. */
export class UploadError extends Error {}

export class ApiClient {
  #baseUrl;
  #readCredentials;

  /**
   * @param {string} baseUrl
   * @param {() => Promise<Record<string, string>>} readCredentials Headers that say who calls.
   */
  constructor(baseUrl, readCredentials) {
    this.#baseUrl = baseUrl;
    this.#readCredentials = readCredentials;
  }

  listModels() {
    return this.#send("GET", "/v1/models");
  }

  listTasks() {
    return this.#send("GET", "/v1/tasks");
  }

  /**
   * Brings a file to a place of the caller's own.
   *
   * @param {File} file
   * @param {string} contentType
   * @param {AbortSignal} signal Gives it up.
   * @returns {Promise<string>} The id that requests name it by.
   * @throws {ConnectionError | ApiError | UploadError}
   */
  async upload(file, contentType, signal) {
    const body = JSON.stringify({ content_type: contentType, size_bytes: file.size });
    const headers = { "content-type": "application/json" };
    const place = await this.#send("POST", "/v1/uploads", { headers, body });
    const form = new FormData();
    for (const [name, value] of Object.entries(place.fields)) form.append(name, value);
    form.append("file", file);
    try {
      const sent = await fetch(place.url, {
        method: "POST",
        body: form,
        credentials: "omit",
        referrerPolicy: "no-referrer",
        signal,
      });
      if (sent.ok) return place.id;
    } catch (cause) {
      throw new UploadError("not sent", { cause });
    }
    throw new UploadError("refused");
  }

  createJob(request, idempotencyKey) {
    const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey };
    return this.#send("POST", "/v1/jobs", { headers, body: JSON.stringify(request) });
  }

  getJob(jobId) {
    return this.#send("GET", `/v1/jobs/${encodeURIComponent(jobId)}`);
  }

  cancelJob(jobId) {
    return this.#send("DELETE", `/v1/jobs/${encodeURIComponent(jobId)}`);
  }

  listSucceeded(limit, cursor) {
    const query = new URLSearchParams({ state: "succeeded", limit: String(limit) });
    if (cursor) query.set("cursor", cursor);
    return this.#send("GET", `/v1/jobs?${query}`);
  }

  /** @throws {ConnectionError | ApiError} */
  async #send(method, path, { headers = {}, body = undefined } = {}) {
    const credentials = await this.#credentials();
    const response = await this.#fetch(path, {
      method,
      body,
      headers: { accept: "application/json", ...credentials, ...headers },
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.ok) return response.body;
    const problem = typeof response.body === "object" && response.body ? response.body : {};
    throw new ApiError(response.status, problem, response.retryAfterSeconds);
  }

  async #credentials() {
    try {
      return await this.#readCredentials();
    } catch (cause) {
      throw new ConnectionError("no sign-in", { cause });
    }
  }

  async #fetch(path, options) {
    try {
      const response = await fetch(this.#baseUrl + path, options);
      const text = await response.text();
      return {
        ok: response.ok,
        status: response.status,
        retryAfterSeconds: Number(response.headers.get("retry-after")) || 0,
        body: parseJson(text),
      };
    } catch (cause) {
      throw new ConnectionError("no answer", { cause });
    }
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
