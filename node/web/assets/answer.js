// The answer: votes one by one, the tally, and whether to trust it.
import { bar, byId, el, listed, local, millis, percent, swatch } from "./dom.js";

// Outcomes in words. What is not here is shown as it is.
const outcomes = {
  pending: "not waited for",
  timeout: "did not answer in time",
  connect_error: "cannot be reached",
  abstain: "gave no answer",
  ejected: "left alone for a while after failures",
  shed: "had too much to do",
  internal: "broke down",
  bad_schema: "gave an answer that cannot be read",
  bad_label: "gave a label that the task has not",
  bad_signature: "gave an answer with a false signature",
  wrong_identity: "is somebody else",
};
const inWords = (outcome) => outcomes[outcome] ?? outcome.replaceAll("_", " ");

/**
 * trust says in plain words how far to trust a reply: a level (good, warn, bad), a
 * heading, and sentences. It looks at the gravest thing first.
 */
export function trust(reply, name) {
  const out = { level: "good", title: "", text: [] };
  const missing = reply.votes.filter((v) => v.outcome !== "ok" && v.outcome !== "pending");
  const pending = reply.votes.filter((v) => v.outcome === "pending");
  const against = reply.votes.filter((v) => v.outcome === "ok" && v.label !== reply.label);
  const set = (level, title, ...text) => {
    out.level = level;
    out.title ||= title;
    out.text.push(...text);
  };
  if (reply.status === "single") {
    set("warn", "This is one model's opinion.", "Only one member was asked, so nobody could contradict it. Invite others for a second opinion.");
    return out;
  }
  if (reply.status === "minority") {
    set("bad", "Do not rely on this.", `Only ${reply.counted} of ${reply.invited} members voted, and ${reply.quorum} are needed. Those who are missing could turn it round.`);
  }
  if (reply.tie) {
    set("bad", "It is a tie.", "The votes are equal. The label shown was picked by a fixed rule, so that every node gives the same; it is not what most members say.");
  }
  if (against.length > 0 && !reply.tie) {
    set(out.level === "good" ? "warn" : out.level, "The members do not agree.",
      `${listed(against.map((v) => name(v.node)))} ${against.length === 1 ? "says" : "say"} ${listed([...new Set(against.map((v) => v.label))])} instead. Such a row often lies near a border: look at the map.`);
  }
  if (missing.length > 0) {
    set(out.level === "good" ? "warn" : out.level, "Not everybody voted.",
      `${listed(missing.map((v) => `${name(v.node)} (${inWords(v.outcome)})`))} ${missing.length === 1 ? "is" : "are"} missing.` +
      (reply.status === "minority" ? "" : " There were enough votes without."));
  }
  if (out.level === "good") {
    const n = reply.counted;
    set("good", pending.length > 0 ? "All who were waited for agree." : n === 2 ? "Both members agree." : `All ${n} members agree.`,
      "A good sign, though models can also be wrong together.");
  }
  return out;
}

// What to do is written for terminals; one of the things is done here.
const onPage = (todo) =>
  todo.includes("minority=true") ? "to take what there is all the same: tick that under How to count, and ask again" : todo;

/** refusal says the same of a problem instead of a reply. */
function refusal(p) {
  const title = {
    "quorum-not-reached": "There is no answer: too few voted.",
    joining: "There is no answer yet.",
    "not-ready": "There is no answer yet.",
    offline: "There is no answer.",
    "bad-input": "This question cannot be asked.",
  }[p.kind] ?? "There is no answer.";
  const text = [sentence(local(p.message))];
  if (p.body.provisional_label) {
    text.push(`Those who voted lean to ${p.body.provisional_label}, but they are too few for it to count.`);
  }
  return { level: "bad", title, text, todo: (Array.isArray(p.body.what_to_do) ? p.body.what_to_do : []).map(onPage) };
}

// Summaries that begin with a name stay as they are.
const sentence = (s) => `${/^(all|both|only|together|nobody|no quorum)\b/.test(s) ? s[0].toUpperCase() + s.slice(1) : s}${/[.!?]$/.test(s) ? "" : "."}`;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Answer shows one round. */
export class Answer {
  #labels;
  #members;
  #turn = 0; // a newer question makes an older one stop showing

  constructor(labels, members) {
    this.#labels = labels;
    this.#members = members;
  }

