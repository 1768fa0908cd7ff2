// The members as a picture: this node in the middle, since the lines are its own
// connections; what the others have among themselves it does not know. A line to a member
// behind a relay goes by the relay.
import { classOf, millis, svg } from "./dom.js";

/** states of members: a sign, a word, and what it means. */
export const states = {
  alive: ["\u25cf", "alive", "answers"],
  suspect: ["\u25d0", "suspect", "did not answer the last probe"],
  failed: ["\u2715", "failed", "cannot be reached; it still counts for the quorum"],
  left: ["\u25cb", "left", "said goodbye"],
  refused: ["\u2298", "refused", "is not let in"],
};
export const stateOf = (m) => states[m.state] ?? ["?", "unknown", ""];

/**
 * picture draws members, of whom one is self, as wide as there is room. votes is a map
 * from id to the label that was voted for last; name gives a member's name.
 */
export function picture(members, width, votes, labels, name, description) {
  const self = members.find((m) => m.self);
  const others = ordered(members.filter((m) => !m.self));
  const w = Math.max(300, Math.min(640, width || 480));
  const narrow = w < 420; // no room for anything on the lines; the table has the delays
  const many = others.length > 4; // room for names only
  const crowded = others.length > (narrow ? 6 : 12); // not even for those
  const h = many ? 420 : others.length > 2 ? 290 : 190;
  const centre = [w / 2, h / 2 - 18];
  const root = svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": description });
  const lines = svg("g"), dots = svg("g");
  root.append(lines, dots);
  const at = new Map(self ? [[self.id, centre]] : []);
  others.forEach((m, i) => {
    // Two stand to the left and the right; more begin there too, so that names have room.
    const angle = Math.PI + (2 * Math.PI * i) / others.length;
    at.set(m.id, [centre[0] + Math.cos(angle) * (w / 2 - (narrow ? 48 : 78)), centre[1] + Math.sin(angle) * (h / 2 - 54)]);
  });
  for (const m of others) {
    const end = at.get(m.id);
    const relay = m.connected && m.through ? at.get(m.through) : null;
    const carrier = !relay && m.via && m.via !== self?.id ? at.get(m.via) : null;
    if (carrier) lines.append(wire(carrier, end, "carried"));
    lines.append(wire(relay ?? centre, end, relay ? "up relayed" : m.connected ? "up" : "down"));
    if (relay || (m.connected && m.via && m.via === self?.id)) lines.append(arrow(relay ?? centre, end));
    if (m.connected && m.rtt_ms > 0 && !many && !narrow) lines.append(...delay(relay ?? centre, end, millis(m.rtt_ms)));
  }
  const look = { many, crowded, votes, labels, name };
  for (const m of others) dots.append(dot(m, at.get(m.id), look));
  if (self) dots.append(dot(self, centre, look));
  return root;
}

// Whom a relay carries stands next to it.
function ordered(others) {
  const carried = new Map();
  const here = new Set(others.map((m) => m.id));
  const roots = [];
  for (const m of others) {
    if (m.via && m.via !== m.id && here.has(m.via)) carried.set(m.via, [...(carried.get(m.via) ?? []), m]);
    else roots.push(m);
  }
  const out = [];
  for (const m of roots) {
    // Half of them before it, so that no line to them passes by another one.
    const mine = carried.get(m.id) ?? [];
    out.push(...mine.slice(0, mine.length >> 1), m, ...mine.slice(mine.length >> 1));
  }
  // Two that say that each carries the other are in no root's care.
  return [...out, ...others.filter((m) => !out.includes(m))];
}

const wire = ([x1, y1], [x2, y2], kind) => svg("line", { x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), class: `wire ${kind}` });

// An arrow on the way from a relay to whom it carries.
function arrow([x1, y1], [x2, y2]) {
  const turn = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  return svg("path", { d: "M-7-6 7 0-7 6z", class: "arrow", transform: `translate(${round(x1 + (x2 - x1) * 0.36)} ${round(y1 + (y2 - y1) * 0.36)}) rotate(${round(turn)})` });
}

function delay([x1, y1], [x2, y2], text) {
  const [x, y] = [x1 + (x2 - x1) * 0.58, y1 + (y2 - y1) * 0.58];
  return [
    svg("rect", { x: round(x - text.length * 3.7 - 4), y: round(y - 10), width: round(text.length * 7.4 + 8), height: 20, rx: 6, class: "paper" }),
    svg("text", { x: round(x), y: round(y + 4), class: "wire-text" }, text),
  ];
}

function dot(m, [x, y], { many, crowded, votes, labels, name }) {
  const [icon, word] = stateOf(m);
  const vote = votes.get(m.id);
  const index = vote === undefined ? -1 : labels.indexOf(vote);
  const r = crowded ? 12 : many ? 18 : 28;
  const g = svg("g", { transform: `translate(${round(x)} ${round(y)})`, class: `member ${stateOf(m)[1]}${m.voter === false && m.state !== "refused" ? " guest" : ""}` });
  g.append(svg("title", null, `${m.name}, ${m.model}: ${word}${vote ? `, said ${vote}` : ""}`));
  if (m.self) g.append(svg("circle", { r: r + 6, class: "self" }));
  g.append(svg("circle", { r, class: index >= 0 ? `body class-${classOf(index)}` : "body" }));
  if (crowded) return g;
  g.append(svg("text", { y: 6, class: index >= 0 ? "icon voted" : "icon" }, icon));
  g.append(svg("text", { y: r + 22, class: "name" }, short(name(m.id), many ? 14 : 18)));
  if (many) return g;
  const below = m.state === "alive" && !m.voter ? "does not vote" : m.state === "alive" ? (vote ? `says ${vote}` : m.self ? "this node" : m.model === m.name ? "" : m.model) : word;
  if (below) g.append(svg("text", { y: r + 39, class: "sub" }, short(below, 22)));
  return g;
}

const round = (x) => Number(x.toFixed(1));
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);
