// The way in for somebody who is not on the node's machine. They have the join line; the
// key is made of it here, and neither token nor line is ever sent anywhere. Both are kept for this tab alone.
import { byId } from "./dom.js";
import { keyOf, tokenIn } from "./key.js";

let token = remembered();
let key = token ? keyOf(token) : null;

function remembered() {
  const inAddress = tokenIn(location.hash);
  if (inAddress) {
    // Off the address bar, which is on the projector and in the history.
    history.replaceState(null, "", location.pathname + location.search);
    keep(inAddress);
    return inAddress;
  }
  try {
    return tokenIn(sessionStorage.getItem("caucus-token") ?? "");
  } catch {
    return null; // storage is off: the token lasts as long as the page
  }
}

function keep(value) {
  try {
    if (value) sessionStorage.setItem("caucus-token", value);
    else sessionStorage.removeItem("caucus-token");
  } catch { /* as above */ }
}

// The address of the line, opened in a tab that shows this page already, loads nothing anew.
addEventListener("hashchange", () => {
  if (tokenIn(location.hash)) location.reload();
});

/** headers returns what proves to the node that this reader may look. */
export const headers = () => (key ? { Authorization: `Bearer ${key}` } : {});

/** known returns the token that the reader came with, or null. */
export const known = () => token;

/**
 * open shows the door until somebody brings a line that has a token, and returns. Whether
 * it is the right one shows when the node is asked again.
 */
export function open() {
  const wrong = token !== null;
  token = key = null;
  keep(null);
  byId("door-why").textContent = wrong
    ? "That line does not open this cluster. It may be another cluster\u2019s, or an old one: the token can be replaced. Ask for a new line."
    : "";
  byId("door").hidden = false;
  byId("main").hidden = true;
  document.body.classList.add("shut");
  byId("door-line").value = "";
  byId("door-line").focus();
  return new Promise((done) => {
    byId("door-form").onsubmit = (e) => {
      e.preventDefault();
      const found = tokenIn(byId("door-line").value);
      if (!found) {
        byId("door-why").textContent = "There is no token in that. It is what stands after # in the line, 43 letters, digits, - and _; paste the whole line.";
        return;
      }
      token = found;
      key = keyOf(found);
      keep(found);
      byId("door").hidden = true;
      byId("main").hidden = false;
      document.body.classList.remove("shut");
      done();
    };
  });
}
