/** Timings and provenance of a finished job. */

import { element } from "./dom.js";
import { TEXT } from "./text.js";

/**
 * @param {any} job A succeeded job.
 * @param {(seed: number) => void} onKeepSeed
 * @returns {HTMLElement[]}
 */
export function describe(job, onKeepSeed) {
  return [
    element("h3", {}, TEXT.details.timings),
    list(timings(job), "timings"),
    element("h3", {}, TEXT.details.provenance),
    list(provenance(job, onKeepSeed), "provenance"),
  ];
}

/** Total is between the service's own two clocks; what was not drawing is queue and transport. */
function timings(job) {
  const total = (Date.parse(job.updated_at) - Date.parse(job.created_at)) / 1000;
  const generating = job.timings.generate_seconds + job.timings.encode_seconds;
  return [
    [TEXT.details.waiting, TEXT.stage.seconds(Math.max(total - generating, 0))],
    [TEXT.details.generating, TEXT.stage.seconds(generating)],
    [TEXT.details.total, TEXT.stage.seconds(Math.max(total, generating))],
  ];
}

function provenance(job, onKeepSeed) {
  const { provenance: made } = job;
  const words = TEXT.details;
  const rows = [
    [words.model, made.model],
    [words.checksum, checksum(made.artifact_sha256)],
    [words.preset, TEXT.presets[made.preset] ?? made.preset],
    [words.steps, String(made.num_inference_steps)],
    ...(made.guidance_scale === undefined ? [] : [[words.guidance, String(made.guidance_scale)]]),
    [words.seed, seed(made.seed, onKeepSeed)],
    [words.path, code(made.execution_path)],
    [words.library, made.library_version],
    [words.job, code(job.id)],
  ];
  if (made.eta) rows.splice(5, 0, [words.eta, String(made.eta)]);
  return rows.concat(shortcuts(made));
}

/** What was left out to be faster; nothing where the picture is exact. */
function shortcuts(made) {
  const words = TEXT.details;
  const rows = [];
  const [start, stop] = made.guidance_interval ?? [0, 1];
  if (made.cache_interval > 1) rows.push([words.cacheInterval, String(made.cache_interval)]);
  if (start > 0 || stop < 1) rows.push([words.guidanceInterval, `${start}, ${stop}`]);
  if (made.token_merging_ratio > 0) {
    rows.push([words.tokenMerging, String(made.token_merging_ratio)]);
  }
  return rows;
}

function list(rows, className) {
  const pairs = rows.map(([term, value]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, value)),
  );
  return element("dl", { className }, ...pairs);
}

function code(value) {
  return element("code", {}, value);
}

function checksum(sha256) {
  const short = element("code", { title: sha256 }, `${sha256.slice(0, 12)}…`);
  const copy = element("button", { type: "button", className: "plain" }, TEXT.details.copy);
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(sha256);
    copy.textContent = TEXT.details.copied;
  });
  return element("span", {}, short, " ", copy);
}

function seed(value, onKeepSeed) {
  const keep = element("button", { type: "button", className: "plain" }, TEXT.details.keepSeed);
  keep.addEventListener("click", () => onKeepSeed(value));
  return element("span", {}, element("span", { className: "number" }, String(value)), " ", keep);
}
