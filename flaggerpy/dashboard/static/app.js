// The page: which view is shown, what feeds it, who is signed in. Addresses are #/ (the list, with its filter) and #/c/NAMESPACE/NAME.
import { h, show } from "./dom.js";
import { chosen, foundText, key, list } from "./list.js";
import { detail, meaning } from "./detail.js";
import { moments } from "./picture.js";
import { follow } from "./stream.js";
import { age, now, setNow } from "./text.js";

const $ = (id) => document.getElementById(id);
const main = $("main"), link = $("link"), live = $("live"), sign = $("sign"), ask = $("ask");
const HIDDEN_SECONDS = 60;

const state = {
  route: null, rows: new Map(), seen: new Set(), whole: false, query: new URLSearchParams(), back: "#/",
  view: null, gone: false, moment: null, pinned: false, width: 600, actions: false, auth: false, me: { name: "" }, denied: "",
};
let token = sessionStorage.getItem("token") || "";
let stop = null, drawing = 0, hidden = 0;

const say = (text) => { live.textContent = text; };

// --- what is shown

function draw() {
  if (drawing) return;
  drawing = setTimeout(() => requestAnimationFrame(() => {
    drawing = 0;
    paint();
  }), state.route.detail || state.whole ? 60 : 400);
}

function paint() {
  const around = getComputedStyle(main);
  state.width = Math.max(260, Math.floor(main.clientWidth - parseFloat(around.paddingLeft) - parseFloat(around.paddingRight)));
  if (state.denied) {
    show(main, h("h1", { tabindex: -1 }, "Sign in"), h("p", { class: "note" }, state.denied), h("button", { type: "button", "data-do": "sign" }, token ? "Use another token" : "Sign in"));
  } else if (state.route.detail) {
    show(main, detail(state.route.detail, state));
  } else {
    show(main, list(state.rows, state.query, state.whole));
  }
  // the slider is as long as what has passed, so that its thumb stands below the cursor
  const slider = $("moment"), shown = main.querySelector("svg.picture[data-end]");
  if (slider && shown) slider.style.width = `${Math.max(40, Number(shown.dataset.end) + Number(shown.dataset.right))}px`;
  title();
  sign.hidden = !(state.auth || state.actions);
  sign.textContent = state.me.name ? `Sign out ${state.me.name}` : "Sign in";
}

function title() {
  const view = state.route.detail && state.view;
  if (view) document.title = `${view.name} ${view.phase}${view.weight ? ` ${view.weight} %` : ""} · flaggerpy`;
  else if (state.route.detail) document.title = `${state.route.detail[1]} · flaggerpy`;
  else {
    let running = 0;
    for (const row of state.rows.values()) if (row.state === "releasing" || row.state === "held") running += 1;
    document.title = running ? `${running} releasing · flaggerpy` : "Releases · flaggerpy";
  }
}

// Ages go on without anything being read or built anew.
setInterval(() => {
  for (const each of main.querySelectorAll("time[data-since]")) each.textContent = age(now() - Number(each.dataset.since));
  for (const each of main.querySelectorAll("time[data-until]")) each.textContent = age(Math.max(0, Number(each.dataset.until) - now()));
}, 1000);
setInterval(() => {
  if (state.route.detail && state.view && state.view.timeline && !state.view.timeline.ended && !document.hidden) draw();
}, 2000);

// --- what feeds it

function feed() {
  if (stop) stop();
  state.denied = "";
  const wanted = state.route.detail;
  const address = wanted ? `api/stream?canary=${encodeURIComponent(`${wanted[0]}/${wanted[1]}`)}` : "api/stream";
  stop = follow(address, state.auth ? token : "", {
    event: (name, data) => take(name, data),
    state: (text, problem) => {
      if (link.textContent === text) return;
      link.textContent = text;
      link.classList.toggle("problem", problem);
    },
    denied: (sentence, status) => {
      link.textContent = "Not signed in";
      link.classList.add("problem");
      state.denied = sentence;
      state.auth = true;
      if (status === 401) forget();
      draw();
    },
  });
}

