"""Reshaping, splitting and resizing as layers, or as other names of axes."""

from __future__ import annotations

import numpy as np

from rot180.interop.onnx.call import as_numbers
from rot180.interop.onnx.op_shape import part_of_shape, reshaped, slice_arguments, split_sizes
from rot180.interop.onnx.value import MAPS, LiftCall, Lifted, Value, constant, optional_constant, value
from rot180.nn import ChannelShuffle, ChannelSlice, Flatten, Upsample
from rot180.ops.types import Array


def transpose(call: LiftCall, net: Lifted) -> Value:
    """Axes in another order."""
    x = value(call, 0)
    order = call.axes(call.get_ints("perm", range(len(x.axes))[::-1]), len(x.axes))
    if order[0] != x.axes.index("N"):
        raise call.error("the images of a batch must stay the first axis")
    return x._replace(axes="".join(x.axes[i] for i in order), shape=tuple(x.shape[i] for i in order))


def reshape(call: LiftCall, net: Lifted) -> Value:
    """Flatten, ChannelShuffle, or other axes of size 1."""
    x = value(call, 0)
    return arranged(call, net, x, reshaped(call, x.shape, as_numbers(call, constant(call, 1))))  # type: ignore[arg-type]


def flatten(call: LiftCall, net: Lifted) -> Value:
    """Flatten."""
    x, axis = value(call, 0), call.get_int("axis", 1)
    if axis % len(x.axes) != 1:
        raise call.error(f"only images are flattened, each for itself: axis must be 1; it is {axis}")
    return arranged(call, net, x, (x.shape[0], int(np.prod(x.shape[1:]))))


def squeeze(call: LiftCall, net: Lifted) -> Value:
    """Without axes of size 1."""
    x = value(call, 0)
    given = _axes(call)
    axes = call.axes(given, len(x.axes)) if given else [i for i, n in enumerate(x.shape) if n == 1 and i > 0]
    return arranged(call, net, x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def unsqueeze(call: LiftCall, net: Lifted) -> Value:
    """With further axes of size 1."""
    x, given = value(call, 0), _axes(call)
    axes = call.axes(given or (), len(x.axes) + len(given or ()))
    sizes = list(x.shape)
    for axis in sorted(axes):
        sizes.insert(axis, 1)
    return arranged(call, net, x, tuple(sizes))


def arranged(call: LiftCall, net: Lifted, x: Value, shape: tuple[int, ...]) -> Value:
    """Return the values of each image in another shape.

    Axes of size 1 may come and go. Channels may be split into groups, and joined again in the other order, which is a
    channel shuffle. Maps may be flattened.
    """
    if not shape or shape[0] != x.shape[0] or x.axes[0] != "N":
        raise call.error(f"{list(x.shape)} as {list(shape)} would mix the images of a batch")
    old = [(name, n) for name, n in zip(x.axes[1:], x.shape[1:], strict=True) if n != 1]
    new = [n for n in shape[1:] if n != 1]
    sizes = [n for _, n in old]
    if new == sizes:
        lost = [name for name, n in zip(x.axes, x.shape, strict=True) if n == 1 and name in "CHW"]
        if lost and len(shape) < len(x.shape):
            if x.axes not in (MAPS, "NHWC"):
                raise call.error(f"{list(x.shape)} cannot become {list(shape)}")
            x = net.vector(call, Flatten(), x)  # of which at most one axis is left
            return _relabeled(x, shape, [("C", x.shape[1])] if x.shape[1] != 1 else [])
        return _relabeled(x, shape, old, "".join(lost))
    if x.axes == MAPS and shape[1:] == (x.shape[1] * x.shape[2] * x.shape[3],):
        y = net.vector(call, Flatten(), x)
        natural = x.shape[1] == 1 or x.shape[2:] == (1, 1)
        return y if natural else y._replace(axes="NF", maps=x.shape[1:])
    if x.axes == "NHWC" and len(shape) == 2:
        return net.vector(call, Flatten(), x)
    if x.axes == MAPS and len(shape) == 5 and shape[3:] == x.shape[2:]:
        return x._replace(axes="NGKHW", shape=shape)
    if x.axes == MAPS and len(shape) == 3 and x.shape[1] % shape[1] == 0:
        return x._replace(axes="NGM", shape=shape, maps=x.shape[1:])
    if x.axes == "NGM" and shape[1:] == x.maps:
        return x._replace(axes=MAPS, shape=shape, maps=())
    if x.axes == "NKGHW" and shape == (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]):
        return net.maps(call, ChannelShuffle(x.shape[2]), x)
    if x.axes == "NGKHW" and shape == (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]):
        return x._replace(axes=MAPS, shape=shape)
    raise call.error(f"no layer gives {list(x.shape)} the shape {list(shape)}")


