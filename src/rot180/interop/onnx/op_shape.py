"""Shapes, order and choice of values: nothing is computed."""

from __future__ import annotations

import math

import numpy as np

from rot180.interop.onnx.call import Call, Evaluated, Versions, as_numbers
from rot180.ops.types import Array


def concat(call: Call[Array]) -> Evaluated:
    """Arrays one after the other along an axis."""
    arrays = call.all_inputs
    axis = call.axis(call.get_int("axis", 1), arrays[0].ndim)
    call.require((sum(array.size for array in arrays),), arrays[0].dtype)
    return np.concatenate(arrays, axis)


def flatten(call: Call[Array]) -> Evaluated:
    """A matrix: the axes before `axis` are its rows."""
    x, axis = call.input(0), call.get_int("axis", 1)
    if not -x.ndim <= axis <= x.ndim:
        raise call.error(f"axis {axis} of an array with {x.ndim}")
    axis += x.ndim if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def reshaped(call: Call[object], shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that Reshape makes: 0 keeps an axis, -1 is what remains."""
    keeps_zero = call.get_int("allowzero", 0)
    if not keeps_zero and any(n == 0 and place >= len(shape) for place, n in enumerate(wanted)):
        raise call.error(f"the new shape {list(wanted)} keeps an axis that {list(shape)} does not have")
    sizes = [shape[place] if n == 0 and not keeps_zero else n for place, n in enumerate(wanted)]
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known:
        sizes[sizes.index(-1)] = math.prod(shape) // known
    if min(sizes, default=0) < 0 or math.prod(sizes) != math.prod(shape) or len(sizes) > 32:
        raise call.error(f"an array {list(shape)} cannot have the shape {list(wanted)}")
    return tuple(sizes)


def reshape(call: Call[Array]) -> Evaluated:
    """The same values in another shape."""
    x = call.input(0)
    return x.reshape(reshaped(call, x.shape, as_numbers(call, call.input(1))))  # type: ignore[arg-type]


def shape(call: Call[Array]) -> Evaluated:
    """The shape, or the part of it from `start` to `end`."""
    return np.array(part_of_shape(call, call.input(0).shape), np.int64)  # type: ignore[arg-type]


def part_of_shape(call: Call[object], whole: tuple[int, ...]) -> tuple[int, ...]:
    """Return the part of a shape that a node asks for."""
    return whole[call.get_int("start", 0) : call.get_int("end", len(whole))]


def size(call: Call[Array]) -> Evaluated:
    """The number of values."""
    return np.array(call.input(0).size, np.int64)


def sliced(call: Call[Array]) -> Evaluated:
    """From one place to another along each axis, given as attributes before version 10."""
    x = call.input(0)
    starts, ends, axes, steps = slice_arguments(call, x.ndim, call.inputs)
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(*bounds(x.shape[axis], start, end, step))
    return x[tuple(index)]


def bounds(n: int, start: int, end: int, step: int) -> tuple[int, int | None, int]:
    """Return Python's bounds of a slice of n values, as ONNX clamps them."""
    if step == 0:
        raise ValueError("the step of a slice may not be 0")
    start, end = (at + n if at < 0 else at for at in (start, end))
    if step > 0:
        return min(max(start, 0), n), min(max(end, 0), n), step
    last = min(max(end, -1), n - 1)
    return min(max(start, 0), n - 1), None if last < 0 else last, step


def slice_arguments(
    call: Call[object] | Call[Array], rank: int, inputs: tuple[object, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return starts, ends, axes and steps of a slice."""
    if call.opset < 10:
        starts, ends = call.get_ints("starts"), call.get_ints("ends")
        axes, steps = call.get_ints("axes", range(len(starts))), (1,) * len(starts)
    else:
        given = [
            None if place >= len(inputs) or inputs[place] is None else as_numbers(call, inputs[place])  # type: ignore[arg-type]
            for place in range(1, 5)
        ]
        if given[0] is None or given[1] is None:
            raise call.error("a slice needs starts and ends")
        starts, ends = given[0], given[1]
        axes = given[2] if given[2] is not None else tuple(range(len(starts)))
        steps = given[3] if given[3] is not None else (1,) * len(starts)
    axes = call.axes(axes, rank)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise call.error("starts, ends, axes and steps of a slice must be equally many")
    return starts, ends, axes, steps


def split(call: Call[Array]) -> Evaluated:
    """Parts along an axis."""
    x = call.input(0)
    axis = call.axis(call.get_int("axis", 0), x.ndim)
    given = call.optional(1)
    sizes = split_sizes(call, x.shape[axis], None if given is None else as_numbers(call, given))
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


def split_sizes(call: Call[object] | Call[Array], n: int, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the sizes of the parts into which an axis of n values is split."""
    if call.opset < 13:
        given = call.get_optional_ints("split")
    count = call.get_int("num_outputs", call.outputs) if call.opset >= 18 else call.outputs
    if given is None:
        each = -(-n // count)
        given = (*(each,) * (count - 1), n - each * (count - 1))
        if call.opset < 18 and n % count:
            raise call.error(f"{n} values do not split into {count} equal parts")
    if sum(given) != n or min(given) < 0 or len(given) != call.outputs:
        raise call.error(f"{n} values do not split into {list(given)} for {call.outputs} outputs")
    return given


def squeeze(call: Call[Array]) -> Evaluated:
    """Without some of the axes of size 1."""
    x = call.input(0)
    axes = axes_of(call)
    if axes is None:
        return x.reshape([n for n in x.shape if n != 1])
    return np.squeeze(x, call.axes(axes, x.ndim))


def unsqueeze(call: Call[Array]) -> Evaluated:
    """With further axes of size 1."""
    x, axes = call.input(0), axes_of(call)
    if axes is None:
        raise call.error("it needs axes")
    call.axes(axes, x.ndim + len(axes))
    return np.expand_dims(x, axes)


def axes_of(call: Call[Array], since: int = 13) -> tuple[int, ...] | None:
    """Return axes that are an attribute before a version and an input from it on; None if they are left out."""
    if call.opset < since:
        return call.get_optional_ints("axes")
    given = call.optional(1)
    return None if given is None else as_numbers(call, given)


def transpose(call: Call[Array]) -> Evaluated:
    """The axes in another order."""
    x = call.input(0)
    order = call.get_ints("perm", range(x.ndim)[::-1])
    return x.transpose(call.axes(order, x.ndim))


def constant(call: Call[Array]) -> Evaluated:
    """A value that the node itself holds."""
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        if call.has(name):
            number = call.get_float(name) if name == "value_float" else call.get_int(name)
            return np.array(number, dtype)
    if call.has("value_floats"):
        return np.array(call.get_floats("value_floats"), np.float32)
    if call.has("value_ints"):
        return np.array(call.get_ints("value_ints"), np.int64)
    return call.get_tensor("value")


def constant_of_shape(call: Call[Array]) -> Evaluated:
    """One value everywhere, in a shape that is an input."""
    sizes, value = as_numbers(call, call.input(0)), call.get_tensor("value", np.zeros(1, np.float32))
    return broadcast_to(call, value.reshape(()), sizes)


def expand(call: Call[Array]) -> Evaluated:
    """Repeated along axes of size 1."""
    x = call.input(0)
    return broadcast_to(call, x, np.broadcast_shapes(x.shape, as_numbers(call, call.input(1))))


def broadcast_to(call: Call[Array], x: Array, sizes: tuple[int, ...]) -> Array:
    """Return an array of its own, after a look at its size."""
    if min(sizes, default=0) < 0:
        raise call.error(f"a shape has no negative sizes; it is {list(sizes)}")
    call.require(sizes, x.dtype)
    return np.broadcast_to(x, sizes).copy()


def gather(call: Call[Array]) -> Evaluated:
    """The entries of an axis that indices name."""
    x, indices = call.input(0), call.input(1)
    axis = call.axis(call.get_int("axis", 0), x.ndim)
    call.require((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    return np.take(x, indices, axis)


def tile(call: Call[Array]) -> Evaluated:
    """Repeated side by side."""
    x, repeats = call.input(0), as_numbers(call, call.input(1))
    if len(repeats) != x.ndim or min(repeats, default=0) < 0:
        raise call.error(f"an array with {x.ndim} axes cannot be repeated {list(repeats)} times")
    call.require([n * times for n, times in zip(x.shape, repeats, strict=True)], x.dtype)
    return np.tile(x, repeats)


def pad(call: Call[Array]) -> Evaluated:
    """Values added around: attributes before version 11, inputs from there on. Negative numbers cut off."""
    x = call.input(0)
    mode = call.choice("mode", "constant", ("constant", "edge", "reflect", "wrap"))
    if call.opset < 11:
        pads, fill = call.get_ints("pads"), call.get_float("value", 0.0)
    else:
        value = call.optional(2)
        pads, fill = as_numbers(call, call.input(1)), 0 if value is None or not value.size else value.reshape(-1)[0]
    named = call.optional(3)
    axes = call.axes(range(x.ndim) if named is None else as_numbers(call, named), x.ndim)
    if len(pads) != 2 * len(axes):
        raise call.error(f"pads must have two numbers for each of {len(axes)} axes; it has {len(pads)}")
    edges, cuts = [(0, 0)] * x.ndim, [slice(None)] * x.ndim
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        edges[axis] = max(before, 0), max(after, 0)
        cuts[axis] = slice(max(-before, 0), x.shape[axis] + min(after, 0))
    call.require([n + sum(edge) for n, edge in zip(x.shape, edges, strict=True)], x.dtype)
    x = x[tuple(cuts)]
    padded: Array = np.pad(x, edges, constant_values=fill) if mode == "constant" else np.pad(x, edges, mode)  # type: ignore[call-overload]
    return padded


def depth_to_space(call: Call[Array]) -> Evaluated:
    """Channels as pixels of a block."""
    x, block = call.input(0), call.get_int("blocksize")
    order = call.choice("mode", "DCR", ("DCR", "CRD"))
    if x.ndim != 4 or block < 1 or x.shape[1] % (block * block):
        raise call.error(f"blocks of {block} x {block} do not divide the channels of {x.shape}")
    n, c, h, w = x.shape
    if order == "DCR":
        y = x.reshape(n, block, block, c // block**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // block**2, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(call: Call[Array]) -> Evaluated:
    """Pixels of a block as channels."""
    x, block = call.input(0), call.get_int("blocksize")
    order = call.choice("mode", "DCR", ("DCR", "CRD"))
    if x.ndim != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block:
        raise call.error(f"blocks of {block} x {block} do not divide the rows and columns of {x.shape}")
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block, block, w // block, block)
    y = blocks.transpose((0, 3, 5, 1, 2, 4) if order == "DCR" else (0, 1, 3, 5, 2, 4))
    return y.reshape(n, c * block**2, h // block, w // block)


def numbers_between(call: Call[Array]) -> Evaluated:
    """Equidistant numbers."""
    start, limit, delta = (call.input(place).reshape(()) for place in range(3))
    count = max(math.ceil((limit - start) / delta), 0)
    call.require((count,), start.dtype)
    found: Array = (start + np.arange(count, dtype=start.dtype) * delta).astype(start.dtype)
    return found


SHAPES: dict[str, Versions] = {
    "Concat": {1: concat},
    "Flatten": {1: flatten},
    "Reshape": {5: reshape},
    "Shape": {1: shape},
    "Size": {1: size},
    "Slice": {1: sliced},
    "Split": {2: split},
    "Squeeze": {1: squeeze},
    "Unsqueeze": {1: unsqueeze},
    "Transpose": {1: transpose},
    "Constant": {1: constant},
    "ConstantOfShape": {9: constant_of_shape},
    "Expand": {8: expand},
    "Gather": {1: gather},
    "Tile": {6: tile},
    "Pad": {2: pad},
    "Range": {11: numbers_between},
    "DepthToSpace": {1: depth_to_space},
    "SpaceToDepth": {1: space_to_depth},
}
