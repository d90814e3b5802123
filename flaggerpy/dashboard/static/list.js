// The list of all Canaries: filtered, sorted and paged, so that thousands are as quick as ten.
import { h } from "./dom.js";
import { age, iso, now } from "./text.js";

export const PAGE = 50;
const RANK = { held: 0, releasing: 1, failed: 2, idle: 3 };
const STATES = [["", "All"], ["releasing", "Releasing"], ["held", "Held"], ["failed", "Failed"], ["idle", "Idle"]];
const SORTS = [["name", "Canary"], ["state", "State"], ["at", "Changed"]];

export const key = (row) => `${row.ns}/${row.name}`;

const haystack = (row) => row.hay ??= `${row.name} ${row.ns} ${row.phase} ${(row.images || []).join(" ")}`.toLowerCase();

export function chosen(rows, query) {
  const words = (query.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
  const ns = query.get("ns") || "", state = query.get("state") || "", sort = query.get("sort") || "state";
  const counts = { "": 0, releasing: 0, held: 0, failed: 0, idle: 0 };
  const found = [];
  for (const row of rows.values()) {
    if (ns && row.ns !== ns) continue;
    if (words.length && !words.every((word) => haystack(row).includes(word))) continue;
    counts[""] += 1;
    counts[row.state] += 1;
    if (!state || row.state === state) found.push(row);
  }
  const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0);
  const order = {
    name: byName,
    state: (a, b) => RANK[a.state] - RANK[b.state] || byName(a, b),
    at: (a, b) => (b.at || 0) - (a.at || 0) || byName(a, b),
  }[sort] || byName;
  found.sort(order);
  return { found, counts };
}

export function list(rows, query, whole) {
  const { found, counts } = chosen(rows, query);
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  const page = Math.min(Math.max(1, Number(query.get("page")) || 1), pages);
  const shown = found.slice((page - 1) * PAGE, page * PAGE);
  const namespaces = [...new Set([...rows.values()].map((row) => row.ns))].sort();
  const ns = query.get("ns") || "", state = query.get("state") || "", sort = query.get("sort") || "state";
  if (ns && !namespaces.includes(ns)) namespaces.unshift(ns);
  return [
    h("h1", { tabindex: -1 }, "Releases"),
    h("form", { class: "filter", role: "search", "aria-label": "Filter the releases" },
      h("label", null, "Find ", h("input", { type: "search", id: "q", autocomplete: "off", spellcheck: "false", placeholder: "name, namespace, image", value: query.get("q") || "" })),
      h("label", null, "Namespace ", h("select", { id: "ns" }, h("option", { value: "" }, "all"),
        namespaces.map((each) => h("option", { value: each, selected: each === ns }, each)))),
      h("div", { class: "states", role: "group", "aria-label": "State" }, STATES.map(([name, label]) =>
        h("button", { type: "button", "data-do": "state", "data-state": name, class: `chip c-${name || "all"}`, "aria-pressed": String(state === name) },
          label, " ", h("span", { class: "count" }, counts[name].toLocaleString())))),
    ),
    h("p", { id: "found", class: "faint" }, whole ? foundText(found.length, rows.size) : `Reading… ${rows.size.toLocaleString()} so far`),
    shown.length ? h("table", { class: "list", role: "table", "aria-describedby": "found" },
      h("caption", { class: "unseen" }, "Canaries and where their releases stand"),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
        SORTS.slice(0, 2).map((each) => head(each, sort)),
        h("th", { role: "columnheader", scope: "col" }, "What it waits for, or why it failed"),
        h("th", { role: "columnheader", scope: "col", class: "wide" }, "Images"),
        head(SORTS[2], sort, "wide"))),
      h("tbody", { role: "rowgroup" }, shown.map(line)))
      : whole && h("p", { class: "note" }, rows.size ? "Nothing fits the filter." : "There are no Canaries yet, or none that may be seen here."),
    pages > 1 && h("nav", { class: "pager", "aria-label": "Pages of the list" },
      h("button", { type: "button", "data-do": "page", "data-page": page - 1, disabled: page < 2 }, "Previous"),
      h("span", null, `Page ${page} of ${pages.toLocaleString()}`),
      h("button", { type: "button", "data-do": "page", "data-page": page + 1, disabled: page >= pages }, "Next")),
  ];
}

export const foundText = (found, all) => `${found === all ? "" : `${found.toLocaleString()} of `}${all.toLocaleString()} ${all === 1 ? "Canary" : "Canaries"}`;

function head([name, label], sort, cls) {
  const sorted = name === sort ? (name === "at" ? "descending" : "ascending") : null;
  return h("th", { role: "columnheader", scope: "col", "aria-sort": sorted, class: cls },
    h("button", { type: "button", class: "sort", "data-do": "sort", "data-sort": name }, label, sorted && h("span", { "aria-hidden": "true" }, sorted === "ascending" ? " ▲" : " ▼")));
}

function line(row) {
  const weight = row.weight || 0;
  const images = (row.images || []).join(", ");
  return h("tr", { "data-key": key(row), role: "row", class: `row s-${row.state}` },
    h("th", { role: "rowheader", scope: "row" }, h("a", { href: `#/c/${encodeURIComponent(row.ns)}/${encodeURIComponent(row.name)}` }, row.name), h("span", { class: "ns" }, row.ns)),
    h("td", { role: "cell", class: "state" }, badge(row), (weight > 0 || row.state === "releasing" || row.state === "held") && bar(weight)),
    h("td", { role: "cell", class: "wait" }, row.wait && [row.wait, row.since ? h("span", { class: "faint" }, " for ", since(row.since)) : null],
      row.cause && !row.wait && row.cause,
      row.failed ? h("span", { class: "bad" }, ` ${row.failed} failed ${row.failed === 1 ? "check" : "checks"}`) : null),
    h("td", { role: "cell", class: "wide images", title: images }, images || "–"),
    h("td", { role: "cell", class: "wide" }, row.at ? [since(row.at), " ago"] : "–"));
}

export const since = (at) => h("time", { datetime: iso(at), "data-since": at, title: iso(at) }, age(now() - at));

export const SHAPES = { releasing: "▶", held: "❚❚", failed: "✕", idle: "✓" };

export function badge(row) {
  const text = row.suspended ? "suspended" : row.paused ? "paused" : "";
  return h("span", { class: `badge s-${row.state}` }, h("span", { class: "shape", "aria-hidden": "true" }, SHAPES[row.state]), row.phase || "new", text && ` · ${text}`);
}

export function bar(weight) {
  return h("span", { class: "bar" }, h("meter", { min: 0, max: 100, value: weight, "aria-label": "canary’s share of the traffic" }, `${weight} %`), h("span", { class: "percent" }, `${weight} %`));
}