  /** asking shows who is being asked. */
  asking() {
    const turn = ++this.#turn;
    this.#members.showVotes(new Map());
    byId("answer").setAttribute("aria-busy", "true");
    byId("answer").replaceChildren(
      el("p", { class: "empty" }, "Asking\u2026"),
      this.#table(this.#members.voters.map((m) => ({ node: m.id, model: m.model, waiting: true }))));
    return turn;
  }

  /** show plays the votes in the order in which they came, then the outcome. */
  async show(turn, reply, notes) {
    const name = (id) => this.#members.name(id);
    const came = reply.votes.map((v, i) => i).sort((a, b) => reply.votes[a].ms - reply.votes[b].ms);
    const heard = new Set(), said = new Map();
    for (const i of calm.matches ? [] : came) {
      if (turn !== this.#turn) return;
      heard.add(i);
      const v = reply.votes[i];
      if (v.outcome === "ok") said.set(v.node, v.label);
      this.#members.showVotes(new Map(said));
      byId("answer").replaceChildren(
        el("p", { class: "empty" }, `${heard.size} of ${reply.votes.length} heard\u2026`),
        this.#tally(soFar(reply, heard, this.#labels)),
        this.#table(reply.votes.map((w, j) => (heard.has(j) ? w : { ...w, waiting: true }))));
      await pause(Math.min(160, 900 / came.length));
    }
    if (turn !== this.#turn) return;
    this.#members.showVotes(new Map(reply.votes.filter((v) => v.outcome === "ok").map((v) => [v.node, v.label])));
    byId("answer").removeAttribute("aria-busy");
    byId("answer").replaceChildren(
      el("div", { class: "verdict", role: "status" },
        el("p", { class: "decided", id: "decided" }, swatch(reply.prediction), reply.label),
        el("p", { class: "summary" }, sentence(reply.summary)),
        this.#banner(trust(reply, name), notes)),
      this.#tally(reply.shares),
      this.#table(reply.votes),
      el("p", { class: "muted fine" },
        `${reply.counted} of ${reply.invited} counted, ${reply.quorum} needed. Rule: ${reply.rule} (${reply.reason}). ` +
        `${reply.decided_early ? "Decided before all had answered. " : ""}${millis(reply.elapsed_ms)} in all.`));
  }

  /** fail shows why there is no answer. */
  fail(turn, problem) {
    if (turn !== this.#turn) return;
    const votes = Array.isArray(problem.body?.votes) ? problem.body.votes : [];
    this.#members.showVotes(new Map(votes.filter((v) => v.outcome === "ok").map((v) => [v.node, v.label])));
    byId("answer").removeAttribute("aria-busy");
    byId("answer").replaceChildren(
      el("div", { class: "verdict", role: "status" }, this.#banner(refusal(problem), [])),
      votes.length > 0 ? this.#table(votes) : "");
  }

  #banner(t, notes) {
    const level = t.level === "good" && notes.length > 0 ? "warn" : t.level;
    const icon = { good: "\u2713", warn: "!", bad: "\u2715" }[level];
    return el("div", { class: `banner ${level}`, id: "trust" },
      el("span", { class: "banner-icon", "aria-hidden": "true" }, icon),
      el("div", null,
        el("p", null, el("strong", null, t.title), " ", t.text.join(" ")),
        notes.map((n) => el("p", null, n)),
        t.todo?.length ? el("ul", null, t.todo.map((x) => el("li", null, x))) : null));
  }

  // shares is an object from label to share.
  #tally(shares) {
    return el("div", { class: "tally" },
      el("h3", null, "Tally"),
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
    const who = el("th", { scope: "row" }, this.#members.name(v.node), this.#members.name(v.node) === v.model ? null : el("span", { class: "sub" }, v.model));
    if (v.waiting) return el("tr", { class: "waiting" }, who, el("td", { colspan: 3, class: "muted" }, "asked\u2026"));
    if (v.outcome !== "ok") {
      const why = v.reason && v.outcome !== "pending" && v.outcome !== "ejected" ? `: ${local(v.reason)}` : "";
      return el("tr", { class: "silent" }, who,
        el("td", { colspan: 2 }, `${inWords(v.outcome)}${why}`),
        el("td", { class: "figure" }, v.ms > 0 ? millis(v.ms) : "\u2013"));
    }
    const k = this.#labels.indexOf(v.label);
    const p = v.probabilities;
    return el("tr", null, who,
      el("td", { "data-head": "Says" }, el("span", { class: "label" }, swatch(k), v.label)),
      el("td", { "data-head": "How sure" }, p ? this.#mix(p, v.label) : el("span", { class: "muted" }, "gives none")),
      el("td", { "data-head": "Time", class: "figure" }, millis(v.ms)));
  }

  // One bar of all the classes' probabilities; the words say the label's, the title all.
  #mix(p, label) {
    const all = this.#labels.map((l) => `${l} ${percent(p[l] ?? 0)}`).join(", ");
    const strip = el("span", { class: "strip", title: all, role: "img", "aria-label": all });
    this.#labels.forEach((l, k) => {
      if (!p[l]) return;
      const part = el("span", { class: `fill class-${k % 10}` });
      part.style.width = `${p[l] * 100}%`;
      strip.append(part);
    });
    return el("span", { class: "mix" }, strip, el("span", { class: "figure" }, percent(p[label] ?? 0)));
  }
}

/** soFar is the tally of the votes heard up to now, by the rule of the round. */
function soFar(reply, heard, labels) {
  const sums = Object.fromEntries(labels.map((l) => [l, 0]));
  let total = 0;
  reply.votes.forEach((v, i) => {
    if (!heard.has(i) || v.outcome !== "ok") return;
    const w = reply.rule === "majority" ? 1 : v.weight;
    total += w;
    if (reply.rule === "soft" && v.probabilities) for (const l of labels) sums[l] += w * (v.probabilities[l] ?? 0);
    else sums[v.label] += w;
  });
  for (const l of labels) sums[l] = total > 0 ? sums[l] / total : 0;
  return sums;
}
