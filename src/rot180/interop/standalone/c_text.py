"""The text of an exported C header: the weights as one string, a call for each operation, and the test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rot180.interop.standalone.c_source import ELEMENTWISE, FUNCTIONS, NEEDS, function
from rot180.interop.standalone.examples import Examples
from rot180.interop.standalone.operation import Operation, Program, as_map
from rot180.ops.types import Array


class Blob:
    """The arrays of a header, one behind the other, each at a multiple of four bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, array: Array) -> str:
        """Keep an array, and return the expression of its place: `@W(f, 12)`."""
        kind = {"f": "f", "i": "i" if array.itemsize == 4 else "c"}[array.dtype.kind]
        data = np.ascontiguousarray(array, {"f": "<f4", "i": "<i4", "c": "i1"}[kind]).tobytes()
        place = self._size if kind == "c" else self._size // 4
        data += bytes(-len(data) % 4)
        self._parts.append(data)
        self._size += len(data)
        return f"@weights.{kind} + {place}"

    @property
    def literal(self) -> str:
        """The bytes as a string of C, over several lines."""
        return c_string(b"".join(self._parts))


def c_string(data: bytes, line: int = 1000) -> str:
    r"""Return bytes as a string of C: printable letters as they are, others as three octal digits.

    >>> c_string(b'a"1\x00')
    '"a\\0421\\000"'
    """
    table = [chr(value) if 32 <= value < 127 and chr(value) not in '"\\?' else f"\\{value:03o}" for value in range(256)]
    parts = (data[at : at + line] for at in range(0, max(len(data), 1), line))
    return "\n".join('"' + "".join([table[value] for value in part]) + '"' for part in parts)


def call_of(operation: Operation, blob: Blob) -> str:
    """Return the call of an operation; `{0}`, `{1}` ... stand for its inputs and `{y}` for its output."""
    kind, numbers = operation.kind, operation.numbers
    (h, w, c), (oh, ow, f) = operation.takes[0], operation.shape
    own = {name: blob.put(array) for name, array in operation.arrays.items()}
    pixels, count = h * w, h * w * c

    def listed(*values: Any) -> str:
        return ", ".join(str(value) for value in values)

    if kind in ("convolution", "convolution8", "transposed"):
        kernel = operation.arrays["weight"].shape[:2]
        scale = "" if kind == "transposed" else f"{own.get('scale', '(const float *)0')}, "
        more = listed(*kernel, *numbers["stride"], *numbers["dilation"], *numbers["padding"], numbers["groups"])
        return (
            f"@{kind}({{0}}, {listed(h, w, c)}, {{y}}, {listed(oh, ow, f)}, {own['weight']}, {scale}{own['bias']}, "
            f"{more});"
        )
    if kind == "maximum":
        more = listed(*numbers["kernel"], *numbers["stride"], *numbers["padding"])
        return f"@maximum({{0}}, {listed(h, w, c)}, {{y}}, {listed(oh, ow)}, {more});"
    if kind == "resize":
        kh, kw = (operation.arrays[f"{axis}_weight"].shape[1] for axis in ("row", "column"))
        return (
            f"@resize({{0}}, {listed(w, c)}, {{y}}, {listed(oh, ow)}, {own['row_start']}, {own['row_weight']}, {kh}, "
            f"{own['column_start']}, {own['column_weight']}, {kw});"
        )
    if kind == "affine":
        return f"@affine({{0}}, {pixels}, {c}, {{y}}, {own['scale']}, {own['shift']});"
    if kind == "group_norm":
        more = listed(numbers["groups"], repr(float(numbers["eps"])))
        return f"@group_norm({{0}}, {pixels}, {c}, {{y}}, {own['scale']}, {own['shift']}, {more});"
    if kind == "layer_norm":
        more = listed(numbers["span"], repr(float(numbers["eps"])))
        return f"@layer_norm({{0}}, {count}, {{y}}, {own['scale']}, {own['shift']}, {more});"
    if kind == "response_norm":
        reals = (c_float(numbers[name]) for name in ("factor", "beta", "k"))
        return f"@response_norm({{0}}, {pixels}, {c}, {{y}}, {listed(numbers['before'], numbers['behind'], *reals)});"
    if kind == "take":
        return f"@take({{0}}, {pixels}, {c}, {{y}}, {f}, {own['channels']});"
    if kind == "prelu":
        return f"@prelu({{0}}, {pixels}, {c}, {{y}}, {own['slope']});"
    if kind == "softmax":
        return f"@softmax({{0}}, {pixels}, {c}, {{y}});"
    if kind == "add":
        first = f"@add({{0}}, {{1}}, {count}, {{y}});"
        return "\n  ".join([first, *(f"@add({{y}}, {{{k}}}, {count}, {{y}});" for k in range(2, len(operation.takes)))])
    if kind == "concatenate":
        starts = np.cumsum([0, *(shape[2] for shape in operation.takes)])
        return "\n  ".join(
            f"@concatenate({{{k}}}, {pixels}, {shape[2]}, {{y}}, {start}, {f});"
            for k, (shape, start) in enumerate(zip(operation.takes, starts, strict=False))
        )
    if kind == "multiply":
        gates = 1 if operation.takes[1] != operation.takes[0] else pixels
        return f"@multiply({{0}}, {{1}}, {pixels}, {c}, {{y}}, {gates});"
    more = f", {c_float(numbers['alpha'])}" if kind == "elu" else ""
    return f"@{kind}({{0}}, {count}, {{y}}{more});"


