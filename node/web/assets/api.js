// Asking the node. A reply that is not a success is thrown as a Problem, whose message
// is the sentence that the node gives.

export class Problem extends Error {
  constructor(body, status) {
    super(body.error ?? body.detail ?? `the node answered with status ${status}`);
    this.body = body;
    this.status = status;
    this.kind = typeof body.type === "string" ? body.type.split(":").at(-1) : "";
  }
}

async function call(path, init) {
  let response;
  try {
    response = await fetch(path, { ...init, headers: { Accept: "application/json", ...init?.headers } });
  } catch {
    throw new Problem({ error: "This node does not answer. It may have been stopped.", type: "offline" }, 0);
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Problem({ error: `what came from ${path} is not JSON (status ${response.status})` }, response.status);
  }
  if (!response.ok) throw new Problem(body, response.status);
  return body;
}

const post = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const card = () => call("/card");
export const members = () => call("/members");
export const rounds = (limit) => call(`/rounds?limit=${limit}`);
export const round = (id) => call(`/rounds/${encodeURIComponent(id)}`);

/** consensus plays a round for one row. options are those of /consensus. */
export const consensus = (features, options) => post("/consensus", { features, ...options });

/** batch plays one round for many rows. */
export const batch = (instances, options) => post("/consensus", { instances, ...options });
