"""The program in an exported Python file: it needs NumPy alone, and stands there after `PROGRAM`.

Nothing here may be imported from rot180. The weights follow the program as comments, which Python skips: base85 of
zlib's compression, so that the file stays text, and is parsed at once whatever its size.
"""

import argparse
import base64
import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np

PROGRAM: dict = {}
MARK = "# rot180 weights"


def predict(images, batch_size=8):
    """Return what the network says of images (N, H, W, C), or (N, H, W) if they are gray.

    Images are uint8, uint16 or floats, as they were when the network was trained; for each of them, the result is a row
    of probabilities in the order of the classes (feature maps for a network that returns maps).
    """
    images = np.asarray(images)
    shape = tuple(PROGRAM["input_shape"])
    if images.shape[1:] != shape and (*images.shape[1:], 1) != shape:
        expected = ", ".join(map(str, shape))
        raise ValueError(f"the network takes images (N, {expected}); got {images.shape}")
    images = images.reshape(len(images), *shape)
    white = _white(images)
    found = [_run(_prepared(images[at : at + batch_size], white)) for at in range(0, len(images), batch_size)]
    return np.concatenate(found) if found else np.empty((0, *PROGRAM["output_shape"]), np.float32)


def verify():
    """Return the largest difference between the results for the examples in this file and those that they must have."""
    images, expected = examples()
    return float(np.abs(predict(images).astype(np.float64) - expected).max())


def examples():
    """Return a few images, and what rot180 computed for them. An image is a small one, enlarged."""
    small, expected = _arrays()[-2:]
    height, width = PROGRAM["input_shape"][:2] if len(PROGRAM["input_shape"]) == 3 else (1, PROGRAM["input_shape"][0])
    small = small.reshape(PROGRAM["examples"])
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), small.shape[1:3], strict=True))
    images = small[:, rows][:, :, columns].reshape(len(small), *PROGRAM["input_shape"])
    if PROGRAM["example_type"] != "float32":
        images = images.astype(PROGRAM["example_type"])
    return images, expected.reshape(len(small), *PROGRAM["output_shape"])


def _white(images):
    """Return the value of white in the images; raise an error if they are in another range than those of the training.

    Without a known range it goes by the type: 1 for floats.
    """
    pixels, is_float = PROGRAM["pixels"], images.dtype.kind == "f"
    if not is_float and images.dtype.kind not in "bui":
        raise ValueError(f"images must be numbers; they are {images.dtype}")
    if not np.isfinite(images).all():
        raise ValueError("pixels must be finite numbers; some are infinite or NaN")
    full = 1.0 if is_float else 255.0 if images.dtype.kind == "b" else float(np.iinfo(images.dtype).max)
    if pixels is None or not images.size:
        return full
    low, high = float(images.min()), float(images.max())
    if pixels["low"] < 0:
        if not is_float:
            raise ValueError("the network was trained on normalized floats; normalize the images in the same way")
        return 1.0
    if low < 0:
        raise ValueError(f"pixels must be at least 0; the smallest is {low:g}")
    if is_float and high <= 1.25 and not (pixels["floats"] and pixels["high"] > 1):
        return 1.0
    if is_float and high > (1.25 if pixels["floats"] else 1) * pixels["high"]:
        raise ValueError(f"the network was trained on pixels from 0 to {pixels['high']:g}; these reach {high:g}")
    return float(pixels["high"]) if is_float or high <= pixels["high"] <= full else full


def _prepared(images, white):
    """Return a batch as the first operation takes it, (N, H, W, C) float32."""
    kind = PROGRAM["preprocessing"]
    if kind == "none":
        white = white / PROGRAM["pixels"]["white"] if PROGRAM["pixels"] else 1.0
    x = np.where(images, 255, 0) if images.dtype.kind == "b" else images
    x = x.astype(np.float32)
    x = x if white == 1 else x / np.float32(white)
    if kind == "image":
        axes = tuple(range(1, x.ndim))
        mean = x.mean(axes, dtype=np.float64, keepdims=True)
        deviation = x.std(axes, dtype=np.float64, keepdims=True)
        deviation[x.max(axes, keepdims=True) == x.min(axes, keepdims=True)] = np.inf
        x = ((x - mean) / deviation).astype(np.float32)
    elif kind == "dataset":
        x = (x - np.float32(PROGRAM["mean"])) / np.float32(PROGRAM["std"])
    return x.reshape(len(x), *_as_map(x.shape[1:]))


