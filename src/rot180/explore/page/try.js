// Try it: an image of the set, a drawing or a file; change a pixel, and everything follows.

import { address, link, note } from "./address.js";
import { bars, reasons } from "./answer.js";
import { drawingBoard } from "./board.js";
import { el } from "./dom.js";
import { base64, own } from "./own.js";
import { picker } from "./pictures.js";
import { arrays, post } from "./server.js";
import { t } from "./texts.js";

const AT_ONCE = 24;

export async function tryIt(main, app) {
  const { subject } = app;
  const [height, width, channels] = subject.input;
  const shown = Math.min(Number(address().values.image) || 0, subject.count - 1);
  const answer = el("div", { class: "bars" });
  const maps = el("div", { class: "panels" });
  const error = el("p", { class: "notice bad", hidden: true });
  const file = el("input", { type: "file", id: "file", accept: "image/*", onchange: () => bring(file.files[0]) });
  const board = drawingBoard(subject.input, change, el("a", { href: link("microscope", { image: "own" }) }, t("under-the-microscope")));
  let chosen = null;
  let waiting = false;
  let isBusy = false;

  function change(bytes) {
    own.bytes = bytes;
    ask();
  }

  /** Show another image; the class that was asked about is forgotten. */
  function begin(bytes) {
    chosen = null;
    board.show(bytes);
  }

  /** Ask for the newest image, one question at a time. */
  async function ask() {
    waiting = true;
    if (isBusy) return;
    isBusy = true;
    while (waiting) {
      waiting = false;
      try {
        const pixels = base64(own.bytes);
        const found = await post("/api/pass", { pixels });
        error.hidden = true;
        tellProbabilities(found);
        const asked = chosen ?? found.likeliest;
        if (asked !== undefined && !waiting) tellMaps(await post("/api/attribution", { pixels, class: asked }), asked);
      } catch (refused) {
        error.textContent = refused.message;
        error.hidden = false;
      }
    }
    isBusy = false;
  }

  function tellProbabilities({ probabilities, likeliest, classes }) {
    if (!probabilities) {
      answer.replaceChildren(el("p", {}, t("no-classes")));
      return;
    }
    answer.replaceChildren(...bars(probabilities, classes, chosen ?? likeliest, (label) => { chosen = label; ask(); }));
  }

  function tellMaps(attribution, label) {
    const scroll = [scrollX, scrollY];
    maps.replaceChildren(...reasons(attribution, subject.classes[label]));
    scrollTo(...scroll);
  }

  async function take(image) {
    const first = Math.floor(image / AT_ONCE) * AT_ONCE;
    const { arrays: { images } } = await arrays(`/api/images/${first}`);
    const values = height * width * channels;
    note("try", { image });
    begin(Uint8Array.from(images.data.subarray((image - first) * values, (image - first + 1) * values), (value) => Math.round(255 * value)));
  }

  /** Decode and resize a file here in the browser; the program receives exactly the bytes of an image. */
  async function bring(given) {
    if (!given) return;
    try {
      const bitmap = await createImageBitmap(given);
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      context.fillStyle = "black";
      context.fillRect(0, 0, width, height);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, width, height);
      const { data } = context.getImageData(0, 0, width, height);
      const bytes = new Uint8Array(height * width * channels);
      for (let pixel = 0; pixel < height * width; pixel++) {
        const [red, green, blue] = data.subarray(4 * pixel, 4 * pixel + 3);
        if (channels === 3) bytes.set([red, green, blue], 3 * pixel);
        else bytes.fill(Math.round(0.299 * red + 0.587 * green + 0.114 * blue), pixel * channels, (pixel + 1) * channels);
      }
      begin(bytes);
    } catch {
      error.textContent = t("not-an-image");
      error.hidden = false;
    }
  }

  const { label, strip } = picker(subject, shown, take);
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.try")),
    el("p", { class: "pale" }, t("try.about")),
    el("div", { class: "controls" }, label, el("label", { for: "file" }, t("file"), file)), strip,
    el("div", { class: "tryout" },
      board.element,
      el("div", { class: "phase" }, el("h2", {}, t("probabilities")), answer, error)),
    el("section", { class: "phase", "aria-label": t("rests-on") }, el("h2", {}, t("rests-on")), maps));
  if (own.bytes && !address().values.image) board.show(own.bytes);
  else await take(shown);
}