function take(name, data) {
  if (name === "hello") {
    setNow(data.now);
    const changed = state.actions !== data.actions;
    Object.assign(state, { actions: data.actions, auth: data.auth });
    $("about").textContent = `flaggerpy ${data.version}, ${data.leads ? "the replica that leads" : "a replica that stands by"}`;
    if (data.name) state.me = { ...state.me, name: data.name };
    if (!state.route.detail && !data.resumes) {
      state.whole = false;
      state.seen = new Set();
    }
    if (changed || (state.me.name && state.route.detail)) who();
  } else if (name === "rows") {
    for (const row of data.rows) {
      state.rows.set(key(row), row);
      if (!state.whole) state.seen.add(key(row));
    }
    for (const [ns, own] of data.gone) state.rows.delete(`${ns}/${own}`);
  } else if (name === "whole") {
    // a controller that was started anew tells everything: what it did not name is gone
    for (const each of [...state.rows.keys()]) if (!state.seen.has(each)) state.rows.delete(each);
    state.whole = true;
    state.seen = new Set();
  } else if (name === "canary") {
    const before = state.view;
    state.view = data;
    state.gone = false;
    if (before && before.phase !== data.phase) say(`${data.name} is ${data.phase}${data.verdict ? `: ${data.verdict}` : ""}`);
    else if (before && !before.verdict && data.verdict) say(`${data.name} is rolled back: ${data.verdict}`);
  } else if (name === "gone") {
    state.view = null;
    state.gone = true;
  }
  draw();
}

// --- addresses

function go(focus) {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const before = state.route && JSON.stringify(state.route);
  state.route = parts[0] === "c" && parts.length === 3 ? { detail: [parts[1], parts[2]] } : { list: true };
  if (!state.route.detail) {
    state.query = new URLSearchParams(query || "");
    state.back = `#/${query ? `?${query}` : ""}`;
  }
  if (JSON.stringify(state.route) !== before) {
    Object.assign(state, { view: null, gone: false, moment: null, pinned: false, me: { name: state.me.name } });
    feed();
  }
  paint();
  if (focus) {
    scrollTo(0, 0);
    main.querySelector("h1")?.focus();
  }
}

function filter(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value) state.query.set(name, value);
    else state.query.delete(name);
  }
  if (!("page" in changes)) state.query.delete("page");
  const query = state.query.toString();
  state.back = `#/${query ? `?${query}` : ""}`;
  history.replaceState(null, "", state.back);
  paint();
  clearTimeout(filter.timer);
  filter.timer = setTimeout(() => say(foundText(chosen(state.rows, state.query).found.length, state.rows.size)), 700);
}

// --- who somebody is

function forget() {
  token = "";
  sessionStorage.removeItem("token");
  state.me = { name: "" };
}