def _run(x):
    y = compute(x, PROGRAM["operations"], _arrays())
    return FINISHES[PROGRAM["finish"]](y).reshape(len(x), *PROGRAM["output_shape"])


def compute(x, operations, arrays):
    """Return the output of the last operation for a batch (N, H, W, C); arrays are those of all operations in turn."""
    values, arrays = {0: x}, iter(arrays)
    last = {read: at for at, operation in enumerate(operations) for read in operation["reads"]}
    for at, operation in enumerate(operations):
        own = {name: next(arrays).reshape(shape) for name, shape in operation["arrays"].items()}
        inputs = [
            values[read].reshape(len(x), *shape)
            for read, shape in zip(operation["reads"], operation["takes"], strict=True)
        ]
        for read in set(operation["reads"]):
            if last[read] == at:
                del values[read]
        values[at + 1] = OPERATIONS[operation["kind"]](*inputs, shape=operation["shape"], **operation["numbers"], **own)
    return values[len(operations)]


_read: list = []


def _arrays():
    """Return the arrays at the end of this file."""
    if not _read:
        text = Path(__file__).read_text(encoding="ascii")
        packed = text[text.rindex("\n" + MARK) :].split("\n# ")[3:]
        data = zlib.decompress(base64.b85decode("".join(line.strip() for line in packed)))
        at = 0
        for kind, count in PROGRAM["data"]:
            _read.append(np.frombuffer(data, "<f4" if kind == "f" else "<i4", count, at))
            at += 4 * count
    return _read


def _as_map(shape):
    return (1, 1, *shape) if len(shape) == 1 else tuple(shape)


