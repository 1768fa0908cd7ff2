// The answer: each vote as it comes, the tally as it is decided, and whether to trust it.
import { bar, become, byId, el, local, millis, percent, strip, swatch } from "./dom.js";
import { inWords, refusal, sentence, trust } from "./trust.js";

/**
 * Answer shows one round at a time. It hears of a round from two sides: of votes from the
 * node's events, while they come; of the outcome from the reply, which is what counts.
 */
export class Answer {
  #labels;
  #members;
  #truth;
  #turn = 0; // a newer question makes an older one stop showing
  #live = null; // the round that is being played: {id, round, votes, last, quorum}; null: none

  constructor(labels, members, truth) {
    this.#labels = labels;
    this.#members = members;
    this.#truth = truth;
  }

  /** busy reports whether a round is being shown that has not ended. */
  get busy() {
    return this.#live !== null;
  }

  /** asking shows who is being asked in the round of a request. */
  asking(id) {
    this.#live = { id, invited: this.#members.voters.map((m) => m.id), votes: new Map(), last: null, quorum: 0 };
    this.#truth.clear();
    this.#draw();
    return ++this.#turn;
  }

  /** asked, vote and decided take the node's events; what is of another round is passed over. */
  asked(e) {
    if (this.#live?.id !== e.request_id) return;
    this.#live.invited = e.invited;
    this.#live.quorum = e.quorum;
    this.#draw();
  }

  vote(e) {
    if (this.#live?.id !== e.request_id) return;
    this.#live.votes.set(e.vote.node, e.vote);
    if (!e.late) this.#live.last = e;
    this.#draw();
  }

  // How the round stands: who has voted, who is out, who leads.
  #draw() {
    const { invited, votes, last, quorum } = this.#live;
    const said = [...votes.values()].filter((v) => v.outcome === "ok");
    this.#members.showVotes(new Map(said.map((v) => [v.node, v.label])));
    const heading = last?.label
      ? el("p", { class: "decided leading" }, swatch(this.#labels.indexOf(last.label)), last.label)
      : el("p", { class: "decided leading" }, "\u2026");
    const line = !last ? "Asking\u2026"
      : last.certain ? `Decided: whatever the ${last.out === 1 ? "last one says" : "others say"}, it stays ${last.label}.`
      : `So far, ${last.counted} of ${invited.length} voted${quorum > last.counted ? `, ${quorum} needed` : ""}.`;
    byId("answer").setAttribute("aria-busy", "true");
    become(byId("answer"), el("div", null,
      el("div", { class: "verdict" }, heading, el("p", { class: "summary", id: "so-far" }, last?.certain && last.out === 0 ? "All have been heard." : line)),
      this.#tally(last?.shares ?? {}),
      this.#table(invited.map((node) => votes.get(node) ?? { node, waiting: true }))));
  }

  /** show shows how the round of a turn has ended. */
  show(turn, reply, notes) {
    if (turn !== this.#turn) return;
    this.#live = null;
    const name = (id) => this.#members.name(id);
    this.#members.showVotes(new Map(reply.votes.filter((v) => v.outcome === "ok").map((v) => [v.node, v.label])));
    byId("answer").removeAttribute("aria-busy");
    become(byId("answer"), el("div", null,
      el("div", { class: "verdict" },
        el("p", { class: "decided", id: "decided" }, swatch(reply.prediction), reply.label),
        el("p", { class: "summary" }, sentence(reply.summary)),
        this.#banner(trust(reply, name), notes)),
      this.#tally(reply.shares, reply.follows ? `what ${name(reply.follows)} says` : reply.rule),
      this.#table(reply.votes),
      el("p", { class: "muted fine" },
        `${reply.counted} of ${reply.invited} counted, ${reply.quorum} needed. Rule: ${reply.rule} (${reply.reason}). ` +
        `${reply.decided_early ? "Decided before all had answered. " : ""}${millis(reply.elapsed_ms)} in all.`)));
    byId("said").textContent = `${reply.label}. ${sentence(reply.summary)}`;
    this.#truth.offer(reply.round, reply.votes);
  }

  /** fail shows why there is no answer. */
  fail(turn, problem) {
    if (turn !== this.#turn) return;
    this.#live = null;
    const votes = Array.isArray(problem.body?.votes) ? problem.body.votes : [];
    this.#members.showVotes(new Map(votes.filter((v) => v.outcome === "ok").map((v) => [v.node, v.label])));
    byId("answer").removeAttribute("aria-busy");
    const said = refusal(problem);
    become(byId("answer"), el("div", null,
      el("div", { class: "verdict" }, this.#banner(said, [])),
      votes.length > 0 ? this.#table(votes) : null));
    byId("said").textContent = `${said.title} ${said.text.join(" ")}`;
    if (problem.body?.round && votes.length > 0) this.#truth.offer(problem.body.round, votes);
  }

  #banner(t, notes) {
    const level = t.level === "good" && notes.length > 0 ? "warn" : t.level;
    const icon = { good: "\u2713", warn: "!", bad: "\u2715" }[level];
    return el("div", { class: `banner ${level}`, id: "trust" },
      el("span", { class: "banner-icon", "aria-hidden": "true" }, icon),
      el("div", null,
        el("p", null, el("strong", null, t.title), " ", t.text.join(" ")),
        notes.map((n) => el("p", null, n)),
        t.todo?.length ? el("ul", null, t.todo.map((x) => el("li", null, whole(x)))) : null));
  }

  // shares is an object from label to share.
  #tally(shares, rule = "") {
    return el("div", { class: "tally" },
      el("h3", null, rule ? `Tally: ${rule}` : "Tally"),
      el("ul", null, this.#labels.map((label, k) => ({ label, k, share: shares[label] ?? 0 }))
        .filter((x) => this.#labels.length <= 6 || x.share > 0)
        .map(({ label, k, share }) => el("li", null,
          el("span", { class: "label" }, swatch(k), label), bar(share, k), el("span", { class: "figure" }, percent(share))))));
  }

  #table(votes) {
    return el("div", { class: "votes" },
      el("h3", null, "Votes"),
      el("table", null,
        el("thead", null, el("tr", null, ["Member", "Says", "How sure", "Time"].map((h) => el("th", { scope: "col" }, h)))),
        el("tbody", null, this.#members.sort(votes).map((v) => this.#row(v)))));
  }

  #row(v) {
    const name = this.#members.name(v.node), model = v.model ?? this.#members.model(v.node);
    const who = el("th", { scope: "row" }, name, !model || name === model ? null : el("span", { class: "sub" }, model));
    if (v.waiting) return el("tr", { class: "waiting" }, who, el("td", { colspan: 3, class: "muted" }, "asked\u2026"));
    if (v.outcome !== "ok") {
      const why = v.reason && v.outcome !== "pending" && v.outcome !== "ejected" ? `: ${local(v.reason)}` : "";
      return el("tr", { class: v.outcome === "pending" ? "pending" : "silent" }, who,
        el("td", { colspan: 2 }, `${inWords(v.outcome)}${why}`),
        el("td", { class: "figure" }, v.ms > 0 ? millis(v.ms) : "\u2013"));
    }
    const k = this.#labels.indexOf(v.label);
    const p = v.probabilities;
    return el("tr", { class: "heard" }, who,
      el("td", { "data-head": "Says" }, el("span", { class: "label" }, swatch(k), v.label)),
      el("td", { "data-head": "How sure" }, p ? this.#mix(p, v.label) : el("span", { class: "muted" }, "gives none")),
      el("td", { "data-head": "Time", class: "figure" }, millis(v.ms)));
  }

  // One bar of all the classes' probabilities; the words say the label's, the title all.
  #mix(p, label) {
    const all = this.#labels.filter((l) => this.#labels.length <= 6 || p[l] >= 0.001).map((l) => `${l} ${percent(p[l] ?? 0)}`).join(", ");
    return el("span", { class: "mix" }, strip(this.#labels.map((l) => p[l] ?? 0), all), el("span", { class: "figure" }, percent(p[label] ?? 0)));
  }
}

// A flag is copied as one piece, so it stays on one line.
const whole = (text) => text.split(/(--[a-z-]+)/).map((part, i) => (i % 2 === 1 ? el("span", { class: "figure" }, part) : part));
