// Three products: output, weight gradient and data gradient of a layer as products of the same matrices, brushed together.
// One number of x_col is a window and a tap of it: it lights up in all three products, with its pixel and all its copies.

import { address, link, note } from "./address.js";
import { el } from "./dom.js";
import { amount, layOut } from "./ledger.js";
import { Map2d } from "./map.js";
import { picker } from "./pictures.js";
import { arrays, post } from "./server.js";
import { brief, count, number, t, term } from "./texts.js";

// What is drawn of a matrix: a block around the chosen number.
const MOST = { windows: 24, taps: 27, filters: 10 };

const ROLES = {
  convolution: { x: "x", w: "w", y: "y", dy: "dy", dx: "dx", dw: "dw" },
  linear: { x: "x", w: "w", y: "y", dy: "dy", dx: "dx", dw: "dw" },
  // Its passes are exchanged: delta is unfolded, and the output is what is folded.
  transposed: { x: "dy", w: "w", y: "dx", dy: "x", dx: "y", dw: "dw" },
};

export async function products(main, app) {
  const { subject } = app;
  const { values } = address();
  const layers = subject.layers.filter(({ has_products }) => has_products);
  let image = Math.min(Number(values.image) || 0, subject.count - 1);
  let layer = layers.find(({ name }) => name === values.layer) ?? layers[0];
  let group = Number(values.group) || 0;
  let at = values.at ? values.at.split(",").map(Number) : null;
  const body = el("div", { class: "phase" });
  const choices = el("span", { class: "controls" });
  const { label, strip } = picker(subject, image, (chosen) => {
    image = chosen;
    return look();
  });
  const layerBox = el("select", { id: "layer", onchange: () => turn(layerBox.value, 0) }, layers.map(({ name, word }) =>
    el("option", { value: name, selected: name === layer?.name }, word === name ? name : `${name}   ${word}`)));

  function turn(name, wanted) {
    layer = layers.find((one) => one.name === name);
    group = wanted;
    at = null;
    return look();
  }

  async function look() {
    group = Math.min(group, layer.groups - 1);
    const pass = await post("/api/pass", { image });
    const { arrays: found, metadata } = await arrays(`/api/pass/${pass.pass}/${encodeURIComponent(layer.name)}/products/${group}`);
    choices.replaceChildren(...(layer.groups > 1 ? [el("label", { for: "group" }, t("products.group"), el("input", {
      type: "number", id: "group", min: 0, max: layer.groups - 1, value: group, onchange: (event) => turn(layer.name, Number(event.target.value) || 0),
    }))] : []));
    const view = new Products(found, JSON.parse(metadata.products), pass, layer, (where) => {
      at = where;
      note("products", { image, layer: layer.name, group: group || null, at: where.join(",") });
    }, Math.max(main.clientWidth - 48, 280));
    body.replaceChildren(...view.parts);
    view.brush(...(at ?? view.middle));
  }

  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.products")),
    el("p", { class: "pale" }, t("products.about"), " ", el("span", { class: "terms" }, term("unfolding"), term("folding"), term("delta"))),
    el("div", { class: "controls" }, label, el("label", { for: "layer" }, t("layer"), layerBox), choices), strip, body);
  if (layer) await look();
  else body.replaceChildren(el("p", {}, t("products.none")));
}

class Products {
  constructor(found, told, pass, layer, tell, width) {
    Object.assign(this, { found, told, pass, layer, tell, roles: ROLES[told.kind] });
    [this.P, this.K] = found.x_col.shape;
    this.F = found.w_col.shape[1];
    this.space = width;
    const shown = [Math.min(this.P, MOST.windows), Math.min(this.K, MOST.taps), Math.min(this.F, MOST.filters)];
    // Side by side, if there is room for all three; else one below the other, and no wider than the page.
    const together = shown[0] + 3 * shown[1] + 5 * shown[2];
    this.size = Math.min(Math.max(Math.floor((width - 400) / together), 9), 14, Math.floor(width / Math.max(shown[0], shown[1])));
    this.copies = new Map();
    found.places.data.forEach((place, index) => {
      if (place < 0) return;
      if (this.copies.has(place)) this.copies.get(place).push(index);
      else this.copies.set(place, [index]);
    });
    this.views = [];
    this.build();
  }

