// Whether to trust an answer, in plain words.
import { listed, local, percent } from "./dom.js";

/** margins below this are as good as a tie: one vote more or less could turn the answer. */
export const lowMargin = 0.2;

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
export const inWords = (outcome) => outcomes[outcome] ?? outcome.replaceAll("_", " ");

/** statuses of rounds: how good they are, a word, and what it means. */
export const statuses = {
  ok: ["good", "ok", "everybody voted"],
  degraded: ["warn", "degraded", "somebody did not vote, but enough did"],
  tie: ["bad", "tie", "the votes were equal: not to be trusted"],
  minority: ["bad", "minority", "too few voted, and it was taken all the same: not to be trusted"],
  single: ["bad", "single", "one member alone: not to be trusted"],
  no_quorum: ["bad", "no quorum", "too few voted, so there is no answer"],
};

const doubt = "Not to be trusted.";

/**
 * trust says how far to trust a reply: a level (good, warn, bad), a heading, and sentences,
 * the gravest first. name gives a member's name for its id.
 */
export function trust(reply, name) {
  const out = { level: "good", title: "", text: [] };
  const missing = reply.votes.filter((v) => v.outcome !== "ok" && v.outcome !== "pending");
  const pending = reply.votes.filter((v) => v.outcome === "pending");
  const against = reply.votes.filter((v) => v.outcome === "ok" && v.label !== reply.label);
  const set = (level, title, ...text) => {
    if (out.level !== "bad") out.level = level;
    out.title ||= title;
    out.text.push(...text);
  };
  if (reply.status === "single") {
    set("bad", doubt, "This is one model\u2019s opinion: only one member was asked, so nobody could contradict it. Invite others for a second opinion.");
    return out;
  }
  if (reply.status === "minority") {
    set("bad", doubt, `Only ${reply.counted} of ${reply.invited} members voted, and ${reply.quorum} are needed. Those who are missing could turn it round.`);
  }
  if (reply.tie) {
    set("bad", doubt, "It is a tie: the votes are equal. The label shown was picked by a fixed rule, so that every node gives the same; it is not what most members say.");
  } else if (reply.margin < lowMargin) {
    set("bad", doubt, `It is close: the first label is ahead of the second by ${percent(reply.margin)} only, so very little would turn it round.`);
  }
  if (against.length > 0 && !reply.tie) {
    set("warn", "The members do not agree.",
      `${listed(against.map((v) => name(v.node)))} ${against.length === 1 ? "says" : "say"} ${listed([...new Set(against.map((v) => v.label))])} instead. Such a row often lies near a border: look at the map.`);
  }
  if (reply.follows) {
    set("warn", "One member decides.", `The labels so far favour ${name(reply.follows)}, so the answer is what it says.`);
  }
  if (missing.length > 0) {
    set("warn", "Not everybody voted.",
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
export function refusal(p) {
  const title = {
    "quorum-not-reached": "There is no answer: too few voted.",
    joining: "There is no answer yet.",
    "not-ready": "There is no answer yet.",
    "bad-input": "This question cannot be asked.",
  }[p.kind] ?? "There is no answer.";
  const text = [sentence(local(p.message))];
  if (p.body.provisional_label) {
    text.push(`Those who voted lean to ${p.body.provisional_label}, but they are too few for it to count.`);
  }
  return { level: "bad", title, text, todo: (Array.isArray(p.body.what_to_do) ? p.body.what_to_do : []).map(onPage) };
}

/** sentence writes a summary as one; those that begin with a name stay as they are. */
export const sentence = (s) => `${/^(all|both|only|together|nobody|no quorum)\b/.test(s) ? s[0].toUpperCase() + s.slice(1) : s}${/[.!?]$/.test(s) ? "" : "."}`;
