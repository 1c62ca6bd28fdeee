// Nudge: the true loss around a number, beside the straight line that its gradient promises.

import { el, svg } from "./dom.js";
import { post } from "./server.js";
import { brief, count, number, t } from "./texts.js";

/** A panel with a slider for one pixel or parameter. @param {number} pass @param {string} cell */
export async function nudgeView(pass, cell) {
  const found = await post("/api/nudge", { pass, cell });
  const middle = (found.values.length - 1) / 2;
  const says = el("p", { class: "number small", "aria-live": "polite" });
  const dot = svg("circle", { class: "validation", r: 5 });
  const [width, height, left] = [360, 190, 48];
  const tangent = found.values.map((value) => found.losses[middle] + found.gradient * (value - found.value));
  const low = Math.min(...found.losses);
  const high = Math.max(...found.losses);
  const room = (high - low || 1) * 0.15;
  const x = (value) => left + ((width - left - 10) * (value - found.values[0])) / (found.values.at(-1) - found.values[0] || 1);
  const y = (loss) => height - 26 - ((height - 40) * (loss - low + room)) / (high - low + 2 * room || 1);
  const path = (losses) => losses.map((loss, at) => [x(found.values[at]), y(loss)]).filter(([, place]) => place > 4 && place < height - 22)
    .map(([across, down], at) => `${at ? "L" : "M"}${across.toFixed(1)} ${down.toFixed(1)}`).join("");
  const label = (at) => t("nudge.says", {
    value: number(found.values[at]), loss: number(found.losses[at]), tangent: number(tangent[at]), switched: count(found.switched[at]),
  });
  function show(at) {
    dot.setAttribute("cx", x(found.values[at]));
    dot.setAttribute("cy", y(found.losses[at]));
    says.textContent = label(at);
  }
  const slider = el("input", { type: "range", min: 0, max: found.values.length - 1, value: middle, "aria-label": found.cell, oninput: () => show(Number(slider.value)) });
  show(middle);
  return el("div", { class: "nudge" },
    svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("nudge.about", { cell: found.cell }) },
      [low, high].map((loss) => [
        svg("line", { class: "axis", x1: left, x2: width - 10, y1: y(loss), y2: y(loss) }), svg("text", { x: left - 4, y: y(loss) + 4, "text-anchor": "end" }, brief(loss)),
      ]),
      [0, middle, found.values.length - 1].map((at) => svg("text", { x: x(found.values[at]), y: height - 8, "text-anchor": at === 0 ? "start" : at === middle ? "middle" : "end" }, brief(found.values[at]))),
      svg("path", { class: "wrong", d: path(tangent) }), svg("path", { class: "loss", d: path(found.losses) }), dot),
    slider, says,
    el("p", { class: "small pale" }, t("nudge.slopes", { gradient: number(found.gradient), central: number(found.central) })));
}
