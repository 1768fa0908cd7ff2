// What the labels teach: each member's weight and where it comes from, and which way of
// counting has proved best.
import * as api from "./api.js";
import { bar, become, byId, el, listed, percent, plural } from "./dom.js";
import { ruleName, weightText } from "./truth.js";

const fewLabels = 6; // with a column each
const mostRules = 16;

const ruleWords = {
  majority: "one member, one vote",
  weighted: "by record on labelled rows",
  soft: "mean of the probabilities",
};

/** Learning shows GET /weights, which the node sends again whenever it changes. */
export class Learning {
  #labels;
  #members;
  #reply = null;

  constructor(labels, members) {
    this.#labels = labels;
    this.#members = members;
  }

  /** now returns the weights that are shown, or asks for them; null: the node has none. */
  now() {
    return this.#reply ?? this.fetch();
  }

  /** fetch asks for the weights as they are at this moment, and shows them. */
  async fetch() {
    try {
      this.show(await api.weights());
    } catch (e) {
      if (!(e instanceof api.Problem)) throw e;
    }
    return this.#reply;
  }

  show(reply) {
    this.#reply = reply;
    this.draw();
  }

  draw() {
    const w = this.#reply;
    if (!w) return;
    byId("learning-line").textContent = this.#line(w);
    become(byId("learning"), el("div", { class: "learning-parts" },
      el("div", null, this.#table(w), this.#notes(w), w.labels > 0 ? this.#regret(w) : null),
      w.labels > 0 ? el("div", null, this.#hedge(w)) : this.#empty()));
  }

  #line(w) {
    const disputed = w.disputed > 0 ? ` ${plural(w.disputed, "row")} left out, since those who labelled them are evenly split.` : "";
    if (w.labels === 0) return `No labels yet, so every vote counts one.${disputed}`;
    return `${plural(w.labels, "labelled row")}. The rule auto is now ${ruleName(w.auto, this.#members)} (${w.auto.reason}).${disputed}`;
  }

  #empty() {
    return el("p", { class: "empty" }, "When somebody says what a row really was, below an answer or in the review queue, this shows who tends to be right, what each vote weighs, and which way of counting would have been wrong least.");
  }

  #table(w) {
    const members = this.#members.sort(w.members.map((m) => ({ ...m, node: m.id })));
    const most = Math.max(...members.map((m) => m.weight), 0.01);
    const columns = w.labels > 0 && this.#labels.length <= fewLabels ? this.#labels : [];
    return el("div", { class: "scroll" }, el("table", { class: "weights", id: "weights" },
      el("caption", null, el("h3", null, "What each vote weighs")),
      el("thead", null, el("tr", null,
        ["Member", "Weight", "Right"].map((h) => el("th", { scope: "col" }, h)),
        columns.map((l) => el("th", { scope: "col", class: "recall", title: `how many of the rows that were ${l} it recognised` }, l)))),
      el("tbody", null, members.map((m) => el("tr", { "data-member": m.id },
        el("th", { scope: "row" }, this.#members.name(m.id), this.#tags(m, members)),
        el("td", { "data-head": "Weight" }, el("span", { class: "mix" }, bar(m.weight / most, -1, "plain"), el("span", { class: "figure weight" }, weightText(m.weight)))),
        el("td", { "data-head": "Right", class: "figure" }, m.total > 0 ? `${m.correct} of ${m.total}` : "\u2013"),
        columns.map((l, k) => this.#recall(l, m.recall[k])))))));
  }

  #tags(m, members) {
    const tags = [];
    if (m.voice > 0) {
      const others = members.filter((o) => o.voice === m.voice && o.id !== m.id).length;
      tags.push(el("span", { class: "sub" }, `one voice with ${plural(others, "other")}`));
    }
    if (m.two_faced) tags.push(el("span", { class: "why bad-text" }, "signed two different votes for one row; those rows do not count for it"));
    return tags;
  }

  // The cell's ground says how much of a class a member recognises, the figures how sure that is.
  #recall(label, r) {
    if (!r || r.total === 0) return el("td", { "data-head": label, class: "figure recall muted" }, "\u2013");
    const tenth = Math.round((10 * r.correct) / r.total);
    return el("td", { "data-head": label, class: "figure recall" }, el("span", { class: `heat heat-${tenth}` }, `${r.correct}/${r.total}`));
  }

  #notes(w) {
    const voices = new Map();
    for (const m of w.members) if (m.voice > 0) voices.set(m.voice, [...(voices.get(m.voice) ?? []), this.#members.name(m.id)]);
    const lines = [...voices.values()].map((names) => `${listed(names)} have the same model: one voice, which shares one weight.`);
    lines.push(...w.together.map((p) =>
      `${this.#members.name(p.members[0])} and ${this.#members.name(p.members[1])} err together: the same wrong label on ${p.together} of ${plural(p.rows, "row")}, where chance would make ${p.expected.toFixed(1)}.`));
    const who = (l) => l.name || "somebody who is no member any more";
    const counted = w.labellers.filter((l) => l.counts && !l.excluded).map((l) => `${who(l)} (${l.records})`);
    if (counted.length > 0) lines.push(`Labels by ${listed(counted)}.`);
    for (const l of w.labellers) {
      if (l.excluded) lines.push(`Labels of ${who(l)} count nowhere: ${l.excluded}.`);
      else if (!l.counts) lines.push(`${who(l)} gave ${plural(l.records, "label")}, which do not count at this node.`);
    }
    return lines.length > 0 ? el("ul", { class: "notes muted fine" }, lines.map((l) => el("li", null, l))) : null;
  }

  #hedge(w) {
    const inUse = (r) => (w.auto.follows ? r.member === w.auto.follows : !r.member && r.rule === w.auto.rule);
    const all = [...w.rules].sort((a, b) => a.loss - b.loss || b.share - a.share);
    const most = Math.max(...all.map((r) => r.share), 0.01);
    return el("div", { class: "scroll" }, el("table", { class: "hedge" },
      el("caption", null, el("h3", null, "Which way of counting is wrong least")),
      el("thead", null, el("tr", null, ["Way", "Wrong", "Share"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", null, all.slice(0, mostRules).map((r) => el("tr", { class: inUse(r) ? "in-use" : null },
        el("th", { scope: "row" }, ruleName(r, this.#members),
          inUse(r) ? el("span", { class: "tag" }, "auto uses this") : null,
          ruleWords[r.rule] ? el("span", { class: "sub" }, ruleWords[r.rule]) : null),
        el("td", { "data-head": "Wrong", class: "figure" }, `${short(r.loss)} of ${w.labels}`),
        el("td", { "data-head": "Share" }, el("span", { class: "mix" }, bar(r.share / most, -1, "plain"), el("span", { class: "figure" }, percent(r.share))))))),
      all.length > mostRules ? el("tfoot", null, el("tr", null, el("td", { colspan: 3, class: "muted" }, `and ${all.length - mostRules} more`))) : null));
  }

  #regret(w) {
    return el("div", { class: "regret" },
      el("h3", null, "Regret"),
      el("span", { class: "mix" }, bar(w.bound > 0 ? w.regret / w.bound : 0, -1, "plain"), el("span", { class: "figure" }, `${short(w.regret)} of at most ${short(w.bound)}`)),
      el("p", { class: "muted fine" }, `Mixing all ways by their shares was wrong ${short(w.mixture)} times, the best single one ${short(w.mixture - w.regret)}. The difference is what not knowing the best one from the start has cost, and the bound is proved (Hedge).`));
  }
}

const short = (x) => x.toFixed(1).replace(/\.0$/, "").replace(/^-0$/, "0");
