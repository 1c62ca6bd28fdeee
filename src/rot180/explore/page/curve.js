// The curve of a training: the loss of each batch, its running mean, and the validation after each epoch.

import { svg } from "./dom.js";
import { brief, count, t } from "./texts.js";

const [HEIGHT, LEFT, BOTTOM, TOP] = [260, 56, 26, 14];
const MOST = 450;
const [APART, WORD] = [36, 64]; // pixels between two numbers below the curve, and of the word before them

/**
 * @param {import("./training.js").Training} training @param {number} width in pixels
 */
export function curve(training, width) {
  const { points, epochs } = training;
  const total = Math.max(training.batches * training.of_epochs, points.length, 1);
  const buckets = bucket(points);
  const values = buckets.flatMap(({ low, high }) => [low, high]).concat(epochs.map(({ validation_loss }) => validation_loss)).filter((value) => Number.isFinite(value) && value !== null);
  const top = niceTop(Math.max(...values, 0));
  const x = (at) => LEFT + ((width - LEFT - 12) * at) / total;
  const y = (loss) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * Math.min(loss, top)) / top;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * top);
  const mean = smooth(buckets);
  const last = points.at(-1);
  const label = last
    ? t("curve.says", { batches: count(last[0]), loss: brief(mean.at(-1).loss), first: brief(mean[0].loss) })
    : t("curve.empty");
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
    ticks.map((tick) => [
      svg("line", { class: "axis", x1: LEFT, x2: width - 12, y1: y(tick), y2: y(tick) }),
      svg("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, brief(tick)),
    ]),
    ends(training, (width - LEFT - 12) / total).map((epoch) => svg("text", { x: x(epoch * training.batches), y: HEIGHT - 8, "text-anchor": "end" }, count(epoch))),
    svg("text", { x: LEFT, y: HEIGHT - 8 }, t("epoch")),
    buckets.length ? svg("path", { class: "raw", d: band(buckets, x, y) }) : null,
    mean.length ? svg("path", { class: "loss", d: path(mean.map(({ at, loss }) => [x(at), y(loss)])) }) : null,
    epochs.filter(({ validation_loss }) => validation_loss !== null).map(({ at, validation_loss }) =>
      svg("circle", { class: "validation", cx: x(at), cy: y(validation_loss), r: 4 })));
}

/** The epochs whose ends are numbered, done or planned: as many as there is room for, behind the word. */
function ends({ batches, of_epochs }, scale) {
  const every = Math.ceil(APART / Math.max(batches * scale, 1));
  return Array.from({ length: Math.floor(of_epochs / every) }, (_, at) => (at + 1) * every).filter((epoch) => epoch * batches * scale > WORD);
}

/** Of many points, the lowest, highest and mean of each stretch. */
function bucket(points) {
  const size = Math.max(Math.ceil(points.length / MOST), 1);
  const found = [];
  for (let begin = 0; begin < points.length; begin += size) {
    const of = points.slice(begin, begin + size);
    const part = of.map(([, loss]) => loss);
    found.push({
      at: of.at(-1)[0], low: Math.min(...part), high: Math.max(...part), loss: part.reduce((sum, loss) => sum + loss, 0) / part.length,
    });
  }
  return found;
}

function smooth(buckets) {
  let mean = buckets[0]?.loss;
  return buckets.map(({ at, loss }) => {
    mean += 0.12 * (loss - mean);
    return { at, loss: mean };
  });
}

function path(places) {
  return places.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function band(buckets, x, y) {
  return path(buckets.flatMap(({ at, low, high }) => (low === high ? [[x(at), y(low)]] : [[x(at), y(high)], [x(at), y(low)]])));
}

function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= value);
}
