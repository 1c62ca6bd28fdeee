"""ONNX graphs become networks: each operator against the evaluator of nodes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the onnx package writes the graphs of these tests")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import rot180  # noqa: E402
from rot180.errors import ModelError  # noqa: E402
from rot180.interop.onnx.evaluate import evaluate  # noqa: E402
from rot180.interop.onnx.graph import parse_graph  # noqa: E402
from rot180.interop.onnx.importing import difference, network_of  # noqa: E402

RNG = np.random.default_rng(0)
MAPS, VECTOR = (2, 6, 8, 8), (2, 12)


def tensor(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype(np.float32)


def model_bytes(
    nodes: list[Any], tensors: dict[str, Any], shape: tuple[Any, ...] = MAPS, opset: int = 17, dtype: int = 1
) -> bytes:
    """Return a graph from x to y."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> Any:
    names = [name.strip() for name in inputs.split(",")]
    return helper.make_node(operator, names, output.split(","), name=f"the {operator}", **attributes)


def case(
    nodes: list[Any], notation: str, opset: int = 17, shape: tuple[Any, ...] = MAPS, **tensors: Any
) -> tuple[Any, ...]:
    return nodes, notation, opset, shape, tensors


CONV = {"w": tensor(4, 6, 3, 3), "b": tensor(4)}
NORM = {"scale": tensor(6), "bias": tensor(6), "mean": tensor(6), "var": tensor(6, low=0.5)}
ERF = [
    node("Div", "x,root", "a"),
    node("Erf", "a", "b"),
    node("Add", "b,one", "c"),
    node("Mul", "x,c", "d"),
    node("Mul", "d,half"),
]
LAYER_NORM = [
    node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
    node("ReduceMean", "t", "m", axes=[-1]),
    node("Sub", "t,m", "s"),
    node("Pow", "s,two", "p"),
    node("ReduceMean", "p", "v", axes=[-1]),
    node("Add", "v,eps", "e"),
    node("Sqrt", "e", "r"),
    node("Div", "s,r", "d"),
    node("Mul", "d,scale", "g"),
    node("Add", "g,bias", "o"),
    node("Transpose", "o", perm=[0, 3, 1, 2]),
]
CASES = {
    "conv": case([node("Conv", "x,w,b", pads=[1, 1, 1, 1])], "8x8x6 > conv3x3:4:pad1", **CONV),
    "conv, asymmetric": case(
        [node("Conv", "x,w", pads=[0, 1, 2, 1], strides=[2, 1])],
        "8x8x6 > conv3x3:4:pad0,2,1,1:s2x1:nobias",
        w=CONV["w"],
    ),
    "conv, same": case(
        [node("Conv", "x,w", auto_pad="SAME_UPPER", strides=[2, 2])], "8x8x6 > conv3x3:4:same:s2:nobias", w=CONV["w"]
    ),
    "conv, same below": case(
        [node("Conv", "x,w", auto_pad="SAME_LOWER", strides=[2, 2])],
        "8x8x6 > conv3x3:4:pad1,0,1,0:s2:nobias",
        w=CONV["w"],
    ),
    "conv, grouped": case(
        [node("Conv", "x,w", group=2, dilations=[2, 2])], "8x8x6 > conv3x3:4:d2:g2:nobias", w=tensor(4, 3, 3, 3)
    ),
    "transposed": case(
        [node("ConvTranspose", "x,w,b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
        "8x8x6 > convt3x3:4:pad1:outpad1:s2",
        w=tensor(6, 4, 3, 3),
        b=tensor(4),
    ),
    "batch normalization": case(
        [node("BatchNormalization", "x,scale,bias,mean,var", epsilon=1e-3, momentum=0.99)],
        "8x8x6 > bn:momentum=0.01:eps=0.001",
        **NORM,
    ),
    "scale apart from the normalization": case(
        [node("BatchNormalization", "x,scale,bias,mean,var", "n"), node("Mul", "n,f", "m"), node("Add", "m,g")],
        "8x8x6 > bn",
        f=tensor(6, 1, 1),
        g=tensor(1, 6, 1, 1),
        **NORM,
    ),
    "layer scale": case(
        [node("Conv", "x,w,b", "c"), node("Mul", "c,f")],
        "8x8x6 > conv3x3:4 > conv1x1:4:g4:nobias",
        f=tensor(4, 1, 1),
        **CONV,
    ),
    "a bias apart": case(
        [node("Conv", "x,w", "c"), node("Add", "c,f")], "8x8x6 > conv3x3:4", f=tensor(4, 1, 1), w=CONV["w"]
    ),
    "instance normalization": case(
        [node("InstanceNormalization", "x,scale,bias")], "8x8x6 > in:affine", scale=NORM["scale"], bias=NORM["bias"]
    ),
    "group normalization": case(
        [node("GroupNormalization", "x,scale,bias", num_groups=2)], "8x8x6 > gn2", 21, scale=tensor(6), bias=tensor(6)
    ),
    "layer normalization": case(
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("LayerNormalization", "t,scale,bias", "n", axis=-1, epsilon=1e-6),
            node("Transpose", "n", perm=[0, 3, 1, 2]),
        ],
        "8x8x6 > ln:eps=1e-06",
        scale=NORM["scale"],
        bias=NORM["bias"],
    ),
    "layer normalization of images": case(
        [node("LayerNormalization", "x,scale,bias", axis=1)],
        "8x8x6 > ln:axes=3",
        scale=tensor(6, 8, 8),
        bias=tensor(6, 8, 8),
    ),
    "layer normalization in ten nodes": case(
        LAYER_NORM,
        "8x8x6 > ln:eps=1e-06",
        scale=NORM["scale"],
        bias=NORM["bias"],
        two=np.float32(2),
        eps=np.float32(1e-6),
    ),
    "layer normalization over channels": case(
        [
            node("ReduceMean", "x", "m", axes=[1]),
            node("Sub", "x,m", "s"),
            node("Mul", "s,s", "p"),
            node("ReduceMean", "p", "v", axes=[1]),
            node("Add", "v,eps", "e"),
            node("Sqrt", "e", "r"),
            node("Div", "s,r", "d"),
            node("Mul", "d,scale", "g"),
            node("Add", "g,bias"),
        ],
        "8x8x6 > ln:eps=1e-06",
        eps=np.float32(1e-6),
        scale=tensor(6, 1, 1),
        bias=tensor(6, 1, 1),
    ),
    "group normalization of old": case(
        [
            node("Reshape", "x,groups", "a"),
            node("InstanceNormalization", "a,ones,zeros", "b"),
            node("Shape", "x", "shape"),
            node("Reshape", "b,shape", "c"),
            node("Mul", "c,scale", "d"),
            node("Add", "d,bias"),
        ],
        "8x8x6 > gn3",
        groups=np.array([0, 3, -1]),
        ones=np.ones(3, np.float32),
        zeros=np.zeros(3, np.float32),
        scale=tensor(6, 1, 1),
        bias=tensor(6, 1, 1),
    ),
    "local response": case([node("LRN", "x", size=5, alpha=0.5, bias=2.0)], "8x8x6 > lrn5:alpha=0.5:k=2"),
    "relu": case([node("Relu", "x")], "8x8x6 > relu"),
    "clip": case([node("Clip", "x,zero,six")], "8x8x6 > relu6", zero=np.float32(0), six=np.float32(6)),
    "clip of old": case([node("Clip", "x", min=0.0, max=6.0)], "8x8x6 > relu6", 9),
    "leaky": case([node("LeakyRelu", "x", alpha=0.2)], "8x8x6 > leakyrelu:slope=0.2"),
    "elu": case([node("Elu", "x")], "8x8x6 > elu"),
    "prelu": case([node("PRelu", "x,s")], "8x8x6 > prelu", s=tensor(6, 1, 1)),
    "sigmoid": case([node("Sigmoid", "x")], "8x8x6 > sigmoid"),
    "tanh": case([node("Tanh", "x")], "8x8x6 > tanh"),
    "hard sigmoid": case([node("HardSigmoid", "x", alpha=1 / 6)], "8x8x6 > hardsigmoid"),
    "hard sigmoid of another slope": case(
        [node("Conv", "x,w,b", "c"), node("HardSigmoid", "c", alpha=0.2, beta=0.4)],
        "8x8x6 > conv3x3:4 > conv1x1:4:g4 hardsigmoid",
        **CONV,
    ),
    "hard swish": case([node("HardSwish", "x")], "8x8x6 > hardswish"),
    "hard swish in nodes": case(
        [node("Add", "x,three", "a"), node("Clip", "a,zero,six", "c"), node("Mul", "x,c", "m"), node("Div", "m,six")],
        "8x8x6 > hardswish",
        three=np.float32(3),
        zero=np.float32(0),
        six=np.float32(6),
    ),
    "hard swish of two": case(
        [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "x,h")], "8x8x6 > hardswish"
    ),
    "swish": case([node("Sigmoid", "x", "s"), node("Mul", "s,x")], "8x8x6 > silu"),
    "gelu": case([node("Gelu", "x", approximate="tanh")], "8x8x6 > gelu:tanh", 20),
    "gelu in nodes": case(ERF, "8x8x6 > gelu", root=np.float32(2**0.5), one=np.float32(1), half=np.float32(0.5)),
    "max pooling": case(
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[1, 1, 1, 1])],
        "8x8x6 > maxpool3:pad1:s2:ceil",
    ),
    "average pooling": case(
        [node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        "8x8x6 > avgpool3:pad1:s2:excludepad",
    ),
    "average pooling with padding": case(
        [node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1)], "8x8x6 > avgpool2"
    ),
    "global average": case([node("GlobalAveragePool", "x", "p"), node("Flatten", "p")], "8x8x6 > gap"),
    "global maximum": case(
        [node("GlobalMaxPool", "x", "p"), node("Squeeze", "p,axes")], "8x8x6 > gmp", axes=np.array([2, 3])
    ),
    "mean": case([node("ReduceMean", "x", axes=[2, 3], keepdims=0)], "8x8x6 > gap"),
    "mean by an input": case([node("ReduceMean", "x,axes", keepdims=0)], "8x8x6 > gap", 18, axes=np.array([-1, -2])),
    "flatten and gemm": case(
        [node("Flatten", "x", "f"), node("Gemm", "f,w,b", transB=1, alpha=0.5)],
        "8x8x6 > fc5",
        w=tensor(5, 384),
        b=tensor(5),
    ),
    "flatten by its shape": case(
        [
            node("Shape", "x", "s"),
            node("Gather", "s,zero", "n", axis=0),
            node("Unsqueeze", "n,first", "u"),
            node("Concat", "u,minus", "shape", axis=0),
            node("Reshape", "x,shape", "f"),
            node("MatMul", "f,w", "m"),
            node("Add", "b,m"),
        ],
        "8x8x6 > fc5",
        zero=np.array(0),
        first=np.array([0]),
        minus=np.array([-1]),
        w=tensor(384, 5),
        b=tensor(5),
    ),
    "normalization of what is flattened": case(
        [node("Flatten", "x", "f"), node("BatchNormalization", "f,s,b,m,v", "n"), node("Gemm", "n,w")],
        "8x8x6 > flatten bn > fc3:nobias",
        s=tensor(384),
        b=tensor(384),
        m=tensor(384),
        v=tensor(384, low=0.5),
        w=tensor(384, 3),
    ),
    "squeeze and excitation": case(
        [
            node("GlobalAveragePool", "x", "p"),
            node("Conv", "p,w,b", "c"),
            node("Sigmoid", "c", "g"),
            node("Mul", "g,x"),
        ],
        "8x8x6 > ( skip * gap fc6 sigmoid )",
        w=tensor(6, 6, 1, 1),
        b=tensor(6),
    ),
    "sums": case(
        [node("Relu", "x", "a"), node("Tanh", "x", "b"), node("Sum", "a,b,x")], "8x8x6 > ( relu + tanh + skip )"
    ),
    "concatenation": case([node("Relu", "x", "a"), node("Concat", "a,x", axis=1)], "8x8x6 > ( relu | skip )"),
    "split and shuffle": case(
        [
            node("Split", "x,sizes", "a,b", axis=1),
            node("Relu", "b", "r"),
            node("Concat", "a,r", "c", axis=1),
            node("Reshape", "c,five", "d"),
            node("Transpose", "d", "e", perm=[0, 2, 1, 3, 4]),
            node("Reshape", "e,four"),
        ],
        "8x8x6 > ( slice2 | slice4:from2 relu ) shuffle2",
        sizes=np.array([2, 4]),
        five=np.array([-1, 2, 3, 8, 8]),
        four=np.array([-1, 6, 8, 8]),
    ),
    "slice": case(
        [node("Slice", "x,starts,ends,axes", "s"), node("Relu", "s")],
        "8x8x6 > slice3:from2 relu",
        starts=np.array([2]),
        ends=np.array([-1]),
        axes=np.array([1]),
    ),
    "upsampling": case(
        [node("Resize", "x,,scales", mode="linear")],
        "8x8x6 > up2x3:bilinear",
        scales=np.array([1, 1, 2, 3], np.float32),
    ),
    "upsampling to a size": case(
        [node("Resize", "x,,,sizes", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        "8x8x6 > up2",
        sizes=np.array([2, 6, 16, 16]),
    ),
    "softmax": case(
        [node("Gemm", "x,w", "g"), node("Softmax", "g", axis=1)], "12 > fc5:nobias softmax", 11, VECTOR, w=tensor(12, 5)
    ),
    "dropout": case([node("Dropout", "x,r", "d"), node("Identity", "d")], "8x8x6 > dropout0.3", r=np.float32(0.3)),
    "channels last": case(
        [
            node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
            node("Conv", "t,w", "c"),
            node("Transpose", "c", perm=[0, 2, 3, 1]),
        ],
        "8x8x3 > conv3x3:4:nobias",
        17,
        (2, 8, 8, 3),
        w=tensor(4, 3, 3, 3),
    ),
    "linear over pixels": case(
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("MatMul", "t,w", "m"),
            node("Add", "m,b", "a"),
            node("Transpose", "a", perm=[0, 3, 1, 2]),
        ],
        "8x8x6 > conv1x1:5",
        w=tensor(6, 5),
        b=tensor(5),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_becomes_a_layer(name: str) -> None:
    nodes, notation, opset, shape, tensors = CASES[name]
    graph = parse_graph(model_bytes(nodes, tensors, shape, opset))
    lifted = network_of(graph)
    assert lifted.model.notation == notation
    found = difference(graph, lifted)
    assert found is not None
    assert found < 2e-6


def test_a_file_that_leaves_the_size_open(tmp_path: Any) -> None:
    path = tmp_path / "open.onnx"
    path.write_bytes(model_bytes([node("Relu", "x")], {}, ("batch", 3, "height", "width")))
    with pytest.raises(ModelError, match=r"leaves the size of the images open; give input_shape=\(224, 224, 3\)"):
        rot180.import_onnx(path)
    assert rot180.import_onnx(path, input_shape=(5, 4, 3)).notation == "5x4x3 > relu"
    with pytest.raises(ModelError, match=r"input_shape is \(5, 4, 1\), but the file fixes \[3, None, None\]"):
        rot180.import_onnx(path, input_shape=(5, 4, 1))


def test_whole_numbers_and_what_is_done_to_them_are_the_preprocessing() -> None:
    nodes = [
        node("Cast", "x", "f", to=1),
        node("Div", "f,white", "s"),
        node("Sub", "s,mean", "c"),
        node("Div", "c,std", "n"),
        node("Conv", "n,w,b"),
    ]
    mean, std = np.array([0.5, 0.4, 0.3]).reshape(3, 1, 1), np.array([0.2, 0.25, 0.3]).reshape(3, 1, 1)
    tensors = {"white": 255.0, "mean": mean, "std": std, "w": tensor(4, 3, 3, 3), "b": tensor(4)}
    tensors = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
    graph = parse_graph(model_bytes(nodes, tensors, (1, 3, 6, 6), dtype=TensorProto.UINT8))
    model = network_of(graph).model
    assert model.notation == "6x6x3 > conv3x3:4"
    assert model.preprocessing.kind == "dataset"
    np.testing.assert_allclose(model.preprocessing.mean, mean.ravel(), atol=1e-6)
    np.testing.assert_allclose(model.preprocessing.std, std.ravel(), atol=1e-6)
    pixels = RNG.integers(0, 256, (1, 3, 6, 6)).astype(np.uint8)
    wanted = evaluate(graph, {"x": pixels})["y"]
    y = model(model.preprocessing(pixels.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), wanted, atol=1e-5)


REFUSED = {
    "an operator that there is not": (
        [node("Rleu", "x")],
        {},
        r"node 'the Rleu' \(Rleu\): the operator is not supported",
    ),
    "an operator without a layer": (
        [node("Exp", "x")],
        {},
        r"node 'the Exp' \(Exp\): no layer stands for this operator",
    ),
    "an operator of another domain": (
        [helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")],
        {},
        r"\(com.microsoft.FusedConv\): the operator is not supported",
    ),
    "weights that are computed": ([node("Conv", "x,x")], {}, "its input 1 must be constant"),
    "weights of another shape": (
        [node("Conv", "x,w")],
        {"w": tensor(4, 5, 3, 3)},
        r"\(Conv\): its arrays have the shapes",
    ),
    "a window that is too large": ([node("MaxPool", "x", kernel_shape=[9, 9])], {}, "as a layer it does not fit"),
    "indices of maxima": (
        [node("MaxPool", "x", "i,y", kernel_shape=[2, 2])],
        {},
        "is not computed from its input by any layer",
    ),
    "bounds of no activation": (
        [node("Clip", "x,low,high")],
        {"low": np.float32(-1), "high": np.float32(1)},
        "only bounds of 0 and 6, or 0 alone, are supported; they are -1 and 1",
    ),
    "a slope of no activation": ([node("Swish", "x", alpha=2.0)], {}, "only alpha = 1 is supported; it is 2"),
    "a difference": ([node("Relu", "x", "a"), node("Sub", "a,x")], {}, "a difference of two layers' outputs"),
    "a shape that no layer gives": (
        [node("Reshape", "x,s")],
        {"s": np.array([2, 12, 4, 8])},
        r"no layer gives \[2, 6, 8, 8\] the shape \[2, 12, 4, 8\]",
    ),
    "images that are mixed": (
        [node("Reshape", "x,s")],
        {"s": np.array([4, 3, 8, 8])},
        "would mix the images of a batch",
    ),
    "an order that layers do not have": ([node("Flatten", "x")], {}, "is in an order that layers do not have"),
    "a softmax over rows": ([node("Softmax", "x", axis=2)], {}, "only a softmax over the channels is supported"),
    "a value that nobody makes": ([node("Add", "x,z")], {}, "it reads 'z', which no node before it makes"),
    "an attribute that is not known": ([node("Relu", "x", speed=3)], {}, "its attribute 'speed' is not supported"),
    "an attribute of another kind": (
        [node("Conv", "x,w", strides="two")],
        CONV,
        "its attribute strides must be whole numbers; it is two",
    ),
    "weights that are not finite": ([node("Conv", "x,w")], {"w": CONV["w"] * np.inf}, "a parameter is infinite or NaN"),
    "a reduction over channels": ([node("ReduceMean", "x", axes=[1])], {}, "only reductions over rows and columns"),
    "a constant that is huge": (
        [node("ConstantOfShape", "s", "c"), node("Add", "x,c")],
        {"s": np.array([2**16, 2**16])},
        "a constant may be computed with at most 4,194,304 values; this one needs 4,294,967,296",
    ),
    "no layer at all": ([node("Identity", "x")], {}, "is not computed from its input by any layer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_stands_for_is_refused_with_node_and_reason(name: str) -> None:
    nodes, tensors, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        network_of(parse_graph(model_bytes(nodes, tensors)))


def test_tensors_in_other_files_are_refused() -> None:
    array = numpy_helper.from_array(tensor(4, 6, 3, 3), "w")
    array.ClearField("raw_data")
    array.data_location = TensorProto.EXTERNAL
    array.external_data.add(key="location", value="../../etc/passwd")
    graph = helper.make_graph(
        [node("Conv", "x,w")],
        "test",
        [helper.make_tensor_value_info("x", 1, MAPS)],
        [helper.make_tensor_value_info("y", 1, None)],
        [array],
    )
    with pytest.raises(ModelError, match="tensor 'w' is stored in another file, which is not opened"):
        parse_graph(helper.make_model(graph).SerializeToString())


def test_a_tensor_that_many_nodes_read_is_not_multiplied_without_bound() -> None:
    names = [f"v{place}" for place in range(40)]
    nodes = [node("Gemm", f"{a},w", b) for a, b in zip(["x", *names], [*names, "y"], strict=True)]
    data = model_bytes(nodes, {"w": np.zeros((1024, 1024), np.float32)}, (1, 1024))
    with pytest.raises(ModelError, match="many nodes read the same tensors, or compute them"):
        network_of(parse_graph(data))


def test_a_lifted_network_trains_is_saved_and_is_explained(tmp_path: Any) -> None:
    nodes = [
        node("Conv", "x,w,b", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Split", "r", "left,right", axis=1),
        node("Concat", "left,right", "k", axis=1),
        node("GlobalAveragePool", "k", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f,v,d", transB=1),
    ]
    tensors = {"w": tensor(4, 1, 3, 3), "b": tensor(4), "v": tensor(3, 4), "d": tensor(3)}
    path = tmp_path / "net.onnx"
    path.write_bytes(model_bytes(nodes, tensors, (1, 1, 8, 8)))
    model = rot180.import_onnx(path)
    assert model.notation == "8x8x1 > conv3x3:4:pad1 relu ( slice2 | slice2:from2 ) gap > fc3"
    rot180.save_model(tmp_path / "net.safetensors", model)
    again = rot180.load_model(tmp_path / "net.safetensors")
    assert again.notation == model.notation
    x, labels = RNG.uniform(0, 1, (30, 8, 8, 1)).astype(np.float32), RNG.integers(0, 3, 30)
    np.testing.assert_array_equal(again(x), model(x))
    before = {name: array.copy() for name, array in model.parameters.items()}
    history = rot180.fit(model, (x, labels), epochs=2, seed=0, engine="numpy")
    assert history is not None
    assert all((model.parameters[name] != array).any() for name, array in before.items())


def test_the_command_imports_and_compares(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from rot180.cli import main

    path, out = tmp_path / "net.onnx", tmp_path / "net.safetensors"
    path.write_bytes(
        model_bytes([node("Flatten", "x", "f"), node("Gemm", "f,w")], {"w": tensor(192, 5)}, ("n", 3, 8, 8))
    )
    assert main(["import", str(path), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "network: 2 layers of 2 nodes, opset 17 (960 parameters)" in printed.out
    assert "compared with the file's own nodes on a random image: outputs differ by" in printed.out
    assert "the file does not say how images were preprocessed" in printed.err
    assert rot180.load_model(out).notation == "8x8x3 > fc5:nobias"
    assert main(["import", str(path), "--out", str(tmp_path / "b"), "--model", "lenet5"]) == 2
    assert "an ONNX file holds its network" in capsys.readouterr().err
    assert main(["import", str(path), "--out", str(tmp_path / "b"), "--input", "big"]) == 2
    assert "--input must be a size such as 224x224x3" in capsys.readouterr().err
