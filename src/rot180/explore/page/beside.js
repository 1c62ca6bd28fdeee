// Two runs beside each other: their losses and the difference, their answers for one image, what is set otherwise in them,
// and how far their weights are apart.

import { el, svg } from "./dom.js";
import { get, post } from "./server.js";
import { brief, count, t } from "./texts.js";

const MOST = 400;

/** @param {HTMLElement} main @param {any} app @returns {{ element: HTMLElement, look: (image: number) => Promise<void> }} */
export function beside(main, { subject, training }) {
  const answers = el("div", { class: "phase" });
  const runs = el("div", { class: "phase" });
  const element = el("section", { class: "phase", "aria-label": t("beside") }, el("h2", {}, t("beside")), runs, answers);
  let [names, seen] = [[], null];

  async function look(image) {
    const now = `${training.generation}.${training.step}`;
    if (seen !== now) {
      seen = now;
      const found = await get("/api/beside");
      names = [found.name, found.other];
      runs.replaceChildren(...runsView(found, Math.max(main.clientWidth - 48, 280)).filter(Boolean));
    }
    answers.replaceChildren(...answersView(await post("/api/beside", { image }), names, image, subject));
  }

  return { element, look };
}

function runsView({ name, other, losses, other_losses, settings, weights }, width) {
  const length = Math.min(losses.length, other_losses.length);
  const says = el("p", { class: "number", "aria-live": "polite" });
  const figure = el("div", {});
  const [mine, theirs] = [smooth(losses), smooth(other_losses)];
  const slider = el("input", { type: "range", id: "beside-step", min: 1, max: length, value: length, oninput: () => show(Number(slider.value)) });
  const show = (step) => {
    says.textContent = t("beside.says", { step: count(step), mine: brief(mine[step - 1]), theirs: brief(theirs[step - 1]), difference: brief(mine[step - 1] - theirs[step - 1]) });
    figure.replaceChildren(curves(mine, theirs, [name, other], step, width));
  };
  if (length) show(length);
  return [
    el("p", {}, t("beside.about", { name, other })),
    ...(length ? [figure, el("p", { class: "small pale" }, t("beside.caption")), el("label", { class: "scrub", for: "beside-step" }, t("beside.batch"), slider), says] : [el("p", {}, t("beside.no-losses"))]),
    settings.length
      ? table("beside.settings", [t("beside.setting"), name, other], settings.map(([key, ...values]) => [key, ...values.map((value) => (value === null ? "–" : String(value)))]))
      : el("p", {}, t("beside.same-settings")),
    table("beside.weights", [t("parameter"), t("beside.apart")], weights.map((one) => [one.name, one.distance === null ? "–" : brief(one.distance)])),
  ];
}

function answersView({ mine, theirs, label }, names, image, subject) {
  const rows = mine.probabilities.map((share, at) => [subject.classes[at] ?? at, share, theirs.probabilities[at]]);
  const percent = (share) => `${(100 * share).toFixed(2)}%`;
  return [
    el("h2", {}, t("beside.answers", { image, label: subject.classes[label] ?? label })),
    table("beside.answers-of", [t("beside.class"), ...names, t("beside.difference")], [
      ...rows.map(([name, here, there]) => [name, percent(here), percent(there), percent(here - there).replace("-", "−")]),
      [t("phase.loss"), brief(mine.loss), brief(theirs.loss), brief(mine.loss - theirs.loss)],
    ]),
  ];
}

function table(label, heads, rows) {
  return el("div", { class: "scroll table", tabindex: "0", role: "region", "aria-label": t(label) },
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: at ? "n" : null }, head)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: at ? "n" : "number" }, cell)))))));
}

/** The running mean of the losses, as everywhere on these pages. */
function smooth(losses) {
  let mean = losses[0];
  return losses.map((loss) => {
    mean += 0.12 * (loss - mean);
    return mean;
  });
}

/** Both running means in one picture, and their difference below. */
function curves(mine, theirs, names, step, width) {
  const [height, left, base, head] = [344, 56, 240, 56];
  const length = Math.max(mine.length, theirs.length);
  const top = Math.max(...mine.filter(Number.isFinite), ...theirs.filter(Number.isFinite), 0) || 1;
  const x = (at) => left + ((width - left - 12) * at) / Math.max(length - 1, 1);
  const y = (loss) => base - ((base - head) * Math.min(loss, top)) / top;
  const thin = (row) => {
    const every = Math.max(Math.ceil(row.length / MOST), 1);
    return row.map((value, at) => [at, value]).filter(([at]) => at % every === 0 || at === row.length - 1);
  };
  const path = (row, place) => thin(row).map(([at, value], number) => `${number ? "L" : "M"}${x(at).toFixed(1)} ${place(value).toFixed(1)}`).join("");
  const apart = mine.slice(0, theirs.length).map((value, at) => value - theirs[at]);
  const most = Math.max(...apart.map(Math.abs).filter(Number.isFinite), 0) || 1;
  const below = (value) => (base + height - 24) / 2 + 6 - ((height - base - 56) / 2) * (value / most);
  const key = (row, kind, text) => [svg("line", { class: kind, x1: left, x2: left + 30, y1: row, y2: row }), svg("text", { x: left + 38, y: row + 4 }, text.slice(-26))];
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("beside.picture", { mine: brief(mine.at(-1)), theirs: brief(theirs.at(-1)) }) },
    [0, 0.5, 1].map((share) => [svg("line", { class: "axis", x1: left, x2: width - 12, y1: y(share * top), y2: y(share * top) }),
      svg("text", { x: left - 6, y: y(share * top) + 4, "text-anchor": "end" }, brief(share * top))]),
    svg("path", { class: "loss", d: path(mine, y) }), svg("path", { class: "wrong", d: path(theirs, y) }),
    [-1, 0, 1].map((share) => [svg("line", { class: "axis", x1: left, x2: width - 12, y1: below(share * most), y2: below(share * most) }),
      svg("text", { x: left - 6, y: below(share * most) + 4, "text-anchor": "end" }, brief(share * most))]),
    svg("path", { class: "beneath", d: path(apart, below) }),
    svg("line", { class: "now", x1: x(step - 1), x2: x(step - 1), y1: head - 6, y2: height - 24 }),
    key(18, "loss", names[0]), key(36, "wrong", names[1]),
    svg("text", { x: width - 12, y: height - 6, "text-anchor": "end" }, t("beside.batches", { count: count(length) })));
}
