// The page of one Canary: what happens, why, since when, what comes next; the run as a picture; what was.
import { h } from "./dom.js";
import { badge, bar, since } from "./list.js";
import { missed, moments, picture, steps, told } from "./picture.js";
import { age, bounds, clock, day, iso, now, number } from "./text.js";

const LABELS = { promote: "Promote", skip: "Skip the wait", pause: "Pause", resume: "Resume", retry: "Retry", abort: "Abort" };
const MEANS = {
  promote: "The rest of the analysis is waived. Readiness, capacity and the proof of the route are not.",
  skip: "The next step is taken now: the rest of the wait and a closed gate are waived, checks and readiness are not.",
  pause: "The release holds at its present step until it is resumed.",
  resume: "The release goes on.",
  retry: "The revision that failed is run once more.",
  abort: "The release ends: all traffic goes to the primary, the canary to zero.",
};
export const meaning = (verb) => [LABELS[verb], MEANS[verb]];

const exact = (at) => h("time", { datetime: iso(at), title: iso(at) }, clock(at));
const dated = (at) => h("time", { datetime: iso(at), title: iso(at) }, day(at));
const section = (id, title, ...kids) => h("section", { "aria-labelledby": id, "data-key": id }, h("h2", { id }, title), kids);

// `state`: view, gone, width, moment (null follows the present), actions, me
export function detail(name, state) {
  const view = state.view;
  const [ns, own] = name;
  const top = [h("nav", { "aria-label": "Breadcrumb" }, h("a", { href: state.back }, "← All releases")),
    h("h1", { tabindex: -1 }, own, h("span", { class: "ns" }, ns))];
  if (state.gone) return [...top, h("p", { class: "note" }, "There is no such Canary, or not any more.")];
  if (!view) return [...top, h("p", { class: "faint" }, "Reading…")];
  return [
    ...top,
    headline(view),
    state.actions && toolbar(view, state),
    view.problem && h("p", { class: "note bad" }, view.problem),
    waiting(view),
    failures(view),
    run(view, state),
    gates(view),
    orders(view),
    happenings(view),
    history(view, state),
    conditions(view),
  ].filter(Boolean);
}

function headline(view) {
  const facts = [];
  const add = (name, ...value) => facts.push(h("div", null, h("dt", null, name), h("dd", null, value)));
  add("Phase", badge(view));
  add("Canary’s share", bar(view.weight || 0), view.cut && h("span", { class: "bad" }, ` cut, the step has ${view.planned} %`));
  const sides = [["primary", "Primary’s pods"], ["canary", "Canary’s pods"]];
  for (const [side, label] of sides) {
    const count = view.pods[side];
    if (count) add(label, h("span", { class: count.ready < count.wanted ? "bad" : "" }, `${count.ready} of ${count.wanted} ready`));
  }
  if (view.iterations && view.iterations.of) add("Iterations", `${view.iterations.done} of ${view.iterations.of}`);
  if (view.started) add("Began", since(view.started), " ago");
  add("Failed checks", h("span", { class: view.failed ? "bad" : "" }, `${view.failed || 0}`), `, it rolls back at ${view.limit}`);
  add(view.started ? "Revision" : "Last revision", h("code", null, view.revision || "–"), view.running.length ? ` ${view.running.join(", ")}` : "", view.attempt > 1 && `, attempt ${view.attempt}`);
  add("Promoted", h("code", null, view.promotedRevision || "–"), view.promoted.length ? ` ${view.promoted.join(", ")}` : "");
  add("Target", `${view.kind} ${view.target}`, view.provider && `, ${view.provider}`, view.strategy && `, ${view.strategy}`);
  return h("dl", { class: "facts", "data-key": "facts" }, facts);
}

