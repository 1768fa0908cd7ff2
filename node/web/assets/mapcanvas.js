// One map on a canvas: regions, borders, hatching, names in the regions, axes, marker.
import { plain } from "./dom.js";
import { css, mix } from "./paint.js";

/** MapCanvas paints n x n cells, row by row from the top; classes has each one's class. */
export class MapCanvas {
  #canvas;
  #map;
  #last = null;
  #width = 0;

  constructor(canvas, map) {
    this.#canvas = canvas;
    this.#map = map;
    new ResizeObserver(() => {
      if (this.#last && canvas.clientWidth !== this.#width) this.paint(...this.#last);
    }).observe(canvas);
  }

  #frame() {
    const { big } = this.#map;
    const w = this.#canvas.clientWidth || 300;
    const side = big ? w - 64 : w;
    return { w, h: big ? Math.round(side * 0.78) + 50 : Math.round(side * 0.78), left: big ? 58 : 0, top: big ? 6 : 0, side, tall: Math.round(side * 0.78) };
  }

  /** valuesAt returns the two features' values under the pointer. */
  valuesAt(event) {
    const f = this.#frame();
    const box = this.#canvas.getBoundingClientRect();
    const part = (v) => Math.max(0, Math.min(1, v));
    const u = part((event.clientX - box.left - f.left) / f.side), v = part((event.clientY - box.top - f.top) / f.tall);
    const { xs, ys } = this.#map;
    return [xs[0] + u * (xs[1] - xs[0]), ys[1] - v * (ys[1] - ys[0])];
  }

  /** paint draws all; spot is the marked place, in the features' own values. */
  paint(theme, spot) {
    this.#last = [theme, spot];
    const f = this.#frame();
    this.#width = f.w;
    const scale = devicePixelRatio || 1;
    this.#canvas.width = Math.round(f.w * scale);
    this.#canvas.height = Math.round(f.h * scale);
    this.#canvas.style.height = `${f.h}px`;
    const g = this.#canvas.getContext("2d");
    g.scale(scale, scale);
    g.save();
    g.translate(f.left, f.top);
    this.#cells(g, f, theme);
    this.#hatch(g, f, theme);
    this.#borders(g, f, theme);
    if (this.#map.big) this.#names(g, f, theme);
    this.#spot(g, f, theme, spot);
    g.restore();
    if (this.#map.big) this.#axes(g, f, theme);
  }

  #cells(g, f, theme) {
    const { n, classes } = this.#map;
    const small = new OffscreenCanvas(n, n);
    const s = small.getContext("2d");
    const image = s.createImageData(n, n);
    const fills = theme.classes.map((c) => mix(c, theme.card, 0.5));
    for (let i = 0; i < n * n; i++) {
      const c = classes[i] < 0 ? theme.line : fills[classes[i] % 10];
      image.data.set([c[0], c[1], c[2], 255], 4 * i);
    }
    s.putImageData(image, 0, 0);
    g.imageSmoothingEnabled = false;
    g.drawImage(small, 0, 0, f.side, f.tall);
  }

  // Where members disagree: stripes, which need no colour to be seen.
  #hatch(g, f, theme) {
    const { n, split } = this.#map;
    const [w, h] = [f.side / n, f.tall / n];
    g.save();
    g.beginPath();
    for (let i = 0; i < n * n; i++) {
      if (split(i)) g.rect((i % n) * w, Math.floor(i / n) * h, w + 0.5, h + 0.5);
    }
    g.clip();
    g.fillStyle = css(theme.card, 0.3);
    g.fillRect(0, 0, f.side, f.tall);
    g.strokeStyle = css(theme.text, 0.5);
    g.lineWidth = 1.1;
    g.beginPath();
    for (let d = -f.tall; d < f.side; d += 7) {
      g.moveTo(d, f.tall);
      g.lineTo(d + f.tall, 0);
    }
    g.stroke();
    g.restore();
  }

