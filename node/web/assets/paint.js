// The page's colours for canvases, which know nothing of style sheets.

/** colours returns the theme's colours as [r, g, b], read from the style sheet. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => hex(style.getPropertyValue(name).trim());
  return {
    classes: Array.from({ length: 10 }, (_, k) => get(`--class-${k}`)),
    card: get("--card"), text: get("--text"), muted: get("--muted"), line: get("--line"),
    font: style.getPropertyValue("--font"),
  };
}

function hex(text) {
  const n = Number.parseInt(text.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** mix returns a of the first colour and the rest of the second. */
export const mix = (c, d, a) => c.map((v, i) => Math.round(v * a + d[i] * (1 - a)));

export const css = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;
