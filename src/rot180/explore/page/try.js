// Try it: an image of the set, a drawing or a file; change a pixel, and everything follows.

import { address, link, note } from "./address.js";
import { legend } from "./colors.js";
import { el } from "./dom.js";
import { Map2d } from "./map.js";
import { base64, own } from "./own.js";
import { picker, picture } from "./pictures.js";
import { arrays, post } from "./server.js";
import { t, term } from "./texts.js";

const AT_ONCE = 24;
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export async function tryIt(main, app) {
  const { subject } = app;
  const [height, width, channels] = subject.input;
  const shown = Math.min(Number(address().values.image) || 0, subject.count - 1);
  const board = el("canvas", { tabindex: "0", role: "application", "aria-label": t("board"), "aria-describedby": "board-keys" });
  const size = Math.min(Math.floor(Math.min(336, innerWidth - 48) / Math.max(height, width)) || 1, 40);
  const cursor = el("div", { class: "cell" });
  const place = el("p", { class: "hidden", "aria-live": "polite" });
  const bars = el("div", { class: "bars" });
  const maps = el("div", { class: "panels" });
  const error = el("p", { class: "notice bad", hidden: true });
  const ink = el("input", { type: "range", id: "ink", min: 0, max: 255, value: 255 });
  const brush = el("select", { id: "brush" }, [1, 2, 3, 5].map((side) => el("option", { value: side, selected: side === Math.max(1, Math.round(height / 14)) }, `${side} × ${side}`)));
  const file = el("input", { type: "file", id: "file", accept: "image/*", onchange: () => bring(file.files[0]) });
  let bytes = own.bytes ?? new Uint8Array(height * width * channels);
  let at = [Math.floor(height / 2), Math.floor(width / 2)];
  let chosen = null;
  let waiting = false;
  let isBusy = false;

  function draw() {
    picture(board, { shape: [1, height, width, channels], data: Float32Array.from(bytes, (byte) => byte / 255) }, 0);
    board.style.width = `${width * size}px`;
    board.style.height = `${height * size}px`;
    Object.assign(cursor.style, { left: `${at[1] * size}px`, top: `${at[0] * size}px`, width: `${size}px`, height: `${size}px` });
  }

  function stamp(row, column) {
    const side = Number(brush.value);
    const start = -Math.floor(side / 2);
    for (let down = start; down < start + side; down++) {
      for (let right = start; right < start + side; right++) {
        const [i, j] = [row + down, column + right];
        if (i < 0 || j < 0 || i >= height || j >= width) continue;
        bytes.fill(Number(ink.value), (i * width + j) * channels, (i * width + j + 1) * channels);
      }
    }
    change();
  }

  function change() {
    own.bytes = bytes;
    draw();
    ask();
  }

  /** Ask for the newest image, one question at a time. */
  async function ask() {
    waiting = true;
    if (isBusy) return;
    isBusy = true;
    while (waiting) {
      waiting = false;
      try {
        const pixels = base64(bytes);
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
      bars.replaceChildren(el("p", {}, t("no-classes")));
      return;
    }
    const order = probabilities.map((share, label) => [share, label]).sort((a, b) => (probabilities.length > 12 ? b[0] - a[0] : a[1] - b[1])).slice(0, 12);
    bars.replaceChildren(...order.map(([share, label]) => {
      const bar = el("span", { class: "bar" });
      bar.style.width = `${(100 * share).toFixed(2)}%`;
      return el("button", {
        type: "button", class: "share", "aria-pressed": String(label === (chosen ?? likeliest)), onclick: () => { chosen = label; ask(); },
      }, el("span", {}, classes[label]), el("span", { class: "track" }, bar), el("span", { class: "number" }, `${(100 * share).toFixed(1)}%`));
    }));
  }

  function tellMaps({ saliency, grad_cam: cam, occlusion, layer, patch }, label) {
    const figure = (key, rows, values = {}) => {
      if (!rows.length) return null;
      const flat = rows.flat();
      const largest = Math.max(...flat.map(Math.abs), 0);
      const title = t(`${key}.title`);
      const map = new Map2d({ label: title });
      map.show(flat, rows.length, rows[0].length, largest, 200);
      return el("figure", {}, el("figcaption", {}, term(key)), map.element, legend(largest, Math.max(map.width, 110)), el("p", { class: "small pale says" }, t(`${key}.says`, { name: subject.classes[label], ...values })));
    };
    const scroll = [scrollX, scrollY];
    maps.replaceChildren(...[figure("saliency", saliency), figure("grad-cam", cam, { layer }), figure("occlusion", occlusion, { patch })].filter(Boolean));
    scrollTo(...scroll);
  }

  async function take(image) {
    const first = Math.floor(image / AT_ONCE) * AT_ONCE;
    const { arrays: { images } } = await arrays(`/api/images/${first}`);
    const values = height * width * channels;
    bytes = Uint8Array.from(images.data.subarray((image - first) * values, (image - first + 1) * values), (value) => Math.round(255 * value));
    chosen = null;
    note("try", { image });
    change();
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
      bytes = new Uint8Array(height * width * channels);
      for (let pixel = 0; pixel < height * width; pixel++) {
        const [red, green, blue] = data.subarray(4 * pixel, 4 * pixel + 3);
        if (channels === 3) bytes.set([red, green, blue], 3 * pixel);
        else bytes.fill(Math.round(0.299 * red + 0.587 * green + 0.114 * blue), pixel * channels, (pixel + 1) * channels);
      }
      chosen = null;
      change();
    } catch {
      error.textContent = t("not-an-image");
      error.hidden = false;
    }
  }

  function move(event) {
    const box = board.getBoundingClientRect();
    const [row, column] = [Math.floor((event.clientY - box.top) / size), Math.floor((event.clientX - box.left) / size)];
    if (event.buttons !== 1 || row < 0 || column < 0 || row >= height || column >= width) return;
    if (event.type === "pointermove" && row === at[0] && column === at[1]) return;
    at = [row, column];
    stamp(row, column);
  }

  function press(event) {
    const [down, right] = MOVES[event.key] ?? [0, 0];
    if (down || right) {
      at = [Math.min(Math.max(at[0] + down, 0), height - 1), Math.min(Math.max(at[1] + right, 0), width - 1)];
      draw();
      place.textContent = t("cell-says", { row: at[0], column: at[1], value: bytes[(at[0] * width + at[1]) * channels] });
    } else if (event.key === " " || event.key === "Enter") stamp(...at);
    else return;
    event.preventDefault();
  }

  for (const kind of ["pointerdown", "pointermove"]) board.addEventListener(kind, move);
  board.addEventListener("keydown", press);
  const { label, strip } = picker(subject, shown, take);
  const clear = () => {
    bytes = new Uint8Array(height * width * channels);
    chosen = null;
    change();
  };
  const invert = () => {
    bytes = bytes.map((byte) => 255 - byte);
    change();
  };
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.try")),
    el("p", { class: "pale" }, t("try.about")),
    el("div", { class: "controls" }, label, el("label", { for: "file" }, t("file"), file)), strip,
    el("div", { class: "tryout" },
      el("div", { class: "phase" },
        el("div", { class: "map board" }, board, cursor), place,
        el("div", { class: "controls" }, el("label", { for: "brush" }, t("brush"), brush), el("label", { for: "ink" }, t("ink"), ink)),
        el("div", { class: "controls" },
          el("button", { type: "button", onclick: clear }, t("clear")), el("button", { type: "button", onclick: invert }, t("invert")),
          el("a", { href: link("microscope", { image: "own" }) }, t("under-the-microscope"))),
        el("p", { class: "small pale", id: "board-keys" }, t("board.keys"))),
      el("div", { class: "phase" }, el("h2", {}, t("probabilities")), bars, error)),
    el("section", { class: "phase", "aria-label": t("rests-on") }, el("h2", {}, t("rests-on")), maps));
  if (own.bytes && !address().values.image) change();
  else await take(shown);
}
