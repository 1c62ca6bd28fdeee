// A map of numbers as a grid: colors in a canvas, marks in SVG, and one cell that the keyboard moves.

import { paint } from "./colors.js";
import { el, svg } from "./dom.js";
import { brief, number, t } from "./texts.js";

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const MOST_FRAMED = 64;

/** The edges around many cells together: frames around each of them would hide what they frame. */
function outline(cells, size) {
  const inside = new Set(cells.map(({ row, column }) => `${row} ${column}`));
  const has = (row, column) => inside.has(`${row} ${column}`);
  return cells.map(({ row, column }) => {
    const [x, y] = [column * size, row * size];
    return [
      has(row - 1, column) ? "" : `M${x} ${y}h${size}`, has(row + 1, column) ? "" : `M${x} ${y + size}h${size}`,
      has(row, column - 1) ? "" : `M${x} ${y}v${size}`, has(row, column + 1) ? "" : `M${x + size} ${y}v${size}`,
    ].join("");
  }).join("");
}

export class Map2d {
  /**
   * @param {{ label: string, move?: (row: number, column: number) => void, choose?: (row: number, column: number) => void,
   *           leave?: () => void }} listeners
   */
  constructor({ label, move, choose, leave }) {
    this.move = move;
    this.choose = choose;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.overlay = svg("svg", { "aria-hidden": "true" });
    this.cell = el("div", { class: "cell idle", role: "gridcell", tabindex: "0" });
    this.row = el("div", { role: "row" }, this.cell);
    this.element = el("div", { class: choose ? "map live" : "map", role: "grid", "aria-label": label }, this.canvas, this.overlay, this.row);
    this.at = [0, 0];
    this.element.addEventListener("pointermove", (event) => this.point(event, move));
    this.element.addEventListener("click", (event) => {
      this.point(event, choose, true);
      this.cell.focus({ preventScroll: true });
    });
    if (leave) this.element.addEventListener("pointerleave", leave);
    this.element.addEventListener("keydown", (event) => this.press(event));
  }

  /**
   * @param {ArrayLike<number>} values row by row @param {number} rows @param {number} columns
   * @param {number} largest the end of the color scale @param {number} space pixels @param {boolean} [digits] print values
   */
  show(values, rows, columns, largest, space, digits = false) {
    Object.assign(this, { values, rows, columns });
    this.size = Math.max(Math.min(Math.floor(space / Math.max(columns, rows)), 40), 1);
    const [width, height] = [columns * this.size, rows * this.size];
    paint(this.canvas, values, rows, columns, largest);
    for (const part of [this.canvas, this.element]) {
      part.style.width = `${width}px`;
      part.style.height = `${height}px`;
    }
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.overlay.setAttribute("width", width);
    this.overlay.setAttribute("height", height);
    this.element.setAttribute("aria-rowcount", rows);
    this.element.setAttribute("aria-colcount", columns);
    this.digits = !digits ? [] : Array.from(values, (value, at) =>
      svg("text", { class: "digit", x: ((at % columns) + 0.5) * this.size, y: (Math.floor(at / columns) + 0.5) * this.size }, brief(value)));
    this.mark([]);
    this.place(Math.min(this.at[0], rows - 1), Math.min(this.at[1], columns - 1));
  }

  get width() {
    return this.columns * this.size;
  }

  /** Put the one cell of the grid somewhere; `chosen` shows it. */
  place(row, column, chosen = false) {
    this.at = [row, column];
    this.cell.classList.toggle("idle", !chosen);
    Object.assign(this.cell.style, {
      left: `${column * this.size}px`, top: `${row * this.size}px`, width: `${this.size}px`, height: `${this.size}px`,
    });
    this.row.setAttribute("aria-rowindex", row + 1);
    this.cell.setAttribute("aria-colindex", column + 1);
    this.cell.textContent = t("cell-says", { row, column, value: number(this.values[row * this.columns + column]) });
  }

  /**
   * Outline cells and number them; and whole rows or columns, as bands behind them.
   * @param {{ row: number, column: number, text?: string }[]} cells @param {{ row?: number, column?: number }[]} [bands]
   */
  mark(cells, bands = []) {
    const size = this.size;
    const across = bands.map(({ row, column }) => (row === undefined
      ? `M${column * size} 0h${size}v${this.rows * size}h${-size}z` : `M0 ${row * size}h${this.columns * size}v${size}h${-this.columns * size}z`)).join("");
    const path = cells.length > MOST_FRAMED ? outline(cells, size)
      : cells.map(({ row, column }) => `M${column * size} ${row * size}h${size}v${size}h${-size}z`).join("");
    const parts = [svg("path", { class: "under", d: across + path }), svg("path", { class: "band", d: across }), svg("path", { class: "mark", d: path })];
    if (size >= 17 && cells.length <= MOST_FRAMED) {
      for (const { row, column, text } of cells) {
        if (text) parts.push(svg("text", { class: "order", x: (column + 0.5) * size, y: (row + 0.5) * size }, text));
      }
    }
    this.overlay.replaceChildren(...this.digits, ...(cells.length || bands.length ? parts : []));
  }

  point(event, tell, always = false) {
    if (!tell) return;
    const box = this.canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / this.size);
    const column = Math.floor((event.clientX - box.left) / this.size);
    if (row < 0 || column < 0 || row >= this.rows || column >= this.columns) return;
    const key = `${row} ${column}`;
    if (always || key !== this.pointed) tell(row, column);
    this.pointed = key;
  }

  press(event) {
    const [down, right] = MOVES[event.key] ?? [0, 0];
    if (down || right) {
      const row = Math.min(Math.max(this.at[0] + down, 0), this.rows - 1);
      const column = Math.min(Math.max(this.at[1] + right, 0), this.columns - 1);
      this.place(row, column, !this.cell.classList.contains("idle"));
      this.move?.(row, column);
    } else if (event.key === "Enter" || event.key === " ") {
      this.choose?.(...this.at);
    } else return;
    event.preventDefault();
  }
}
