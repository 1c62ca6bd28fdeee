// The biography of a weight: its value over the training on this page; and at one update, which images pushed it, and how
// the optimizer made a step of that.

import { address, link, note } from "./address.js";
import { legend } from "./colors.js";
import { el, svg } from "./dom.js";
import { amount, layOut } from "./ledger.js";
import { Map2d } from "./map.js";
import { thumbnail } from "./picture.js";
import { arrays, post, remembering } from "./server.js";
import { brief, count, number, t, term } from "./texts.js";

export async function biography(main, app) {
  const { subject, training } = app;
  const { values } = address();
  const parameters = subject.layers.flatMap(({ name, parameters: own }) => Object.entries(own).map(([key, shape]) => ({ name: `${name}.${key}`, shape })));
  const named = /^([^[]+)\[([\d,]*)\]$/.exec(values.cell ?? "");
  let parameter = parameters.find(({ name }) => name === named?.[1]) ?? parameters[0];
  let index = inside(named ? named[2].split(",").map(Number) : null);
  let moment = values.moment === undefined ? null : Number(values.moment);
  let image = Number(values.image) || 0;
  let asked = 0;
  const body = el("div", { class: "phase" });
  const axes = el("span", { class: "controls" });
  const error = el("p", { class: "notice bad", hidden: true, role: "alert" });
  const life = el("div", {});
  const chapter = el("div", { class: "phase" });
  const batchOf = remembering(4, (generation, step) => arrays(`/api/moments/${step}`));

  function inside(wanted) {
    return parameter?.shape.map((size, axis) => Math.min(Math.max(Math.trunc(wanted?.[axis]) || 0, 0), size - 1)) ?? [];
  }

  const cell = () => `${parameter.name}[${index.join(",")}]`;

  const box = el("select", { id: "parameter", onchange: () => {
    parameter = parameters.find(({ name }) => name === box.value);
    index = inside(null);
    drawAxes();
    look();
  } }, parameters.map(({ name }) => el("option", { value: name, selected: name === parameter?.name }, name)));

  function drawAxes() {
    axes.replaceChildren(...parameter.shape.map((size, axis) => el("input", {
      type: "number", min: 0, max: size - 1, value: index[axis], "aria-label": t("biography.axis", { axis: axis + 1, size }),
      onchange: (event) => {
        index[axis] = Number(event.target.value);
        index = inside(index);
        event.target.value = index[axis];
        look();
      },
    })));
  }

  async function look() {
    if (!training.step) {
      body.replaceChildren(el("p", {}, t("time.none"), " ", el("a", { href: link("train") }, t("page.train"))));
      return;
    }
    error.hidden = true;
    try {
      draw(await post("/api/biography", { cell: cell() }));
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
    }
  }

  function draw(found) {
    const { steps } = found;
    const last = Math.max(steps.length - 2, 0); // after the last moment, nothing is known to have come
    let at = steps.indexOf(moment);
    if (at < 0) at = last;
    const slider = el("input", { type: "range", id: "moment", min: 0, max: last, value: at, oninput: () => show(Number(slider.value)) });
    const says = el("p", { class: "number", "aria-live": "polite" });

    function show(chosen) {
      moment = steps[chosen];
      says.textContent = t("biography.at", { step: count(moment), cell: found.cell, value: number(found.values[chosen]) });
      life.replaceChildren(curve(found, chosen, Math.max(main.clientWidth - 48, 280)));
      tell();
    }

    body.replaceChildren(life, el("p", { class: "small pale" }, t("biography.caption", { memory: Object.keys(found.memory).join(", ") || "–" })),
      el("label", { class: "scrub", for: "moment" }, t("time.moment"), slider), says, chapter);
    show(at);
  }

  /** The chapter of the chosen moment. */
  async function tell() {
    const turn = ++asked;
    note("biography", { cell: cell(), moment, image: image || null });
    try {
      const batch = await batchOf(training.generation, moment);
      image = Math.min(image, batch.arrays.images.shape[0] - 1);
      const found = await post("/api/chapter", { cell: cell(), moment, image });
      if (turn !== asked) return;
      chapter.replaceChildren(...chapterView(found, batch, subject, image, (chosen) => {
        image = chosen;
        tell();
      }));
    } catch (refused) {
      if (turn === asked) chapter.replaceChildren(el("p", { class: "notice" }, refused.message));
    }
  }

  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.biography")),
    el("p", { class: "pale" }, t("biography.about"), " ", el("span", { class: "terms" }, term("moment"), term("pull"), term("delta"))),
    el("div", { class: "controls" }, el("label", { for: "parameter" }, t("parameter"), box), axes, el("button", { type: "button", onclick: look }, t("look-again"))),
    error, body);
  if (!parameter) body.replaceChildren(el("p", {}, t("biography.none")));
  else {
    drawAxes();
    await look();
  }
}

