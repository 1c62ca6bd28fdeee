// The microscope: the maps around one layer, and the ledger of one of their numbers, forward, backward, or of a weight.

import { address, link, note } from "./address.js";
import { legend, paint } from "./colors.js";
import { el } from "./dom.js";
import { ledgerView } from "./ledger.js";
import { Map2d } from "./map.js";
import { nudgeView } from "./nudge.js";
import { named, own } from "./own.js";
import { picker } from "./pictures.js";
import { arrays, post, remembering } from "./server.js";
import { isSaved } from "./source.js";
import { fixedAxes, parse, slice } from "./slices.js";
import { count, number, t, term } from "./texts.js";

const MODES = ["forward", "backward", "weight"];
const MOST_THUMBNAILS = 64;

export async function microscope(main, app) {
  const { values } = address();
  const page = new Microscope(main, app, values);
  await page.look();
  return () => page.end();
}

class Microscope {
  constructor(main, app, { image, layer, view, cell, slot, parameter, scale, channel, moment }) {
    this.moment = moment === undefined ? null : Number(moment);
    this.app = app;
    this.main = main;
    this.subject = app.subject;
    const layers = this.subject.layers;
    const first = layers.find(({ parameters }) => Object.keys(parameters).length) ?? layers[0];
    this.image = image === "own" && own.bytes ? null : Math.min(Number(image) || 0, this.subject.count - 1);
    this.layer = layers.find(({ name }) => name === layer) ?? first;
    this.mode = MODES.includes(view) ? view : "forward";
    this.cell = cell ? cell.split(",").map(Number) : null;
    this.slot = Number(slot) || 0;
    this.parameter = parameter;
    this.shared = scale !== "own";
    this.source = Number(channel) || 0;
    this.all = false;
    this.asked = 0;
    this.build();
    this.keys = (event) => this.press(event);
    document.addEventListener("keydown", this.keys);
    this.stopListening = app.training.listen(() => this.tellAge());
  }

  end() {
    document.removeEventListener("keydown", this.keys);
    this.stopListening();
  }

  build() {
    const { layers } = this.subject;
    this.age = el("p", { class: "notice", hidden: true });
    this.says = el("span", { class: "pale" });
    const { label, strip } = picker(this.subject, this.image, (image) => this.choose(image));
    this.layerBox = el("select", { id: "layer", onchange: () => this.turn({ layer: this.layerBox.value }) },
      layers.map(({ name, word }) => el("option", { value: name }, word === name ? name : `${name}   ${word}`)));
    this.modeBox = el("div", { class: "switch", role: "group", "aria-label": t("ledger-of") }, MODES.map((mode) =>
      el("button", { type: "button", "data-mode": mode, onclick: () => this.turn({ mode }) }, t(`mode.${mode}`))));
    this.choices = el("span", { class: "controls" });
    this.scaleBox = el("input", { type: "checkbox", id: "shared", checked: this.shared, onchange: () => { this.shared = this.scaleBox.checked; this.draw(); } });
    this.panels = el("div", { class: "panels" });
    this.ledger = el("section", { class: "ledger", "aria-label": t("ledger") });
    this.nudge = el("section", { class: "phase nudging", "aria-label": t("nudge") });
    this.live = el("p", { class: "hidden", "aria-live": "polite" });
    this.main.replaceChildren(
      el("h1", { tabindex: "-1" }, t("page.microscope")),
      el("p", { class: "pale" }, t("microscope.about"), " ", el("span", { class: "terms" }, term("ledger"), term("delta"), term("rotation"))),
      el("div", { class: "controls" },
        label, this.says,
        el("label", { for: "layer" }, t("layer"), this.layerBox), this.modeBox, this.choices,
        el("label", { for: "shared" }, this.scaleBox, t("shared-scale"))),
      strip,
      this.age,
      el("div", { class: "bench" },
        el("div", {}, this.panels, this.nudge, el("p", { class: "small pale keys" }, t("microscope.keys"), " ", el("kbd", {}, "B"))),
        this.ledger),
      this.live);
  }

  /** Send the image through the network as it is now. */
  async look() {
    this.pass = await post("/api/pass", { ...named(this.image), ...(this.moment === null ? {} : { moment: this.moment }) });
    const number = this.pass.pass;
    this.arraysOf = remembering(8, (layer) => arrays(`/api/pass/${number}/${encodeURIComponent(layer)}`));
    this.ledgerOf = remembering(500, (cell) => post("/api/ledger", { pass: number, cell }));
    const { label, classes, likeliest, probabilities } = this.pass;
    this.says.textContent = !probabilities ? "" : label === null
      ? t("own-and-answer", { answer: classes[likeliest], share: (100 * probabilities[likeliest]).toFixed(1) })
      : t("label-and-answer", { label: classes[label] ?? label, answer: classes[likeliest], share: (100 * probabilities[likeliest]).toFixed(1) });
    this.tellAge();
    await this.enter();
  }

