// The journey: what one image becomes in each layer, and what comes back; shapes, memory, products, and the line of code.

import { address, link, note } from "./address.js";
import { el } from "./dom.js";
import { picker } from "./pictures.js";
import { post } from "./server.js";
import { brief, count, t, term } from "./texts.js";

const PHASES = ["forward", "loss", "backward", "update"];

export async function journey(main, app) {
  const { values } = address();
  const { subject } = app;
  let image = Math.min(Number(values.image) || 0, subject.count - 1);
  let isBackward = values.way === "backward";
  let found;
  const body = el("div", { class: "phase" });
  const { label, strip } = picker(subject, image, look);
  const buttons = ["forward", "backward"].map((way) => el("button", { type: "button", onclick: () => turn(way === "backward") }, t(`way.${way}`)));

  async function look(chosen) {
    image = chosen;
    found = await post("/api/journey", { image });
    draw();
  }

  function turn(backward) {
    isBackward = backward;
    draw();
  }

  function draw() {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(isBackward === (at === 1))));
    body.replaceChildren(...phases(found, isBackward, image));
    note("journey", { image, way: isBackward ? "backward" : null });
  }

  function press(event) {
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "b") turn(!isBackward);
  }

  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.journey")),
    el("p", { class: "pale" }, t("journey.about"), " ", el("span", { class: "terms" }, term("multiply-add"), term("delta"), term("winner"))),
    el("div", { class: "controls" },
      label,
      el("div", { class: "switch", role: "group", "aria-label": t("way") }, buttons), el("span", { class: "small pale" }, t("turn-round"), " ", el("kbd", {}, "B"))),
    strip, body);
  document.addEventListener("keydown", press);
  await look(image);
  return () => document.removeEventListener("keydown", press);
}

/** The two ways through the network: forward to the loss, or back from it to the update. */
function phases(found, isBackward, image) {
  const wanted = isBackward ? PHASES.slice(2) : PHASES.slice(0, 2);
  return wanted.map((phase) => {
    const arrays = found.arrays.filter((array) => array.phase === phase);
    const layers = [...new Set(arrays.map(({ layer }) => layer))];
    const sum = (key) => arrays.reduce((total, array) => total + array[key], 0);
    return el("section", { class: "phase", "aria-label": t(`phase.${phase}`) },
      el("div", {}, el("h2", {}, t(`phase.${phase}`)),
        el("p", { class: "small pale" }, t("phase.sums", { products: count(sum("multiply_adds")), bytes: memory(arrays.filter(({ same_as }) => !same_as).reduce((total, { bytes }) => total + bytes, 0)) }))),
      el("ol", { class: "lane" }, layers.map((layer) => el("li", {}, card(layer, found.layers[layer], arrays.filter((array) => array.layer === layer), phase, image)))));
  });
}

function card(layer, word, arrays, phase, image) {
  const opens = word && (phase === "forward" || phase === "backward");
  return el("article", { class: "card" },
    el("h3", {}, opens ? el("a", { href: link("microscope", { image, layer, view: phase }) }, layer) : layer,
      word ? el("span", { class: "pale number small" }, `  ${word}`) : null),
    el("ul", { class: "arrays", "aria-label": t("arrays-of", { layer }) }, arrays.map(line)));
}

/** An array: its name, shape and memory; below, its range and the code that made it. */
function line(array) {
  const { source, same_as } = array;
  const shape = array.shape.join(" × ") || "1";
  const head = [el("b", {}, array.array), el("span", {}, shape), el("span", {}, same_as ? `= ${same_as}` : memory(array.bytes))];
  if (same_as) return el("li", { class: "number pale" }, head);
  const facts = [
    t("range", { smallest: brief(array.smallest ?? NaN), largest: brief(array.largest ?? NaN) }),
    t("zeros", { share: Math.round(100 * array.zeros) }),
    array.multiply_adds ? t("products", { count: count(array.multiply_adds) }) : null,
  ].filter(Boolean);
  return el("li", { class: "number" }, head,
    el("span", { class: "facts" }, facts.join(" · ")),
    source.code ? el("code", { class: "facts", title: `${source.file}:${source.line}` }, source.code) : null);
}

/** Bytes as people read them. @param {number} bytes */
export function memory(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 3);
  return `${brief(bytes / 1000 ** power)} ${units[power]}`;
}
