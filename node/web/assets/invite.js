// The line with which somebody joins. It holds the cluster's secret, so it is shown only
// to a reader who brought it, and only when asked for: this page may be on a projector.
import * as api from "./api.js";
import { known } from "./door.js";
import { byId, el } from "./dom.js";

/** showInvite fills the part about the join line. */
export async function showInvite() {
  let i;
  try {
    i = await api.invite();
  } catch (e) {
    if (!(e instanceof api.Problem)) throw e;
    return; // what is there stays
  }
  const address = i.url || location.origin;
  const line = (token) => `caucus serve --model ${i.model} --join "${address}${token ? `#${token}` : ""}"`;
  const notes = [];
  if (i.here) notes.push("The address works on this machine only. For others start the node with --listen :5001 (same network) or --public-url URL.");
  if (!i.iris) notes.push("They add --data FILE and --label with the same columns and labels: the model is fitted on their machine.");
  const token = known();
  if (i.open) {
    fill("Whoever reaches the address can join: this cluster has no token.", line(null), false, notes);
  } else if (token) {
    fill("Whoever has this line is a member and votes, and can open this page. Send it as you would send a password; it is hidden until you ask for it, since others may see your screen.", line(token), true,
      [...notes, "If it was seen by the wrong people: caucus invite --rotate."]);
  } else {
    fill("This command prints the line, on the node\u2019s machine and for the account that runs it: the line holds the cluster\u2019s secret, and other users of the machine may see this page.",
      `caucus invite --node ${location.origin}`, false, notes);
  }
}

function fill(who, line, secret, notes) {
  byId("invite-who").textContent = who;
  const code = byId("invite");
  const hidden = line.replace(/#[\w-]{43}/, `#${"\u2022".repeat(12)}`);
  code.textContent = secret ? hidden : line;
  byId("invite-show").hidden = !secret;
  byId("invite-show").setAttribute("aria-pressed", "false");
  byId("invite-show").onclick = () => {
    const shown = code.textContent === line;
    code.textContent = shown ? hidden : line;
    byId("invite-show").textContent = shown ? "Show" : "Hide";
    byId("invite-show").setAttribute("aria-pressed", String(!shown));
  };
  byId("copy").onclick = async () => {
    try {
      await navigator.clipboard.writeText(line);
      byId("copied").textContent = "Copied.";
    } catch {
      // Browsers give the clipboard to pages on https and localhost only.
      code.textContent = line;
      getSelection().selectAllChildren(code);
      byId("copied").textContent = "Selected: copy it with the keyboard.";
    }
  };
  byId("invite-notes").replaceChildren(...notes.map((n) => el("p", { class: "muted fine" }, n)));
}
