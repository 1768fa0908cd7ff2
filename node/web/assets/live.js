// The node's events, as long as somebody looks. A hidden page lets go of its connection:
// browsers have few for one host, and a node listens to only so many pages.

/**
 * follow calls on.members and on.round for each event, on.open at each new connection,
 * and on.state with "live", "paused" or "lost".
 */
export function follow(on) {
  let source = null;
  let again = 0;

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }
  function open() {
    close();
    if (document.hidden) return;
    source = new EventSource("/events");
    source.addEventListener("open", () => {
      on.state("live");
      on.open();
    });
    source.addEventListener("members", (e) => on.members(JSON.parse(e.data)));
    source.addEventListener("round", (e) => on.round(JSON.parse(e.data)));
    source.addEventListener("error", () => {
      on.state("lost");
      // The browser comes back by itself, except after a refusal.
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, 3000);
    });
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
}