async function who() {
  if (!token) return "";
  const wanted = state.route.detail;
  const address = wanted ? `api/me?canary=${encodeURIComponent(`${wanted[0]}/${wanted[1]}`)}` : "api/me";
  try {
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${token}` }, cache: "no-store", credentials: "omit" });
    const told = await answer.json();
    if (answer.ok) state.me = told;
    else if (answer.status === 401) forget();
    draw();
    return answer.ok ? "" : told.sentence;
  } catch {
    return "The controller cannot be reached.";
  }
}

function openSign() {
  ask.replaceChildren(h("form", { id: "sign-form", autocomplete: "off" },
    h("h2", { id: "ask-title" }, "Sign in"),
    h("p", null, "A token that the cluster’s API server accepts, such as one of ", h("code", null, "kubectl create token NAME -n NAMESPACE"), ". RBAC decides what it may do. It stays in this tab and is forgotten when the tab is closed."),
    h("label", { for: "token" }, "Token"),
    h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true }),
    h("p", { id: "sign-problem", role: "alert", class: "bad" }),
    h("p", { class: "buttons" }, h("button", { type: "submit" }, "Sign in"), h("button", { type: "button", "data-do": "close" }, "Cancel"))));
  ask.showModal();
}

async function signIn() {
  token = $("token").value.trim();
  const problem = await who();
  if (problem || !token) {
    $("sign-problem").textContent = problem || "The API server does not accept this token.";
    token = "";
    return;
  }
  sessionStorage.setItem("token", token);
  ask.close();
  say(`Signed in as ${state.me.name}`);
  if (state.auth) {
    state.rows.clear();
    feed();
  }
  draw();
}

// --- commands

function openAsk(verb) {
  const view = state.view;
  const why = view.verbs[verb];
  if (why) {
    say(why);
    return;
  }
  const [label, means] = meaning(verb);
  const wanted = { namespace: view.ns, name: view.name, verb, revision: view.revision, step: view.step };
  ask.replaceChildren(h("form", { id: "order-form" },
    h("h2", { id: "ask-title" }, `${label}: ${view.name}`),
    h("p", null, means),
    h("p", null, "Revision ", h("code", null, view.revision || "any"), view.running.length ? ` (${view.running.join(", ")})` : "", `, ${view.phase}, canary ${view.weight || 0} %.`),
    h("p", { id: "order-problem", role: "alert", class: "bad" }),
    h("p", { class: "buttons" }, h("button", { type: "submit", class: verb === "abort" ? "danger" : "" }, label), h("button", { type: "button", "data-do": "close" }, "Cancel"))));
  ask.firstChild.wanted = wanted;
  ask.showModal();
}

async function order(wanted) {
  try {
    const answer = await fetch("api/orders", {
      method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(wanted), cache: "no-store", credentials: "omit",
    });
    const told = await answer.json();
    if (!answer.ok) {
      $("order-problem").textContent = told.sentence;
      if (answer.status === 401) forget();
      return;
    }
    ask.close();
    say(told.sentence);
  } catch {
    $("order-problem").textContent = "The controller cannot be reached; nothing is known to be written.";
  }
}

// --- what a person does

const DO = {
  state: (from) => filter({ state: from.dataset.state }),
  sort: (from) => filter({ sort: from.dataset.sort === "state" ? "" : from.dataset.sort }),
  page: (from) => {
    filter({ page: from.dataset.page });
    scrollTo(0, 0);
  },
  sign: openSign,
  close: () => ask.close(),
  ask: (from) => openAsk(from.dataset.verb),
};

document.addEventListener("click", (event) => {
  const from = event.target.closest("[data-do]");
  if (from && DO[from.dataset.do] && !from.disabled) DO[from.dataset.do](from, event);
});
sign.addEventListener("click", () => {
  if (!state.me.name) return openSign();
  forget();
  say("Signed out");
  if (state.auth) {
    state.rows.clear();
    state.view = null;
    feed();
  }
  return draw();
});
document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.id === "sign-form") signIn();
  else if (event.target.id === "order-form") order(event.target.wanted);
});
main.addEventListener("input", (event) => {
  if (event.target.id === "q") filter({ q: event.target.value });
  else if (event.target.id === "ns") filter({ ns: event.target.value });
  else if (event.target.id === "moment") look(nearest(state.view.timeline.started + Number(event.target.value)));
});
main.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowDown: -1, PageDown: -5, ArrowRight: 1, ArrowUp: 1, PageUp: 5 }[event.key];
  if (event.target.id !== "moment" || !step) return;
  event.preventDefault();
  look(Math.min(Math.max(0, Number(event.target.dataset.index) + step), Number(event.target.dataset.last)));
});

function nearest(time) {
  let found = 0;
  const all = moments(state.view.timeline);
  all.forEach((each, index) => {
    if (Math.abs(each - time) < Math.abs(all[found] - time)) found = index;
  });
  return found;
}

// The last moment is the present one: there the picture follows what comes.
function look(index, pinned = true) {
  const moment = index >= moments(state.view.timeline).length - 1 ? null : index;
  if (pinned) state.pinned = moment !== null;
  if (moment === state.moment) return;
  state.moment = moment;
  paint();
}

// the pointer over the picture moves the same cursor; a press keeps it there
main.addEventListener("pointerdown", (event) => {
  if (event.target.closest?.("svg.picture[data-from]")) state.pinned = !state.pinned;
});
main.addEventListener("pointerout", (event) => {
  if (state.pinned || state.moment === null || !event.target.closest?.("svg.picture[data-from]") || event.relatedTarget?.closest?.("svg.picture")) return;
  state.moment = null;
  paint();
});
main.addEventListener("pointermove", (event) => {
  const picture = event.target.closest?.("svg.picture[data-from]");
  if (!picture || state.pinned || !state.view?.timeline || (event.pointerType === "touch" && event.pressure === 0)) return;
  const box = picture.getBoundingClientRect(), data = picture.dataset;
  const share = (event.clientX - box.left - Number(data.left)) / (box.width - Number(data.left) - Number(data.right));
  look(nearest(Number(data.from) + share * Number(data.span)), false);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => go(true));
addEventListener("resize", draw);
// a page that nobody looks at holds no stream
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => {
      if (stop) stop();
      stop = null;
    }, HIDDEN_SECONDS * 1000);
  } else if (!stop) feed();
});
// the way back by the browser's own memory of pages
addEventListener("pageshow", (event) => event.persisted && feed());

(async () => {
  try {
    const answer = await fetch("api/me", { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store", credentials: "omit" });
    const told = await answer.json();
    if (answer.ok) Object.assign(state, { auth: told.auth, actions: told.actions, me: told });
    else if (answer.status === 401) forget();
  } catch { /* the stream tells */ }
  go(false);
})();
