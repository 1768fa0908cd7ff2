// What a row really is: one click gives the label, and then it shows who was right and
// how the weights moved.
import { Problem, feedback } from "./api.js";
import { el, plural, swatch } from "./dom.js";

const few = 8; // labels with a button of their own

/** weightText writes a weight. */
export const weightText = (w) => w.toFixed(2);

/**
 * picker makes the controls with which somebody says the true label. told is called with
 * it; the returned element is disabled while the promise that told returns is open.
 */
export function picker(labels, told, question = "What is it really?") {
  const root = el("div", { class: "picker", role: "group", "aria-label": question });
  const give = async (label) => {
    root.setAttribute("aria-busy", "true");
    for (const c of root.querySelectorAll("button, select")) c.disabled = true;
    await told(label);
    root.removeAttribute("aria-busy");
    for (const c of root.querySelectorAll("button, select")) c.disabled = false;
  };
  if (labels.length <= few) {
    root.append(...labels.map((label, k) => el("button", { type: "button", class: "chip", onclick: () => give(label) }, swatch(k), label)));
    return root;
  }
  const select = el("select", { "aria-label": question }, labels.map((label) => el("option", null, label)));
  root.append(select, el("button", { type: "button", class: "chip", onclick: () => give(select.value) }, "That is it"));
  return root;
}

/** Truth is the part below an answer, and gives labels for the review queue too. */
export class Truth {
  #place;
  #labels;
  #members;
  #weights;

  /** place is the element to write into; weights is asked for the weights that the page shows. */
  constructor(place, labels, members, weights) {
    this.#place = place;
    this.#labels = labels;
    this.#members = members;
    this.#weights = weights;
  }

  clear() {
    this.#place.replaceChildren();
  }

  /** offer asks for the true label of a round of this node's, whose votes are given. */
  offer(round, votes) {
    const outcome = el("div", { class: "lesson", role: "status" });
    this.#place.replaceChildren(
      el("h3", null, "What is it really?"),
      el("p", { class: "muted fine" }, "If you know, say so: every node learns from it whom to trust."),
      picker(this.#labels, async (label) => outcome.replaceChildren(...await this.give(round, label, votes))),
      outcome);
  }

  /** give gives the label, and returns elements that tell what happened. It does not throw. */
  async give(round, label, votes) {
    const before = await this.#weights.now();
    let reply;
    try {
      reply = await feedback(round, label);
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      return [el("p", { class: "banner bad" }, `The label was not taken: ${e.message}`)];
    }
    const after = await this.#weights.fetch();
    const [row] = reply.rows;
    const done = {
      recorded: `Noted as ${label}, with the signed votes of ${row.votes === 1 ? "one member" : `${row.votes} members`}.`,
      replaced: `Noted as ${label} instead of what was said before, which no longer counts.`,
      known: `That it is ${label} was known already, so nothing has changed.`,
    }[row.status] ?? row.status;
    return [
      el("p", null, done, " ", after ? `${plural(after.labels, "row is", "rows are")} labelled now. ${this.#rule(before, after)}` : ""),
      after ? this.#lesson(label, votes, before, after) : null,
    ].filter(Boolean);
  }

  #rule(before, after) {
    const same = before && before.auto.rule === after.auto.rule && (before.auto.follows ?? "") === (after.auto.follows ?? "");
    return `The rule auto ${same ? "stays" : "is now"} ${ruleName(after.auto, this.#members)} (${after.auto.reason}).`;
  }

  // Who was right, and what that did to each weight.
  #lesson(label, votes, before, after) {
    const was = new Map((before?.members ?? []).map((m) => [m.id, m]));
    const said = new Map(votes.filter((v) => v.label).map((v) => [v.node, v.label]));
    const rows = this.#members.sort(after.members.map((m) => ({ ...m, node: m.id }))).map((m) => {
      const vote = said.get(m.id);
      const old = was.get(m.id)?.weight ?? m.weight;
      const way = m.weight > old ? ["\u25b2", "up"] : m.weight < old ? ["\u25bc", "down"] : ["=", "same"];
      return el("tr", { "data-member": m.id },
        el("th", { scope: "row" }, this.#members.name(m.id)),
        el("td", null, vote === undefined ? el("span", { class: "muted" }, "did not vote")
          : el("span", { class: vote === label ? "right" : "wrong" }, vote === label ? "\u2713 right" : `\u2715 said ${vote}`)),
        el("td", { class: "figure" }, `${m.correct} of ${m.total}`),
        el("td", { class: `figure moved ${way[1]}` }, el("span", { "aria-hidden": "true" }, `${way[0]} `), `${weightText(old)} \u2192 ${weightText(m.weight)}`));
    });
    return el("div", { class: "scroll" }, el("table", { class: "moves" },
      el("caption", { class: "visually-hidden" }, "Who was right, and how the weights moved"),
      el("thead", null, el("tr", null, ["Member", "This row", "Right so far", "Weight"].map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", null, rows)));
  }
}

/** ruleName says a rule of the Hedge table, or the one that auto uses. */
export function ruleName(rule, members) {
  const one = rule.follows ?? rule.member;
  return one ? `follow ${members.name(one)}` : rule.rule;
}
