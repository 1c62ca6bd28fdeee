"""Valid inputs for each reader, and the functions that read them: the starting points of `soak_parsers.py`."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, features
from safetensors.numpy import save

from onnx_nodes import stored
from rot180 import export_onnx, import_onnx, model, network, save_model
from rot180.data.cifar import RECORD, read_cifar10
from rot180.data.csv_dataset import read_csv_file
from rot180.data.idx import read_idx
from rot180.data.image import decode_image, look_at_image
from rot180.data.listing import read_listing
from rot180.data.npy import read_npy
from rot180.data.npz import read_npz
from rot180.data.options import ImageOptions
from rot180.data.parquet import read_parquet
from rot180.errors import Rot180Error
from rot180.interop.hub_config import read_hub_config
from rot180.interop.onnx.evaluate import evaluate
from rot180.interop.onnx.graph import parse_graph
from rot180.interop.weights import import_weights
from rot180.nn import MODELS
from rot180.runs import load_run
from rot180.runs.checkpoint import steps_done
from rot180.runs.config import read_config, write_config
from rot180.runs.history_file import read_history
from rot180.runs.settings import settings_from
from torch_files import described, in_sequence, zipped

Parse = Callable[[bytes], object]

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 6, 6), dtype=np.uint8)
LABELS = np.arange(6) % 2

IMAGES = {"png": "1 L LA P RGB RGBA I;16", "jpeg": "L RGB CMYK", "gif": "L P", "bmp": "1 L P RGB", "webp": "RGB RGBA",
          "tiff": "1 L RGB I;16", "ppm": "1 L RGB"}  # fmt: skip
"""Modes in which each format of images is written."""

WEIGHTS = ("torch", "torch-old", "foreign-safetensors", "hub-config")
"""The readers of other programs' weights."""

GRAPHS = ("onnx", "onnx-nodes")
"""The reader of ONNX files, and the evaluator of their nodes."""

KERAS = ("keras", "keras-h5", "keras-weights", "keras-config")
"""The readers of the three containers of Keras, and of the configuration in them."""

KERAS_FILES = Path(__file__).parents[1] / "tests" / "interop" / "keras_files.npz"

if features.check("avif"):
    IMAGES["avif"] = "RGB RGBA"


def make_seeds(folder: Path) -> dict[str, list[bytes]]:
    """Return valid inputs by the name of their reader."""
    seeds = {
        "idx": _idx(),
        "csv": _csv(),
        "listing": [b"filename,label\na.png,cat\nb.png,dog\n", b"id;label\n1;x\n2;y\n"],
        "npy": [],
        "npz": [],
        "parquet": [],
        "cifar": _cifar(),
        **{kind: _images(kind, modes.split()) for kind, modes in IMAGES.items()},
        "safetensors": _model(folder),
        "torch": [zipped(value, arrays) for value, arrays in _checkpoints()],
        "torch-old": [in_sequence(value, arrays) for value, arrays in _checkpoints()],
        "foreign-safetensors": [save(dict(_CONVOLUTIONS), {"format": "pt"})],
        "hub-config": [json.dumps(_HUB_CONFIG).encode()],
        "onnx": _graphs(folder),
        "onnx-nodes": _nodes(),
        **_keras(),
        "config": _config(folder),
        "history": _history(),
        "state": [json.dumps(_STATE).encode()],
        "notation": [text.encode() for text in (*MODELS.values(), *_NOTATIONS, str(model("digits")))],
    }
    texts = np.array(["cat", "dog"])[LABELS]
    for array in (PIXELS, PIXELS / 255, LABELS, texts, np.asfortranarray(PIXELS), PIXELS > 99, LABELS.astype(">i2")):
        seeds["npy"].append(_saved(np.save, array))
    for names in (
        {"images": PIXELS, "labels": LABELS},
        {"x_train": PIXELS / 255, "y_train": texts, "x_test": PIXELS, "y_test": texts},
        {"x": PIXELS, "y": np.eye(2)[LABELS], "class_names": np.array(list("ab"))},
    ):
        seeds["npz"] += [_saved(np.savez, **names), _saved(np.savez_compressed, **names)]
    seeds["parquet"] = _parquet()
    return seeds


