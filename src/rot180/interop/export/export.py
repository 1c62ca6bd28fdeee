"""A network as an ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rot180.errors import ArgumentError, TooLargeError, did_you_mean
from rot180.files import write_atomically
from rot180.interop.export.form import Form, output_of
from rot180.interop.export.package import require_onnx
from rot180.memory import require
from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.nn.validation import whole_number
from rot180.training.diagnosis import refuse_non_finite_weights

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

OLDEST, DEFAULT, NEWEST = 13, 17, 25
"""The versions of the set of operators that can be written, and the one that programs of the last years read."""

LAYOUTS = ("nchw", "nhwc")
"""How images enter the graph: channels before rows and columns, or after them."""

MAX_BYTES = 2**31 - 2**20
"""The largest weights in bytes that fit a file: ONNX files are protocol buffers of less than 2 GB."""


Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done."""


@dataclass(frozen=True)
class Port:
    """The input or the output of a graph: its name, the type of its numbers, and its shape with an open batch axis."""

    name: str
    type: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class OnnxFile:
    """What `export_onnx` has written.

    Attributes
    ----------
    path : str
    input, output : Port
        What the graph takes and returns.
    expects : str
        What the numbers of the input are: "pixels from 0 to 255", or how they are made of pixels.
    opset, ir_version : int
        The versions of the set of operators and of the format.
    nodes, parameters, size : int
        The numbers of nodes, of weights and of bytes.
    difference : float or None
        The largest difference between the outputs of ONNX Runtime and of the network, relative to the largest output;
        None if ONNX Runtime is not installed.
    compared_with : str
        The version of ONNX Runtime; empty if it is not installed.
    notes : tuple of str
        What else to know, one line each.
    """

    path: str
    input: Port
    output: Port
    expects: str
    opset: int
    ir_version: int
    nodes: int
    parameters: int
    size: int
    difference: float | None
    compared_with: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers, texts and lists, ready for JSON."""
        return asdict(self)


@answering_call
def export_onnx(
    model: Network,
    path: str | Path,
    *,
    opset: int = DEFAULT,
    fold: bool = False,
    with_preprocessing: bool = False,
    softmax: bool = False,
    layout: str = "nchw",
    progress: Progress | None = None,
) -> OnnxFile:
    """Write a network as an ONNX file, for ONNX Runtime and other programs; needs `pip install "rot180[onnx]"`.

    The file is valid for the checker of `onnx`, and computes what the network does, before it gets its name: the
    outputs of ONNX Runtime, if it is installed, are compared with the network's. The number of images in a batch is
    open. Layers that act only in training are left out. The metadata hold the preprocessing and the class names.

    Parameters
    ----------
    model : Network
        Built.
    path : str or Path
        An existing file is replaced.
    opset : int
        The version of the set of operators, from 13 to 25; the version of the format follows. The default is read by
        programs since 2022.
    fold : bool
        Whether a batch normalization is folded into the layer before it.
    with_preprocessing : bool
        Whether the graph takes images as integers, usually of 0 to 255, and normalizes them itself. Without, it takes
        float32 as the first layer does.
    softmax : bool
        Whether the graph ends in a softmax, so that its outputs are the probabilities that `predict` returns.
    layout : {"nchw", "nhwc"}
        The order of the axes of images, and of the output if it is feature maps. (N, H, W, C) costs one transposition.
    progress : callable, optional
        Called before each part of the work with what is being done, and how many parts of how many are done.

    Returns
    -------
    OnnxFile

    Raises
    ------
    ArgumentError
        The model is not built, has a layer of a user's own, or an option is invalid; or the package `onnx` is missing.
    NonFiniteError
        A weight is infinite, NaN or beyond float32.
    TooLargeError
        The weights exceed what an ONNX file or the memory holds.
    ModelError
        The file cannot be written, or does not compute what the network does; an existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from rot180.nn import network
    >>> path = Path(tempfile.mkdtemp()) / "model.onnx"
    >>> written = export_onnx(network("8x8x1 > conv3x3:4 bn relu > fc10").build(seed=0), path, fold=True)
    >>> written.nodes, written.opset, written.ir_version
    (4, 17, 8)
    """
    require_onnx("export_onnx")
    from onnx import __version__ as onnx_version
    from onnx import defs

    from rot180.interop.export import check
    from rot180.interop.export.preprocessing import expected

    opset = whole_number(opset, "opset", OLDEST)
    newest = min(NEWEST, defs.onnx_opset_version())
    if opset > newest:
        raise ArgumentError(
            f"opset must be from {OLDEST} to {newest} with onnx {onnx_version}; it is {opset}; most programs "
            f"read {DEFAULT}"
        )
    if layout not in LAYOUTS:
        raise ArgumentError(f"unknown layout {layout!r}{did_you_mean(str(layout), LAYOUTS)}")
    _require_exportable(model)
    kind = output_of(model)
    if softmax and kind != "logits":
        raise ArgumentError(f"softmax turns logits into probabilities, but this network returns {kind}; leave it out")
    tell = progress or (lambda what, done, total: None)
    tell("writing the graph", 0, 3)
    form = Form(opset, fold, with_preprocessing, softmax, layout)
    proto = make_model(model, form)
    data = proto.SerializeToString()
    tell("checking the graph", 1, 3)
    check.check_form(data)
    difference, compared_with, notes = None, "", []
    if (runtime := check.runtime()) is not None:
        tell("comparing with ONNX Runtime", 2, 3)
        difference = check.largest_difference(data, model, form)
        compared_with = f"ONNX Runtime {runtime.__version__}"
    else:
        notes.append("not compared with ONNX Runtime, which is not installed: pip install onnxruntime")
    if model.dtype.itemsize > 4:
        notes.append("the weights were rounded from float64 to float32, the type that ONNX programs compute in")
    write_atomically(path, data)
    tell("writing the graph", 3, 3)
    return OnnxFile(
        path=str(path),
        input=_port(proto.graph.input[0]),
        output=_port(proto.graph.output[0]),
        expects=expected(model.preprocessing, in_graph=with_preprocessing),
        opset=opset,
        ir_version=proto.ir_version,
        nodes=len(proto.graph.node),
        parameters=sum(array.size for array in model.parameters.values()),
        size=len(data),
        difference=difference,
        compared_with=compared_with,
        notes=tuple(notes),
    )


def _port(value: ValueInfoProto) -> Port:
    from onnx import helper

    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Port(value.name, dtype.name, tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim))


def make_model(model: Network, form: Form) -> ModelProto:
    """Return the network as an ONNX model."""
    from onnx import TensorProto, helper

    from rot180.interop.export import folding
    from rot180.interop.export.graph import Graph, Value, declared, graph_shape
    from rot180.interop.export.layers import WRITERS
    from rot180.interop.export.preprocessing import Pixels, graph_input, metadata, write_preprocessing
    from rot180.nn.graph import INPUT

    graph = Graph(form.opset)
    is_map = len(model.input_shape) == 3
    source = _unused("images" if is_map else "input", model)
    pixels = Pixels.of(model.preprocessing) if form.with_preprocessing else None
    into = declared(source, graph_input(model, form.layout), TensorProto.FLOAT if pixels is None else pixels.onnx_type)
    first = source
    if is_map and form.layout == "nhwc":
        first = graph.node("Transpose", f"{source}/nchw", [source], perm=[0, 3, 1, 2])
    if pixels is not None:
        first = write_preprocessing(graph, model, first, source)
    values = {INPUT: Value(first, model.input_shape)}
    gone, graph.folded = folding.fold(model) if form.fold else (set(), {})
    for place, (layer, reads) in enumerate(model.nodes):
        inputs = [values[read] for read in reads]
        values[place] = inputs[0] if place in gone else WRITERS[type(layer)](graph, layer, *inputs)
    last = graph.in_order(values[len(model.nodes) - 1])
    if form.softmax:
        last = last._replace(name=graph.node("Softmax", f"{last.name}/softmax", [last.name], axis=1))
    target, shape = _unused(form.output_name(model), model), graph_shape(last.shape)
    if last.is_map and form.layout == "nhwc":
        graph.node("Transpose", target, [last.name], perm=[0, 2, 3, 1])
        shape = last.shape
    else:
        graph.name_output(last.name, target)
    inner = {value.name: graph_shape(value.shape) for value in values.values()}
    written = helper.make_graph(
        graph.nodes,
        "rot180",
        [into],
        [declared(target, shape)],
        list(graph.constants.values()),
        value_info=[declared(name, size) for name, size in inner.items() if name not in (source, last.name)],
    )
    operators = [helper.make_opsetid("", form.opset)]
    proto = helper.make_model(
        written,
        producer_name="rot180",
        producer_version=version("rot180"),
        opset_imports=operators,
        ir_version=helper.find_min_ir_version_for(operators),
    )
    helper.set_model_props(proto, metadata(model, form))
    return proto


def _require_exportable(model: Network) -> None:
    """Raise an error for a network that cannot be written, before anything is."""
    from rot180.interop.export.layers import WRITERS

    if not model.is_built:
        raise ArgumentError("export_onnx: the model has no parameters yet; train it or load a trained one")
    for layer in model.layers:
        if type(layer) not in WRITERS:
            raise ArgumentError(
                f"export_onnx: {layer.name} is a layer of your own, {type(layer).__name__}, which ONNX has no operator "
                f"for; build the network from the layers of rot180.nn"
            )
    refuse_non_finite_weights(model, "export_onnx: only a model with finite weights is written")
    size = 4 * sum(array.size for array in model.state.values())
    if size > MAX_BYTES:
        raise TooLargeError(
            f"export_onnx: an ONNX file holds less than 2 GB, but the weights are {size / 1e9:.2f} GB; save the model "
            f"as safetensors"
        )
    require(4 * size, "export_onnx: the file, its check and ONNX Runtime's copy")


def _unused(name: str, model: Network) -> str:
    """Return a name that no layer has."""
    while any(layer.name == name for layer in model.layers):
        name += "_"
    return name
