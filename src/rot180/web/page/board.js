// A drawing board: bytes of an image, as a network takes them, changed with the mouse, a finger or the keyboard.

import { el } from "./dom.js";
import { picture } from "./picture.js";
import { t } from "./texts.js";

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * Make a board.
 * @param {number[]} shape height, width, channels @param {(bytes: Uint8Array, canvas: any) => void} changed
 * @param {...Node} others what stands beside its buttons
 * @returns {{ element: any, paint: (bytes: Uint8Array) => void, show: (bytes: Uint8Array) => void }}
 * `show` calls `changed`, `paint` does not
 */
export function drawingBoard([height, width, channels], changed, ...others) {
  const size = Math.min(Math.floor(Math.min(336, innerWidth - 48) / Math.max(height, width)) || 1, 40);
  const board = el("canvas", { tabindex: "0", role: "application", "aria-label": t("board"), "aria-describedby": "board-keys" });
  const cursor = el("div", { class: "cell" });
  const place = el("p", { class: "hidden", "aria-live": "polite" });
  const ink = el("input", { type: "range", id: "ink", min: 0, max: 255, value: 255 });
  const brush = el("select", { id: "brush" }, [1, 2, 3, 5].map((side) => el("option", { value: side, selected: side === Math.max(1, Math.round(height / 14)) }, `${side} × ${side}`)));
  let bytes = new Uint8Array(height * width * channels);
  let at = [Math.floor(height / 2), Math.floor(width / 2)];

  function draw() {
    picture(board, { shape: [1, height, width, channels], data: Float32Array.from(bytes, (byte) => byte / 255) }, 0);
    board.style.width = `${width * size}px`;
    board.style.height = `${height * size}px`;
    Object.assign(cursor.style, { left: `${at[1] * size}px`, top: `${at[0] * size}px`, width: `${size}px`, height: `${size}px` });
  }

  function paint(given) {
    bytes = given;
    draw();
  }

  function show(given) {
    paint(given);
    changed(bytes, board);
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
    show(bytes);
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
  const clear = () => show(new Uint8Array(height * width * channels));
  draw();
  const element = el("div", { class: "phase" },
    el("div", { class: "map board" }, board, cursor), place,
    el("div", { class: "controls" }, el("label", { for: "brush" }, t("brush"), brush), el("label", { for: "ink" }, t("ink"), ink)),
    el("div", { class: "controls" },
      el("button", { type: "button", onclick: clear }, t("clear")),
      el("button", { type: "button", onclick: () => show(bytes.map((byte) => 255 - byte)) }, t("invert")), others),
    el("p", { class: "small pale", id: "board-keys" }, t("board.keys")));
  return { element, paint, show };
}