def parsers(folder: Path) -> dict[str, Parse]:
    """Return the function that reads each kind of input; files are first written into a folder."""

    def from_file(name: str, read: Callable[[Path], object]) -> Parse:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

        def parse(content: bytes) -> object:
            # Overwritten, not truncated: some file systems flush the disk each time a file is truncated.
            with path.open("r+b", buffering=0) as file:
                file.write(content)
                file.truncate()
            return read(path)

        return parse

    def image(content: bytes) -> object:
        look_at_image(content, "an image")
        return decode_image(content, "an image", (28, 28, 3))

    options = ImageOptions(workers=0)
    for name in ("a.png", "b.png", "1.png", "2.png"):
        (folder / "listed").mkdir(exist_ok=True)
        Image.fromarray(PIXELS[0]).save(folder / "listed" / name)
    return {
        "idx": from_file("a.idx", read_idx),
        "csv": from_file("a.csv", read_csv_file),
        "listing": from_file("listed/list.csv", lambda path: read_listing(path, options)),
        "npy": lambda content: read_npy("an array", io.BytesIO(content), len(content)),
        "npz": from_file("a.npz", read_npz),
        "parquet": from_file("a.parquet", lambda path: read_parquet(path, options)),
        "cifar": from_file("cifar-10-binary.tar.gz", read_cifar10),
        **dict.fromkeys(IMAGES, image),
        "safetensors": from_file("a.safetensors", load_run),
        "torch": from_file("zip/a.pth", _import),
        "torch-old": from_file("sequence/a.pth", _import),
        "foreign-safetensors": from_file("foreign/a.safetensors", _import),
        "hub-config": from_file("hub/config.json", lambda path: read_hub_config(path.parent)),
        "onnx": from_file("a.onnx", import_onnx),
        "onnx-nodes": _evaluated,
        "keras": from_file("a.keras", import_weights),
        "keras-h5": from_file("a.h5", import_weights),
        "keras-weights": from_file("a.weights.h5", lambda path: import_weights(path, _CHAIN)),
        "keras-config": from_file("config/config.json", _configured),
        "config": from_file("a.toml", lambda path: settings_from(read_config(path), path)),
        "history": from_file("history.jsonl", read_history),
        "state": from_file("checkpoints/000042/state.json", lambda path: steps_done(path.parent)),
        "notation": lambda content: network(content.decode("utf-8", "surrogateescape")),
    }


_NOTATIONS = ("32x32x3 > [conv3x3:8:same relu maxpool2]*2 > dropout0.5 > fc10", "784 > fc10")

_SMALL = "8x8x1 > conv3x3:2 bn relu > fc3"

_CONVOLUTIONS = {
    "0.weight": np.ones((2, 1, 3, 3), np.float32), "0.bias": np.ones(2, np.float32),
    "1.weight": np.ones(2, np.float32), "1.bias": np.ones(2, np.float32),
    "1.running_mean": np.ones(2, np.float32), "1.running_var": np.ones(2, np.float32),
    "1.num_batches_tracked": np.array(5), "4.weight": np.ones((3, 72), np.float32), "4.bias": np.ones(3, np.float32),
}  # fmt: skip

_HUB_CONFIG = {
    "architecture": "resnet18", "num_classes": 2, "label_names": ["cat", "dog"], "license": "mit",
    "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "crop_pct": 0.875, "crop_mode": "center",
                       "interpolation": "bicubic", "input_size": [3, 224, 224]},
}  # fmt: skip

_EPOCH = {
    "epoch": 1, "train_loss": 0.5, "train_accuracy": 0.9, "validation_loss": None, "validation_accuracy": None,
    "learning_rate": 0.1, "seconds": 1.5, "images_per_second": 900.0, "is_best": True,
}  # fmt: skip