def _convolution(x, weight, bias, shape, stride, dilation, padding, groups):
    """Cross-correlate: each tap of the kernel is a product of matrices."""
    (rows, columns, filters), (kh, kw, depth, _) = shape, weight.shape
    x = _padded(x, padding, [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in _axes(shape, stride, (kh, kw), dilation)])
    count = len(x)
    if groups == 1 and depth * kh * kw <= 4096:  # all taps in one product
        taps = [_tap(x, u, v, shape, stride, dilation) for u in range(kh) for v in range(kw)]
        unfolded = np.concatenate(taps, axis=3) if len(taps) > 1 else np.ascontiguousarray(taps[0])
        y = unfolded.reshape(-1, kh * kw * depth) @ weight.reshape(-1, filters)
        return y.reshape(count, rows, columns, filters) + bias
    y = np.zeros((count, rows, columns, groups, filters // groups), np.float32)
    for u in range(kh):
        for v in range(kw):
            seen = _tap(x, u, v, shape, stride, dilation).reshape(count, rows, columns, groups, depth)
            w = weight[u, v].reshape(depth, groups, -1)
            if depth == 1:
                y += seen * w[0]
            else:
                part = np.ascontiguousarray(seen.reshape(-1, groups, depth).transpose(1, 0, 2)) @ w.transpose(1, 0, 2)
                y += part.transpose(1, 0, 2).reshape(y.shape)
    return y.reshape(count, rows, columns, filters) + bias


def _transposed(x, weight, bias, shape, stride, dilation, padding, groups):
    """Spread each pixel over a window of the output: convolution backward."""
    (rows, columns, filters), (kh, kw, depth, channels) = shape, weight.shape
    count, height, width, _ = x.shape
    tall, wide = ((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in _axes((height, width), stride, (kh, kw), dilation))
    whole = np.zeros((count, max(tall, rows + padding[0]), max(wide, columns + padding[1]), filters), np.float32)
    each = channels // groups
    grouped = np.ascontiguousarray(x.reshape(-1, groups, each).transpose(1, 0, 2))
    for u in range(kh):
        for v in range(kw):
            w = weight[u, v].reshape(depth, groups, each).transpose(1, 2, 0)
            part = (grouped @ w).transpose(1, 0, 2).reshape(count, height, width, filters)
            _tap(whole, u, v, (height, width), stride, dilation)[...] += part
    top, left = padding
    return whole[:, top : top + rows, left : left + columns] + bias


def _maximum(x, shape, kernel, stride, padding):
    needed = [(o - 1) * s + k for o, s, k, _ in _axes(shape, stride, kernel, (1, 1))]
    x = _padded(x, padding, needed, -np.inf)
    y = _tap(x, 0, 0, shape, stride, (1, 1)).copy()
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            np.maximum(y, _tap(x, u, v, shape, stride, (1, 1)), out=y)
    return y


def _resize(x, row_start, row_weight, column_start, column_weight, shape):
    """Take weighted means of windows, over columns and then over rows."""
    for axis, start, weight in ((2, column_start, column_weight), (1, row_start, row_weight)):
        moved = np.moveaxis(x, axis, 0)
        y = np.zeros((len(start), *moved.shape[1:]), np.float32)
        for p in range(weight.shape[1]):
            y += moved[start + p] * weight[:, p].reshape(-1, 1, 1, 1)
        x = np.moveaxis(y, 0, axis)
    return x


def _group_norm(x, scale, shift, shape, groups, eps):
    grouped = x.reshape(len(x), -1, groups, x.shape[3] // groups).astype(np.float64)
    mean, variance = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + eps)).reshape(x.shape).astype(np.float32) * scale + shift


def _layer_norm(x, scale, shift, shape, span, eps):
    spans = x.reshape(-1, span).astype(np.float64)
    mean, variance = spans.mean(1, keepdims=True), spans.var(1, keepdims=True)
    normalized = ((spans - mean) / np.sqrt(variance + eps)).astype(np.float32)
    return (normalized * scale + shift).reshape(x.shape)


def _response_norm(x, shape, before, behind, factor, beta, k):
    squares, total, channels = x * x, np.zeros_like(x), x.shape[3]
    for shift in range(-min(before, channels - 1), min(behind, channels - 1) + 1):
        low, high = max(-shift, 0), channels - max(shift, 0)
        total[..., low:high] += squares[..., low + shift : high + shift]
    return x * (np.float32(k) + np.float32(factor) * total) ** np.float32(-beta)


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


# The Chebyshev series of log(erfc(z) / t) + z^2 by falling powers of 2t - 1, t = 2 / (2 + z), z >= 0.
_TAIL = (
    -8.728381362743676e-05, 8.000738489499781e-06, 0.0005737663595937192, -0.00022791096125729382,
    -0.002288765273988247, 0.0017940662801265717, 0.00880882516503334, -0.00988001935184002,
    -0.0468936413526535, 0.04734388738870621, 0.6726431250572205, -0.6717941164970398,
)  # fmt: skip


def _gelu(x):
    z = np.abs(x).astype(np.float64) / math.sqrt(2)
    t = 2 / (2 + z)
    tail = t / 2 * np.exp(np.polyval(_TAIL, 2 * t - 1) - z * z)  # the normal distribution function of -|x|
    return (x * np.where(x > 0, 1 - tail, tail)).astype(np.float32)


def _gelu_tanh(x):
    return np.float32(0.5) * x * (1 + np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3)))


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _shares_of_sigmoids(x):
    return _softmax(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))))


def _shares_of_hardsigmoids(x):
    y = np.clip(x / 6 + np.float32(0.5), 0, 1)
    total = y.sum(-1, keepdims=True)
    return np.where(total > 1e-30, y / np.maximum(total, np.float32(1e-30)), _shares_of_sigmoids(x))


def _multiply(x, gate, shape):
    return x * gate


def _elementwise(function):
    return lambda x, shape: function(x)


OPERATIONS = {
    "convolution": _convolution,
    "transposed": _transposed,
    "maximum": _maximum,
    "resize": _resize,
    "affine": lambda x, scale, shift, shape: x * scale + shift,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "response_norm": _response_norm,
    "take": lambda x, channels, shape: x[..., channels],
    "relu": _elementwise(lambda x: np.maximum(x, 0)),
    "relu6": _elementwise(lambda x: np.clip(x, 0, 6)),
    "prelu": lambda x, slope, shape: np.where(x > 0, x, slope * x),
    "elu": lambda x, alpha, shape: np.where(x > 0, x, np.float32(alpha) * np.expm1(np.minimum(x, 0))),
    "silu": _elementwise(lambda x: x * _sigmoid(x)),
    "gelu": _elementwise(_gelu),
    "gelu_tanh": _elementwise(_gelu_tanh),
    "hardswish": _elementwise(lambda x: x * np.clip(x / 6 + np.float32(0.5), 0, 1)),
    "hardsigmoid": _elementwise(lambda x: np.clip(x / 6 + np.float32(0.5), 0, 1)),
    "sigmoid": _elementwise(_sigmoid),
    "tanh": _elementwise(np.tanh),
    "softmax": _elementwise(_softmax),
    "add": lambda *inputs, shape: sum(inputs[1:], inputs[0]),
    "concatenate": lambda *inputs, shape: np.concatenate(inputs, axis=3),
    "multiply": _multiply,
}

