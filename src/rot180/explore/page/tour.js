// The tour: from a pixel to its gradient, a step a page; a bar at the bottom tells what to see and leads on.

import { link } from "./address.js";
import { el } from "./dom.js";
import { t } from "./texts.js";

/** The stops that this network has, each with its place. @param {any} subject */
export function stops({ layers }) {
  const first = (...kinds) => layers.find(({ kind }) => kinds.includes(kind))?.name;
  const conv = first("Conv2d");
  const relu = first("ReLU", "ReLU6", "LeakyReLU", "PReLU", "SiLU", "GELU", "Hardswish");
  const pool = first("MaxPool2d");
  const last = layers.findLast(({ parameters }) => Object.keys(parameters).length)?.name;
  const at = (layer, view) => layer && link("microscope", { image: 0, layer, view });
  return [
    ["pixel", at(conv, "forward")], ["window", at(conv, "forward")], ["ledger", at(conv, "forward")],
    ["gate", at(relu, "forward")], ["winner", at(pool, "forward")], ["class", at(last, "forward")],
    ["delta", at(last, "backward")], ["back-through-pool", at(pool, "backward")],
    ["weight", at(conv, "weight")], ["rotation", at(conv, "backward")],
  ].filter(([, place]) => place);
}

const bar = el("aside", { class: "tour", hidden: true });

/** Begin the tour, or go on with it at a stop. @param {any} subject @param {number} at */
export function goTo(subject, at) {
  sessionStorage.setItem("tour", at);
  location.hash = stops(subject)[at][1];
  showTour(subject);
}

/** Show the bar of the tour, if one has begun. @param {any} subject */
export function showTour(subject) {
  const all = stops(subject);
  const at = Number(sessionStorage.getItem("tour") ?? -1);
  bar.hidden = !(at >= 0 && at < all.length);
  document.body.append(bar);
  if (bar.hidden) return;
  bar.setAttribute("aria-label", t("tour"));
  const [name, place] = all[at];
  const end = () => {
    sessionStorage.removeItem("tour");
    bar.hidden = true;
  };
  bar.replaceChildren(
    el("p", { class: "small pale" }, t("tour.step", { step: at + 1, steps: all.length })),
    el("p", { "aria-live": "polite" }, t(`tour.${name}`)),
    el("div", { class: "controls" },
      el("button", { type: "button", disabled: at === 0, onclick: () => goTo(subject, at - 1) }, t("back")),
      at + 1 < all.length
        ? el("button", { type: "button", class: "primary", onclick: () => goTo(subject, at + 1) }, t("next"))
        : el("button", { type: "button", class: "primary", onclick: end }, t("finish")),
      location.hash.split("?")[0] === place.split("?")[0] ? null : el("a", { href: place }, t("tour.return")),
      el("button", { type: "button", class: "plain", onclick: end }, t("tour.leave"))));
}
