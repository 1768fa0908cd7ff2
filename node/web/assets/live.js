// The node's events, as long as somebody looks. A hidden page lets go of its connection:
// browsers have few for one host, and a node listens to only so many pages. They are read
// with fetch, since an EventSource sends no key.
import { events } from "./api.js";

const quiet = 40_000; // ms without a byte after which the connection is dead; the node says something every 15 s

/**
 * follow calls on[name] with the data of each event, on.open at each new connection,
 * on.state with "live", "paused" or "lost", and on.refused when the key is no longer good;
 * then it stops. It returns a function that begins again.
 */
export function follow(on) {
  let current = null; // AbortController of the connection
  let again = 0;

  function close() {
    clearTimeout(again);
    current?.abort();
    current = null;
  }
  async function open() {
    close();
    if (document.hidden) return;
    const mine = new AbortController();
    current = mine;
    let opened = false;
    try {
      const body = await events(mine.signal);
      opened = true;
      on.state("live");
      on.open();
      await read(body, mine, (name, data) => {
        try {
          on[name]?.(JSON.parse(data));
        } catch (e) {
          reportError(e); // ours; the connection is good
        }
      });
    } catch (e) {
      if (e.status === 401) {
        on.refused();
        return;
      }
    }
    if (current !== mine) return; // it was closed on purpose
    on.state("lost");
    again = setTimeout(open, opened ? 500 : 2000);
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      on.state("paused");
    } else {
      open();
    }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => e.persisted && open());
  open();
  return open;
}

// Server-sent events as far as a node sends them: a name, one line of data, an empty line.
async function read(body, connection, happened) {
  const lines = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", name = "", data = "";
  for (;;) {
    const watch = setTimeout(() => connection.abort(), quiet);
    const { value, done } = await lines.read().finally(() => clearTimeout(watch));
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const line of parts) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data = line.slice(6);
      else if (line === "") {
        if (name && data) happened(name, data);
        name = data = "";
      }
    }
  }
}