function toolbar(view, state) {
  const me = state.me;
  if (!me.name) {
    return h("p", { class: "toolbar", "data-key": "toolbar" }, h("button", { type: "button", "data-do": "sign" }, "Sign in to command"),
      h("span", { class: "faint" }, " With a token of the cluster; its RBAC decides."));
  }
  if (!me.may) return h("p", { class: "toolbar faint", "data-key": "toolbar" }, me.may === false ? `${me.name} may not command here: that takes the right to patch this Canary.` : "Asking what you may do…");
  return h("div", { class: "toolbar", role: "group", "aria-label": "Commands", "data-key": "toolbar" }, Object.keys(LABELS).map((verb) => {
    const why = view.verbs[verb] || "";
    if (why && (verb === "resume" || verb === "retry")) return null;
    if (verb === "pause" && !view.verbs.resume) return null;
    return h("button", { type: "button", "data-key": verb, "data-do": "ask", "data-verb": verb, class: verb === "abort" ? "danger" : "", "aria-disabled": why ? "true" : null, title: why || MEANS[verb] }, LABELS[verb]);
  }), view.pending.length ? h("span", { class: "faint" }, ` Standing: ${view.pending.join(", ")}`) : null);
}

function waiting(view) {
  const wait = view.waiting;
  const cause = view.phase === "Failed" && view.history.length ? view.history[0].cause : "";
  if (!wait && !view.verdict && !cause) return null;
  return h("section", { class: `wait-box s-${view.state}`, "aria-label": "What happens now", "data-key": "waiting" },
    view.verdict && h("p", { class: "bad" }, h("strong", null, "Rolling back: "), view.verdict),
    cause && !view.verdict && h("p", { class: "bad" }, h("strong", null, "Failed: "), cause),
    wait && h("p", null, h("strong", null, "Waits for "), wait.text,
      wait.since ? h("span", { class: "faint" }, ", for ", since(wait.since)) : null,
      wait.until ? h("span", { class: "faint" }, ", at most ", h("time", { datetime: iso(wait.until), "data-until": wait.until, title: iso(wait.until) }, age(Math.max(0, wait.until - now()))), " more") : null, "."),
    wait && wait.then && h("p", { class: "faint" }, `Then: ${wait.then}`),
    wait && wait.advice && h("p", null, h("strong", null, "What you can do: "), wait.advice));
}

function failures(view) {
  if (!view.failures.length) return null;
  return section("failures", "Pods that fail", h("ul", { class: "failures" }, view.failures.map((each) => h("li", null,
    h("p", { class: "bad" }, h("strong", null, each.reason), ` container ${each.container} of ${each.pods > 1 ? `${each.pods} pods, such as ` : ""}${each.pod}`),
    each.diagnosis && h("p", null, each.diagnosis),
    each.message && h("p", { class: "faint mono" }, each.message)))));
}

function run(view, state) {
  const line = view.timeline;
  if (!line) {
    if (!view.started) return null;
    return section("run", "The run", h("p", { class: "faint" }, "This controller has not seen anything of the run yet."), byStep(view));
  }
  const all = moments(line);
  const last = all.length - 1;
  const index = state.moment === null ? last : Math.min(state.moment, last);
  const moment = all[index];
  const end = line.ended ?? Math.max(now(), line.started + 1);
  const said = told(line, view.metrics, moment).join(" · ");
  const event = line.events.filter((each) => Math.abs(each[0] - moment) < 1).pop();
  return section("run", line.ended ? "The last run" : "The run", [
    h("p", { class: "faint" }, line.ended ? `${line.outcome || "Ended"}. ` : "", "Revision ", h("code", null, line.revision), ", began ", exact(line.started),
      line.ended ? `, took ${age(line.ended - line.started)}` : "", "."),
    line.since > line.started && h("p", { class: "note" }, "This controller began to watch at ", exact(line.since), ": what was before is not in the picture. The table has the last value of every step."),
    line.thinned && h("p", { class: "faint" }, "It is a long run: of the older points every second one is left out."),
    h("div", { class: "frame", "data-do": "look" }, picture(view, line, state.width, state.moment === null ? null : moment)),
    h("div", { class: "cursor-line" },
      h("label", { class: "unseen", for: "moment" }, "Moment of the run"),
      h("input", { type: "range", id: "moment", min: 0, max: Math.max(end - line.started, 1), step: "any", value: state.moment === null ? end - line.started : moment - line.started,
        "data-last": last, "data-index": index, "aria-valuetext": `${clock(moment)}: ${said}` }),
      h("p", { id: "readout" }, h("strong", null, clock(moment)), ` ${said}`, event && h("span", { class: event[1] === "Warning" ? "bad" : "faint" }, ` · ${event[2]}`))),
    byStep(view),
  ]);
}

