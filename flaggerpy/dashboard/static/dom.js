// Elements from values, and a tree that is made to look like another one with as few changes as can be: focus, selection and what a
// person has opened stay. No HTML is ever parsed from text.
const SVG = "http://www.w3.org/2000/svg";

export const h = (tag, props, ...kids) => fill(document.createElement(tag), props, kids);
export const s = (tag, props, ...kids) => fill(document.createElementNS(SVG, tag), props, kids);

function fill(node, props, kids) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const kid of kids.flat(Infinity)) {
    if (kid !== null && kid !== undefined && kid !== false && kid !== "") node.append(kid);
  }
  return node;
}

// Make the children of `node` those of `kids`.
export function show(node, ...kids) {
  const wanted = document.createElement("div");
  wanted.append(...kids.flat(Infinity).filter(Boolean));
  const active = document.activeElement;
  children(node, wanted);
  if (active && active !== document.activeElement && active.isConnected && node.contains(active)) active.focus({ preventScroll: true });
}

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.nodeType !== 1 || a.dataset.key === b.dataset.key);
}

function children(node, wanted) {
  const keyed = new Map();
  for (const kid of node.childNodes) if (kid.nodeType === 1 && kid.dataset.key) keyed.set(kid.dataset.key, kid);
  let at = node.firstChild;
  for (const next of [...wanted.childNodes]) {
    const known = next.nodeType === 1 && next.dataset.key ? keyed.get(next.dataset.key) : null;
    if (known && known !== at && known.nodeName === next.nodeName) node.insertBefore(known, at);
    else if (!known && (!at || !same(at, next))) {
      node.insertBefore(next, at);
      continue;
    }
    const present = known || at;
    at = present.nextSibling;
    become(present, next);
  }
  while (at) {
    const rest = at.nextSibling;
    at.remove();
    at = rest;
  }
}

function become(node, wanted) {
  if (node.nodeType !== 1) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return;
  }
  for (const { name, value } of [...wanted.attributes]) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  for (const { name } of [...node.attributes]) {
    if (!wanted.hasAttribute(name) && !(name === "open" && node.nodeName === "DETAILS")) node.removeAttribute(name);
  }
  if ((node.nodeName === "INPUT" || node.nodeName === "SELECT") && node === document.activeElement && node.type !== "range") {
    if (node.nodeName === "INPUT") return;
  } else if (node.nodeName === "INPUT") node.value = wanted.value;
  children(node, wanted);
  if (node.nodeName === "SELECT") node.value = wanted.value;
}
