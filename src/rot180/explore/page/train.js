// Training, as `rot180 train` does it: run, pause, one step, or the three parts of a step one after the other.

import { curve } from "./curve.js";
import { el } from "./dom.js";
import { thumbnail } from "./picture.js";
import { arrays, post } from "./server.js";
import { brief, count, t, term } from "./texts.js";

const PARTS = ["forward", "backward"];

export async function train(main, app) {
  const { training } = app;
  const next = { found: null, shown: 0, at: -1 };
  const error = el("p", { class: "notice bad", hidden: true });
  const figure = el("figure", {});
  const tiles = el("dl", { class: "tiles" });
  const nextBox = el("section", { class: "phase", "aria-label": t("next-step") });
  const healthBox = el("section", { class: "phase", "aria-label": t("health"), "aria-live": "polite" });
  const button = (key, take, attributes = {}) => el("button", { type: "button", onclick: () => carryOut(take), ...attributes }, t(key));
  const run = button("run", () => post("/api/train", { command: training.state === "running" ? "pause" : "run" }), { class: "primary" });
  const step = button("one-step", () => post("/api/train", { command: "step", steps: 1 }));
  const part = button("part-of-a-step", goOn);
  const restart = button("start-over", () => post("/api/train", { command: "restart" }));
  const examine = button("examine", showHealth);

  const watch = el("input", { type: "checkbox", id: "watch", checked: training.is_watched, onchange: () => carryOut(() => post("/api/train", { command: watch.checked ? "watch" : "ignore" })) });

  async function carryOut(take) {
    error.hidden = true;
    try {
      await take();
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
    }
  }

  /** The next part of the next step: forward, backward, and then the step itself, whose update the network keeps. */
  async function goOn() {
    if (training.state === "idle") {
      // Zero steps: the training begins, and waits before its first batch.
      await post("/api/train", { command: "begin" });
      await until(() => training.state === "paused");
    }
    if (next.at !== training.points.length) {
      next.found = await post("/api/journey", {});
      next.batch = await arrays("/api/batch");
      next.at = training.points.length;
      next.shown = 0;
    }
    if (next.shown < PARTS.length) next.shown += 1;
    else await post("/api/train", { command: "step", steps: 1 });
    drawNext();
  }

  function until(condition) {
    return new Promise((resolve) => {
      const stop = training.listen(() => {
        if (!condition()) return;
        stop();
        resolve();
      });
      if (condition()) {
        stop();
        resolve();
      }
    });
  }

  function drawNext() {
    if (!next.found || next.at !== training.points.length) {
      nextBox.replaceChildren();
      return;
    }
    const shown = PARTS.slice(0, next.shown);
    nextBox.replaceChildren(
      el("h2", {}, t("next-step")),
      el("p", { class: "small pale" }, t(`next.${shown.at(-1)}`, { batch: count(next.at + 1), images: count(next.found.batch_size), loss: brief(next.found.loss) })),
      batchList(next.batch, app.subject.classes),
      ...shown.map((phase) => phaseTable(next.found, phase)));
  }

  async function showHealth() {
    const found = await post("/api/health", {});
    healthBox.replaceChildren(
      el("h2", {}, t("health")),
      found.healthy ? el("p", {}, t("healthy")) : el("ul", {}, found.findings.map(({ what, where, evidence, advice }) =>
        el("li", {}, el("strong", {}, what), where ? ` (${where})` : "", ": ", evidence, "; ", advice))),
      table(["layer", "delta-size", "dead", "update-over-weight"], found.layers.map(({ name, delta, dead, update }) =>
        [name, brief(delta), dead === null ? "" : `${Math.round(100 * dead)}%`, update === null ? "" : brief(update)])));
  }

  function tell() {
    const { state, points, epochs } = training;
    run.textContent = t(state === "running" ? "pause" : points.length ? "go-on" : "run");
    const isOver = state === "ended" || state === "failed";
    run.disabled = isOver;
    step.disabled = part.disabled = isOver || state === "running";
    restart.disabled = state === "idle";
    watch.checked = Boolean(training.is_watched);
    const recent = points.slice(-20);
    const images = recent.reduce((sum, [, , , of]) => sum + of, 0);
    const mean = (at) => recent.reduce((sum, point) => sum + point[at] * (at === 1 ? point[3] : 1), 0) / images;
    const last = epochs.at(-1);
    const tile = (key, value) => el("div", {}, el("dt", {}, t(key)), el("dd", {}, value));
    tiles.replaceChildren(
      tile("epoch", training.of_epochs ? t("of-epochs", { epoch: Math.min(epochs.length + 1, training.of_epochs), epochs: training.of_epochs }) : "–"),
      tile("updates", count(training.step)),
      tile("loss-recent", images ? brief(mean(1)) : "–"),
      tile("accuracy-recent", images ? `${(100 * mean(2)).toFixed(1)}%` : "–"),
      tile("validation", last?.validation_accuracy === null || !last ? "–" : `${(100 * last.validation_accuracy).toFixed(2)}%`),
      tile("learning-rate", points.length ? brief(points.at(-1)[4]) : "–"));
    figure.replaceChildren(curve(training, Math.max(main.clientWidth - 48, 280)), el("figcaption", { class: "pale" }, t("curve.caption")));
    if (state === "failed" || (state === "paused" && training.reason)) {
      error.textContent = training.reason;
      error.hidden = false;
    }
    if (next.at !== points.length) drawNext();
  }

  function press(event) {
    if (/^(INPUT|SELECT|TEXTAREA|BUTTON)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    const taken = { " ": run, s: step, h: part }[event.key];
    if (!taken || taken.disabled) return;
    event.preventDefault();
    taken.click();
  }

  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.train")),
    el("p", { class: "pale" }, t("train.about"), " ", el("span", { class: "terms" }, term("batch"), term("epoch"), term("update-over-weight"))),
    el("div", { class: "controls" }, run, step, part, restart, examine, el("label", { for: "watch" }, watch, t("watch"))),
    el("p", { class: "small pale" }, t("train.keys")),
    error, tiles, figure, nextBox, healthBox);
  document.addEventListener("keydown", press);
  const stop = training.listen(tell);
  tell();
  return () => {
    stop();
    document.removeEventListener("keydown", press);
  };
}

/** The images of a batch, as they are trained on, with their labels. */
function batchList({ arrays: { images }, metadata }, classes) {
  const labels = JSON.parse(metadata.labels);
  return el("ul", { class: "batch", "aria-label": t("term.batch") }, labels.map((label, at) => el("li", {}, thumbnail(images, at, 40), classes[label] ?? label)));
}

/** Each layer's results of one phase: what came out of it; or what went back to its input, and to its parameters. */
function phaseTable(found, phase) {
  const results = phase === "forward" ? /^y$/ : /^(dx\d?|dw|db|dweight|dbias)$/;
  const arrays = found.arrays.filter((array) => array.phase === phase && results.test(array.array));
  return table([`phase.${phase}`, "shape", "smallest", "largest", "mean", "zero"], arrays.map((array) => [
    array.name, array.shape.join(" × "), brief(array.smallest ?? NaN), brief(array.largest ?? NaN), brief(array.mean ?? NaN), `${Math.round(100 * array.zeros)}%`,
  ]));
}

function table(heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t(heads[0]) },
    el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: at ? "n" : null }, t(head))))),
      el("tbody", {}, rows.map(([name, ...cells]) => el("tr", {}, el("td", { class: "number" }, name), cells.map((cell) => el("td", { class: "n" }, cell)))))));
}
