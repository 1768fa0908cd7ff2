// The review queue: rounds of this node that nobody has labelled, those first on which
// the members differ most, since their labels teach most.
import * as api from "./api.js";
import { known } from "./door.js";
import { byId, clock, doubt, el, keyed, listed, plain, plural, swatch, words } from "./dom.js";
import { picker } from "./truth.js";

const shown = 6, told = 4; // rounds, and features of each

/** Review is the queue. */
export class Review {
  #task;
  #members;
  #truth;
  #lines = new Map(); // id -> element: what has the focus keeps it
  #soon = 0; // the timer
  #last = -Infinity; // when it asked

  constructor(task, members, truth) {
    this.#task = task;
    this.#members = members;
    this.#truth = truth;
  }

  /** refresh asks again shortly: rounds and labels come in bursts, and a tunnel counts requests. */
  refresh() {
    if (this.#soon) return;
    const gap = known() ? 10_000 : 2000;
    this.#soon = setTimeout(() => {
      this.#soon = 0;
      this.#last = performance.now();
      this.#ask();
    }, Math.max(300, this.#last + gap - performance.now()));
  }

  async #ask() {
    let rounds;
    try {
      rounds = (await api.review(50)).rounds;
    } catch (e) {
      if (!(e instanceof api.Problem)) throw e;
      return; // the line at the top says when the node is gone
    }
    if (rounds.length === 0) {
      this.#lines.clear();
      byId("review").replaceChildren(el("p", { class: "empty" }, "Nothing to review. Rounds asked at this node wait here for their true label."));
      byId("review-more").textContent = "";
      return;
    }
    const now = new Map(rounds.slice(0, shown).map((r) => [r.round, this.#lines.get(r.round) ?? this.#make(r)]));
    this.#lines = now;
    keyed(byId("review"), "ol", "review-list", [...now.values()]);
    byId("review-more").textContent = rounds.length > shown ? `${rounds.length - shown} more wait.` : "";
  }

  #make(r) {
    const by = new Map();
    for (const v of this.#members.sort(r.votes)) if (v.label) by.set(v.label, [...(by.get(v.label) ?? []), this.#members.name(v.node)]);
    const sides = [...by].sort((a, b) => b[1].length - a[1].length).map(([label, names]) =>
      el("span", { class: "label" }, swatch(this.#task.labels.indexOf(label)), `${label}: `, names.length > 3 ? plural(names.length, "vote") : listed(names)));
    const row = r.features.slice(0, told).map((x, j) => `${words(this.#task.features[j])} ${plain(x)}`).join(", ");
    const more = r.features.length > told ? `, and ${r.features.length - told} more` : "";
    return el("li", { class: "review-line" },
      el("div", { class: "review-head" }, el("time", { datetime: r.at, class: "muted figure" }, clock.format(new Date(r.at))), doubt(r.disagreement)),
      el("p", { class: "sides" }, sides),
      el("p", { class: "muted fine" }, row, more),
      picker(this.#task.labels, (label) => this.#give(r, label), `What was the row of ${clock.format(new Date(r.at))} really?`));
  }

  async #give(r, label) {
    const parts = await this.#truth.give(r.round, label, r.votes);
    byId("review-lesson").replaceChildren(...parts);
    byId("review-lesson").focus(); // the line that had the focus is about to go
    clearTimeout(this.#soon);
    this.#soon = 0;
    this.#ask();
  }
}