  tellAge() {
    const now = this.app.training.step;
    const isOld = this.pass && now !== this.pass.step;
    this.age.hidden = !isOld;
    if (isOld) {
      const atPresent = () => {
        this.moment = null;
        return this.look();
      };
      const button = el("button", { type: "button", onclick: atPresent }, t("look-again"));
      this.age.replaceChildren(t("weights-after", { then: count(this.pass.step), now: count(now) }), " ", button);
    }
  }

  async choose(image) {
    this.image = image;
    await this.look();
  }

  /** Go to another layer, view or cell. */
  async turn({ layer = this.layer.name, mode = this.mode, cell = null, parameter = null, slot = null }) {
    const isElsewhere = layer !== this.layer.name;
    this.layer = this.subject.layers.find(({ name }) => name === layer);
    if (isElsewhere) {
      this.source = 0;
      this.slot = 0;
      this.parameter = null;
    }
    this.parameter = parameter ?? this.parameter;
    this.slot = slot ?? this.slot;
    this.mode = mode;
    this.cell = cell;
    await this.enter();
  }

  /** Turn round at the same place: from an output's sum to the gradient of the pixel there, and back. */
  turnRound(row = this.cell?.[0] ?? 0, column = this.cell?.[1] ?? 0) {
    const isForward = this.mode === "forward";
    const shape = isForward ? this.layer.inputs[this.slot] : this.layer.output;
    const others = shape.length === 3 ? [Math.min(this.source, shape[2] - 1)] : [];
    const index = shape.length === 3 ? [Math.min(row, shape[0] - 1), Math.min(column, shape[1] - 1)] : [Math.min(row, shape[0] - 1)];
    this.source = this.cell?.[this.cell.length - 1] ?? 0;
    return this.turn({ mode: isForward ? "backward" : "forward", cell: [...index, ...others] });
  }

  get inputName() {
    return this.layer.is_join ? `input${this.slot + 1}` : "input";
  }

  /** What is drawn: the primary array, whose cells are chosen, and the arrays that its sums are made of. */
  plan() {
    const { name, parameters, reads, inputs, output, is_join } = this.layer;
    const names = Object.keys(parameters);
    const parameter = names.includes(this.parameter) ? this.parameter : (names[0] ?? null);
    const source = (slot) => ({
      key: is_join ? `input${slot + 1}` : "input", cell: reads[slot] === "image" ? "image" : `${reads[slot]}.output`,
      title: t(reads[slot] === "image" ? "title.image" : "title.input", { name: reads[slot] }), shape: inputs[slot],
      quantity: reads[slot] === "image" ? "pixel" : "value",
    });
    const out = { key: "output", cell: `${name}.output`, title: t("title.output", { name }), shape: output, quantity: "value" };
    const delta = { key: "output.grad", cell: `${name}.output.grad`, title: t("title.delta", { name }), shape: output, quantity: "grad" };
    const dx = { key: `${this.inputName}.grad`, cell: `${name}.${this.inputName}.grad`, title: t("title.dx", { name }), shape: inputs[this.slot], quantity: "grad" };
    const weight = names.includes("weight")
      ? [{ key: "weight", cell: `${name}.weight`, title: t("title.weight"), shape: parameters.weight, quantity: "parameter" }] : [];
    const all = inputs.map((_, slot) => source(slot));
    if (this.mode === "backward") return { primary: dx, sources: [delta, ...weight, ...(weight.length ? [] : all)] };
    if (this.mode === "weight" && parameter) {
      const dw = { key: `${parameter}.grad`, cell: `${name}.${parameter}.grad`, title: t("title.dw", { name, parameter }), shape: parameters[parameter], quantity: "parameter.grad" };
      return { primary: dw, sources: [delta, ...all] };
    }
    return { primary: out, sources: [...all, ...weight] };
  }

