// Recent rounds of the whole cluster. A line opens to who voted for what.
import { round as fetchRound } from "./api.js";
import { byId, clock, el, percent, plural, swatch } from "./dom.js";

const shown = 20, kept = 100;

const statuses = {
  ok: ["good", "ok", "everybody voted"],
  degraded: ["warn", "degraded", "somebody did not vote"],
  tie: ["bad", "tie", "the votes were equal"],
  minority: ["bad", "minority", "too few voted, and it was taken all the same"],
  single: ["warn", "single", "one member alone"],
  no_quorum: ["bad", "no quorum", "too few voted"],
};

// Of a batch there is no label; of a question there is one, unless too few voted.
const isBatch = (r) => r.rows > 1 || (!r.label && r.status !== "no_quorum");

/** Rounds is the list. */
export class Rounds {
  #labels;
  #members;
  #all = []; // newest first
  #lines = new Map(); // id -> element, so that what is open stays open

  constructor(labels, members) {
    this.#labels = labels;
    this.#members = members;
    byId("batches").addEventListener("change", () => this.draw());
  }

  /** merge takes rounds in, in any order, known ones too. */
  merge(rounds) {
    const known = new Set(this.#all.map((r) => r.round));
    this.#all.push(...rounds.filter((r) => !known.has(r.round)));
    // Ids begin with the time.
    this.#all.sort((a, b) => (a.round < b.round ? 1 : a.round > b.round ? -1 : 0));
    this.#all.length = Math.min(this.#all.length, kept);
    this.draw();
  }

  draw() {
    const rows = this.#all.filter((r) => !isBatch(r) || byId("batches").checked).slice(0, shown);
    if (rows.length === 0) {
      byId("rounds").replaceChildren(el("p", { class: "empty" }, "None yet. Questions asked at any member appear here."));
      return;
    }
    const wanted = rows.map((r) => this.#line(r));
    let list = byId("rounds").querySelector("ol");
    if (!list) {
      list = el("ol", { class: "round-list" });
      byId("rounds").replaceChildren(list);
    }
    // Only what differs is touched: focus and open lines stay where they are.
    wanted.forEach((line, i) => {
      if (list.children[i] !== line) list.insertBefore(line, list.children[i] ?? null);
    });
    while (list.children.length > wanted.length) list.lastChild.remove();
    const keep = new Set(this.#all.map((r) => r.round));
    for (const id of this.#lines.keys()) if (!keep.has(id)) this.#lines.delete(id);
  }

  #line(r) {
    let line = this.#lines.get(r.round);
    if (!line) {
      line = this.#make(r);
      this.#lines.set(r.round, line);
    }
    return line;
  }

  #make(r) {
    const [level, word, means] = statuses[r.status] ?? ["warn", r.status.replaceAll("_", " "), ""];
    const what = isBatch(r) ? `batch of ${plural(r.rows, "row")}` : r.label || "no label";
    const details = el("details", null,
      el("summary", null,
        el("time", { datetime: r.at, class: "muted figure" }, clock.format(new Date(r.at))),
        el("span", { class: "label" }, swatch(isBatch(r) ? -1 : this.#labels.indexOf(r.label)), what),
        el("span", { class: `pill ${level}`, title: means }, word),
        el("span", { class: "muted" }, `${r.counted} of ${r.invited}, asked at ${this.#members.name(r.asked)}`),
        isBatch(r) ? el("span") : this.#disagreement(r.entropy)),
      el("div", { class: "inside" }, el("p", { class: "muted" }, "\u2026")));
    details.addEventListener("toggle", () => details.open && this.#open(r, details.lastChild));
    return el("li", null, details);
  }

  #disagreement(entropy) {
    const fill = el("span", { class: "fill" });
    fill.style.width = `${entropy * 100}%`;
    const text = entropy === 0 ? "unanimous" : `disagreement ${percent(entropy)}`;
    return el("span", { class: "doubt" }, entropy === 0 ? null : el("span", { class: "bar doubt-bar", "aria-hidden": "true" }, fill), el("span", null, text));
  }

  async #open(r, inside) {
    let parts;
    try {
      const whole = await fetchRound(r.round);
      parts = this.#members.sort(whole.votes).map((v) =>
        el("li", null, this.#members.name(v.node), ": ", v.label ? el("span", { class: "label" }, swatch(this.#labels.indexOf(v.label)), v.label) : "did not count"));
      parts = parts.length > 0 ? [el("ul", { class: "who" }, parts)] : [el("p", { class: "muted" }, "Of a batch the votes are not kept.")];
      if (whole.consensus) parts.unshift(el("p", null, `${whole.consensus.summary}.`));
    } catch (e) {
      parts = [el("p", { class: "muted" }, e.message)];
    }
    inside.replaceChildren(...parts);
  }
}
