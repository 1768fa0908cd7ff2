// Small helpers for the page's elements. Whatever comes from a node goes in as text:
// strings become text nodes, never markup.

/** byId returns the element of an id. */
export const byId = (id) => document.getElementById(id);

/**
 * el makes an element. attrs are set as attributes, but for those that begin with "on",
 * which are listeners; null and false leave one out. children are nodes or text.
 */
export function el(name, attrs, ...children) {
  return fill(document.createElement(name), attrs, children);
}

/** svg is el for elements of a picture. */
export function svg(name, attrs, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attrs, children);
}

function fill(node, attrs, children) {
  for (const [key, value] of Object.entries(attrs ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/**
 * become makes a place's only child look like next, and keeps what is there where it can:
 * an element that has the focus keeps it, and colours pass over instead of jumping. It is
 * for elements without listeners and without styles of their own.
 */
export function become(place, next) {
  if (place.firstChild && alike(place.firstChild, next)) morph(place.firstChild, next);
  else place.replaceChildren(next);
}

const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

function morph(old, next) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const children = [...next.childNodes];
  children.forEach((child, i) => {
    const there = old.childNodes[i];
    if (there && alike(there, child)) morph(there, child);
    else if (there) there.replaceWith(child);
    else old.append(child);
  });
  while (old.childNodes.length > children.length) old.lastChild.remove();
}

/** link makes a link of an http or https URL, and plain text of anything else. */
export function link(text, label = text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    return el("span", null, label);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return el("span", null, label);
  return el("a", { href: url.href, rel: "noopener noreferrer", target: "_blank" }, label);
}

/** swatch is the coloured mark of a class; it says nothing by itself, the label stands beside it. */
export const swatch = (index) => el("span", { class: `swatch class-${classOf(index)}`, "aria-hidden": "true" });

/** classOf returns which of the palette's colours a class has; beyond ten they come again. */
export const classOf = (index) => (index < 0 ? "none" : index % 10);

/** bar is a horizontal bar of a share from 0 to 1. Widths are attributes: the policy of the page forbids styles in them. */
export const bar = (share, index, kind = "") =>
  svg("svg", { class: `bar ${kind}`, "aria-hidden": "true" }, svg("rect", { class: `fill class-${classOf(index)}`, width: width(share), height: "100%" }));

/** strip is one bar of several shares, side by side; label says the same in words. */
export function strip(shares, label) {
  let at = 0;
  const parts = shares.map((share, k) => {
    const part = svg("rect", { class: `fill class-${classOf(k)}`, x: width(at), width: width(share), height: "100%" });
    at += share;
    return part;
  });
  return svg("svg", { class: "strip", role: "img", "aria-label": label }, svg("title", null, label), parts);
}

const width = (share) => `${(Math.max(0, Math.min(1, share)) * 100).toFixed(2)}%`;

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });

/** plain writes a number the way people do. */
export const plain = (x) => number.format(x);

/** percent writes a share from 0 to 1. A share just below 1 is not shown as 100. */
export function percent(share) {
  const p = share * 100;
  if (p > 0 && p < 0.1) return "< 0.1\u00a0%";
  if (p < 100 && p > 99.9) return "> 99.9\u00a0%";
  return `${p.toFixed(p === 0 || p === 100 ? 0 : 1).replace(/\.0$/, "")}\u00a0%`;
}

/** millis writes a time of milliseconds. */
export function millis(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms >= 10 ? Math.round(ms) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

/** clock writes the time of day. */
export const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** local writes the times in a node's sentence as the reader's clock shows them. */
export const local = (text) => text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (t) => clock.format(new Date(t)));

/** words makes a feature's name readable: sepal_length becomes sepal length. */
export const words = (name) => name.replaceAll("_", " ");

/** plural counts a thing. */
export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** listed joins names as in a sentence. */
export function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** doubt shows how much the votes of a round differ: 0 all agree, 1 as many for each label. */
export function doubt(entropy) {
  if (entropy === 0) return el("span", { class: "doubt" }, "unanimous");
  return el("span", { class: "doubt" }, bar(entropy, -1, "plain doubt-bar"), el("span", null, `disagreement ${percent(entropy)}`));
}

/**
 * keyed makes a place hold a list of just these elements, in order. Those that stay are
 * not touched: focus, and what is open, remain.
 */
export function keyed(place, kind, name, items) {
  let list = place.querySelector(`:scope > ${kind}`);
  if (!list) {
    list = el(kind, { class: name });
    place.replaceChildren(list);
  }
  items.forEach((item, i) => {
    if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
  });
  while (list.children.length > items.length) list.lastChild.remove();
}
