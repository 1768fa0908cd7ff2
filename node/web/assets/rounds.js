// Recent rounds of the whole cluster. A line opens to who voted for what.
import { round as fetchRound } from "./api.js";
import { byId, clock, doubt, el, keyed, plural, swatch } from "./dom.js";
import { lowMargin, statuses } from "./trust.js";
import { picker } from "./truth.js";

const shown = 12, kept = 100;

// Of a batch there is no label; of a question there is one, unless too few voted.
const isBatch = (r) => r.rows > 1 || (!r.label && r.status !== "no_quorum");

/** Rounds is the list. */
export class Rounds {
  #labels;
  #members;
  #truth;
  #all = []; // newest first
  #lines = new Map(); // id -> element, so that what is open stays open

  constructor(labels, members, truth) {
    this.#labels = labels;
    this.#members = members;
    this.#truth = truth;
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
    keyed(byId("rounds"), "ol", "round-list", rows.map((r) => this.#line(r)));
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
    // What a few say who are too few is no answer; it shows when the line is opened.
    const none = r.status === "no_quorum" || !r.label;
    const what = isBatch(r) ? `batch of ${plural(r.rows, "row")}` : none ? "no answer" : r.label;
    const details = el("details", null,
      el("summary", null,
        el("time", { datetime: r.at, class: "muted figure" }, clock.format(new Date(r.at))),
        el("span", { class: "label" }, swatch(isBatch(r) || none ? -1 : this.#labels.indexOf(r.label)), what),
        el("span", { class: `pill ${level}`, title: means }, word),
        el("span", { class: "muted" }, `${r.counted} of ${r.invited}, asked at ${this.#members.name(r.asked)}`),
        isBatch(r) || none ? el("span") : level === "bad" ? el("span", { class: "doubt bad-text" }, "not to be trusted") : doubt(r.disagreement)),
      el("div", { class: "inside" }, el("p", { class: "muted" }, "\u2026")));
    details.addEventListener("toggle", () => details.open && this.#open(r, details.lastChild));
    return el("li", null, details);
  }

  async #open(r, inside) {
    let parts;
    try {
      const whole = await fetchRound(r.round);
      parts = this.#members.sort(whole.votes).map((v) =>
        el("li", null, this.#members.name(v.node), ": ", v.label ? el("span", { class: "label" }, swatch(this.#labels.indexOf(v.label)), v.label) : "did not count"));
      parts = parts.length > 0 ? [el("ul", { class: "who" }, parts)] : [el("p", { class: "muted" }, "Of a batch the votes are not kept.")];
      const trust = this.#doubtful(r, whole.consensus);
      if (whole.consensus) parts.unshift(el("p", null, `${whole.consensus.summary}.`));
      if (trust) parts.unshift(el("p", { class: "bad-text" }, trust));
      if (whole.consensus && r.asked === this.#members.self) {
        const outcome = el("div", { class: "lesson", role: "status" });
        parts.push(el("p", { class: "muted" }, "What was it really?"),
          picker(this.#labels, async (label) => outcome.replaceChildren(...await this.#truth.give(r.round, label, whole.votes))), outcome);
      }
    } catch (e) {
      parts = [el("p", { class: "muted" }, e.message)];
    }
    inside.replaceChildren(...parts);
  }

  #doubtful(r, reply) {
    const [level, , means] = statuses[r.status] ?? ["warn", "", ""];
    if (level === "bad") return `${means[0].toUpperCase()}${means.slice(1)}.`;
    return reply && reply.margin < lowMargin ? "Not to be trusted: the first label is hardly ahead of the second." : "";
  }
}