function byStep(view) {
  const measured = view.measured;
  if (!measured || !measured.steps.length) return null;
  return h("details", { "data-key": "bystep" }, h("summary", null, "Values by step"), values(measured, view.metrics));
}

function values(measured, metrics) {
  const known = new Map((metrics || []).map((metric) => [metric.name, metric]));
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Values by step" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Step"), measured.metrics.map((metric) => h("th", { scope: "col" }, metric.name,
      known.has(metric.name) ? h("span", { class: "faint" }, ` ${bounds(known.get(metric.name))}`) : null)))),
    h("tbody", null, measured.steps.map((step, index) => h("tr", null, h("th", { scope: "row" }, step), measured.metrics.map((metric) => {
      const out = known.has(metric.name) && missed(known.get(metric.name), metric.values[index]);
      return h("td", { class: out ? "bad" : "" }, number(metric.values[index]), out && " ✕");
    }))))));
}

function gates(view) {
  if (!view.gates.length) return null;
  return section("gates", "Gates", h("ul", null, view.gates.map((gate) => h("li", null, h("strong", null, gate.name), ` ${gate.role}`, gate.state && `: ${gate.state}`))));
}

function orders(view) {
  if (!view.orders.length) return null;
  return section("orders", "Commands in this run", h("ul", null, view.orders.map(order)));
}

const order = (each) => h("li", null, h("strong", null, each.command), each.detail && ` ${each.detail}`, each.by && ` by ${each.by}`, each.at ? [" at ", dated(each.at)] : null);

function happenings(view) {
  const events = view.timeline ? view.timeline.events : [];
  if (!events.length) return null;
  return section("events", "What happened", h("ol", { class: "events", reversed: true, tabindex: 0, "aria-labelledby": "events" }, [...events].reverse().map(([at, type, text]) =>
    h("li", { "data-key": `${at} ${text}`, class: type === "Warning" ? "warns" : "" }, exact(at), h("span", null, type === "Warning" && h("span", { class: "unseen" }, "Warning: "), text)))));
}

function history(view, state) {
  if (!view.history.length) return section("history", "History", h("p", { class: "faint" }, "No release has ended yet."));
  return section("history", "History", h("ol", { class: "history" }, view.history.map((entry) => {
    const good = entry.outcome === "Succeeded" || entry.outcome === "Initialized";
    const more = entry.measured && entry.measured.steps.length;
    return h("li", { "data-key": `${entry.revision} ${entry.started}` },
      h("p", null, h("span", { class: `badge s-${good ? "idle" : entry.outcome === "Failed" ? "failed" : "held"}` }, h("span", { class: "shape", "aria-hidden": "true" }, good ? "✓" : "✕"), entry.outcome),
        " ", h("code", null, entry.revision), entry.attempt > 1 && `, attempt ${entry.attempt}`, entry.images.length ? ` ${entry.images.join(", ")}` : "", entry.forced && h("strong", null, " promoted by hand"),
        entry.ended ? h("span", { class: "faint" }, " ", dated(entry.ended), entry.started ? `, took ${age(entry.ended - entry.started)}` : "") : null),
      entry.cause && h("p", null, entry.cause),
      entry.orders.length ? h("ul", null, entry.orders.map(order)) : null,
      more ? h("details", null, h("summary", null, `What was measured in ${entry.measured.steps.length} steps`),
        steps(entry.measured, Math.min(state.width, 560)), values(entry.measured, null)) : null);
  })));
}

function conditions(view) {
  if (!view.conditions.length) return null;
  return section("conditions", "Conditions", h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Conditions" }, h("table", null,
    h("thead", null, h("tr", null, ["Type", "Status", "Reason", "Message", "Since"].map((each) => h("th", { scope: "col" }, each)))),
    h("tbody", null, view.conditions.map((each) => h("tr", null, h("th", { scope: "row" }, each.type), h("td", null, each.status), h("td", null, each.reason), h("td", null, each.text), h("td", null, each.at ? since(each.at) : "–")))))));
}
