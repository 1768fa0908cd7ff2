// The page: fetches what does not change, puts the parts together, listens.
import * as api from "./api.js";
import { Answer } from "./answer.js";
import { Form } from "./ask.js";
import * as door from "./door.js";
import { byId } from "./dom.js";
import { showInvite } from "./invite.js";
import { Learning } from "./learning.js";
import { follow } from "./live.js";
import { DecisionMap } from "./map.js";
import { Members } from "./members.js";
import { Review } from "./review.js";
import { Rounds } from "./rounds.js";
import { Truth } from "./truth.js";

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
  byId("links").hidden = door.known() !== null; // a browser follows links without the key

  const members = new Members(task.labels);
  const learning = new Learning(task.labels, members);
  const truth = new Truth(byId("truth"), task.labels, members, learning);
  const answer = new Answer(task.labels, members, truth);
  const rounds = new Rounds(task.labels, members, truth);
  const review = new Review(task, members, truth);
  const form = new Form(task, ask);
  const map = new DecisionMap(task, members, form, (row) => {
    form.set(row);
    ask();
  });

  async function ask() {
    if (!form.valid) return;
    const row = form.values, id = api.requestID();
    const turn = answer.asking(id);
    try {
      const reply = await api.consensus(row, form.options, id);
      map.asked(row);
      const outside = form.outside(row);
      const notes = outside.length === 0 ? [] :
        [`The members have seen nothing like it: ${outside.slice(0, 3).join("; ")}${outside.length > 3 ? "; and more" : ""}. Models answer all the same, but here they only guess.`];
      answer.show(turn, reply, notes);
    } catch (e) {
      if (!(e instanceof api.Problem)) throw e;
      answer.fail(turn, e);
    }
  }

  // What others ask at this node is shown too if the reader wants that, but never in the
  // way of a question from this page.
  let watched = null; // request id and turn of another's round
  const others = {
    asked(e) {
      if (answer.busy || !byId("follow").checked) return;
      watched = { id: e.request_id, turn: answer.asking(e.request_id) };
    },
    async decided(e) {
      if (watched?.id !== e.request_id) return;
      const { turn } = watched;
      watched = null;
      try {
        const whole = await api.round(e.round);
        if (whole.consensus?.label && whole.status !== "no_quorum") answer.show(turn, whole.consensus, []);
        else answer.fail(turn, new api.Problem({ ...whole.consensus, error: e.summary, type: "quorum-not-reached" }, 503));
      } catch (problem) {
        if (!(problem instanceof api.Problem)) throw problem;
        answer.fail(turn, problem);
      }
    },
  };

  // Who votes decides what the map looks like. A suspect still votes; that one comes to be
  // suspected and another is cleared is no reason to ask everybody thousands of questions.
  let voters = "", soon = 0;
  function show(reply) {
    members.show(reply);
    learning.draw(); // names may have changed
    const now = reply.members.filter((m) => m.voter && (m.state === "alive" || m.state === "suspect")).map((m) => m.id).sort().join();
    if (voters && now !== voters) {
      clearTimeout(soon);
      soon = setTimeout(() => map.draw(), 1000);
      showInvite(); // which model is wanted next
    }
    voters = now;
  }

  show(first);
  rounds.draw();
  const listen = follow({
    members: show,
    weights: (w) => {
      learning.show(w);
      review.refresh();
    },
    round: (r) => {
      rounds.merge([r]);
      review.refresh();
    },
    asked: (e) => {
      others.asked(e);
      answer.asked(e);
    },
    vote: (e) => answer.vote(e),
    decided: (e) => others.decided(e),
    open: async () => {
      try {
        const [now, recent] = await Promise.all([api.card(), api.rounds(60)]);
        // Another program, or one with another task, has taken the node's place.
        if (now.version !== card.version || now.task.digest !== task.digest) location.reload();
        rounds.merge(recent.rounds);
        review.refresh();
        trouble("");
      } catch (e) {
        if (!(e instanceof api.Problem)) throw e; // the connection is lost again, and says so itself
      }
    },
    state: (s) => {
      byId("live").className = `live is-${s}`;
      byId("live").textContent = { live: "live", paused: "paused", lost: "not connected" }[s];
      if (s === "lost") trouble("This node does not answer at the moment. What is shown may be old; the page tries again by itself.");
    },
    refused: async () => {
      try {
        await enter();
        showInvite();
      } catch (e) {
        if (!(e instanceof api.Problem)) throw e; // the node is gone: listening goes on trying
      }
      listen();
    },
  });
  showInvite();
  map.draw();
}

/** enter returns when the node opens to this reader, who may have to bring the join line first. */
async function enter() {
  for (;;) {
    try {
      await api.members();
      return;
    } catch (e) {
      if (!(e instanceof api.Problem) || e.status !== 401) throw e;
      trouble("");
      await door.open();
    }
  }
}

async function begin() {
  try {
    await enter();
    await start();
    trouble("");
  } catch (e) {
    if (!(e instanceof api.Problem)) throw e;
    trouble(`${e.message} The page tries again by itself.`);
    setTimeout(begin, 3000);
  }
}
begin();
