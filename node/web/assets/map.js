// The decision map: two features vary, the others stay as they are in the form. One
// batch asks all members for every cell.
import { batch } from "./api.js";
import { byId, el, listed, percent, plain, plural, swatch, words } from "./dom.js";
import { colours } from "./paint.js";
import { MapCanvas } from "./mapcanvas.js";

const finest = 60, coarsest = 16; // cells a side
const bytes = 3_500_000; // of a batch, below what a node takes
const most = 12; // members with a map of their own

/** DecisionMap is the section with all its maps. */
export class DecisionMap {
  #task;
  #members;
  #form;
  #onPick;
  #data = null;
  #canvases = [];
  #asking = false;
  #again = false;
  #row = null; // that was asked for last

  constructor(task, members, form, onPick) {
    this.#task = task;
    this.#members = members;
    this.#form = form;
    this.#onPick = onPick;
    const options = () => task.features.map((f, j) => el("option", { value: j }, words(f)));
    byId("map-x").append(...options());
    byId("map-y").append(...options());
    // Of Iris, the petals tell the kinds apart; of other tasks nothing is known.
    const start = task.features.indexOf("petal_length") >= 0 ? task.features.indexOf("petal_length") : 0;
    byId("map-x").value = start;
    byId("map-y").value = Math.min(start + 1, task.features.length - 1);
    for (const id of ["map-x", "map-y"]) byId(id).addEventListener("change", () => this.draw());
    byId("map-draw").addEventListener("click", () => this.draw());
    document.addEventListener("themechange", () => this.#paint());
  }

  /** asked marks the row of the last question, and draws again if the map does not hold for it. */
  asked(row) {
    this.#row = row;
    const d = this.#data;
    const fits = d && row.every((v, j) => j === d.x || j === d.y || v === d.held[j]);
    if (fits && inside(row[d.x], d.xs) && inside(row[d.y], d.ys)) this.#paint();
    else this.draw();
  }

  /** draw asks anew; if it is asking already, then once more when that is done. */
  async draw() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    try {
      do {
        this.#again = false;
        await this.#ask();
      } while (this.#again);
    } finally {
      this.#asking = false;
    }
  }

  async #ask() {
    const x = Number(byId("map-x").value), y = Number(byId("map-y").value);
    if (x === y) {
      this.#say("Choose two different features.");
      return;
    }
    const held = this.#form.values.map((v) => (Number.isFinite(v) ? v : 0));
    const width = held.reduce((sum, v) => sum + plain(v).length + 3, 24);
    const n = Math.max(coarsest, Math.min(finest, Math.floor(Math.sqrt(bytes / width))));
    const xs = this.#span(x, held[x]), ys = this.#span(y, held[y]);
    const at = ([low, high], i) => Number((low + ((high - low) * (i + 0.5)) / n).toPrecision(6));
    const rows = [];
    for (let i = 0; i < n; i++) { // from the top
      for (let j = 0; j < n; j++) {
        const row = held.slice();
        row[x] = at(xs, j);
        row[y] = at(ys, n - 1 - i);
        rows.push(row);
      }
    }
    this.#say("Asking\u2026");
    byId("map-area").setAttribute("aria-busy", "true");
    const start = performance.now();
    let reply;
    try {
      reply = await batch(rows, { method: byId("method").value, wait: "all", minority: true });
    } catch (e) {
      this.#say(`The map cannot be drawn: ${e.message}`);
      return;
    } finally {
      byId("map-area").removeAttribute("aria-busy");
    }
    this.#data = { reply, n, x, y, xs, ys, held };
    this.#lay();
    this.#paint();
    const split = reply.results.filter((r) => !r.unanimous).length;
    this.#say(`${plural(n * n, "question")} to ${plural(reply.counted, "member")} in one batch, drawn in ${((performance.now() - start) / 1000).toFixed(2)} s. ` +
      (reply.status === "minority" ? "Too few members voted for this map to count. " : "") +
      (reply.counted > 1 ? `They disagree on ${percent(split / (n * n))} of the map.` : "With one member there is nobody to disagree."));
    const others = this.#task.features.flatMap((f, j) => (j === x || j === y ? [] : [`${words(f)} ${plain(held[j])}`]));
    byId("map-held").textContent = others.length === 0 ? "" :
      others.length > 6 ? `The other ${others.length} features stay as in the form.` : `Held as in the form: ${others.join(", ")}.`;
  }

  // The values to show of a feature: those in the data with a margin, and the form's own.
  #span(j, value) {
    const r = this.#task.ranges?.[j];
    let [low, high] = r ? [r.min, r.max] : [value - 1, value + 1];
    if (!r && Math.abs(value) > 1) [low, high] = [Math.min(0, 2 * value), Math.max(0, 2 * value)];
    [low, high] = [Math.min(low, value), Math.max(high, value)];
    const margin = (high - low || 1) * 0.04;
    return [low - margin, high + margin];
  }

  #lay() {
    const { reply, n, x, y, xs, ys } = this.#data;
    const split = (k) => !reply.results[k].unanimous;
    const axes = { n, xs, ys, x: words(this.#task.features[x]), y: words(this.#task.features[y]), labels: this.#task.labels };
    this.#canvases = [];
    const figure = (title, classes, big, below) => {
      const canvas = el("canvas", { role: "img", "aria-label": this.#describe(title, classes) });
      const map = new MapCanvas(canvas, { ...axes, classes, big, split: big ? split : () => false });
      this.#canvases.push(map);
      if (big) {
        canvas.addEventListener("click", (e) => {
          const [a, b] = map.valuesAt(e);
          const row = this.#data.held.slice();
          row[x] = Number(a.toPrecision(3));
          row[y] = Number(b.toPrecision(3));
          this.#onPick(row);
        });
      }
      return el("figure", { class: big ? "big" : "small" }, el("figcaption", null, el("strong", null, title), below ? el("span", { class: "muted" }, below) : null), canvas);
    };
    const voters = this.#members.sort(reply.votes_by_node).filter((v) => v.outcome === "ok" && v.labels.length === n * n);
    const smalls = voters.slice(0, most).map((v) => {
      const same = v.labels.filter((k, i) => k === reply.predictions[i]).length / (n * n);
      return figure(this.#members.name(v.node), v.labels, false, `agrees on ${percent(same)}`);
    });
    const silent = reply.votes_by_node.filter((v) => v.outcome !== "ok").map((v) => this.#members.name(v.node));
    byId("map-area").classList.toggle("many", voters.length > 6);
    byId("map-area").replaceChildren(
      el("div", { class: "map-main" },
        figure("All together", reply.predictions, true, "Click a place to ask there.")),
      el("div", { class: "smalls" }, smalls, this.#legend(),
        voters.length > most ? el("p", { class: "muted" }, `and ${voters.length - most} more`) : null,
        silent.length > 0 ? el("p", { class: "muted" }, `Without a vote, so not on the map: ${listed(silent)}.`) : null));
  }

  #legend() {
    const there = new Set(this.#data.reply.predictions);
    for (const v of this.#data.reply.votes_by_node) for (const k of v.labels) there.add(k);
    return el("ul", { class: "legend", "aria-label": "Legend" },
      this.#task.labels.map((l, k) => there.has(k) ? el("li", null, swatch(k), l) : null),
      el("li", null, el("span", { class: "swatch hatched", "aria-hidden": "true" }), "members disagree"),
      el("li", null, el("span", { class: "swatch spot", "aria-hidden": "true" }), "the row asked for"));
  }

  #describe(title, classes) {
    const counts = new Map();
    for (const k of classes) counts.set(k, (counts.get(k) ?? 0) + 1);
    const parts = [...counts].filter(([k]) => k >= 0).sort((a, b) => b[1] - a[1])
      .map(([k, c]) => `${this.#task.labels[k]} ${percent(c / classes.length)}`);
    return `Map of ${title}: ${parts.join(", ")} of the area.`;
  }

  #paint() {
    if (!this.#data) return;
    const row = this.#row ?? this.#data.held;
    const { x, y } = this.#data;
    const theme = colours();
    for (const c of this.#canvases) c.paint(theme, [row[x], row[y]]);
  }

  #say(text) {
    byId("map-line").textContent = text;
  }
}

const inside = (v, [low, high]) => v >= low && v <= high;
