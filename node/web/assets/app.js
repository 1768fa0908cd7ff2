// The page: fetches what does not change, puts the parts together, listens.
import * as api from "./api.js";
import { Answer } from "./answer.js";
import { Form } from "./ask.js";
import { byId } from "./dom.js";
import { follow } from "./live.js";
import { DecisionMap } from "./map.js";
import { Members } from "./members.js";
import { Rounds } from "./rounds.js";

const trouble = (text) => {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
};

/** start returns once everything stands; it throws a Problem if the node does not answer. */
async function start() {
  const [card, first] = await Promise.all([api.card(), api.members()]);
  const { task } = card;
  document.title = `${card.name} \u2013 Caucus`;
  byId("node-line").textContent = `node ${card.name}${card.model === card.name ? "" : `, model ${card.model}`}, task ${task.name}`;
  byId("version").textContent = `Caucus ${card.version}`;
  byId("invite").textContent = `caucus invite --node ${location.origin}`;

  const members = new Members(task.labels);
  const answer = new Answer(task.labels, members);
  const rounds = new Rounds(task.labels, members);
  const form = new Form(task, ask);
  const map = new DecisionMap(task, members, form, (row) => {
    form.set(row);
    ask();
  });

  async function ask() {
    if (!form.valid) return;
    const row = form.values;
    const turn = answer.asking();
    try {
      const reply = await api.consensus(row, form.options);
      map.asked(row);
      const outside = form.outside(row);
      const notes = outside.length === 0 ? [] :
        [`The members have seen nothing like it: ${outside.slice(0, 3).join("; ")}${outside.length > 3 ? "; and more" : ""}. Models answer all the same, but here they only guess.`];
      await answer.show(turn, reply, notes);
    } catch (e) {
      if (!(e instanceof api.Problem)) throw e;
      answer.fail(turn, e);
    }
  }

  // Who votes decides what the map looks like. A suspect still votes; that one comes to be
  // suspected and another is cleared is no reason to ask everybody thousands of questions.
  let voters = "", soon = 0;
  function show(reply) {
    members.show(reply);
    const now = reply.members.filter((m) => m.voter && (m.state === "alive" || m.state === "suspect")).map((m) => m.id).sort().join();
    if (voters && now !== voters) {
      clearTimeout(soon);
      soon = setTimeout(() => map.draw(), 1000);
    }
    voters = now;
  }

  show(first);
  rounds.draw();
  follow({
    members: show,
    round: (r) => rounds.merge([r]),
    open: async () => {
      try {
        const [now, recent] = await Promise.all([api.card(), api.rounds(60)]);
        // Another program, or one with another task, has taken the node's place.
        if (now.version !== card.version || now.task.digest !== task.digest) location.reload();
        rounds.merge(recent.rounds);
        trouble("");
      } catch { /* the connection is lost again, and says so itself */ }
    },
    state: (s) => {
      byId("live").className = `live ${s}`;
      byId("live").textContent = { live: "live", paused: "paused", lost: "not connected" }[s];
      if (s === "lost") trouble("This node does not answer at the moment. What is shown may be old; the page tries again by itself.");
    },
  });
  map.draw();
}

byId("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(byId("invite").textContent);
    byId("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(byId("invite"));
    byId("copied").textContent = "Selected: copy it with the keyboard.";
  }
});

async function begin() {
  try {
    await start();
  } catch (e) {
    if (!(e instanceof api.Problem)) throw e;
    trouble(`${e.message} The page tries again by itself.`);
    setTimeout(begin, 3000);
  }
}
begin();
