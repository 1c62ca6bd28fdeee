// The shape lab: small whole numbers, and what padding, stride and dilation make of them.

import { address, note } from "./address.js";
import { el } from "./dom.js";
import { ledgerView } from "./ledger.js";
import { Map2d } from "./map.js";
import { arrays, post, remembering } from "./server.js";
import { parse, slice } from "./slices.js";
import { number, t, term } from "./texts.js";

const KINDS = ["convolution", "transposed", "max-pooling"];
const USUAL = { height: 7, width: 7, kernel: 3, stride: 2, padding: 1, dilation: 1 };
const LIMITS = { height: [1, 16], width: [1, 16], kernel: [1, 7], stride: [1, 5], padding: [0, 6], dilation: [1, 4] };

export async function lab(main) {
  const { values } = address();
  const chosen = {
    kind: KINDS.includes(values.kind) ? values.kind : "convolution", same: values.same === "yes",
    ...Object.fromEntries(Object.entries(USUAL).map(([name, usual]) => [name, Number(values[name] ?? usual)])),
  };
  const error = el("p", { class: "notice bad", hidden: true, role: "alert" });
  const says = el("p", { class: "number" });
  const ignored = el("p", {});
  const panels = el("div", { class: "panels" });
  const box = el("section", { class: "ledger", "aria-label": t("ledger") });
  let asked = 0;

  async function build() {
    let made;
    try {
      made = await post("/api/lab", chosen);
      error.hidden = true;
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
      return;
    }
    note("lab", { ...chosen, same: chosen.same ? "yes" : null });
    const { arrays: found } = await arrays(`/api/pass/${made.pass}/${made.layer}`);
    draw(made, found);
  }

  function draw(made, found) {
    const ledgerOf = remembering(300, (cell) => post("/api/ledger", { pass: made.pass, cell }));
    const [height, width] = made.input;
    const [rows, columns] = made.output;
    const space = Math.min(320, innerWidth - 48);
    const views = new Map();
    const figures = [];

    function add(name, title, tensor, shape, listeners) {
      const cut = slice(tensor, shape, shape.length === 4 ? [0, 0] : [0]);
      const map = new Map2d({ label: title, ...listeners });
      const largest = Math.max(...cut.values.map(Math.abs), 1);
      map.show(cut.values, cut.rows, cut.columns, largest, Math.min(space, 34 * Math.max(cut.rows, cut.columns)), true);
      figures.push(el("figure", {}, el("figcaption", {}, title, el("span", { class: "number" }, `${cut.rows} × ${cut.columns}`)), map.element));
      views.set(name, { map, cut });
    }

    /** Open a number's ledger, and outline what enters its sum. */
    async function open(cell, where) {
      const turn = ++asked;
      const ledger = await ledgerOf(cell);
      if (turn !== asked) return;
      const marks = new Map([...views.keys()].map((name) => [name, []]));
      ledger.terms.forEach(({ factors }, at) => {
        for (const { cell: source } of factors.filter((factor) => factor.cell)) {
          const { name, index } = parse(source);
          const key = { image: "input", [`${made.layer}.weight`]: "weight", [`${made.layer}.output`]: "output", [`${made.layer}.output.grad`]: "output" }[name];
          if (!views.has(key)) continue;
          const [row, column] = views.get(key).cut.place(index);
          marks.get(key).push({ row, column });
        }
      });
      for (const [name, cells] of marks) views.get(name).map.mark(cells);
      for (const [name, { map }] of views) map.place(...(name === where.name ? where.at : map.at), name === where.name);
      box.replaceChildren(...ledgerView(ledger, { follow, point: () => {}, all: true, showAll: null }).filter(Boolean));
    }

    /** Turn round at a source: to the gradient of a pixel or a weight, to the sum of an output. */
    function follow(source) {
      const { name, index } = parse(source);
      if (name === "image") return backward(...index);
      if (name.startsWith(`${made.layer}.output`)) return forward(...index);
      return open(`${made.layer}.weight.grad[${index.join(",")}]`, { name: "weight", at: index.slice(0, 2) });
    }

    const forward = (row, column) => open(`${made.layer}.output[${row},${column},0]`, { name: "output", at: [row, column] });
    const backward = (row, column) => open(`image.grad[${row},${column},0]`, { name: "input", at: [row, column] });
    add("input", t("lab.input"), found.input, made.input, { move: backward, choose: backward });
    if (made.has_weight) add("weight", t("title.weight"), found.weight, found.weight.shape, {});
    add("output", t("lab.output"), found.output, made.output, { move: forward, choose: forward });
    const readers = new Map2d({ label: t("lab.readers") });
    const most = Math.max(...made.readers.flat(), 1);
    readers.show(made.readers.flat(), height, width, most, Math.min(space, 34 * Math.max(height, width)), true);
    figures.push(el("figure", {}, el("figcaption", {}, t("lab.readers")), readers.element));
    panels.replaceChildren(...figures);
    const none = made.readers.flat().filter((times) => times === 0).length;
    ignored.textContent = none ? t("lab.ignored", { count: none }) : t("lab.none-ignored");
    says.textContent = made.padding ? arithmetic(made) : `${made.word}: ${height} × ${width} → ${rows} × ${columns}`;
    forward(Math.floor((rows - 1) / 2), Math.floor((columns - 1) / 2));
  }

  /** The rows of the output, as they are computed. */
  function arithmetic({ input: [height], output: [rows], padding: [[top, bottom]] }) {
    const { kernel, stride, dilation, kind } = chosen;
    const reach = (kind === "max-pooling" ? 1 : dilation) * (kernel - 1) + 1;
    return t("lab.arithmetic", { height, top, bottom, reach, stride, rows });
  }

  const boxes = Object.entries(LIMITS).map(([name, [least, most]]) => el("label", { for: name }, t(`lab.${name}`), el("input", {
    type: "number", id: name, min: least, max: most, value: chosen[name],
    onchange: (event) => { chosen[name] = Math.trunc(Number(event.target.value)); build(); },
  })));
  const kindBox = el("select", { id: "kind", onchange: (event) => { chosen.kind = event.target.value; build(); } },
    KINDS.map((kind) => el("option", { value: kind, selected: kind === chosen.kind }, t(`lab.${kind}`))));
  const sameBox = el("input", { type: "checkbox", id: "same", checked: chosen.same, onchange: (event) => { chosen.same = event.target.checked; build(); } });
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.lab")),
    el("p", { class: "pale" }, t("lab.about"), " ", el("span", { class: "terms" }, term("stride"), term("padding"), term("dilation"))),
    el("div", { class: "controls" }, el("label", { for: "kind" }, t("lab.kind"), kindBox), boxes, el("label", { for: "same" }, sameBox, t("lab.same"))),
    error, el("div", {}, says, ignored),
    el("div", { class: "bench" }, panels, box));
  await build();
}
