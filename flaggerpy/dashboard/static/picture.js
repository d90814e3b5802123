// The picture of a run: phases, weights, metrics with their bounds, and events, on one axis of time. What was not seen is hatched, what
// is still to come is dashed.
import { s } from "./dom.js";
import { age, bounds, clock, now, number } from "./text.js";

const LEFT = 8, RIGHT = 8, GAP = 14, TITLE = 17, WEIGHTS = 96, METRIC = 58, PHASES = 20, EVENTS = 18, AXIS = 20;

// All moments of which something is noted: what the cursor goes through.
export function moments(line) {
  const found = new Set([line.started]);
  for (const points of [line.weights, line.checks, line.phases, line.events, ...Object.values(line.metrics)]) {
    for (const point of points) found.add(point[0]);
  }
  return [...found].sort((a, b) => a - b);
}

const at = (points, moment) => {
  let found = null;
  for (const point of points) if (point[0] <= moment + 0.05) found = point;
  return found;
};

// What is known of a moment, as sentences: the readout below the picture, and what a screen reader says.
export function told(line, metrics, moment) {
  const parts = [];
  if (moment < line.since) return ["This controller did not see that part of the run."];
  const phase = at(line.phases, moment), weight = at(line.weights, moment);
  if (phase) parts.push(phase[1] || "no phase");
  if (weight) parts.push(`canary ${number(weight[1])} %`);
  for (const metric of metrics) {
    const point = at(line.metrics[metric.name] || [], moment);
    if (point) parts.push(`${metric.name} ${number(point[1])}${missed(metric, point[1]) ? `, out of bounds (${bounds(metric)})` : ""}`);
  }
  const checks = at(line.checks, moment);
  if (checks && checks[1]) parts.push(`${number(checks[1])} failed checks`);
  return parts;
}

export const missed = (metric, value) =>
  value !== null && ((metric.low !== null && value < metric.low) || (metric.high !== null && value > metric.high));

// The weights that are still to come if every check passes, with their times.
function ahead(view, line, end) {
  const running = view.phase === "Progressing" && !view.paused && !view.suspended && !view.verdict && !view.cut;
  if (!running || !view.plan.length || !view.interval || !line.weights.length) return [];
  const since = line.weights[line.weights.length - 1][0];
  return view.plan.filter((weight) => weight > view.planned)
    .map((weight, index) => [Math.max(since + view.interval * (index + 1), end + 0.1 * (index + 1)), weight]);
}