  /** The place that is shown first: a number that is not padding, in the middle of the image. */
  get middle() {
    const [rows, columns] = this.told.windows;
    return [Math.floor(rows / 2) * columns + Math.floor(columns / 2), Math.floor(this.K / 2), 0];
  }

  build() {
    const { x, w, y, dy, dx, dw } = this.roles;
    const { grad, parameter, "parameter.grad": ofParameter, pixel, value } = this.pass.scales;
    const isTransposed = this.told.kind === "transposed";
    const input = this.layer.reads[0] === "image" ? pixel : value;
    const [wide, narrow, forward, backward] = isTransposed ? [grad, input, grad, value] : [input, grad, value, grad];
    const kind = isTransposed ? "transposed." : "";
    const sign = (text) => el("span", { class: "sign", "aria-hidden": "true" }, text);
    const line = (key, left, right, result) => el("section", { class: "phase product", "data-product": key, "aria-label": t(`products.${key}`) },
      el("h2", {}, t(`products.${key}`), " ", el("span", { class: "number pale" }, `${result.title} = ${left.title} ${right.title}`)),
      el("div", { class: "equation" }, result.figure, sign("="), left.figure, sign("·"), right.figure), result.says);
    this.says = el("p", { class: "number small", "aria-live": "polite" });
    this.fold = el("section", { class: "ledger fold", "aria-label": t("products.fold") });
    this.image = this.picture(x, wide);
    this.folded = this.picture(dx, backward);
    // The last two numbers of a matrix say what its rows and columns are: 0 windows, 1 taps, 2 filters.
    this.parts = [
      isTransposed ? el("p", { class: "notice" }, t("products.transposed")) : null,
      this.says,
      el("div", { class: "threes" },
        line(`${kind}forward`, this.matrix("x_col", `${x}_col`, wide, 0, 1), this.matrix("w_col", `${w}_col`, parameter, 1, 2), this.matrix("y_col", `${y}_col`, forward, 0, 2)),
        line("weight", this.matrix("x_col", `${x}_colᵀ`, wide, 1, 0), this.matrix("dy_col", `${dy}_col`, narrow, 0, 2), this.matrix("dw_col", `${dw}_col`, ofParameter, 1, 2)),
        line(`${kind}backward`, this.matrix("dy_col", `${dy}_col`, narrow, 0, 2), this.matrix("w_col", `${w}_colᵀ`, parameter, 2, 1), this.matrix("dx_col", `${dx}_col`, backward, 0, 1))),
      el("p", { class: "small pale" }, t("products.difference", { difference: brief(this.told.difference) })),
      // One window that reads everything once has no copies.
      this.told.kind === "linear" ? null : el("div", { class: "threes" }, el("div", { class: "panels" }, this.image.figure, this.folded.figure), this.fold),
    ].filter(Boolean);
  }

  /** A matrix as a map whose cells brush all others; its rows and columns are two of window, tap and filter. */
  matrix(key, title, scale, rows, columns) {
    const one = { key, title, scale, axes: [rows, columns], isTurned: rows > columns, tensor: this.found[key], says: el("p", { class: "number small" }) };
    const choose = (row, column) => {
      const where = [...this.at];
      where[rows] = row + one.begin[0];
      where[columns] = column + one.begin[1];
      this.brush(...where);
    };
    one.map = new Map2d({ label: title, move: choose, choose });
    one.part = el("span", { class: "number" });
    one.figure = el("figure", {}, el("figcaption", {}, title, one.part), one.map.element);
    this.views.push(one);
    return one;
  }

  /** The image that is unfolded, or the one that is folded. */
  picture(name, scale) {
    const [, , channels] = this.told.image_shape;
    const one = { scale, name, part: el("span", { class: "number" }) };
    const choose = (row, column) => {
      const [, across] = this.told.image_shape;
      const copies = this.copies.get((row * across + column) * channels + one.channel) ?? [];
      const near = copies.find((index) => Math.floor(index / this.K) === this.at[0]) ?? copies[Math.floor(copies.length / 2)];
      if (near === undefined) one.map.place(row, column, true); // no window reads it
      else this.brush(Math.floor(near / this.K), near % this.K, this.at[2]);
    };
    one.map = new Map2d({ label: name, choose, move: choose });
    one.figure = el("figure", {}, el("figcaption", {}, name, one.part), one.map.element);
    return one;
  }