def c_float(value: float) -> str:
    """Return a float of C.

    >>> c_float(1), c_float(1e-4)
    ('1.0f', '1e-04f')
    """
    return f"{np.float32(value)!s}f"


def c_text(
    program: Program,
    examples: Examples,
    prefix: str,
    calls: Sequence[str],
    offsets: Sequence[int],
    count: int,
    blob: Blob,
) -> str:
    """Return the text of a header, which is ASCII.

    Parameters
    ----------
    program : Program
    examples : Examples
    prefix : str
        What its names begin with.
    calls : sequence of str
        From `call_of`.
    offsets, count
        The place of each value in the arena, and the numbers in it.
    blob : Blob
        The weights.
    """
    upper, low = prefix.upper(), f"{prefix}_"
    h, w, c = as_map(program.input_shape)
    outputs, output = math.prod(program.output_shape), as_map(program.output_shape)
    inputs = h * w * c
    kinds = {operation.kind for operation in program.operations} | ({program.finish} - {"none"})
    for kind in list(kinds):
        kinds.update(NEEDS.get(kind, ()))
    used = [kind for kind in (*ELEMENTWISE, *FUNCTIONS) if kind in kinds]
    steps = []
    for number, (operation, call) in enumerate(zip(program.operations, calls, strict=True), 1):
        reads = [f"arena + {offsets[read]}" for read in operation.reads]
        steps.append(f"  {call.format(*reads, y=f'arena + {offsets[number]}')}".replace("@", low))
    last = f"arena + {offsets[-1]}"
    if program.finish == "none":
        steps.append(f"  for (int i = 0; i < {outputs}; i++) output[i] = ({last})[i];")
    else:
        steps.append(f"  {low}{program.finish}({last}, {output[0] * output[1]}, {output[2]}, output);")
    names = program.class_names or tuple(map(str, range(output[2])))
    listed = ",\n    ".join(c_string(name.encode()) for name in names)
    functions = "\n".join(function(kind, low) for kind in used)
    small = Blob()
    where_small, where_outputs = (
        small.put(np.asarray(array, np.float32)).replace("@weights", f"{low}examples")
        for array in (examples.small, examples.outputs)
    )
    _, rows, columns, _ = examples.small.shape
    height, width = (h, w) if len(program.input_shape) == 3 else (1, c)
    channels = c if len(program.input_shape) == 3 else 1
    nl = "\n"
    return f"""\
/* A network of rot180 in C99: {_comment(program.notation)}
 *
 *   float arena[{upper}_ARENA], output[{upper}_OUTPUTS];
 *   {low}predict(pixels, output, arena);
 *
 * pixels are {h} x {w} x {c} floats, row by row, the channels of a pixel side by side, from 0 to
 * {program.white:g} unless the network was trained on others. Weights: {len(blob):,} bytes; arena: {4 * count:,} bytes.
 * Test:  cc -std=c99 -O2 -D{upper}_TEST -x c {prefix}.h -lm && ./a.out
 */
#ifndef {upper}_H
#define {upper}_H

#include <math.h>
#include <stddef.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the weights are little-endian"
#endif

#define {upper}_HEIGHT {h}
#define {upper}_WIDTH {w}
#define {upper}_CHANNELS {c}
#define {upper}_OUTPUTS {outputs}
#define {upper}_ARENA {count} /* floats */

/* Return the name of a class, in UTF-8. */
static inline const char *{low}class_name(int k) {{
  static const char *const names[] = {{
    {listed}}};
  return names[k];
}}

/* All weights. The union lets the bytes be read as what they are. */
static const union {{
  char bytes[{len(blob) + 4}];
  signed char c[{len(blob) + 4}];
  float f[{len(blob) // 4 + 1}];
  int i[{len(blob) // 4 + 1}];
}} {low}weights = {{
{blob.literal}}};

{functions}
/* Compute the output for one image. The arena may hold anything, and is free again afterwards. */
static inline void {low}predict(const float *pixels, float *output, float *arena) {{
{_prepare(program, inputs, c, offsets[0])}
{nl.join(steps)}
}}

/* The same for whole numbers of a byte each. */
static inline void {low}predict_bytes(const unsigned char *pixels, float *output, float *arena) {{
  float *own = arena + {offsets[0]};
  for (int i = 0; i < {inputs}; i++) own[i] = (float)pixels[i]{" / 255.0f" if program.white == 1 else ""};
  {low}predict(own, output, arena);
}}

#ifdef {upper}_TEST
#include <stdio.h>

/* Small pictures, which are enlarged by repetition, and the outputs for them. */
static const union {{
  char bytes[{len(small) + 4}];
  float f[{len(small) // 4 + 1}];
}} {low}examples = {{
{small.literal}}};

int main(void) {{
  static float arena[{upper}_ARENA], pixels[{inputs}], output[{upper}_OUTPUTS];
  const float *small = {where_small}, *expected = {where_outputs};
  double largest = 0.0;
  for (int n = 0; n < {len(examples.small)}; n++) {{
    for (int i = 0; i < {height}; i++)
      for (int j = 0; j < {width}; j++)
        for (int k = 0; k < {channels}; k++)
          pixels[(i * {width} + j) * {channels} + k] =
              small[((n * {rows} + i * {rows} / {height}) * {columns} + j * {columns} / {width}) * {channels} + k];
    {low}predict(pixels, output, arena);
    for (int k = 0; k < {outputs}; k++) {{
      const double apart = fabs((double)output[k] - (double)expected[n * {outputs} + k]);
      if (!(apart <= largest)) largest = apart;
    }}
  }}
  (void){low}class_name; /* so that no compiler finds them unused */
  (void){low}predict_bytes;
  printf("largest difference for {len(examples.small)} examples: %.1e (at most {examples.tolerance:g})\\n", largest);
  return largest <= {examples.tolerance!r} ? 0 : 1;
}}
#endif

#endif
"""


