// The members: a live picture, and the same as a table.
import { become, byId, classOf, clock, el, link, millis, percent, plural, svg } from "./dom.js";

const states = {
  alive: ["\u25cf", "alive", "answers"],
  suspect: ["\u25d0", "suspect", "did not answer the last probe"],
  failed: ["\u2715", "failed", "cannot be reached; it still counts for the quorum"],
  left: ["\u25cb", "left", "said goodbye"],
  refused: ["\u2298", "refused", "is not let in"],
};
// A node shows its page on its own machine, and its card to everybody.
function lookAt(address) {
  try {
    const url = new URL(address);
    if (["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)) return address;
    return new URL("card?pretty=true", address.endsWith("/") ? address : `${address}/`).href;
  } catch {
    return address;
  }
}

const stateOf = (m) => states[m.state] ?? ["?", "unknown", ""];

/** Members shows the cluster as this node sees it. */
export class Members {
  #reply = null;
  #votes = new Map(); // id -> {label, index} of the last answer
  #labels = [];

  constructor(labels) {
    this.#labels = labels;
    let width = 0;
    new ResizeObserver(([e]) => {
      if (Math.round(e.contentRect.width) === width) return;
      width = Math.round(e.contentRect.width);
      this.#draw();
    }).observe(byId("picture"));
  }

  /** all members, this node first, then by name. */
  get all() {
    return this.#reply?.members ?? [];
  }

  /** sort orders things that have a node's id as members are ordered. */
  sort(things) {
    const place = new Map(this.all.map((m, i) => [m.id, i]));
    return [...things].sort((a, b) => (place.get(a.node) ?? Infinity) - (place.get(b.node) ?? Infinity));
  }

  /** voters are those whom a round invites. */
  get voters() {
    return this.all.filter((m) => m.voter);
  }

  /** name returns how people call a member: its name, with a piece of the id if two share it. */
  name(id) {
    const m = this.all.find((x) => x.id === id);
    if (!m) return id ? `${id.slice(0, 6)}\u2026` : "?";
    const twins = this.all.filter((x) => x.name === m.name).length > 1;
    return twins ? `${m.name} ${id.slice(0, 4)}` : m.name;
  }

  show(reply) {
    const first = (m) => (m.self ? 0 : 1);
    reply.members.sort((a, b) => first(a) - first(b) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    this.#reply = reply;
    this.#draw();
  }

  /** showVotes marks in the picture what each member said last; a map from id to label. */
  showVotes(votes) {
    this.#votes = votes;
    this.#draw();
  }

  #draw() {
    if (!this.#reply) return;
    const counts = {};
    for (const m of this.all) counts[m.state] = (counts[m.state] ?? 0) + 1;
    const parts = Object.keys(states).filter((s) => counts[s]).map((s) => `${counts[s]} ${s}`);
    const voters = this.voters.length;
    byId("members-line").textContent =
      `${plural(this.all.length, "member")}: ${parts.join(", ")}. ` +
      (voters > 1 ? `${voters} vote, and an answer needs ${Math.floor(voters / 2) + 1} of them.` : "Only one votes.");
    become(byId("picture"), this.#picture());
    become(byId("member-list"), this.#table());
  }

  // This node is in the middle, since the lines are its own connections: what the
  // others have among themselves it does not know.
  #picture() {
    const self = this.all.find((m) => m.self);
    const others = this.all.filter((m) => !m.self);
    const w = Math.max(300, Math.min(560, byId("picture").clientWidth || 480));
    const narrow = w < 420; // no room for anything on the lines; the table has the delays
    const many = others.length > 4; // room for names only
    const crowded = others.length > (narrow ? 6 : 12); // not even for those
    const h = many ? 400 : others.length > 2 ? 270 : 150;
    const [cx, cy] = [w / 2, h / 2 - 18];
    const root = svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `${byId("members-line").textContent} The table below says it in words.` });
    const lines = svg("g"), dots = svg("g");
    root.append(lines, dots);
    others.forEach((m, i) => {
      // Two stand to the left and the right; more begin there too, so that names have room.
      const angle = Math.PI + (2 * Math.PI * i) / others.length;
      const x = cx + Math.cos(angle) * (w / 2 - (narrow ? 48 : 74));
      const y = cy + Math.sin(angle) * (h / 2 - 52);
      lines.append(svg("line", { x1: cx, y1: cy, x2: x, y2: y, class: `wire ${m.connected ? "up" : "down"}` }));
      if (m.connected && m.rtt_ms > 0 && !many && !narrow) {
        const text = millis(m.rtt_ms);
        const [tx, ty] = [cx + (x - cx) * 0.5, cy + (y - cy) * 0.5];
        lines.append(
          svg("rect", { x: tx - text.length * 3.7 - 4, y: ty - 10, width: text.length * 7.4 + 8, height: 20, rx: 6, class: "paper" }),
          svg("text", { x: tx, y: ty + 4, class: "wire-text" }, text),
        );
      }
      dots.append(this.#dot(m, x, y, many, crowded));
    });
    if (self) dots.append(this.#dot(self, cx, cy, many, crowded));
    return root;
  }

  #dot(m, x, y, many, crowded) {
    const [icon, word] = stateOf(m);
    const vote = this.#votes.get(m.id);
    const index = vote === undefined ? -1 : this.#labels.indexOf(vote);
    const r = crowded ? 12 : many ? 18 : 24;
    const g = svg("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: `member ${stateOf(m)[1]}` });
    g.append(svg("title", null, `${m.name}, ${m.model}: ${word}${vote ? `, said ${vote}` : ""}`));
    if (m.self) g.append(svg("circle", { r: r + 6, class: "self" }));
    g.append(svg("circle", { r, class: index >= 0 ? `body class-${classOf(index)}` : "body" }));
    if (crowded) return g;
    g.append(svg("text", { y: 6, class: index >= 0 ? "icon voted" : "icon" }, icon));
    g.append(svg("text", { y: r + 22, class: "name" }, short(this.name(m.id), many ? 14 : 18)));
    if (many) return g;
    const below = m.state === "alive" ? (vote ? `says ${vote}` : m.self ? `${m.model}, this node` : m.model) : word;
    g.append(svg("text", { y: r + 39, class: "sub" }, short(below, 22)));
    return g;
  }

  #table() {
    const head = ["Member", "Model", "State", "Delay", "Accuracy"];
    return el("table", null,
      el("caption", { class: "visually-hidden" }, "Members of the cluster"),
      el("thead", null, el("tr", null, head.map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", null, this.all.map((m) => {
        const [icon, word, means] = stateOf(m);
        const why = m.state === "alive" ? m.reason : `${m.reason || means}, since ${clock.format(new Date(m.since))}`;
        return el("tr", null,
          el("th", { scope: "row" }, m.url ? link(lookAt(m.url), this.name(m.id)) : this.name(m.id), m.self ? el("span", { class: "tag" }, "this node") : null),
          el("td", { "data-head": "Model" }, m.model),
          el("td", { "data-head": "State" },
            el("span", { class: `state ${word}` }, el("span", { "aria-hidden": "true" }, icon), ` ${word}`),
            m.state === "alive" && !m.connected ? " (not connected)" : null,
            why ? el("span", { class: "why" }, why) : null),
          el("td", { "data-head": "Delay", class: "figure" }, m.self ? "here" : m.connected && m.rtt_ms > 0 ? millis(m.rtt_ms) : "\u2013"),
          el("td", { "data-head": "Accuracy", class: "figure" }, m.accuracy === null ? "\u2013" : percent(m.accuracy)));
      })));
  }
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);