  /** Light up one window p, tap k and filter f everywhere. */
  brush(p, k, f) {
    const inside = (value, size) => Math.min(Math.max(Math.trunc(value) || 0, 0), size - 1);
    this.at = [inside(p, this.P), inside(k, this.K), inside(f, this.F)];
    [p, k, f] = this.at;
    const place = this.found.places.data[p * this.K + k];
    const copies = place < 0 ? [] : this.copies.get(place);
    for (const view of this.views) this.show(view, copies);
    const isLinear = this.told.kind === "linear";
    if (!isLinear) this.showPictures(place);
    const { x, dx } = this.roles;
    const at = this.tapOf(k);
    this.says.textContent = place < 0
      ? t("products.padding", { x, p, k, window: this.windowOf(p), tap: at })
      : t("products.says", { x, p, k, window: this.windowOf(p), tap: at, pixel: this.pixelOf(place), value: number(this.found.image.data[place]), copies: count(copies.length) });
    this.tellSums(p, k, f);
    if (!isLinear) this.showFold(dx, place, copies);
    this.tell(this.at);
  }

  windowOf(p) {
    const [, columns] = this.told.windows;
    return `[${Math.floor(p / columns)},${p % columns}]`;
  }

  tapOf(k) {
    const [, columns, channels] = this.told.taps;
    return `[${Math.floor(k / channels / columns)},${Math.floor(k / channels) % columns},${k % channels}]`;
  }

  pixelOf(place) {
    const [, columns, channels] = this.told.image_shape;
    return `[${Math.floor(place / channels / columns)},${Math.floor(place / channels) % columns},${place % channels}]`;
  }

  show(view, copies) {
    const { axes: [rows, columns], tensor, isTurned, map } = view;
    const most = [MOST.windows, MOST.taps, MOST.filters];
    const sizes = [this.P, this.K, this.F];
    const cut = (axis) => {
      const size = Math.min(most[axis], sizes[axis]);
      // Blocks follow one another, so that a block stays while one moves inside it; the last one is full as well.
      const begin = Math.min(Math.floor(this.at[axis] / size) * size, sizes[axis] - size);
      return [begin, size];
    };
    const [[row, height], [column, width]] = [cut(rows), cut(columns)];
    if (String(view.begin) !== String([row, column])) {
      view.begin = [row, column];
      const behind = tensor.shape[1];
      const values = Float64Array.from({ length: height * width }, (_, index) => {
        const [i, j] = [row + Math.floor(index / width), column + (index % width)];
        return tensor.data[isTurned ? j * behind + i : i * behind + j];
      });
      map.show(values, height, width, view.scale, this.size * Math.max(height, width));
      view.part.textContent = this.partOf(sizes[rows], sizes[columns], row, height, column, width);
    }
    const [i, j] = [this.at[rows] - row, this.at[columns] - column];
    map.place(i, j, true);
    const isUnfolded = rows + columns === 1;
    const cells = !isUnfolded ? [] : copies.map((index) => {
      const where = [Math.floor(index / this.K), index % this.K];
      return { row: where[rows] - row, column: where[columns] - column };
    }).filter((cell) => cell.row >= 0 && cell.column >= 0 && cell.row < height && cell.column < width);
    map.mark(cells, this.band(view, i, j));
  }

  /** The row or the column of a factor that the chosen result is made of. */
  band({ figure }, i, j) {
    const product = figure.closest("[data-product]");
    const [, left, right] = product ? [...product.querySelectorAll("figure")] : [];
    if (figure === left) return [{ row: i }];
    if (figure === right) return [{ column: j }];
    return [];
  }

  partOf(rows, columns, row, height, column, width) {
    const whole = `${rows} × ${columns}`;
    if (height === rows && width === columns) return whole;
    return `${whole}: [${row}–${row + height - 1}, ${column}–${column + width - 1}]`;
  }

