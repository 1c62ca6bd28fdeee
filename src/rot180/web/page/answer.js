// What a network answers, class by class, and what that rests on.

import { legend } from "./colors.js";
import { el } from "./dom.js";
import { Map2d } from "./map.js";
import { t, term } from "./texts.js";

const MOST_CLASSES = 12;

/**
 * A bar a class: all in their order, or the likeliest ones of many.
 * @param {number[]} probabilities @param {string[]} classes @param {number} chosen @param {(label: number) => void} choose
 */
export function bars(probabilities, classes, chosen, choose) {
  const order = probabilities.map((share, label) => [share, label]).sort((a, b) => (probabilities.length > MOST_CLASSES ? b[0] - a[0] : a[1] - b[1])).slice(0, MOST_CLASSES);
  return order.map(([share, label]) => {
    const bar = el("span", { class: "bar" });
    bar.style.width = `${(100 * share).toFixed(2)}%`;
    return el("button", { type: "button", class: "share", "aria-pressed": String(label === chosen), onclick: () => choose(label) },
      el("span", {}, classes[label]), el("span", { class: "track" }, bar), el("span", { class: "number" }, `${(100 * share).toFixed(1)}%`));
  });
}

/** The three maps of an attribution. @param {any} attribution @param {string} name of the class */
export function reasons({ saliency, grad_cam: cam, occlusion, layer, patch }, name) {
  const figure = (key, rows, values = {}) => {
    if (!rows.length) return null;
    const flat = rows.flat();
    const largest = Math.max(...flat.map(Math.abs), 0);
    const map = new Map2d({ label: t(`${key}.title`) });
    map.show(flat, rows.length, rows[0].length, largest, 200);
    return el("figure", {}, el("figcaption", {}, term(key)), map.element, legend(largest, Math.max(map.width, 110)), el("p", { class: "small pale says" }, t(`${key}.says`, { name, ...values })));
  };
  return [figure("saliency", saliency), figure("grad-cam", cam, { layer }), figure("occlusion", occlusion, { patch })].filter(Boolean);
}