export function picture(view, line, width, cursor) {
  const end = line.ended ?? Math.max(now(), line.started + 1);
  const coming = line.ended ? [] : ahead(view, line, end);
  const until = coming.length ? coming[coming.length - 1][0] + view.interval : end;
  const span = Math.max(until - line.started, 2);
  const x = (time) => LEFT + (Math.min(Math.max(time, line.started), until) - line.started) / span * (width - LEFT - RIGHT);
  const parts = [];
  let y = 2;
  const title = (text, note, cls) => {
    parts.push(s("text", { x: LEFT, y: y + 12, class: "lane" }, text, note ? s("tspan", { dx: 8, class: cls || "faint" }, note) : null));
    y += TITLE;
  };

  // phases
  title("Phase");
  line.phases.forEach(([from, phase], index) => {
    const to = index + 1 < line.phases.length ? line.phases[index + 1][0] : end;
    const wide = x(to) - x(from);
    const from_x = x(from);
    if (index + 1 === line.phases.length && line.ended) {
      return;
    }
    parts.push(s("rect", { x: from_x, y, width: Math.max(wide - 1, 1.5), height: PHASES, rx: 3, class: `phase p-${phase || "none"}` }));
    if (wide > phase.length * 7 + 8) parts.push(s("text", { x: from_x + 5, y: y + 14, class: `phase-name n-${phase}` }, phase));
  });
  y += PHASES + GAP;

  // weights
  title("Canary’s share of the traffic", `${number(view.weight || 0)} % now`);
  const high = (value) => y + WEIGHTS - value / 100 * WEIGHTS;
  for (const value of [0, 50, 100]) {
    parts.push(s("line", { x1: LEFT, x2: width - RIGHT, y1: high(value), y2: high(value), class: "grid" }));
    parts.push(s("text", { x: width - RIGHT, y: high(value) + (value === 100 ? 10 : -3), class: "tick right" }, `${value} %`));
  }
  if (line.weights.length) {
    let path = `M${x(line.weights[0][0])} ${high(0)}`;
    line.weights.forEach(([time, weight], index) => {
      const next = index + 1 < line.weights.length ? line.weights[index + 1][0] : end;
      path += `L${x(time).toFixed(1)} ${high(weight).toFixed(1)}L${x(next).toFixed(1)} ${high(weight).toFixed(1)}`;
    });
    parts.push(s("path", { d: `${path}L${x(end).toFixed(1)} ${high(0)}Z`, class: "area" }), s("path", { d: path, class: "weight" }));
    if (coming.length) {
      let dashed = `M${x(end).toFixed(1)} ${high(line.weights[line.weights.length - 1][1]).toFixed(1)}`;
      for (const [time, weight] of coming) dashed += `H${x(time).toFixed(1)}V${high(weight).toFixed(1)}`;
      parts.push(s("path", { d: `${dashed}H${x(until)}`, class: "coming" }));
      if (width - x(end) > 150) parts.push(s("text", { x: x(end) + 6, y: high(0) - 4, class: "tick" }, "to come, if checks pass"));
    }
  }
  y += WEIGHTS + GAP;

  // metrics
  for (const metric of view.metrics) {
    const points = line.metrics[metric.name] || [];
    const last = points.length ? points[points.length - 1][1] : null;
    const out = points.length && missed(metric, last);
    title(metric.name, `${points.length ? `${number(last)}${out ? " ✕" : ""} · ` : "nothing measured yet · "}should be ${bounds(metric)}`, out ? "bad" : "");
    parts.push(...lane(metric, points, x, y, width, end));
    y += METRIC + GAP;
  }

  // events
  title("Events", line.events.length ? "" : "none yet");
  for (const [time, type, text] of line.events) {
    const warns = type === "Warning";
    const mark = warns ? s("path", { d: `M${x(time)} ${y + 2}l6 11h-12z`, class: "event warns" }) : s("circle", { cx: x(time), cy: y + 8, r: 4, class: "event" });
    mark.append(s("title", null, `${clock(time)} ${text}`));
    parts.push(mark);
  }
  y += EVENTS;

  // the axis
  parts.push(s("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y, class: "axis" }));
  for (const time of ticks(line.started, until, Math.max(2, Math.floor(width / 130)))) {
    const place = x(time), edge = place > width - 60 ? "right" : place < 40 ? "" : "mid";
    parts.push(s("line", { x1: place, x2: place, y1: y, y2: y + 4, class: "axis" }));
    parts.push(s("text", { x: place, y: y + 16, class: `tick ${edge}` }, clock(time)));
  }
  const bottom = y;
  y += AXIS;

  const under = [];
  if (line.since > line.started) {
    const wide = x(line.since) - x(line.started);
    under.push(s("rect", { x: x(line.started), y: 2, width: wide, height: bottom - 2, class: "gap", fill: "url(#hatch)" }));
    if (wide > 70) under.push(s("text", { x: x(line.started) + 6, y: bottom - 6, class: "tick" }, "not seen"));
  }
  if (!line.ended && coming.length) parts.push(s("line", { x1: x(end), x2: x(end), y1: 2, y2: bottom, class: "present" }));
  if (cursor !== null) parts.push(s("line", { x1: x(cursor), x2: x(cursor), y1: 2, y2: bottom, class: "cursor" }));

  return s("svg", {
    width, height: y, viewBox: `0 0 ${width} ${y}`, role: "img", class: "picture", "aria-label": summary(view, line),
    "data-from": line.started, "data-span": span, "data-left": LEFT, "data-right": RIGHT, "data-end": x(end),
  }, hatch(), under, parts);
}

function lane(metric, points, x, top, width, end) {
  const parts = [];
  const values = points.map((point) => point[1]).filter((value) => value !== null);
  const edges = [metric.low, metric.high].filter((value) => value !== null);
  let low = Math.min(...values, ...edges), high = Math.max(...values, ...edges);
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.25;
  [low, high] = [low - room, high + room];
  const y = (value) => top + METRIC - (value - low) / (high - low) * METRIC;
  const wide = width - LEFT - RIGHT;
  parts.push(s("rect", { x: LEFT, y: top, width: wide, height: METRIC, class: "ground" }));
  if (metric.low !== null) parts.push(s("rect", { x: LEFT, y: y(metric.low), width: wide, height: top + METRIC - y(metric.low), class: "out" }));
  if (metric.high !== null) parts.push(s("rect", { x: LEFT, y: top, width: wide, height: y(metric.high) - top, class: "out" }));
  for (const [value, sign] of [[metric.low, "≥"], [metric.high, "≤"]]) {
    if (value === null) continue;
    parts.push(s("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "bound" }));
    parts.push(s("text", { x: width - RIGHT - 3, y: y(value) + (sign === "≥" ? 11 : -4), class: "tick right" }, `${sign} ${number(value)}`));
  }
  let path = "", drawing = false;
  for (const [time, value] of points) {
    if (value === null) {
      drawing = false;
      parts.push(s("rect", { x: x(time) - 3, y: top + METRIC - 8, width: 6, height: 6, class: "novalue" }));
      continue;
    }
    path += `${drawing ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    drawing = true;
  }
  if (path) parts.push(s("path", { d: path, class: "line" }));
  for (const [time, value] of points.length > 80 ? points.filter((point) => missed(metric, point[1])) : points) {
    if (value === null) continue;
    const [cx, cy] = [x(time), y(value)];
    parts.push(missed(metric, value)
      ? s("path", { d: `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8`, class: "cross" })
      : s("circle", { cx, cy, r: 2.6, class: "dot" }));
  }
  return parts;
}

const hatch = () => s("defs", null, s("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
  s("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "hatch" })));

function ticks(from, to, most) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = steps.find((each) => (to - from) / each <= most) || Math.ceil((to - from) / most / 86400) * 86400;
  const found = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) found.push(time);
  return found;
}

function summary(view, line) {
  const weights = line.weights.map((point) => `${number(point[1])} %`).slice(-12).join(", ");
  const lasted = age((line.ended ?? now()) - line.started);
  const said = view.metrics.map((metric) => {
    const points = line.metrics[metric.name] || [];
    return points.length ? `${metric.name} last ${number(points[points.length - 1][1])}, should be ${bounds(metric)}` : `${metric.name} not measured`;
  });
  return [`Picture of the run of revision ${line.revision}, ${lasted} ${line.ended ? "long" : "so far"}.`, `Weights of the canary: ${weights || "none"}.`, ...said,
    "The same stands below as text."].join(" ");
}

// The values of an ended release by step: no times are kept of it, so the axis is the steps.
export function steps(measured, width) {
  const most = measured.steps.length;
  const parts = [];
  let y = 2;
  const x = (index) => LEFT + 14 + (most < 2 ? 0 : index / (most - 1) * (width - LEFT - RIGHT - 28));
  for (const metric of measured.metrics) {
    const values = metric.values.filter((value) => value !== null);
    const low = Math.min(...values, Infinity), high = Math.max(...values, -Infinity);
    parts.push(s("text", { x: LEFT, y: y + 12, class: "lane" }, metric.name,
      s("tspan", { dx: 8, class: "faint" }, values.length ? (low === high ? number(low) : `${number(low)} to ${number(high)}`) : "no value")));
    y += TITLE;
    const place = (value) => y + 30 - (high === low ? 15 : (value - low) / (high - low) * 24 + 3);
    parts.push(s("rect", { x: LEFT, y, width: width - LEFT - RIGHT, height: 34, class: "ground" }));
    let path = "", drawing = false;
    metric.values.forEach((value, index) => {
      if (value === null) drawing = false;
      else {
        path += `${drawing ? "L" : "M"}${x(index).toFixed(1)} ${place(value).toFixed(1)}`;
        drawing = true;
        parts.push(s("circle", { cx: x(index), cy: place(value), r: 2.6, class: "dot" }));
      }
    });
    if (path) parts.push(s("path", { d: path, class: "line" }));
    y += 34 + 8;
  }
  const room = Math.max(1, Math.ceil(most * 44 / width));
  measured.steps.forEach((step, index) => {
    if (index % room === 0) parts.push(s("text", { x: x(index), y: y + 6, class: "tick mid" }, step));
  });
  return s("svg", { width, height: y + 12, viewBox: `0 0 ${width} ${y + 12}`, role: "img", class: "picture", "aria-label": "Values by step; the table beside has them as text" }, parts);
}