  showPictures(place) {
    const [rows, columns, channels] = this.told.image_shape;
    const channel = place < 0 ? (this.image.channel ?? 0) : place % channels;
    for (const [one, tensor] of [[this.image, this.found.image], [this.folded, this.found.folded]]) {
      if (one.channel !== channel) {
        one.channel = channel;
        const values = Float64Array.from({ length: rows * columns }, (_, at) => tensor.data[at * channels + channel]);
        const across = rows === 1 && columns === 1 ? 1 : columns;
        one.map.show(values, rows, across, one.scale, Math.min(180, this.space));
        one.part.textContent = `${rows} × ${columns} × ${channels}${channels > 1 ? `  [·,·,${channel}]` : ""}`;
      }
      const window = [];
      for (let k = 0; k < this.K; k++) {
        const pixel = this.found.places.data[this.at[0] * this.K + k];
        if (pixel >= 0 && pixel % channels === channel) window.push({ row: Math.floor(pixel / channels / columns), column: Math.floor(pixel / channels) % columns });
      }
      one.map.mark(one === this.image ? window : []);
      if (place >= 0) one.map.place(Math.floor(place / channels / columns), Math.floor(place / channels) % columns, true);
    }
  }

  /** Each chosen result, added up again by this page. */
  tellSums(p, k, f) {
    const { x_col, w_col, dy_col, y_col, dw_col, dx_col } = this.found;
    const { K, P, F } = this;
    const sum = (length, product) => {
      let total = 0;
      for (let at = 0; at < length; at++) total += product(at);
      return total;
    };
    const told = {
      y_col: [K, sum(K, (at) => x_col.data[p * K + at] * w_col.data[at * F + f]), y_col.data[p * F + f], [p, f]],
      dw_col: [P, sum(P, (at) => x_col.data[at * K + k] * dy_col.data[at * F + f]), dw_col.data[k * F + f], [k, f]],
      dx_col: [F, sum(F, (at) => dy_col.data[p * F + at] * w_col.data[k * F + at]), dx_col.data[p * K + k], [p, k]],
    };
    for (const { key, title, says } of this.views) {
      if (!(key in told) || says.parentElement === null) continue;
      const [products, total, stored, [row, column]] = told[key];
      says.textContent = t("products.sum", { cell: `${title}[${row},${column}]`, products: count(products), total: number(total), stored: number(stored), difference: brief(stored - total) });
    }
  }

  /** Folding: the copies of the pixel in dx_col, which add up to its gradient. */
  showFold(dx, place, copies) {
    if (place < 0) {
      this.fold.replaceChildren(el("h2", {}, t("products.fold")), el("p", { class: "small" }, t("products.nothing-to-fold")));
      return;
    }
    const { dx_col, folded } = this.found;
    const terms = copies.map((index) => ({ value: dx_col.data[index] }));
    const stored = folded.data[place];
    const plan = layOut(terms, stored);
    const row = (at) => {
      const [p, k] = [Math.floor(copies[at] / this.K), copies[at] % this.K];
      return el("tr", { class: p === this.at[0] && k === this.at[1] ? "now" : null },
        el("td", {}, el("button", { class: "plain number", type: "button", onclick: () => this.brush(p, k, this.at[2]) }, `${dx}_col[${p},${k}]`),
          el("span", { class: "factor" }, t("products.copy", { window: this.windowOf(p), tap: this.tapOf(k) }))),
        el("td", { class: "n" }, amount(plan.units[at], plan.decimals)));
    };
    const last = (key, value, attributes = {}) => el("tr", attributes, el("th", { scope: "row" }, t(key)), el("td", { class: "n" }, value));
    const view = this.told.kind === "transposed" ? "forward" : "backward";
    const channels = this.told.image_shape[2];
    const cell = [Math.floor(place / channels / this.told.image_shape[1]), Math.floor(place / channels) % this.told.image_shape[1], place % channels];
    this.fold.replaceChildren(
      el("h2", {}, t("products.fold")),
      el("p", { class: "small" }, t("products.fold-says", { dx, pixel: this.pixelOf(place), copies: count(copies.length) })),
      el("table", {}, el("tbody", {}, copies.map((_, at) => row(at)),
        plan.unprinted ? el("tr", { "data-rest": true }, el("td", { class: "pale" }, t("digits-not-printed")), el("td", { class: "n" }, amount(plan.unprinted, plan.decimals))) : null),
        el("tfoot", {},
          last("sum", amount(plan.whole, plan.decimals), { class: "sum" }), last("stored", amount(plan.stored, plan.decimals)), last("left-over", brief(stored - plan.total)))),
      this.layer.groups > 1 ? null : el("p", { class: "small" }, el("a", { href: link("microscope", { image: this.pass.image, layer: this.layer.name, view, cell: cell.join(",") }) }, t("under-the-microscope"))));
  }
}