def _relabeled(x: Value, shape: tuple[int, ...], old: list[tuple[str, int]], singles: str = "") -> Value:
    """Return the value with its axes in a shape that has others of size 1 only."""
    left, ones, axes = list(old), list(singles), "N"
    for n in shape[1:]:
        axes += left.pop(0)[0] if n != 1 else ones.pop(0) if ones else "1"
    return x._replace(axes=axes, shape=shape)


def shape_of(call: LiftCall) -> Array:
    """Return the shape of a value, which is constant but for the batch."""
    return np.array(part_of_shape(call, value(call, 0).shape), np.int64)  # type: ignore[arg-type]


def split(call: LiftCall, net: Lifted) -> tuple[Value | None, ...]:
    """ChannelSlice for each output that is used."""
    x = value(call, 0)
    axis = call.axis(call.get_int("axis", 0), len(x.axes))
    given = optional_constant(call, 1)
    sizes = split_sizes(call, x.shape[axis], None if given is None else as_numbers(call, given))  # type: ignore[arg-type]
    starts = np.cumsum([0, *sizes])
    return tuple(
        _sliced(call, net, x, axis, int(start), int(start) + size) if name else None
        for name, start, size in zip(call.node.outputs, starts, sizes, strict=False)
    )


def sliced(call: LiftCall, net: Lifted) -> Value:
    """ChannelSlice."""
    x = value(call, 0)
    constants = (None, *(optional_constant(call, place) for place in range(1, 5)))
    starts, ends, axes, steps = slice_arguments(call, len(x.axes), constants)  # type: ignore[arg-type]
    if any(step != 1 for step in steps):
        raise call.error(f"only slices without steps are supported; they are {list(steps)}")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        n = x.shape[axis]
        first, last = (min(max(at + n if at < 0 else at, 0), n) for at in (start, end))
        x = _sliced(call, net, x, axis, first, last)
    return x


def _sliced(call: LiftCall, net: Lifted, x: Value, axis: int, start: int, stop: int) -> Value:
    if (start, stop) == (0, x.shape[axis]):
        return x
    if x.axes[axis] != "C" or stop <= start:
        raise call.error(f"only channels are cut out; this takes {start} to {stop} along axis {axis}")
    shape = tuple(stop - start if i == axis else n for i, n in enumerate(x.shape))
    place = net.add(call, ChannelSlice(stop - start, start=start), x)
    return x._replace(place=place, shape=shape, exclusive=True)


def resize(call: LiftCall, net: Lifted) -> Value:
    """Upsample, if the factors are whole numbers."""
    x, mode = value(call, 0, MAPS), call.choice("mode", "nearest", ("nearest", "linear", "cubic"))
    call.ignore("cubic_coeff_a", "extrapolation_value", "exclude_outside", "antialias", "keep_aspect_ratio_policy")
    is_old = call.node.operator == "Upsample" or call.opset < 11
    given = call.get_text("coordinate_transformation_mode", "asymmetric" if is_old else "half_pixel")
    rounding = call.get_text("nearest_mode", "floor" if is_old else "round_prefer_floor")
    if call.has("axes"):
        raise call.error("axes are not supported")
    factors = _factors(call, x)
    fits = {
        "nearest": (given, rounding) in (("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")),
        "linear": given in ("half_pixel", "pytorch_half_pixel"),
    }
    if not fits.get(mode, False) or factors[:2] != [1, 1] or any(f < 1 or f != round(f) for f in factors):
        raise call.error(
            f"only enlarging by whole numbers is supported, by repetition or between the centers of pixels; this is "
            f"{mode}, {given}, by {factors}"
        )
    layer = Upsample((round(factors[2]), round(factors[3])), mode="nearest" if mode == "nearest" else "bilinear")
    return net.maps(call, layer, x)


def _factors(call: LiftCall, x: Value) -> list[float]:
    if call.opset < 9:
        return list(call.get_floats("scales"))
    place = 1 if call.opset < 11 else 2
    scales = optional_constant(call, place)
    if scales is not None and scales.size:
        return [float(scale) for scale in scales.reshape(-1)]
    sizes = as_numbers(call, constant(call, 3))  # type: ignore[arg-type]
    if len(sizes) != len(x.shape):
        raise call.error(f"sizes must be for {len(x.shape)} axes; they are {list(sizes)}")
    return [out / n for out, n in zip(sizes, x.shape, strict=True)]


def _axes(call: LiftCall) -> tuple[int, ...] | None:
    if call.opset < 13:
        return call.get_optional_ints("axes")
    given = optional_constant(call, 1)
    return None if given is None else as_numbers(call, given)  # type: ignore[arg-type]
