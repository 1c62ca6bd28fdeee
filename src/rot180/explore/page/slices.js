// Two axes of an array, as they are drawn; the others are held fixed. A single axis is wrapped into rows.

/**
 * @typedef {{ values: ArrayLike<number>, rows: number, columns: number, fixed: number[],
 *             index: (row: number, column: number) => number[], place: (index: number[]) => [number, number] | null }} Slice
 */

/** How many trailing axes of an array are held fixed. @param {number[]} shape without the batch */
export function fixedAxes(shape) {
  return { 1: 0, 2: 1, 3: 1, 4: 2 }[shape.length] ?? 0;
}

/**
 * @param {import("./server.js").Tensor} tensor @param {number[]} shape without the batch @param {number[]} fixed
 * @returns {Slice}
 */
export function slice(tensor, shape, fixed) {
  const drawn = shape.slice(0, shape.length - fixed.length);
  const behind = shape.slice(drawn.length).reduce((product, size) => product * size, 1);
  const offset = fixed.reduce((sum, at, axis) => sum * shape[drawn.length + axis] + at, 0);
  const total = drawn.reduce((product, size) => product * size, 1);
  const values = Float64Array.from({ length: total }, (_, at) => tensor.data[at * behind + offset]);
  if (drawn.length === 2) {
    const [rows, columns] = drawn;
    return {
      values, rows, columns, fixed,
      index: (row, column) => [row, column, ...fixed],
      place: (index) => (same(index.slice(2), fixed) ? [index[0], index[1]] : null),
    };
  }
  const columns = total <= 12 ? total : Math.ceil(Math.sqrt(total));
  return {
    values, rows: Math.ceil(total / columns), columns, fixed,
    index: (row, column) => [Math.min(row * columns + column, total - 1), ...fixed],
    place: (index) => (same(index.slice(1), fixed) ? [Math.floor(index[0] / columns), index[0] % columns] : null),
  };
}

function same(some, others) {
  return some.length === others.length && some.every((one, at) => one === others[at]);
}

/** Split `conv1.output.grad[3,5,1]` into its name and its index. @param {string} cell */
export function parse(cell) {
  const [, name, index] = /^([^[]*)(?:\[(.*)\])?$/.exec(cell);
  return { name, index: index ? index.split(",").map(Number) : [] };
}