def _prepare(program: Program, inputs: int, channels: int, place: int) -> str:
    """Return the lines that turn pixels into what the first operation takes."""
    preprocessing, own = program.preprocessing, f"(arena + {place})"
    scaled = "pixels[i]" if program.white == 1 else f"pixels[i] / {c_float(program.white)}"
    if preprocessing.kind == "dataset":
        mean, std = (
            ", ".join(c_float(value) for value in values or ()) for values in (preprocessing.mean, preprocessing.std)
        )
        size = len(preprocessing.mean or ())
        return (
            f"  static const float mean[{size}] = {{{mean}}}, deviation[{size}] = {{{std}}};\n"
            f"  for (int i = 0; i < {inputs}; i++) {own}[i] = ({scaled} - mean[i % {size}]) / deviation[i % {size}];"
        )
    lines = f"  for (int i = 0; i < {inputs}; i++) {own}[i] = {scaled};"
    if preprocessing.kind != "image":
        return lines
    return f"""{lines}
  double mean = 0.0, variance = 0.0;
  float low = {own}[0], high = {own}[0];
  for (int i = 0; i < {inputs}; i++) {{
    mean += (double){own}[i];
    low = fminf(low, {own}[i]);
    high = fmaxf(high, {own}[i]);
  }}
  mean /= {inputs};
  for (int i = 0; i < {inputs}; i++) variance += ((double){own}[i] - mean) * ((double){own}[i] - mean);
  const double deviation = sqrt(variance / {inputs});
  for (int i = 0; i < {inputs}; i++) {own}[i] = low < high ? (float)(((double){own}[i] - mean) / deviation) : 0.0f;"""


def _comment(text: str) -> str:
    """Return a text that cannot end a comment, of letters that any compiler reads."""
    shown = text if len(text) <= 200 else text[:200] + "..."
    return shown.encode("ascii", "replace").decode("ascii").replace("*/", "* /").replace("/*", "/ *")