  async enter() {
    const { parameters, inputs, reads, is_join, name } = this.layer;
    const hasWeights = Object.keys(parameters).length > 0;
    if (this.mode === "weight" && !hasWeights) this.mode = "forward";
    this.layerBox.value = name;
    for (const button of this.modeBox.children) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
      button.disabled = button.dataset.mode === "weight" && !hasWeights;
    }
    const asked = ++this.asked;
    const found = await this.arraysOf(name);
    if (asked !== this.asked) return;
    this.found = found.arrays;
    this.tooLarge = JSON.parse(found.metadata.too_large ?? "{}");
    this.drawn = this.plan();
    const { primary } = this.drawn;
    const axes = primary.shape.length;
    const isValid = this.cell?.length === axes && this.cell.every((at, axis) => at >= 0 && at < primary.shape[axis]);
    this.cell = isValid ? this.cell : primary.shape.map((size, axis) => (axis < axes - fixedAxes(primary.shape) ? Math.floor((size - 1) / 2) : 0));
    const choices = [];
    if (this.mode === "weight" && Object.keys(parameters).length > 1) {
      choices.push(el("label", { for: "parameter" }, t("parameter"), el("select", { id: "parameter", onchange: (event) => this.turn({ parameter: event.target.value }) },
        Object.keys(parameters).map((one) => el("option", { value: one, selected: primary.key === `${one}.grad` }, one)))));
    }
    if (this.mode === "backward" && is_join) {
      choices.push(el("label", { for: "slot" }, t("input"), el("select", { id: "slot", onchange: (event) => this.turn({ slot: Number(event.target.value) }) },
        inputs.map((_, slot) => el("option", { value: slot, selected: slot === this.slot }, `${slot + 1}: ${reads[slot]}`)))));
    }
    this.choices.replaceChildren(...choices);
    this.draw();
  }

  /** Draw the panels anew and open the ledger of the chosen cell. */
  draw() {
    const { primary, sources } = this.drawn;
    const order = [...sources, primary];
    const maps = order.filter(({ shape }) => shape.length < 4).length;
    const kernels = order.length - maps;
    const inRow = Math.floor((this.panels.clientWidth - 150 * kernels) / maps) - 22;
    this.space = Math.min(290, inRow >= 150 ? inRow : innerWidth - 48);
    for (const panel of order) this.makePanel(panel, panel === primary);
    this.panels.replaceChildren(...order.map(({ figure }) => figure));
    this.open(this.cell);
  }

  makePanel(panel, isPrimary) {
    panel.tensor = this.found[panel.key];
    panel.title2 = el("span", { class: "number" });
    panel.scale = el("div");
    panel.picker = el("div");
    const parts = [];
    if (panel.tensor) {
      const cellOf = (row, column) => panel.slice.index(row, column);
      panel.map = isPrimary
        ? new Map2d({ label: panel.title, move: (row, column) => this.preview(cellOf(row, column)), choose: (row, column) => this.pin(cellOf(row, column)), leave: () => this.preview(this.cell) })
        : new Map2d({ label: panel.title, choose: (row, column) => this.chooseSource(panel, cellOf(row, column)) });
      parts.push(panel.map.element, panel.scale, panel.picker);
    } else {
      parts.push(el("p", { class: "small pale" }, t("too-large", { count: count((this.tooLarge[panel.key] ?? []).reduce((a, b) => a * b, 1)) })));
    }
    const shape = `${panel.shape.join(" × ")}`;
    panel.figure = el("figure", { class: isPrimary ? "primary" : null }, el("figcaption", {}, panel.title, el("span", { class: "number" }, shape, panel.title2)), parts);
    panel.slice = null;
  }

  /** A click on a source: to the windows that read this pixel, or to the sum of this output. */
  chooseSource(panel, index) {
    if (panel.key.startsWith("input") && !panel.key.endsWith(".grad")) {
      const slot = Number(panel.key.slice(5) || 1) - 1;
      this.source = this.cell[this.cell.length - 1];
      this.turn({ mode: "backward", cell: index, slot });
    } else if (panel.key === "output.grad") {
      this.source = this.cell[this.cell.length - 1];
      this.turn({ mode: "forward", cell: index });
    } else {
      this.turn({ mode: "weight", cell: index, parameter: panel.key });
    }
  }

  pin(cell) {
    this.cell = cell;
    this.open(cell);
    this.ledger.querySelector("h2")?.focus({ preventScroll: true });
  }

  /** Show a cell for as long as the pointer is on it; its ledger follows as soon as it is there. */
  preview(cell) {
    this.open(cell, this.cell !== cell);
  }

  async open(cell, isPreview = false) {
    const { primary } = this.drawn;
    const asked = ++this.asked;
    this.show(primary, cell.slice(cell.length - fixedAxes(primary.shape)));
    if (primary.map) primary.map.place(...primary.slice.place(cell), true);
    const name = `${primary.cell}[${cell.join(",")}]`;
    let found;
    try {
      found = await this.ledgerOf(name);
    } catch (error) {
      if (asked === this.asked) this.ledger.replaceChildren(el("p", { class: "notice bad" }, error.message));
      return;
    }
    if (asked !== this.asked) return;
    this.shownLedger = found;
    this.showSources(found);
    this.writeLedger(found);
    if (!isPreview) {
      this.live.textContent = `${found.cell} = ${number(found.stored)}`;
      note("microscope", this.where());
      this.offerNudge(cell);
    }
  }

  /** Below the ledger of a pixel's or a parameter's gradient: the loss around that number, if asked for. */
  offerNudge(cell) {
    const { reads } = this.layer;
    const isPixel = this.mode === "backward" && reads[this.slot] === "image";
    if (isSaved || (!isPixel && this.mode !== "weight")) {
      this.nudge.replaceChildren();
      return;
    }
    const name = `${isPixel ? "image" : this.drawn.primary.cell.replace(/\.grad$/, "")}[${cell.join(",")}]`;
    const { pass } = this.pass;
    const open = async () => {
      const view = await nudgeView(pass, name);
      if (this.nudge.contains(button)) this.nudge.replaceChildren(el("h2", {}, t("nudge.title", { cell: name })), el("p", { class: "small" }, t("nudge.about", { cell: name })), view);
    };
    const button = el("button", { type: "button", onclick: open }, t("nudge.open", { cell: name }));
    const life = this.mode === "weight" && this.subject.can_train
      ? el("a", { href: link("biography", { cell: name }) }, t("biography.open", { cell: name })) : null;
    this.nudge.replaceChildren(...[button, life].filter(Boolean));
  }

  where() {
    return {
      image: this.image ?? "own", layer: this.layer.name, view: this.mode, cell: this.cell.join(","), channel: this.source || null,
      moment: this.moment, slot: this.slot || null, parameter: this.mode === "weight" ? this.parameter : null, scale: this.shared ? null : "own",
    };
  }

  writeLedger(found) {
    this.ledger.replaceChildren(...ledgerView(found, {
      follow: (cell) => this.follow(cell),
      point: (at) => this.showSources(found, at),
      all: this.all,
      showAll: () => {
        this.all = !this.all;
        this.writeLedger(found);
      },
    }).filter(Boolean));
  }

  /** Draw a slice of a panel's array, if it is not the one that is shown. */
  show(panel, fixed) {
    if (!panel.tensor || (panel.slice && String(panel.slice.fixed) === String(fixed))) return;
    panel.slice = slice(panel.tensor, panel.shape, fixed);
    const { values, rows, columns } = panel.slice;
    const isKernel = panel.key === "weight" && panel.shape.length === 4;
    const space = isKernel ? 130 : this.space;
    const largest = this.largest(panel);
    panel.map.show(values, rows, columns, largest, space);
    panel.title2.textContent = fixed.length ? `  [${panel.shape.length === 4 ? "·,·," : panel.shape.length === 3 ? "·,·," : "·,"}${fixed.join(",")}]` : "";
    panel.scale.replaceChildren(legend(largest, Math.max(panel.map.width, 110)));
    if (panel.shape.length === 3 && panel.shape[2] > 1) this.showChannels(panel, fixed[0], largest);
  }

  largest(panel) {
    const { scales } = this.pass;
    if (this.shared) return scales[panel.quantity];
    return panel.tensor.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  }

  showChannels(panel, chosen, largest) {
    const channels = panel.shape[2];
    const isPrimary = panel === this.drawn.primary;
    const choose = (channel) => {
      if (isPrimary) this.pin([...this.cell.slice(0, -1), channel]);
      else {
        this.source = channel;
        this.showSources(this.shownLedger);
      }
    };
    if (!panel.box) {
      panel.box = el("input", { type: "number", min: 0, max: channels - 1, "aria-label": t("map-of", { title: panel.title }), onchange: (event) => choose(Math.min(Math.max(Math.trunc(Number(event.target.value)) || 0, 0), channels - 1)) });
      const shown = Math.min(channels, MOST_THUMBNAILS);
      panel.thumbnails = Array.from({ length: shown }, (_, channel) => {
        const canvas = el("canvas", { "aria-hidden": "true", onclick: () => choose(channel) });
        const { values, rows, columns } = slice(panel.tensor, panel.shape, [channel]);
        paint(canvas, values, rows, columns, largest);
        const size = channels > 24 ? 24 : 34;
        canvas.style.width = `${size}px`;
        canvas.style.height = `${Math.max(Math.round((size * rows) / columns), 2)}px`;
        return canvas;
      });
      panel.picker.replaceChildren(el("div", { class: "group small" }, t("map"), panel.box, el("span", { class: "pale" }, t("of", { count: count(channels) }))),
        el("div", { class: "channels" }, panel.thumbnails));
    }
    panel.box.value = chosen;
    panel.thumbnails.forEach((canvas, channel) => canvas.classList.toggle("chosen", channel === chosen));
  }

  /** Draw the sources of a ledger where its entries are, and number these in the order of the sum. */
  showSources(found, pointed = null) {
    const entries = found.terms.map(({ factors }) => factors.filter(({ cell }) => cell).map(({ cell }) => parse(cell)));
    const { sources } = this.drawn;
    const matching = (panel, factors) => factors.find(({ name }) => name === panel.cell) ?? factors.find(({ name }) => name === `${this.layer.name}.${panel.key}`);
    for (const panel of sources) {
      const axes = fixedAxes(panel.shape);
      const all = entries.map((factors) => matching(panel, factors)).filter(Boolean);
      const wanted = panel.shape.length === 3 ? all.find(({ index }) => index[2] === this.source) : null;
      panel.fixedNow = (wanted ?? all[0])?.index.slice(-axes || Infinity) ?? panel.slice?.fixed ?? Array(axes).fill(0);
    }
    // A kernel has the slice between the two maps that are shown.
    const [maps, kernels] = [sources.filter(({ shape }) => shape.length < 4), sources.filter(({ shape }) => shape.length === 4)];
    for (const kernel of kernels) {
      const fits = entries.find((factors) => matching(kernel, factors) && maps.every((panel) => {
        const factor = matching(panel, factors);
        return !factor || String(factor.index.slice(-fixedAxes(panel.shape) || Infinity)) === String(panel.fixedNow);
      }));
      if (fits) kernel.fixedNow = matching(kernel, fits).index.slice(2);
    }
    for (const panel of sources) this.show(panel, panel.fixedNow);
    const marks = new Map(sources.map((panel) => [panel, []]));
    let order = 0;
    entries.forEach((factors, at) => {
      const placed = sources.map((panel) => {
        const factor = panel.slice && matching(panel, factors);
        return [panel, factor ? panel.slice.place(factor.index) : undefined];
      }).filter(([, place]) => place !== undefined);
      if (!placed.length || placed.some(([, place]) => place === null)) return;
      order += 1;
      if (pointed !== null && at !== pointed) return;
      for (const [panel, [row, column]] of placed) marks.get(panel).push({ row, column, text: String(order) });
    });
    for (const [panel, cells] of marks) panel.map?.mark(cells);
  }

  /** Open the ledger of a source. */
  follow(cell) {
    const { name, index } = parse(cell);
    const [start, ...rest] = name.split(".");
    const layers = this.subject.layers;
    const what = rest.join(".");
    const readers = layers.filter(({ reads }) => reads.includes(start));
    if (start === "image" && !what.startsWith("grad")) {
      const reader = layers.find(({ reads }) => reads.includes("image"));
      return this.turn({ layer: reader.name, mode: "backward", cell: index, slot: reader.reads.indexOf("image") });
    }
    if (what === "output") return this.turn({ layer: start, mode: "forward", cell: index });
    if (what === "output.grad" && readers.length) {
      const [reader] = readers;
      return this.turn({ layer: reader.name, mode: "backward", cell: index, slot: reader.reads.indexOf(start) });
    }
    const parameter = what.replace(/\.(grad|update)$/, "");
    const layer = layers.find((one) => one.name === start);
    if (layer && parameter in layer.parameters) return this.turn({ layer: start, mode: "weight", cell: index, parameter });
    return this.openAlone(cell);
  }

  /** Open a ledger whose number is in none of the maps, such as a probability. */
  async openAlone(cell) {
    const asked = ++this.asked;
    try {
      const found = await this.ledgerOf(cell);
      if (asked === this.asked) this.writeLedger(found);
    } catch (error) {
      if (asked === this.asked) this.ledger.replaceChildren(el("p", { class: "notice bad" }, error.message));
    }
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === "b" || event.key === "B") {
      const isInside = this.panels.contains(event.target);
      this.turnRound().then(() => isInside && this.drawn.primary.map?.cell.focus({ preventScroll: true }));
    } else if (event.key === "Escape" && this.ledger.contains(event.target)) {
      this.drawn.primary.map?.cell.focus();
    } else return;
    event.preventDefault();
  }
}
