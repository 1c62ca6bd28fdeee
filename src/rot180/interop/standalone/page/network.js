"use strict";
// The network: operations over maps (height, width, channels), as rot180 describes them.

const program = JSON.parse(document.getElementById("program").textContent);

/** Return the arrays at the end of the page; weights of int8 become floats. */
function readArrays() {
  const text = atob(document.getElementById("data").textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  let at = 0;
  return program.data.map(([kind, count]) => {
    const found = new { f: Float32Array, i: Int32Array, c: Int8Array }[kind](bytes.buffer, at, count);
    at += Math.ceil(found.byteLength / 4) * 4;
    return found;
  });
}

const ONE = {
  relu: (x) => Math.max(x, 0),
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  elu: (x, alpha) => (x > 0 ? x : alpha * Math.expm1(x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  hardswish: (x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1),
  hardsigmoid: (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

/** The error function, by its series near 0 and its continued fraction further out; exact to 1e-15. */
function erf(x) {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x, sum = x;
    for (let n = 1; n < 60; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

const MAPS = {
  convolution(op, [x], y, { weight, scale, bias }) {
    const [h, w, c] = op.takes[0], [oh, ow, f] = op.shape, [kh, kw] = op.arrays.weight;
    const { stride: [sh, sw], dilation: [dh, dw], padding: [top, left], groups } = op.numbers;
    const depth = c / groups, count = f / groups;
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++) {
        const out = (i * ow + j) * f;
        for (let u = 0; u < kh; u++) {
          const row = i * sh + u * dh - top;
          if (row < 0 || row >= h) continue;
          for (let v = 0; v < kw; v++) {
            const column = j * sw + v * dw - left;
            if (column < 0 || column >= w) continue;
            const from = (row * w + column) * c, tap = (u * kw + v) * depth * f;
            for (let g = 0; g < groups; g++)
              for (let a = 0; a < depth; a++) {
                const value = x[from + g * depth + a], at = tap + a * f + g * count, to = out + g * count;
                if (value !== 0) for (let k = 0; k < count; k++) y[to + k] += value * weight[at + k];
              }
          }
        }
        for (let k = 0; k < f; k++) y[out + k] = y[out + k] * (scale ? scale[k] : 1) + bias[k];
      }
  },
  transposed(op, [x], y, { weight, bias }) {
    const [h, w, c] = op.takes[0], [oh, ow, f] = op.shape, [kh, kw] = op.arrays.weight;
    const { stride: [sh, sw], dilation: [dh, dw], padding: [top, left], groups } = op.numbers;
    const depth = c / groups, count = f / groups;
    for (let i = 0; i < y.length; i++) y[i] = bias[i % f];
    for (let i = 0; i < h; i++)
      for (let j = 0; j < w; j++)
        for (let u = 0; u < kh; u++) {
          const row = i * sh + u * dh - top;
          if (row < 0 || row >= oh) continue;
          for (let v = 0; v < kw; v++) {
            const column = j * sw + v * dw - left;
            if (column < 0 || column >= ow) continue;
            for (let g = 0; g < groups; g++)
              for (let k = 0; k < count; k++) {
                let total = 0;
                const at = ((u * kw + v) * count + k) * c + g * depth, from = (i * w + j) * c + g * depth;
                for (let a = 0; a < depth; a++) total += x[from + a] * weight[at + a];
                y[(row * ow + column) * f + g * count + k] += total;
              }
          }
        }
  },
  maximum(op, [x], y) {
    const [h, w, c] = op.takes[0], [oh, ow] = op.shape;
    const { kernel: [kh, kw], stride: [sh, sw], padding: [top, left] } = op.numbers;
    y.fill(-Infinity);
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++)
        for (let row = Math.max(i * sh - top, 0); row < Math.min(i * sh - top + kh, h); row++)
          for (let column = Math.max(j * sw - left, 0); column < Math.min(j * sw - left + kw, w); column++)
            for (let k = 0; k < c; k++)
              y[(i * ow + j) * c + k] = Math.max(y[(i * ow + j) * c + k], x[(row * w + column) * c + k]);
  },
  resize(op, [x], y, own) {
    const [, w, c] = op.takes[0], [oh, ow] = op.shape;
    const kh = op.arrays.row_weight[1], kw = op.arrays.column_weight[1];
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++)
        for (let p = 0; p < kh; p++)
          for (let q = 0; q < kw; q++) {
            const share = own.row_weight[i * kh + p] * own.column_weight[j * kw + q];
            const from = ((own.row_start[i] + p) * w + own.column_start[j] + q) * c;
            for (let k = 0; k < c; k++) y[(i * ow + j) * c + k] += share * x[from + k];
          }
  },
  affine(op, [x], y, { scale, shift }) {
    for (let i = 0; i < x.length; i++) y[i] = x[i] * scale[i % scale.length] + shift[i % scale.length];
  },
  group_norm(op, [x], y, { scale, shift }) {
    const c = op.shape[2], each = c / op.numbers.groups;
    for (let g = 0; g < op.numbers.groups; g++) {
      const places = [];
      for (let i = 0; i < x.length; i += c) for (let k = g * each; k < (g + 1) * each; k++) places.push(i + k);
      normalize(x, y, places, op.numbers.eps, (at) => at % c, scale, shift);
    }
  },
  layer_norm(op, [x], y, { scale, shift }) {
    const { span, eps } = op.numbers;
    for (let start = 0; start < x.length; start += span)
      normalize(x, y, Array.from({ length: span }, (_, k) => start + k), eps, (at) => at - start, scale, shift);
  },
  response_norm(op, [x], y) {
    const c = op.shape[2], { before, behind, factor, beta, k } = op.numbers;
    for (let i = 0; i < x.length; i++) {
      let total = 0;
      for (let n = Math.max((i % c) - before, 0); n <= Math.min((i % c) + behind, c - 1); n++)
        total += x[i - (i % c) + n] ** 2;
      y[i] = x[i] * (k + factor * total) ** -beta;
    }
  },
  take(op, [x], y, { channels }) {
    const c = op.takes[0][2], f = op.shape[2];
    for (let i = 0; i < y.length; i++) y[i] = x[Math.floor(i / f) * c + channels[i % f]];
  },
  prelu(op, [x], y, { slope }) {
    for (let i = 0; i < x.length; i++) y[i] = x[i] > 0 ? x[i] : slope[i % slope.length] * x[i];
  },
  softmax(op, [x], y) {
    softmax(x, y, op.shape[2]);
  },
  add(op, inputs, y) {
    for (const x of inputs) for (let i = 0; i < x.length; i++) y[i] += x[i];
  },
  concatenate(op, inputs, y) {
    const f = op.shape[2];
    let start = 0;
    inputs.forEach((x, n) => {
      const c = op.takes[n][2];
      for (let i = 0; i < x.length; i++) y[Math.floor(i / c) * f + start + (i % c)] = x[i];
      start += c;
    });
  },
  multiply(op, [x, gate], y) {
    for (let i = 0; i < x.length; i++) y[i] = x[i] * gate[gate.length === x.length ? i : i % gate.length];
  },
};

function normalize(x, y, places, eps, channel, scale, shift) {
  let mean = 0, variance = 0;
  for (const at of places) mean += x[at] / places.length;
  for (const at of places) variance += (x[at] - mean) ** 2 / places.length;
  const deviation = Math.sqrt(variance + eps);
  for (const at of places) y[at] = ((x[at] - mean) / deviation) * scale[channel(at)] + shift[channel(at)];
}

function softmax(x, y, c) {
  for (let start = 0; start < x.length; start += c) {
    let largest = -Infinity, total = 0;
    for (let k = start; k < start + c; k++) largest = Math.max(largest, x[k]);
    for (let k = start; k < start + c; k++) total += y[k] = Math.exp(x[k] - largest);
    for (let k = start; k < start + c; k++) y[k] /= total;
  }
}

const FINISHES = {
  none: (x) => x,
  softmax(x) {
    softmax(x, x, x.length);
    return x;
  },
  sigmoids: (x) => FINISHES.softmax(x.map((z) => Math.min(z, 0) - Math.log1p(Math.exp(-Math.abs(z))))),
  hardsigmoids(x) {
    const y = x.map((z) => ONE.hardsigmoid(z)), total = y.reduce((sum, z) => sum + z, 0);
    return total > 1e-30 ? y.map((z) => z / total) : FINISHES.sigmoids(x);
  },
};

/** Return what the first operation takes, given pixels in the unit of the training images. */
function prepare(pixels) {
  const x = Float32Array.from(pixels, (value) => Math.fround(value) / program.white);
  if (program.preprocessing === "dataset") {
    const n = program.mean.length;
    return x.map((value, i) => (value - program.mean[i % n]) / program.std[i % n]);
  }
  if (program.preprocessing !== "image") return x;
  let mean = 0, variance = 0;
  for (const value of x) mean += value / x.length;
  for (const value of x) variance += (value - mean) ** 2 / x.length;
  return x.map((value) => (x.every((other) => other === x[0]) ? 0 : (value - mean) / Math.sqrt(variance)));
}

const arrays = readArrays();

/** Compute the probabilities of the classes, letting the page breathe between operations; `rest` may wait. */
async function predict(pixels, rest = async () => {}) {
  const values = [prepare(pixels)];
  const last = [];
  program.operations.forEach((op, n) => op.reads.forEach((read) => (last[read] = n)));
  let next = 0;
  for (const [n, op] of program.operations.entries()) {
    const own = {};
    for (const name of Object.keys(op.arrays)) own[name] = arrays[next++];
    const inputs = op.reads.map((read) => values[read]);
    const y = new Float32Array(op.shape[0] * op.shape[1] * op.shape[2]);
    if (op.kind in ONE) for (let i = 0; i < y.length; i++) y[i] = ONE[op.kind](inputs[0][i], op.numbers.alpha);
    else MAPS[op.kind](op, inputs, y, own);
    op.reads.forEach((read) => last[read] === n && (values[read] = null));
    values.push(y);
    await rest();
  }
  return FINISHES[program.finish](values.at(-1).slice());
}

/** Return the images of the examples, which are small ones enlarged, and the outputs for them. */
function examples() {
  const [count, rows, columns, c] = program.examples, [h, w] = program.input_shape;
  const [small, expected] = arrays.slice(-2), outputs = expected.length / count;
  return Array.from({ length: count }, (_, n) => {
    const pixels = new Float32Array(h * w * c);
    for (let i = 0; i < pixels.length; i++) {
      const row = Math.floor(i / c / w), column = Math.floor(i / c) % w;
      const at = (n * rows + Math.floor((row * rows) / h)) * columns + Math.floor((column * columns) / w);
      pixels[i] = small[at * c + (i % c)];
    }
    return { pixels, expected: expected.slice(n * outputs, (n + 1) * outputs) };
  });
}