_STATE = {
    "format": 1,
    "sha256": {"model.safetensors": "0" * 64, "training.safetensors": "1" * 64},
    "plan": {"epochs": 2, "early_stopping": None, "optimizer": {"name": "adam"}},
    "progress": {"epoch": 1, "batch": 0, "step": 42, "correct": 1, "images": 2, "loss_sum": 0.5, "seconds": 1.5,
                 "elapsed": 2.5, "best_loss": None, "best_epoch": None},
    "generators": {"shuffle": {"bit_generator": "PCG64", "state": {"state": 2**100, "inc": 3}}},
    "step_count": 42, "steps": 42, "has_best": False, "epochs": [_EPOCH], "extra": {"history_file": {}},
}  # fmt: skip


_GRAPHS = (
    "8x8x3 > conv3x3:4:same bn relu maxpool2 > ( skip * gap fc4 sigmoid ) > fc3 softmax",
    "6x6x2 > conv3x3:4:pad1:g2 gelu ( slice2 | slice2:from2 silu ) shuffle2 ( skip + ln ) up2 avgpool3:pad1 lrn3 > fc3",
    "7x5x1 > convt2x2:3:s2 hardswish prelu in gn3 ( relu6 | elu ) dropout > fc4 hardsigmoid > fc2",
)


def _graphs(folder: Path) -> list[bytes]:
    """Return the exports of small networks, for a version of the operator set each."""
    found = []
    for text, opset in zip(_GRAPHS, (13, 17, 21), strict=True):
        export_onnx(network(text).build(seed=1), folder / "seed.onnx", opset=opset)
        found.append((folder / "seed.onnx").read_bytes())
    return found


def _nodes() -> list[bytes]:
    """Return some of the format's node tests, those that take ones."""
    found = []
    for test in list(stored())[::15]:
        with suppress(Rot180Error):
            _evaluated(test.model)
            found.append(test.model)
    return found


def _evaluated(content: bytes) -> object:
    """Evaluate a graph on ones, if its inputs are small."""
    graph = parse_graph(content)
    inputs = {}
    for value in graph.inputs:
        shape = [size or 1 for size in value.shape or ()]
        if math.prod(shape) < 10_000 and len(shape) < 16:
            inputs[value.name] = np.ones(shape, value.dtype or np.float32)
    return evaluate(graph, inputs, limit=2**20)


def _import(path: Path) -> object:
    return import_weights(path, _SMALL)


_CHAIN = (
    "9x8x3 > conv3x3:4:pad0,1,1,0:s2:nobias bn relu6 maxpool3:pad1:s1 > conv3x3:8:same:g4:nobias > conv1x1:6 relu > "
    "fc5 > fc3"
)
"""A network that has the weights of the sequential model of Keras."""


def _keras() -> dict[str, list[bytes]]:
    with np.load(KERAS_FILES) as stored:
        files = {name: stored[name].tobytes() for name in stored if name[-2:] not in (".x", ".y")}
    configurations = []
    for name in ("chain.keras", "graph.keras", "nested.keras"):
        with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
            configurations.append(archive.read("config.json"))
    return {
        "keras": [files["chain.keras"], files["nested.keras"]],
        "keras-h5": [files["chain.h5"], files["nested.h5"]],
        "keras-weights": [files["chain.weights.h5"]],
        "keras-config": configurations,
    }


def _configured(path: Path) -> object:
    """Import a model with this configuration and the arrays of the one that it was made of."""
    content, target = path.read_bytes(), path.parent / "a.keras"
    name = next((name for name in ("graph", "nested") if b'"name": "%s"' % name.encode() in content), "chain")
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("config.json", content)
        archive.writestr("model.weights.h5", _arrays(name))
    return import_weights(target)


@cache
def _arrays(name: str) -> bytes:
    with np.load(KERAS_FILES) as stored, zipfile.ZipFile(io.BytesIO(stored[f"{name}.keras"].tobytes())) as archive:
        return archive.read("model.weights.h5")


def _checkpoints() -> list[tuple[object, dict[str, np.ndarray]]]:
    """Return the objects of checkpoints and their arrays: the weights alone, and beside a training's other things."""
    weights = described(_CONVOLUTIONS)
    training = {"epoch": 3, "optimizer": {"state": {0: {"step": 7.0}}}, "state_dict": weights}
    return [(weights, _CONVOLUTIONS), (training, _CONVOLUTIONS)]


