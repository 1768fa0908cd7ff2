// Asking the node. A reply that is not a success is thrown as a Problem, whose message
// is the sentence that the node gives.
import { headers } from "./door.js";

export class Problem extends Error {
  constructor(body, status) {
    super(body.error ?? body.detail ?? `the node answered with status ${status}`);
    this.body = body;
    this.status = status;
    this.kind = typeof body.type === "string" ? body.type.split(":").at(-1) : "";
  }
}

// What the rounds of this page are called, so that their votes are told to it. A number
// that nobody guesses: others' rounds cannot pass for ours.
const page = `page-${[...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("")}-`;
let asked = 0;

/** requestID makes an id for one more round of this page. */
export const requestID = () => `${page}${++asked}`;

async function request(path, init) {
  let response;
  try {
    response = await fetch(path, { ...init, headers: {
      Accept: "application/json",
      "ngrok-skip-browser-warning": "1", // a free tunnel answers browsers with a page of its own, once
      ...headers(), ...init?.headers,
    } });
  } catch (e) {
    if (init?.signal?.aborted) throw e;
    throw new Problem({ error: "This node does not answer. It may have been stopped.", type: "offline" }, 0);
  }
  if (response.ok) return response;
  let body;
  try {
    body = await response.json();
  } catch {
    body = { error: `${path} answered with status ${response.status}` };
  }
  throw new Problem(body, response.status);
}

async function call(path, init) {
  const response = await request(path, init);
  try {
    return await response.json();
  } catch {
    throw new Problem({ error: `what came from ${path} is not JSON (status ${response.status})` }, response.status);
  }
}

const post = (path, body, id) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json", ...(id ? { "X-Request-Id": id } : {}) }, body: JSON.stringify(body) });

export const card = () => call("/card");
export const members = () => call("/members");
export const weights = () => call("/weights");
export const invite = () => call("/invite");
export const rounds = (limit) => call(`/rounds?limit=${limit}`);
export const round = (id) => call(`/rounds/${encodeURIComponent(id)}`);
export const review = (limit) => call(`/review?limit=${limit}`);

/** consensus plays a round for one row. options are those of /consensus; id is from requestID. */
export const consensus = (features, options, id) => post("/consensus", { features, ...options }, id);

/** batch plays one round for many rows. */
export const batch = (instances, options) => post("/consensus", { instances, ...options });

/** feedback gives a round its true label. */
export const feedback = (round, label) => post("/feedback", { round, label });

/** events opens the stream of events; its rounds are told vote by vote. */
export const events = async (signal) => (await request(`/events?mine=${page}`, { signal, cache: "no-store" })).body;
