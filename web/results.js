/** What a task has made: its pictures, its report as a table, its files to keep. */

import { element } from "./dom.js";
import { humanise } from "./fields.js";
import { bytes } from "./files.js";
import { TEXT } from "./text.js";

const SHOWN = ["image/png", "image/jpeg", "image/webp"];
const MAX_ROWS = 100;

/** Whether a file is a picture that browsers show. */
export function isPicture(file) {
  return SHOWN.includes(file.media_type);
}

/** A figure for each picture among a job's files. */
export function figures(job) {
  return job.files.filter(isPicture).map((file) => {
    const alt = TEXT.tasks.pictureOf(humanise(job.task), file.name);
    const picture = element("img", { src: file.url, alt });
    return element("figure", {}, picture, element("figcaption", {}, keep(file)));
  });
}

/** The report and the list of files. */
export function outcome(job) {
  const files = job.files.map((file) =>
    element("li", {}, keep(file), " ", element("span", { className: "hint" }, about(file))),
  );
  const parts = [
    element("h3", {}, TEXT.tasks.files),
    element("ul", { className: "files" }, ...files),
  ];
  if (!job.report) return parts;
  return [element("h3", {}, TEXT.tasks.report), ...table(job.report), ...parts];
}

function keep(file) {
  const link = element("a", { href: file.url, download: file.name, target: "_blank" }, file.name);
  link.rel = "noopener";
  return link;
}

function about(file) {
  return `${file.media_type}, ${bytes(file.bytes)}`;
}

/** A table of what is single, and one more for each list of records. */
function table(report) {
  const [single, lists] = [[], []];
  flatten(report, "", single, lists);
  const rows = single.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, words(value))),
  );
  const first = element("table", { className: "report" }, element("tbody", {}, ...rows));
  return [scrolled(first), ...lists.map(([name, records]) => scrolled(recordTable(name, records)))];
}

function flatten(value, name, single, lists) {
  for (const [key, inner] of Object.entries(value)) {
    const path = name ? `${name}: ${humanise(key).toLowerCase()}` : humanise(key);
    if (Array.isArray(inner) && inner.some((each) => each && typeof each === "object")) {
      lists.push([path, inner]);
    } else if (inner && typeof inner === "object" && !Array.isArray(inner)) {
      flatten(inner, path, single, lists);
    } else {
      single.push([path, inner]);
    }
  }
}

function recordTable(name, records) {
  const shown = records.slice(0, MAX_ROWS);
  const columns = [...new Set(shown.flatMap((record) => Object.keys(record)))];
  const heads = columns.map((column) => element("th", { scope: "col" }, humanise(column)));
  const rows = shown.map((record) =>
    element("tr", {}, ...columns.map((column) => element("td", {}, words(record[column])))),
  );
  const more = TEXT.tasks.rows(shown.length, records.length);
  return element(
    "table",
    { className: "records" },
    element("caption", {}, `${name} (${more})`),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows),
  );
}

/** A wide table scrolls by itself, by keyboard too. */
function scrolled(inner) {
  const box = element("div", { className: "scrolled", tabIndex: 0, role: "region" }, inner);
  box.setAttribute("aria-label", TEXT.tasks.report);
  return box;
}

function words(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? TEXT.tasks.yes : TEXT.tasks.no;
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : significant(value);
  if (Array.isArray(value)) {
    const [first, rest] = [value.slice(0, MAX_ROWS), value.length - MAX_ROWS];
    const told = first.map(words).join(", ");
    return rest > 0 ? `${told}, …` : told || "–";
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function significant(value) {
  return String(Number(value.toPrecision(4)));
}
