// One color scale per quantity, centered on zero: blue below, orange above, paper at zero. The square root makes a
// hundredth of the largest value still visible; the ticks of a legend stand where it puts them.

import { el } from "./dom.js";
import { brief } from "./texts.js";

const STEPS = 128;
let table = null;

/** Forget the colors, after the theme has changed. */
export function forgetColors() {
  table = null;
}

function hex(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

function colors() {
  if (table) return table;
  const [zero, negative, positive] = ["--zero", "--negative", "--positive"].map(hex);
  table = [];
  for (let step = -STEPS; step <= STEPS; step++) {
    const end = step < 0 ? negative : positive;
    const share = Math.abs(step) / STEPS;
    table.push(zero.map((from, at) => Math.round(from + (end[at] - from) * share)));
  }
  return table;
}

/** @param {number} value @param {number} largest @returns {number[]} */
export function color(value, largest) {
  if (!Number.isFinite(value)) return [255, 0, 255];
  const share = largest > 0 ? Math.min(Math.sqrt(Math.abs(value) / largest), 1) : 0;
  return colors()[STEPS + Math.round(Math.sign(value) * share * STEPS)];
}

/** Draw values into a canvas, one pixel a cell. */
export function paint(canvas, values, rows, columns, largest) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let at = 0; at < rows * columns; at++) {
    const [red, green, blue] = at < values.length ? color(values[at], largest) : [0, 0, 0];
    image.data.set([red, green, blue, at < values.length ? 255 : 0], 4 * at);
  }
  context.putImageData(image, 0, 0);
}

/** The scale with its ticks, which stand evenly: the largest value, a quarter of it, zero. @param {number} largest */
export function legend(largest, width) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  const share = (at) => (2 * at) / (2 * STEPS) - 1;
  const values = Array.from({ length: 2 * STEPS + 1 }, (_, at) => Math.sign(share(at)) * share(at) ** 2 * (largest || 1));
  paint(canvas, values, 1, values.length, largest || 1);
  canvas.style.width = `${width}px`;
  canvas.style.height = "6px";
  const ticks = width >= 200 ? [-1, -0.25, 0, 0.25, 1] : [-1, 0, 1];
  const box = el("div", { class: "legend" }, canvas, el("div", {}, ticks.map((tick) => el("span", {}, brief(tick * largest)))));
  box.style.width = `${width}px`;
  return box;
}