def _saved(save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def _idx() -> list[bytes]:
    images = struct.pack(">HBB3I", 0, 8, 3, *PIXELS.shape) + PIXELS.tobytes()
    labels = struct.pack(">HBBI", 0, 8, 1, 5) + bytes(5)
    floats = struct.pack(">HBB2I", 0, 14, 2, 2, 3) + np.arange(6, dtype=">f8").tobytes()
    return [images, labels, floats, gzip.compress(images)]


def _csv() -> list[bytes]:
    rows = [f"{k % 2},{','.join(map(str, image.ravel()[:25]))}" for k, image in enumerate(PIXELS)]
    header = "label," + ",".join(f"p{k}" for k in range(25))
    last = [f"{row.partition(',')[2]},{'cat' if k % 2 else 'dog'}" for k, row in enumerate(rows)]
    floats = [
        f"{k % 2};" + ";".join(f"{value / 255:.3f}" for value in image.ravel()[:25]) for k, image in enumerate(PIXELS)
    ]
    texts = [
        "\n".join(rows),
        "\r\n".join([header, *rows]),
        "\n".join(last),
        "\r".join(floats),
        "\n".join(rows).replace(",", " "),
    ]
    return [text.encode() for text in texts] + [gzip.compress(texts[0].encode()), texts[1].encode("utf-16")]


def _cifar() -> list[bytes]:
    found = []
    for mode in ("w", "w:gz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
                member.size = RECORD
                archive.addfile(member, io.BytesIO(bytes(RECORD)))
        found.append(file.getvalue())
    return found


def _images(kind: str, modes: list[str]) -> list[bytes]:
    color = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8))
    found = []

    def add(picture: Image.Image, **options: object) -> None:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        found.append(file.getvalue())

    for mode in modes:
        picture = Image.fromarray(PIXELS[0].astype(np.uint16) * 257) if mode == "I;16" else color.convert(mode)
        add(picture)
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind in ("jpeg", "png", "webp"):
        add(color, exif=exif)
    if kind == "jpeg":
        add(color, progressive=True)
    if kind in ("gif", "webp", "tiff", "png"):
        add(color.convert("RGB"), save_all=True, append_images=[color.rotate(90), color.rotate(180)])
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg") if kind == "tiff" else ():
        add(color, compression=compression)
    return found


def _parquet() -> list[bytes]:
    import pyarrow
    import pyarrow.parquet as parquet

    files = [{"bytes": file, "path": None} for file in _images("png", ["L"])[:1] * 6]
    tables = [
        pyarrow.table({"image": files, "label": LABELS.tolist()}),
        pyarrow.table({"pixels": PIXELS.tolist(), "label": ["ab"[k] for k in LABELS]}),
        pyarrow.table({f"p{k}": PIXELS.reshape(6, -1)[:, k] for k in range(4)} | {"class": LABELS}),
    ]
    found = []
    for table in tables:
        for options in ({"compression": "none", "use_dictionary": False}, {"compression": "zstd"}):
            file = io.BytesIO()
            parquet.write_table(table, file, **options)
            found.append(file.getvalue())
    return found


def _model(folder: Path) -> list[bytes]:
    save_model(folder / "model.safetensors", network("6x6x1 > conv3x3:2 relu maxpool2 > fc3").build())
    return [(folder / "model.safetensors").read_bytes()]


def _config(folder: Path) -> list[bytes]:
    path = folder / "config.toml"
    write_config(path, {"data": "digits", "model": "lenet5", "training": {"lr": 0.1, "epochs": 3, "seed": 1}})
    return [path.read_bytes(), b"[training]\nlr = 0.5\naugment = 'flip'\n"]


def _history() -> list[bytes]:
    steps = [{"event": "step", "step": k, "epoch": 1, "loss": 0.5, "learning_rate": 0.1} for k in range(3)]
    records = [*steps, {"event": "epoch", **_EPOCH}]
    return ["".join(json.dumps(record) + "\n" for record in records).encode()]
