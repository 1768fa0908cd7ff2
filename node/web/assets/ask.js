// The form: one field a feature, with defaults that make sense.
import { byId, el, plain, words } from "./dom.js";

// Rows of Fisher's Iris data (1936) that everybody may know, and a made-up flower on the
// border between two kinds.
const iris = {
  features: ["sepal_length", "sepal_width", "petal_length", "petal_width"],
  examples: [
    ["a setosa", [5.1, 3.5, 1.4, 0.2]],
    ["a versicolor", [5.7, 2.8, 4.1, 1.3]],
    ["a virginica", [6.5, 3, 5.8, 2.2]],
    ["a borderline case", [6, 2.8, 4.9, 1.7]],
  ],
};

/** Form holds the fields of one row. */
export class Form {
  #inputs = [];
  #task;

  constructor(task, onAsk) {
    this.#task = task;
    const isIris = task.features.join() === iris.features.join();
    const start = isIris ? iris.examples[0][1] : task.features.map((_, j) => task.ranges?.[j]?.typical ?? 0);
    const examples = isIris ? iris.examples : task.ranges ? [["typical values", start]] : [];
    byId("examples").replaceChildren(...examples.map(([name, row]) =>
      el("button", { type: "button", class: "chip", onclick: () => this.set(row) }, name)));
    byId("fields").classList.toggle("few", this.#few);
    byId("fields").classList.toggle("lots", task.features.length > 24);
    byId("fields").replaceChildren(...task.features.map((f, j) => this.#field(f, j, start[j])));
    byId("form").addEventListener("submit", (e) => {
      e.preventDefault();
      onAsk();
    });
  }

  // Few features stand one below the other, many side by side.
  get #few() {
    return this.#task.features.length <= 6;
  }

  #field(name, j, value) {
    const range = this.#task.ranges?.[j];
    const id = `feature${j}`;
    const input = el("input", {
      id, name, type: "number", step: "any", required: true, autocomplete: "off", value: plain(value),
      "aria-describedby": range ? `${id}-hint` : null,
      onpaste: (e) => this.#paste(e, j),
    });
    this.#inputs.push(input);
    return el("div", { class: "field" },
      el("label", { for: id }, words(name)),
      input,
      range ? el("small", { id: `${id}-hint`, class: "muted" }, `${plain(range.min)} to ${plain(range.max)}${this.#few ? " in the data" : ""}`) : null);
  }

  // A whole row pasted into one field fills the others too.
  #paste(e, j) {
    const values = (e.clipboardData?.getData("text") ?? "").trim().split(/[\s,;]+/).map(Number);
    if (values.length < 2 || values.some((v) => !Number.isFinite(v))) return;
    e.preventDefault();
    values.slice(0, this.#inputs.length - j).forEach((v, i) => { this.#inputs[j + i].value = v; });
  }

  get values() {
    return this.#inputs.map((i) => i.valueAsNumber);
  }

  get valid() {
    return byId("form").reportValidity();
  }

  set(row) {
    row.forEach((v, j) => { if (this.#inputs[j]) this.#inputs[j].value = v; });
  }

  /** options returns the parameters of the round. */
  get options() {
    const o = { method: byId("method").value };
    if (byId("wait").checked) o.wait = "all";
    if (byId("minority").checked) o.minority = true;
    return o;
  }

  /** outside says which features lie beyond the values that this node's model has seen. */
  outside(row) {
    return this.#task.features.flatMap((name, j) => {
      const r = this.#task.ranges?.[j];
      if (!r || (row[j] >= r.min && row[j] <= r.max)) return [];
      return [`${words(name)} is ${plain(row[j])}, and the data have ${plain(r.min)} to ${plain(r.max)}`];
    });
  }
}
