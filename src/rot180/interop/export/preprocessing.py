"""The preprocessing of images as nodes, and in words for programs that do it themselves."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from onnx import TensorProto

from rot180.errors import ArgumentError
from rot180.interop.export.form import Form, output_of
from rot180.interop.export.graph import Graph, graph_shape
from rot180.nn.network import Network
from rot180.nn.preprocessing import Preprocessing

OUTPUTS = {"logits": "logits: their softmax is the probabilities", "sigmoids": "sigmoids: probabilities by themselves"}
"""What kinds of outputs are, in the metadata."""


class Pixels(NamedTuple):
    """The images that a graph with preprocessing takes.

    Attributes
    ----------
    white : int
        The value of white.
    dtype : type
        The smallest type of integers that holds it.
    """

    white: int
    dtype: type[np.uint8] | type[np.uint16]

    @property
    def onnx_type(self) -> int:
        """The type as ONNX numbers it."""
        return int(TensorProto.UINT8 if self.dtype is np.uint8 else TensorProto.UINT16)

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> Pixels:
        """Return the pixels that a model was trained on; 0 to 255 if it was trained on floats from 0 to 1.

        Raises
        ------
        ArgumentError
            It was trained on floats that were already normalized.
        """
        known = preprocessing.pixels
        if known is not None and known.is_signed:
            raise ArgumentError(
                f"with_preprocessing takes images of 0 to 255, but this network was trained on {known.text}, "
                f"normalized; leave it out, and normalize the images in the same way"
            )
        white = 255 if known is None or known.high == 1 else int(known.high)
        return cls(white, np.uint8 if white <= 255 else np.uint16)


def divisor(preprocessing: Preprocessing) -> float:
    """Return the number that the pixels of `Pixels.of` are divided by."""
    white = Pixels.of(preprocessing).white
    if preprocessing.kind != "none":
        return white
    return white / preprocessing.pixels.white if preprocessing.pixels is not None else 1


def expected(preprocessing: Preprocessing, *, in_graph: bool) -> str:
    """Return in words what the graph takes.

    >>> expected(Preprocessing("scale"), in_graph=False), expected(Preprocessing("scale"), in_graph=True)
    ('pixels / 255', 'pixels from 0 to 255')
    """
    if in_graph:
        return f"pixels from 0 to {Pixels.of(preprocessing).white}"
    if preprocessing.pixels is not None and preprocessing.pixels.is_signed:
        return "normalized like the training images"
    white = divisor(preprocessing)
    scaled = "pixels as they are" if white == 1 else f"pixels / {white:g}"
    if preprocessing.kind == "image":
        return f"{scaled}, then each image brought to mean 0 and deviation 1"
    if preprocessing.kind == "dataset":
        return "(pixels - mean) / std, see the metadata" if white == 1 else f"({scaled} - mean) / std, see the metadata"
    return scaled


def write_preprocessing(graph: Graph, model: Network, x: str, name: str) -> str:
    """Append the nodes that turn integers into what the first layer takes, and return the name of their output.

    `name` begins the names of the nodes.
    """
    preprocessing = model.preprocessing
    x = graph.node("Cast", f"{name}/float", [x], to=TensorProto.FLOAT)
    white = divisor(preprocessing)
    if white != 1:
        x = graph.node("Div", f"{name}/scaled", [x, graph.number(white)])
    if preprocessing.kind == "image":
        return _each_normalized(graph, x, name, len(model.input_shape))
    if preprocessing.kind == "dataset":
        shape = (-1, 1, 1) if len(model.input_shape) == 3 else (-1,)
        mean, std = (np.array(values, np.float32).reshape(shape) for values in (preprocessing.mean, preprocessing.std))
        x = graph.node("Sub", f"{name}/centered", [x, graph.constant(f"{name}/mean", mean)])
        x = graph.node("Div", f"{name}/normalized", [x, graph.constant(f"{name}/std", std)])
    return x


def _each_normalized(graph: Graph, x: str, name: str, rank: int) -> str:
    """Append the normalization of each image by itself, in float64 as in rot180; a constant image becomes zeros."""
    axes = range(1, rank + 1)
    high, low = (graph.reduce(f"Reduce{what}", f"{name}/{what.lower()}", x, axes) for what in ("Max", "Min"))
    is_constant = graph.node("Equal", f"{name}/constant", [high, low])
    exact = graph.node("Cast", f"{name}/exact", [x], to=TensorProto.DOUBLE)
    mean = graph.reduce("ReduceMean", f"{name}/mean", exact, axes)
    centered = graph.node("Sub", f"{name}/centered", [exact, mean])
    square = graph.node("Mul", f"{name}/square", [centered, centered])
    variance = graph.reduce("ReduceMean", f"{name}/var", square, axes)
    deviation = graph.node("Sqrt", f"{name}/std", [variance])
    divided = graph.node("Div", f"{name}/divided", [centered, deviation])
    rounded = graph.node("Cast", f"{name}/rounded", [divided], to=TensorProto.FLOAT)
    return graph.node("Where", f"{name}/normalized", [is_constant, graph.number(0), rounded])


def metadata(model: Network, form: Form) -> dict[str, str]:
    """Return what a program must know to use the network: preprocessing, classes, and what the output is.

    Names are plain, values are texts or JSON. `mean` and `std` are for pixels divided by `white`.
    """
    preprocessing = model.preprocessing
    shape = model.input_shape
    channels = shape[-1] if len(shape) == 3 else 1
    output = "probabilities" if form.softmax else output_of(model)
    known = {
        "preprocessing": json.dumps(preprocessing.to_dict()),
        "preprocessing_in_graph": json.dumps(form.with_preprocessing),
        "input": expected(preprocessing, in_graph=form.with_preprocessing),
        "output": OUTPUTS.get(output, output),
        "notation": model.notation,
    }
    if len(shape) == 3:
        known |= {"layout": form.layout.upper(), "channels": {1: "gray", 3: "RGB"}.get(channels, str(channels))}
        known["resize"] = preprocessing.resize
    if not (preprocessing.pixels is not None and preprocessing.pixels.is_signed):
        known["white"] = f"{divisor(preprocessing):g}"
    if preprocessing.kind == "dataset":
        known |= {"mean": json.dumps(preprocessing.mean), "std": json.dumps(preprocessing.std)}
    elif preprocessing.kind in ("scale", "none"):
        known |= {"mean": json.dumps([0.0] * channels), "std": json.dumps([1.0] * channels)}
    if model.class_names is not None:
        known["class_names"] = json.dumps(model.class_names, ensure_ascii=False)
    return known


def graph_input(model: Network, layout: str) -> tuple[int, ...]:
    """Return the shape of one image as the graph takes it."""
    return model.input_shape if layout == "nhwc" else graph_shape(model.input_shape)
