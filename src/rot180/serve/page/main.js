// Drop or draw a picture, and see what the network answers, what its layers make of it, and what the answer rests on.
// The server receives the file itself, and decodes it as `rot180 predict` does; a drawing is sent as a PNG.

import { bars, reasons } from "./answer.js";
import { drawingBoard } from "./board.js";
import { el } from "./dom.js";
import { begin, choosers } from "./frame.js";
import { layers } from "./layers.js";
import { get, readArrays, send } from "./server.js";
import { t } from "./texts.js";

const told = await get("/models");
let model = told.models[0];
/** The picture that was sent last, and the class that was asked about: they outlast a change of language or network. */
let sent = null;
let chosen = null;

/** Ask about the newest picture only: a question that was overtaken is not asked. */
class Questions {
  /** @param {(blob: Blob, isOld: () => boolean) => Promise<void>} ask */
  constructor(ask) {
    this.ask = ask;
    this.newest = null;
    this.isBusy = false;
  }

  async put(blob) {
    this.newest = blob;
    if (this.isBusy) return;
    this.isBusy = true;
    while (this.newest) {
      const asked = this.newest;
      this.newest = null;
      await this.ask(asked, () => this.newest !== null);
    }
    this.isBusy = false;
  }
}

function show() {
  document.querySelector("#skip").textContent = t("skip");
  document.querySelector("#header").replaceChildren(
    el("a", { class: "brand", href: "/" }, "rot180"),
    el("div", { class: "tools" }, el("span", { class: "name", title: model?.notation ?? "" }, model?.name ?? ""), choosers(told.languages, show)));
  const main = document.querySelector("#main");
  if (model) main.replaceChildren(...page());
  else main.replaceChildren(el("h1", {}, t("page.title")), el("p", { class: "notice" }, t("no-pictures")));
  document.body.dataset.shown = "page";
}

function page() {
  const answer = el("div", { class: "bars" });
  const unlike = el("p", { class: "notice", hidden: true });
  const error = el("p", { class: "notice bad", hidden: true, role: "alert" });
  const maps = el("div", { class: "panels" });
  const inside = el("div", { class: "phase" });
  const state = el("p", { class: "small pale", role: "status" }, t("nothing-yet"));
  let isUntouched = true;

  const questions = new Questions(async (blob, isOld) => {
    const query = `?model=${encodeURIComponent(model.name)}`;
    const tell = (key) => { state.textContent = t(key); };
    try {
      tell("asking");
      const { predictions: [{ top, unlike_training: differences }] } = await (await send(`/predict${query}&top=all`, blob)).json();
      const shares = new Array(model.classes.length).fill(0);
      for (const { label, probability } of top) shares[model.classes.indexOf(label)] = probability;
      const label = chosen ?? model.classes.indexOf(top[0].label);
      error.hidden = true;
      unlike.hidden = !differences.length;
      unlike.textContent = differences.length ? t("unlike", { how: differences.join("; ") }) : "";
      answer.replaceChildren(...bars(shares, model.classes, label, (other) => { chosen = other; questions.put(sent); }));
      if (isOld()) return;
      const { arrays, metadata } = await readArrays(await send(`/look${query}`, blob));
      if (isOld()) return;
      // Painted over a drawing, the answer would take away what was drawn since.
      if (isUntouched || blob instanceof File) board.paint(Uint8Array.from(arrays.image.data, (value) => Math.round(255 * value)));
      keepingPlace(() => inside.replaceChildren(...layers(arrays, JSON.parse(metadata.layers))));
      tell("looking");
      const found = await (await send(`/reasons${query}&class=${label}`, blob)).json();
      keepingPlace(() => maps.replaceChildren(...reasons(found, model.classes[label])));
      tell("done");
    } catch (refused) {
      error.textContent = refused.message;
      error.hidden = false;
      state.textContent = "";
    }
  });

  function ask(blob) {
    sent = blob;
    questions.put(blob);
  }

  function bring(files) {
    if (!files.length) return;
    chosen = null;
    ask(files[0]);
  }

  const board = drawingBoard(model.input, async (_, canvas) => {
    isUntouched = false;
    ask(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")));
  });
  const file = el("input", { type: "file", id: "file", accept: "image/*", onchange: () => bring(file.files) });
  const drop = el("div", { class: "phase drop" },
    el("div", { class: "controls" }, el("label", { for: "file" }, t("file"), file), modelChooser()),
    board.element);
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") bring(event.dataTransfer.files);
    });
  }
  if (sent) questions.put(sent);
  return [
    el("h1", { tabindex: "-1" }, t("page.title")),
    el("p", { class: "pale" }, t("page.about")),
    el("div", { class: "tryout" }, drop, el("div", { class: "phase" }, el("h2", {}, t("probabilities")), answer, unlike, error, state)),
    el("section", { class: "phase", "aria-label": t("rests-on") }, el("h2", {}, t("rests-on")), maps),
    el("section", { class: "phase", "aria-label": t("layers") }, el("h2", {}, t("layers")), el("p", { class: "small pale" }, t("layers.about")), inside),
  ];
}

/** A list of the networks, if there are several. */
function modelChooser() {
  if (told.models.length < 2) return null;
  const choose = (event) => {
    model = told.models.find(({ name }) => name === event.target.value);
    chosen = null;
    show();
    document.querySelector("#model").focus();
  };
  return el("label", { for: "model" }, t("model"), el("select", { id: "model", onchange: choose },
    told.models.map(({ name }) => el("option", { value: name, selected: name === model.name }, name))));
}

/** Change what is shown without moving what the reader looks at. */
function keepingPlace(change) {
  const scroll = [scrollX, scrollY];
  change();
  scrollTo(...scroll);
}

await begin(told.language, show);
show();