/** The value over the updates, and below it what the optimizer remembers, each in a scale of its own. */
function curve({ steps, values, memory, cell }, chosen, width) {
  const left = 84;
  const bands = [[cell, values, 150], ...Object.entries(memory).map(([name, row]) => [name, row, 70])];
  const height = bands.reduce((sum, [, , high]) => sum + high, 26);
  const x = (step) => left + ((width - left - 12) * (step - steps[0])) / Math.max(steps.at(-1) - steps[0], 1);
  let top = 0;
  const parts = bands.map(([name, row, high], band) => {
    const [low, most] = [Math.min(...row), Math.max(...row)];
    const begin = top;
    top += high;
    const y = (value) => begin + high - 12 - ((high - 30) * (value - low)) / (most - low || 1);
    const path = row.map((value, at) => `${at ? "L" : "M"}${x(steps[at]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    return [
      [...new Set([low, most])].map((tick) => [svg("line", { class: "axis", x1: left, x2: width - 12, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, brief(tick))]),
      svg("path", { class: band ? "beneath" : "loss", d: path }), svg("text", { x: left + 4, y: begin + 12 }, name),
      svg("circle", { class: "validation", cx: x(steps[chosen]), cy: y(row[chosen]), r: 4 }),
    ];
  });
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("biography.picture", { cell, from: brief(values[0]), to: brief(values.at(-1)) }) },
    parts, svg("line", { class: "now", x1: x(steps[chosen]), x2: x(steps[chosen]), y1: 4, y2: height - 24 }),
    svg("text", { x: left, y: height - 8 }, count(steps[0])), svg("text", { x: width - 12, y: height - 8, "text-anchor": "end" }, t("time.updates", { count: count(steps.at(-1)) })));
}

function chapterView(found, { arrays: { images }, metadata }, subject, image, choose) {
  const labels = JSON.parse(metadata.labels);
  const largest = Math.max(...found.pulls.map(Math.abs)) || 1;
  const strongest = found.pulls.map((_, at) => at).sort((a, b) => Math.abs(found.pulls[b]) - Math.abs(found.pulls[a]));
  const nameOf = (at) => subject.classes[labels[at]] ?? labels[at];
  const pull = (at) => el("li", {}, el("button", {
    type: "button", class: "pull", "aria-pressed": String(at === image), onclick: () => choose(at),
    "aria-label": t("biography.pull", { image: at, label: nameOf(at), pull: brief(found.pulls[at]) }),
  }, thumbnail(images, at, 32), bar(found.pulls[at] / largest), el("span", { class: "number" }, brief(found.pulls[at]))));
  const plan = layOut(found.pulls.map((value) => ({ value })), found.gradient);
  return [
    el("h2", {}, t("biography.pulls", { images: count(found.pulls.length) })),
    el("p", { class: "small" }, t("biography.pulls-say", { most: nameOf(strongest[0]), image: strongest[0], pull: brief(found.pulls[strongest[0]]) })),
    el("ol", { class: "pulls" }, found.pulls.map((_, at) => pull(at))),
    el("p", { class: "number small", "data-gradient": found.gradient }, t("biography.sum", {
      images: count(found.pulls.length), total: amount(plan.whole, plan.decimals), stored: amount(plan.stored, plan.decimals), difference: brief(found.gradient - plan.total),
    })),
    el("div", { class: "threes" }, pushes(found, images, image, nameOf(image), subject.layers.find(({ name }) => found.cell.startsWith(`${name}.`)).output), digits(found)),
  ];
}

/** A bar to the left for what lowers the gradient, to the right for what raises it. @param {number} share from -1 to 1 */
function bar(share) {
  const width = Math.abs(share) * 18;
  return svg("svg", { viewBox: "0 0 36 6", width: 36, height: 6, "aria-hidden": "true" },
    svg("path", { class: "axis", d: "M18 0v6" }), svg("rect", { class: share < 0 ? "pulls-down" : "pulls-up", x: share < 0 ? 18 - width : 18, y: 1, width, height: 4 }));
}

/** The map of the products whose sum is the pull of one image. */
function pushes(found, images, image, label, output) {
  const rank = found.pushes[0]?.place.length ?? 0;
  const figure = el("figure", {}, el("figcaption", {}, t("biography.pushes", { image, label })));
  const picture = thumbnail(images, image, 120, { class: "picture" });
  if (rank !== 2) {
    figure.append(picture, el("p", { class: "number small" }, found.pushes.map(({ value }) => number(value)).join(" + ") || "0"));
    return figure;
  }
  const [rows, columns] = output;
  const values = new Float64Array(rows * columns);
  for (const { place: [row, column], value } of found.pushes) values[row * columns + column] += value;
  const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const map = new Map2d({ label: t("biography.pushes", { image, label }), move: () => {} });
  map.show(values, rows, columns, most, 160);
  figure.append(el("div", { class: "panels" }, picture, el("div", {}, map.element, legend(most, Math.max(map.width, 110)))));
  return figure;
}

/** From the gradient to the new value, in digits. */
function digits({ update, value, after, step }) {
  const row = (name, formula, amountOf, attributes = {}) => el("tr", attributes, el("td", {}, name, formula ? el("span", { class: "factor" }, formula) : null), el("td", { class: "n" }, number(amountOf)));
  return el("section", { class: "ledger fold", "aria-label": t("biography.update", { step: count(step + 1) }) },
    el("h2", {}, t("biography.update", { step: count(step + 1) })),
    el("p", { class: "small" }, update.rule),
    el("table", {}, el("tbody", {},
      update.steps.map(({ name, formula, value: amountOf }) => row(name, formula, amountOf)),
      update.terms.map(({ formula, factors, value: amountOf }) => row(t("biography.change"), formula || factors.map(({ name, cell }) => name || cell).join(" × "), amountOf)),
      row(t("biography.before"), "", value), row(t("biography.after"), "", after, { class: "sum" }))));
}