FINISHES = {
    "none": lambda x: x,
    "softmax": _softmax,
    "sigmoids": _shares_of_sigmoids,
    "hardsigmoids": _shares_of_hardsigmoids,
}


def _axes(*pairs):
    """Return the numbers of rows, and those of columns."""
    return list(zip(*(pair[:2] for pair in pairs), strict=True))


def _padded(x, padding, needed, value=0.0):
    """Return maps with padding above and left, and as many rows and columns as are needed."""
    (top, left), (_, height, width, _) = padding, x.shape
    more = [max(0, n - before - size) for n, before, size in zip(needed, padding, (height, width), strict=True)]
    if not (top or left or any(more)):
        return x
    return np.pad(x, ((0, 0), (top, more[0]), (left, more[1]), (0, 0)), constant_values=value)


def _tap(x, u, v, shape, stride, dilation):
    """Return the pixels that one place of the kernel sees."""
    (sh, sw), row, column = stride, u * dilation[0], v * dilation[1]
    return x[:, row : row + (shape[0] - 1) * sh + 1 : sh, column : column + (shape[1] - 1) * sw + 1 : sw]


def _image(path):
    """Read an array (.npy), or an image file if Pillow is installed, resized as the training images were."""
    if path.lower().endswith(".npy"):
        images = np.load(path, allow_pickle=False)
        return images if images.ndim == 1 + len(PROGRAM["input_shape"]) else images[np.newaxis]
    try:
        from PIL import Image, ImageOps
    except ImportError:
        sys.exit(f"{path}: an image file needs Pillow (pip install pillow); an array (.npy) does not")
    if len(PROGRAM["input_shape"]) != 3 or PROGRAM["input_shape"][2] not in (1, 3):
        sys.exit(f"{path}: the network takes {tuple(PROGRAM['input_shape'])}; give an array (.npy)")
    height, width, channels = PROGRAM["input_shape"]
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB" if channels == 3 else "L")
    way, share, resampling = PROGRAM["resize"]
    method = Image.Resampling.BICUBIC if resampling == "bicubic" else Image.Resampling.BILINEAR
    if way == "crop":
        scale = min(image.width / width, image.height / height) * share
        wide, tall = width * scale, height * scale
        left, top = (image.width - wide) / 2, (image.height - tall) / 2
        image = image.resize((width, height), method, box=(left, top, left + wide, top + tall))
    elif way == "pad":
        image = ImageOps.pad(image, (width, height), method)
    else:
        image = image.resize((width, height), method)
    return np.asarray(image).reshape(1, height, width, channels)


def main():
    """Classify the images that the command line names, or verify this file."""
    parser = argparse.ArgumentParser(description=f"A network of rot180: {PROGRAM['notation'][:200]}")
    parser.add_argument("images", nargs="*", help="arrays (.npy), or image files if Pillow is installed")
    parser.add_argument("--top", type=int, default=3, help="classes to list for each image")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--verify", action="store_true", help="compare the results for the examples inside")
    asked = parser.parse_args()
    if asked.verify:
        difference, limit = verify(), PROGRAM["tolerance"]
        if asked.json:
            print(json.dumps({"difference": difference, "tolerance": limit}))
        else:
            print(f"largest difference for {PROGRAM['examples'][0]} examples: {difference:.1e} (at most {limit:g})")
        sys.exit(0 if difference <= limit else 1)
    if not asked.images:
        parser.error("give an image, or --verify")
    names = PROGRAM["class_names"]
    for path in asked.images:
        try:
            found = predict(_image(path))
        except (OSError, ValueError) as error:
            sys.exit(f"{path}: {error}")
        if asked.json or found.ndim != 2:
            print(json.dumps({"image": path, "classes": names, "outputs": found.tolist()}))
            continue
        for row in found:
            best = np.argsort(-row)[: asked.top]
            shown = (f"{names[k] if names else k} {100 * row[k]:.1f}%" for k in best)
            print(f"{path}: {', '.join(shown)}")


if __name__ == "__main__":
    main()
