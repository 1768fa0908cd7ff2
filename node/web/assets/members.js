// The members: a live picture, and the same as a table.
import { become, byId, clock, el, link, listed, millis, percent, plural } from "./dom.js";
import { picture, stateOf, states } from "./picture.js";

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

/** Members shows the cluster as this node sees it. */
export class Members {
  #reply = null;
  #votes = new Map(); // id -> label of the last answer
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

  /** self is the id of this node. */
  get self() {
    return this.#reply?.self ?? "";
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

  #find(id) {
    return this.all.find((m) => m.id === id);
  }

  /** name returns how people call a member: its name, with a piece of the id if two share it. */
  name(id) {
    const m = this.#find(id);
    if (!m) return id ? `${id.slice(0, 6)}\u2026` : "?";
    const twins = this.all.filter((x) => x.name === m.name).length > 1;
    return twins ? `${m.name} ${id.slice(0, 4)}` : m.name;
  }

  /** model returns a member's kind of model, "" if it is not known. */
  model(id) {
    return this.#find(id)?.model ?? "";
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
      (voters > 1 ? `${voters} vote, and an answer needs ${Math.floor(voters / 2) + 1} of them.` : "Only one votes, so there is nobody to contradict it.");
    byId("relays-line").textContent = this.#relays();
    become(byId("picture"), picture(this.all, byId("picture").clientWidth, this.#votes, this.#labels, (id) => this.name(id),
      `${byId("members-line").textContent} The table below says it in words.`));
    become(byId("member-list"), this.#table());
  }

  // Who carries whom, in a sentence.
  #relays() {
    const by = new Map();
    for (const m of this.all) if (m.via) by.set(m.via, [...(by.get(m.via) ?? []), this.name(m.id)]);
    return [...by].map(([relay, carried]) =>
      `${relay === this.self ? "This node" : this.name(relay)} carries ${carried.length > 4 ? plural(carried.length, "member") : listed(carried)}, whom others cannot reach by themselves.`).join(" ");
  }

  #table() {
    const weights = this.all.some((m) => m.weight !== undefined);
    const head = ["Member", "Model", "State", "Delay", "Accuracy", ...(weights ? ["Weight"] : [])];
    return el("table", null,
      el("caption", { class: "visually-hidden" }, "Members of the cluster"),
      el("thead", null, el("tr", null, head.map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", null, this.all.map((m) => {
        const [icon, word, means] = stateOf(m);
        const why = m.state === "alive" ? m.reason : `${m.reason || means}, since ${clock.format(new Date(m.since))}`;
        const way = m.connected && m.through ? `through ${this.name(m.through)}` : m.via ? (m.via === this.self ? "carried by this node" : `carried by ${this.name(m.via)}`) : "";
        return [el("tr", null,
          el("th", { scope: "row" }, m.url ? link(lookAt(m.url), this.name(m.id)) : this.name(m.id), m.self ? el("span", { class: "tag" }, "this node") : null),
          el("td", { "data-head": "Model" }, m.model),
          el("td", { "data-head": "State" },
            el("span", { class: `state ${word}` }, el("span", { "aria-hidden": "true" }, icon), ` ${word}`),
            m.state === "alive" && !m.connected ? " (not connected)" : null,
            way ? el("span", { class: "why" }, way) : null),
          el("td", { "data-head": "Delay", class: "figure" }, m.self ? "here" : m.connected && m.rtt_ms > 0 ? millis(m.rtt_ms) : "\u2013"),
          el("td", { "data-head": "Accuracy", class: "figure", title: "its own word, on rows held out" }, m.accuracy === null ? "\u2013" : percent(m.accuracy)),
          weights ? el("td", { "data-head": "Weight", class: "figure", title: "learnt from labels" }, m.weight === undefined ? "\u2013" : m.weight.toFixed(2)) : null),
        // A reason may be long: it has the whole width.
        why ? el("tr", { class: "more" }, el("td", { colspan: head.length }, why)) : null];
      }).flat()));
  }
}
