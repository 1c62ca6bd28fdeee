// The page's texts: one catalog for each language, with equal keys.

import { el } from "./dom.js";
import { ask } from "./source.js";

let texts = {};
export let language = "en";

/** Load a language's catalog. @param {string} code */
export async function speak(code) {
  texts = await (await ask(`/${code}.json`)).json();
  language = code;
  document.documentElement.lang = code;
}

/** Return a text; `{name}` is filled in. @param {string} key @param {Record<string, any>} [values] */
export function t(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** A term with its one-sentence explanation, which stands where the term stands. @param {string} name */
export function term(name) {
  const gloss = el("span", { class: "gloss", popover: "auto" }, t(`explain.${name}`));
  const button = el("button", { class: "term", type: "button", "aria-expanded": "false" }, t(`term.${name}`));
  button.addEventListener("click", () => {
    const box = button.getBoundingClientRect();
    gloss.style.top = `${Math.round(box.bottom + 6)}px`;
    gloss.style.left = `${Math.round(Math.max(8, Math.min(box.left, innerWidth - 336)))}px`;
    gloss.togglePopover();
  });
  gloss.addEventListener("toggle", (event) => button.setAttribute("aria-expanded", String(event.newState === "open")));
  return el("span", {}, button, gloss);
}

/** A float32 as it is told: seven digits, which are what it has. @param {number | null} value */
export function number(value) {
  if (value === null || !Number.isFinite(value)) return t("not-finite");
  const text = Number(value).toPrecision(7);
  const [digits, exponent] = text.split("e");
  const short = digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
  return (exponent ? `${short}e${exponent}` : short).replace("-", "−");
}

/** A number in three digits, for scales and summaries. @param {number} value */
export function brief(value) {
  if (!Number.isFinite(value)) return t("not-finite");
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

/** Whole numbers with separators. @param {number} value */
export function count(value) {
  return new Intl.NumberFormat(language).format(value);
}
