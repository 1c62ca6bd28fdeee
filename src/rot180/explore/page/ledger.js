// A ledger: the entries of one number's sum. The page adds them up itself and says what is left over.

import { el } from "./dom.js";
import { brief, count, number, t, term } from "./texts.js";

const SHOWN = 9;

/**
 * Round every entry to the same decimals, so that the printed amounts add up to the printed sum, digit by digit.
 * @param {{ value: number }[]} terms @param {number} stored
 */
export function layOut(terms, stored) {
  const total = terms.reduce((sum, { value }) => sum + value, 0);
  const largest = Math.max(...terms.map(({ value }) => Math.abs(value)), 0) || Math.abs(stored) || 1;
  const decimals = Math.min(Math.max(8 - Math.floor(Math.log10(largest)) - 1, 0), 60);
  const scale = 10 ** decimals;
  const units = terms.map(({ value }) => Math.round(value * scale));
  const whole = Math.round(total * scale);
  const unprinted = whole - units.reduce((sum, one) => sum + one, 0);
  return { total, decimals, units, whole, unprinted, stored: Math.round(stored * scale) };
}

/** An amount in units of the last decimal, with its sign. */
export function amount(units, decimals) {
  const sign = units < 0 ? "−" : "+";
  if (decimals > 15) return `${sign}${Math.abs(units)}e−${decimals}`;
  return `${sign}${(Math.abs(units) / 10 ** decimals).toFixed(decimals)}`;
}

/**
 * @param {any} found the answer of /api/ledger
 * @param {{ follow: (cell: string) => void, point: (at: number | null) => void, all: boolean, showAll: (() => void) | null }} listeners
 */
export function ledgerView(found, { follow, point, all, showAll }) {
  const terms = found.terms;
  const plan = layOut(terms, found.stored);
  const order = terms.map((_, at) => at);
  const isLong = terms.length > SHOWN + 2;
  const shown = all || !isLong ? order : largestOf(terms, order);
  const rest = plan.whole - shown.reduce((sum, at) => sum + plan.units[at], 0);
  const rows = shown.map((at) =>
    el("tr", { onpointerenter: () => point(at), onpointerleave: () => point(null), "data-term": at },
      el("td", { class: "n pale" }, at + 1), el("td", {}, says(terms[at], follow)),
      el("td", { class: "n" }, amount(plan.units[at], plan.decimals))));
  if (rest || shown.length < terms.length) {
    const what = shown.length < terms.length ? t("more-together", { count: count(terms.length - shown.length) }) : t("digits-not-printed");
    rows.push(el("tr", { "data-rest": true }, el("td"), el("td", { class: "pale" }, what), el("td", { class: "n" }, amount(rest, plan.decimals))));
  }
  const difference = found.stored - plan.total;
  const sum = (key, value, attributes) => el("tr", attributes, el("td"), el("th", { scope: "row" }, t(key)), el("td", { class: "n" }, value));
  return [
    el("h2", { class: "number", tabindex: "-1" }, found.cell),
    el("p", { class: "value", "data-stored": found.stored }, number(found.stored)),
    el("p", {}, sentence(found.rule)),
    found.notes.length ? el("ul", { class: "small" }, found.notes.map((note) => el("li", {}, note))) : null,
    found.steps.length ? steps(found.steps) : null,
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("entries") },
      el("table", {},
        el("thead", {}, el("tr", {}, el("th", { class: "n" }, t("number-sign")), el("th", {}, t("entry")), el("th", { class: "n" }, t("amount")))),
        el("tbody", {}, rows),
        el("tfoot", {},
          sum("sum", amount(plan.whole, plan.decimals), { class: "sum", "data-sum": plan.whole, "data-decimals": plan.decimals }),
          sum("stored", amount(plan.stored, plan.decimals), {}),
          sum("left-over", brief(difference), {})))),
    el("p", { class: "small pale" },
      t(Math.abs(difference) <= found.allowed ? "rounding-explains" : "more-than-rounding", { allowed: brief(found.allowed) }), " ", term("rounding")),
    isLong && showAll ? el("div", {}, el("button", { type: "button", onclick: showAll, "aria-pressed": String(all) }, t("all-entries", { count: count(terms.length) }))) : null,
  ];
}

function largestOf(terms, order) {
  return order.filter((at) => !terms[at].pinned)
    .sort((a, b) => Math.abs(terms[b].value) - Math.abs(terms[a].value))
    .slice(0, SHOWN)
    .concat(order.filter((at) => terms[at].pinned));
}

function says({ factors, formula }, follow) {
  if (formula) {
    const sources = factors.filter(({ cell }) => cell).slice(0, 3);
    return el("span", {}, formula, sources.map(({ cell }) => el("span", { class: "factor" }, cellButton(cell, follow))));
  }
  return el("span", {}, factors.map(({ cell, name, value }, at) => [
    at ? " × " : null, el("span", { class: "number" }, number(value)), cell ? null : ` ${name}`,
  ]), el("span", { class: "factor" }, factors.filter(({ cell }) => cell).map(({ cell }, at) => [at ? " × " : null, cellButton(cell, follow)])));
}

function cellButton(cell, follow) {
  return el("button", { class: "plain number", type: "button", onclick: () => follow(cell) }, cell);
}

function steps(found) {
  return el("table", {}, el("tbody", {}, found.map(({ name, formula, value }) =>
    el("tr", {}, el("td", {}, name, formula ? el("span", { class: "factor" }, formula) : null), el("td", { class: "n" }, number(value))))));
}

function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}
