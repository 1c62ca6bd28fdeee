// The bug bench: a mistake made on purpose, beside the correct training from the same seed; and the check that finds it.

import { address, note } from "./address.js";
import { el, svg } from "./dom.js";
import { get, post } from "./server.js";
import { brief, count, t, term } from "./texts.js";

export async function bench(main) {
  const bugs = await get("/api/bugs");
  const names = Object.keys(bugs);
  let chosen = names.includes(address().values.bug) ? address().values.bug : names[0];
  const error = el("p", { class: "notice bad", hidden: true, role: "alert" });
  const result = el("div", { class: "phase", "aria-live": "polite" });
  const buttons = names.map((name) => el("button", { type: "button", onclick: () => run(name) }, t(`bug.${name}`)));

  async function run(name) {
    chosen = name;
    note("bench", { bug: name });
    buttons.forEach((button, at) => {
      button.setAttribute("aria-pressed", String(names[at] === name));
      button.disabled = true;
    });
    result.replaceChildren(el("p", { class: "pale" }, t("bench.running")));
    try {
      error.hidden = true;
      draw(await post("/api/bench", { bug: name }));
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
      result.replaceChildren();
    }
    for (const button of buttons) button.disabled = false;
  }

  function draw(found) {
    const [right, wrong] = [found.right.at(-1), found.wrong.at(-1)];
    const rows = found.gradients.parts.flatMap(({ name, gradients }) => gradients.map((one) => [name, one]));
    const parts = [
      el("h2", {}, t(`bug.${found.bug}`)), el("p", {}, found.says[0].toUpperCase() + found.says.slice(1)),
      curves(found.right, found.wrong, Math.max(main.clientWidth - 48, 280)),
      el("p", { class: "small pale" }, t("bench.caption", { batches: count(found.right.length), right: brief(right), wrong: brief(wrong), network: found.network })),
      el("h2", {}, t("bench.check")),
      found.gradients.passed ? el("p", {}, t("bench.gradients-right")) : null,
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("bench.check") },
        el("table", {},
          el("thead", {}, el("tr", {}, ["layer", "gradient", "largest-error", "verdict", "looks-like"].map((head, at) => el("th", { scope: "col", class: at === 2 ? "n" : null }, t(head))))),
          el("tbody", {}, rows.map(([name, one]) => el("tr", { class: one.verdict === "WRONG" ? "wrong" : null },
            el("td", { class: "number" }, name), el("td", { class: "number" }, one.name),
            el("td", { class: "n" }, one.max_error === null || one.max_error === undefined ? "" : brief(one.max_error)),
            el("td", {}, t(`verdict.${one.verdict.toLowerCase()}`)), el("td", {}, mistake(one))))))),
      found.optimizer.passed ? el("p", {}, t("bench.optimizer-right"))
        : el("p", { class: "notice bad" }, t("bench.optimizer-wrong"), " ", found.optimizer.mistakes[0]),
    ];
    result.replaceChildren(...parts.filter(Boolean));
  }

  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.bench")),
    el("p", { class: "pale" }, t("bench.about"), " ", el("span", { class: "terms" }, term("gradient-check"), term("delta"))),
    el("div", { class: "controls", role: "group", "aria-label": t("page.bench") }, buttons), error, result);
  if (address().values.bug) await run(chosen);
}

function mistake({ mistake: name, advice, where, problem }) {
  if (!name) return problem ?? "";
  return [el("strong", {}, name), advice ? `; ${advice}` : null, where ? el("code", { class: "factor" }, where) : null];
}

/** Both losses over the batches, in one picture; where they are equal, one hides the other. */
function curves(right, wrong, width) {
  const [height, left] = [240, 48];
  const finite = [...right, ...wrong].filter(Number.isFinite);
  const top = Math.min(Math.max(...finite, 0), 2 * Math.max(...right)) * 1.05 || 1;
  const x = (at) => left + ((width - left - 12) * at) / Math.max(right.length - 1, 1);
  const y = (loss) => height - 24 - ((height - 40) * Math.min(loss, top)) / top;
  const path = (losses) => losses.map((loss, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(loss).toFixed(1)}`).join("");
  const key = (row, kind, text) => [
    svg("line", { class: kind, x1: width - 190, x2: width - 160, y1: row, y2: row }), svg("text", { x: width - 152, y: row + 4 }, text),
  ];
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("bench.says", { right: brief(right.at(-1)), wrong: brief(wrong.at(-1)) }) },
    [0, 0.5, 1].map((share) => [
      svg("line", { class: "axis", x1: left, x2: width - 12, y1: y(share * top), y2: y(share * top) }),
      svg("text", { x: left - 6, y: y(share * top) + 4, "text-anchor": "end" }, brief(share * top)),
    ]),
    svg("path", { class: "loss", d: path(right) }), svg("path", { class: "wrong", d: path(wrong) }),
    key(26, "loss", t("bench.right")), key(44, "wrong", t("bench.wrong")));
}