  #borders(g, f, theme) {
    const { n, classes, big } = this.#map;
    const [w, h] = [f.side / n, f.tall / n];
    g.strokeStyle = css(theme.text, 0.8);
    g.lineWidth = big ? 1.6 : 1;
    g.beginPath();
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const k = i * n + j;
        if (j + 1 < n && classes[k] !== classes[k + 1]) {
          g.moveTo((j + 1) * w, i * h);
          g.lineTo((j + 1) * w, (i + 1) * h);
        }
        if (i + 1 < n && classes[k] !== classes[k + n]) {
          g.moveTo(j * w, (i + 1) * h);
          g.lineTo((j + 1) * w, (i + 1) * h);
        }
      }
    }
    g.stroke();
  }

  // Each label stands where its region is widest, so that nobody depends on the colours.
  #names(g, f, theme) {
    const { n, classes, labels } = this.#map;
    g.font = `600 15px ${theme.font}`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    for (const k of new Set(classes)) {
      if (k < 0) continue;
      const { at, room } = deepest(n, (i) => classes[i] === k);
      if (room < n / 16) continue;
      const text = labels[k].length > 16 ? `${labels[k].slice(0, 15)}\u2026` : labels[k];
      const half = g.measureText(text).width / 2 + 6;
      const x = Math.max(half, Math.min(f.side - half, ((at % n) + 0.5) * (f.side / n)));
      const y = (Math.floor(at / n) + 0.5) * (f.tall / n);
      g.lineWidth = 4;
      g.lineJoin = "round";
      g.strokeStyle = css(theme.card, 0.9);
      g.strokeText(text, x, y);
      g.fillStyle = css(theme.text);
      g.fillText(text, x, y);
    }
  }

  #spot(g, f, theme, [a, b]) {
    const { xs, ys, big } = this.#map;
    const x = ((a - xs[0]) / (xs[1] - xs[0])) * f.side, y = ((ys[1] - b) / (ys[1] - ys[0])) * f.tall;
    if (!(x >= 0 && x <= f.side && y >= 0 && y <= f.tall)) return;
    const r = big ? 7 : 4;
    g.beginPath();
    g.arc(x, y, r, 0, 2 * Math.PI);
    g.fillStyle = css(theme.card);
    g.fill();
    g.lineWidth = big ? 3.5 : 2;
    g.strokeStyle = css(theme.text);
    g.stroke();
  }

  #axes(g, f, theme) {
    const { xs, ys, x, y } = this.#map;
    g.fillStyle = css(theme.muted);
    g.strokeStyle = css(theme.muted);
    g.lineWidth = 1;
    g.font = `13px ${theme.font}`;
    g.textBaseline = "top";
    g.textAlign = "center";
    for (const v of ticks(xs, f.side / 70)) {
      const at = f.left + ((v - xs[0]) / (xs[1] - xs[0])) * f.side;
      g.fillRect(at - 0.5, f.top + f.tall, 1, 5);
      g.fillText(plain(v), at, f.top + f.tall + 8);
    }
    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const v of ticks(ys, f.tall / 60)) {
      const at = f.top + ((ys[1] - v) / (ys[1] - ys[0])) * f.tall;
      g.fillRect(f.left - 5, at - 0.5, 5, 1);
      g.fillText(plain(v), f.left - 9, at);
    }
    g.fillStyle = css(theme.text);
    g.font = `600 13px ${theme.font}`;
    g.textAlign = "center";
    g.textBaseline = "bottom";
    g.fillText(x, f.left + f.side / 2, f.h - 1);
    g.save();
    g.translate(12, f.top + f.tall / 2);
    g.rotate(-Math.PI / 2);
    g.textBaseline = "middle";
    g.fillText(y, 0, 0);
    g.restore();
  }
}

/** ticks returns round values within a span, about as many as wanted. */
function ticks([low, high], wanted) {
  const rough = (high - low) / Math.max(2, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const out = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) out.push(Number((i * step).toPrecision(6)));
  return out;
}

/** deepest returns the cell of a region that is farthest from its edge, and how far that is in cells. */
function deepest(n, has) {
  const far = new Int16Array(n * n).fill(-1);
  let ring = [];
  for (let i = 0; i < n * n; i++) {
    if (!has(i)) far[i] = 0;
    else if (i < n || i >= n * (n - 1) || i % n === 0 || i % n === n - 1) {
      far[i] = 1;
      ring.push(i);
    }
  }
  const around = (i) => [i % n > 0 ? i - 1 : -1, i % n < n - 1 ? i + 1 : -1, i - n, i + n].filter((k) => k >= 0 && k < n * n);
  for (let i = 0; i < n * n; i++) {
    if (far[i] < 0 && around(i).some((k) => far[k] === 0)) {
      far[i] = 1;
      ring.push(i);
    }
  }
  let at = ring[0] ?? 0;
  while (ring.length > 0) {
    at = ring[Math.floor(ring.length / 2)];
    const next = [];
    for (const i of ring) {
      for (const k of around(i)) {
        if (far[k] >= 0) continue;
        far[k] = far[i] + 1;
        next.push(k);
      }
    }
    ring = next;
  }
  return { at, room: far[at] };
}
