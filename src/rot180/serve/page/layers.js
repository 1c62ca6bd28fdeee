// Maps of the layers: what each of them makes of the picture.

import { legend, paint } from "./colors.js";
import { el } from "./dom.js";
import { t } from "./texts.js";

const SPACE = 72;

/**
 * A row of maps for each layer, on a scale of its own.
 * @param {Record<string, import("./server.js").Tensor>} arrays
 * @param {{ name: string, shape: number[], largest: number, step: number }[]} told
 */
export function layers(arrays, told) {
  return told.map(({ name, shape: [height, width, channels], largest, step }) => {
    const { shape: [count, rows, columns], data } = arrays[name];
    const scale = Math.max(SPACE / Math.max(rows, columns), 1);
    const maps = Array.from({ length: count }, (_, at) => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      paint(canvas, data.subarray(at * rows * columns, (at + 1) * rows * columns), rows, columns, largest);
      canvas.style.width = `${Math.round(columns * scale)}px`;
      canvas.style.height = `${Math.round(rows * scale)}px`;
      return canvas;
    });
    const more = [count < channels ? t("maps-shown", { count, channels }) : "", step > 1 ? t("every-pixel", { step }) : ""].filter(Boolean);
    return el("figure", { class: "layer" },
      el("figcaption", {}, name, el("span", { class: "number" }, [`${height} × ${width} × ${channels}`, ...more].join("; "))),
      el("div", { class: "row", role: "img", "aria-label": t("maps-of", { name }) }, maps), legend(largest, 140));
  });
}
