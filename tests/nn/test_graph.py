"""Networks with branches: nodes, the notation that writes them, and the walk."""

from __future__ import annotations

import copy
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_graphs import graphs
from rot180.errors import ArgumentError, NotationError, ShapeError
from rot180.nn import (
    Add,
    BatchNorm2d,
    Concatenate,
    Conv2d,
    Flatten,
    Join,
    Linear,
    Multiply,
    Network,
    Node,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    network,
)
from rot180.nn.graph import series
from rot180.nn.walk import backward_passes
from rot180.ops.conv2d import conv2d

X = np.random.default_rng(3).normal(size=(2, 6, 6, 3)).astype(np.float64)


def described(model: Network) -> list[Any]:
    """Everything that a network is made of."""
    return [
        model.input_shape,
        *((layer.kind if layer.is_join else repr(layer), layer.name, reads) for layer, reads in model.nodes),
    ]


def test_branches_are_written_and_read() -> None:
    block = Add([Conv2d(4, 3, padding="same"), ReLU(), Conv2d(4, 3, padding="same")], [])
    gate = Multiply([], [Flatten(), Linear(4), Sigmoid()])
    model = Sequential([Conv2d(4, 1), block, ReLU(), gate, Concatenate([], [Tanh()], ReLU())], input_shape=(6, 6, 3))
    text = (
        "6x6x3 > conv1x1:4 ( conv3x3:4:same relu conv3x3:4:same + skip ) relu "
        "( skip * fc4 sigmoid ) ( skip | tanh | relu )"
    )
    assert str(model) == text
    assert described(network(text)) == described(model)
    assert [node.reads for node in model.nodes] == [
        (-1,), (0,), (1,), (2,), (3, 0), (4,), (5,), (6,), (7,), (5, 8), (9,), (9,), (9, 10, 11),
    ]  # fmt: skip
    assert model.output_shape == (6, 6, 12)


def test_repetitions_and_branches_nest() -> None:
    model = network("6x6x2 > [( skip | conv3x3:3:same [relu]*2 )]*2 ( ( skip + relu ) * sigmoid ):name=gate > fc2")
    assert str(model) == (
        "6x6x2" + " > ( skip | conv3x3:3:same relu relu ) ( skip | conv3x3:3:same relu relu )"
        " ( ( skip + relu ) * sigmoid ):name=gate > fc2"
    ).replace("6x6x2 > ( skip", "6x6x2 > ( skip", 1)
    assert described(network(str(model))) == described(model)
    assert [layer.name for layer in model.layers if layer.is_join] == ["concat1", "concat2", "add1", "gate"]


def test_names_in_networks_that_are_parts() -> None:
    """Their layers are named by the network around them, unless a user named them."""

    def block() -> Network:
        return Sequential([Conv2d(4, 3, padding="same"), BatchNorm2d(), ReLU()])

    named = network("8x8x4 > conv3x3:4:same:name=stem bn ( conv1x1:4 + skip )")
    model = Sequential([block(), Add([block(), named], []), Sequential([block()])], input_shape=(8, 8, 1))
    expected = """conv1 bn1 relu1 conv2 bn2 relu2 stem bn3 conv4 add1 add2 conv5 bn4 relu3"""
    assert [layer.name for layer in model.layers] == expected.split()
    assert described(network(str(model))) == described(model)
    again = copy.deepcopy(model.build(seed=0))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    assert np.array_equal(again(x), model(x))


def test_a_nest_too_deep() -> None:
    part: Any = [ReLU()]
    for _ in range(5000):
        part = [part]
    with pytest.raises(ArgumentError, match="nested too deep; give a list of nodes to Network"):
        Sequential(part)


def test_nests_that_could_not_be_read_back_are_lists() -> None:
    part: Any = [ReLU()]
    for _ in range(51):
        part = [Add(part, [])]
    model = Sequential(part, input_shape=(4, 4, 1))
    assert str(model).startswith("4x4x1; relu1 = relu(input); add1 = add(relu1, input); add2 = add(add1, input)")
    assert described(network(str(model))) == described(model)
    assert str(Sequential(part[0].branches[0], input_shape=(4, 4, 1))).startswith("4x4x1 > ( ( (")


@pytest.mark.parametrize("back", [2, 3])
def test_a_thousand_nodes_are_built_and_printed_at_once(back: int) -> None:
    """Each reads some before it, so that no node is a branch; followed from the end, the paths are countless."""
    nodes = [Node(ReLU(), (-1,)), Node(ReLU(), (0,)), Node(ReLU(), (1,))]
    nodes += [Node(Add(), tuple(range(place - back, place))) for place in range(3, 1000)]
    start = perf_counter()
    text = str(Network(nodes, input_shape=(4, 4, 1)).build(seed=0))
    assert perf_counter() - start < 2  # a few hundredths of a second
    assert str(network(text)) == text


def test_a_join_of_ones_own() -> None:
    class Mean(Join):
        kind = "mean"

        def output_shape(self, *input_shapes: tuple[int, ...]) -> tuple[int, ...]:
            return input_shapes[0]

    model = Sequential([ReLU(), Mean([Tanh()], [])], input_shape=(4, 4, 1))
    assert str(model) == "4x4x1; relu1 = relu(input); tanh1 = tanh(relu1); mean1 = mean(tanh1, relu1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6x6x1 > ( relu + skip", "never closed"),
        ("6x6x1 > ( relu+skip )", r"a sign between branches needs a space on each side; it is 'relu\+skip' "),
        ("6x6x1 > ( relu +skip )", r"a sign between branches needs a space on each side; it is '\+skip' "),
        ("6x6x1 > ( conv3x3:1:same+skip )", r"needs a space on each side; it is 'conv3x3:1:same\+skip'"),
        ("6x6x1 > relu + relu", r"'\+' joins branches, which are in parentheses"),
        ("6x6x1 > ( relu )", "parentheses hold two branches or more"),
        ("6x6x1 > ( relu + )", "no layer on this branch; write skip"),
        ("6x6x1 > ( relu + tanh | skip )", r"one kind of sign; here '\+' and '\|'"),
        ("6x6x1 > ( relu skip + tanh )", "stands alone"),
        ("6x6x1 > skip", "stands alone"),
        ("6x6x1 > [( relu + skip ]*2", r"']' cannot close the '\(' at character 10"),
        ("6x6x1 > ( conv3x3:2 + skip )", "add1: the branches of a sum must have one shape; they have 4x4x2, 6x6x1"),
        ("6x6x1 > ( skip * conv1:2 )", "a gate takes two branches"),
        ("6x6x1 > ( relu + skip ):lr=2", "a join takes only a name"),
        ("6x6x1 > ( relu:name=a + relu:name=a )", "two layers are named 'a'"),
        ("6x6x1 > ( relu * * skip )", "no layer on this branch"),
        ("6x6x1; a = relu(input); b = relu(c)", "no layer before this one is named 'c'"),
        ("6x6x1; a = relu(input); b = tanh(input); c = relu(a)", "b: no layer reads its output"),
        ("6x6x1; a = relu(input, input)", "relu reads one value; here 2"),
        ("6x6x1; a = add(input)", "add reads two values or more; here 1"),
        ("6x6x1; a relu", "a name, a layer and what the layer reads"),
        ("6x6x2 > ( skip * fc3 )", r"expected here, for example: \( skip \* gap fc2 sigmoid \)"),
        ("6x6x2 > ( skip | conv3x3:2 )", "expected here, for example: branches of one height and width"),
        ("6x6x2; a = relu(input); b = fc3(a)", "expected here, for example: flatten"),
        ("6x6x1; a = relu(input); a = relu(a)", "two layers are named 'a'"),
        ("6x6x1; a = conv3x3:2(input); b = add(a, input)", "b: the branches of a sum must have one shape"),
    ],
)
def test_a_mistake_is_shown_where_it_is(text: str, message: str) -> None:
    with pytest.raises(NotationError, match=message):
        network(text)


def test_a_graph_that_is_no_tree_is_a_list() -> None:
    a, b, c = Conv2d(3, 1, name="a"), ReLU(name="b"), Tanh(name="c")
    nodes = [
        Node(a, (-1,)), Node(b, (0,)), Node(c, (0,)), Node(Add(name="d"), (1, 2)), Node(Add(name="e"), (3, 1)),
    ]  # fmt: skip
    model = Network(nodes, input_shape=(6, 6, 3)).build(seed=1, dtype=np.float64)
    text = "6x6x3; a = conv1x1:3(input); b = relu(a); c = tanh(a); d = add(b, c); e = add(d, b)"
    assert str(model) == text
    again = network(text).build(seed=1, dtype=np.float64)
    assert described(again) == described(model)
    y = conv2d(X, a.weight, a.parameters["bias"])
    assert np.allclose(again(X), 2 * np.maximum(y, 0) + np.tanh(y))


def test_nodes_that_are_no_network_are_refused() -> None:
    relu = ReLU(name="r")
    for nodes, message in (
        ([], "needs at least one layer"),
        ([Node(relu, (0,))], "r: a node reads nodes before it"),
        ([Node(relu, (-1,)), Node(ReLU(), (-1,))], "r: no layer reads its output"),
        ([Node(relu, (-1,)), Node(relu, (0,))], "appears twice"),
        ([Node(relu, (-1, -1))], "r: the layer takes one input"),
        ([Node(Add([relu]), (-1,))], "Add: a join needs at least two branches"),
    ):
        with pytest.raises(ArgumentError, match=message):
            Network(nodes)
    with pytest.raises(ArgumentError, match="Sequential takes layers"):
        Sequential([Add([3], [])])  # type: ignore[list-item]
    with pytest.raises(ShapeError, match="add1: the branches of a sum must have one shape"):
        Sequential([Add([Conv2d(2, 3)], [])], input_shape=(6, 6, 2))


def test_networks_are_parts_of_networks() -> None:
    inner = Sequential([ReLU(), Add([Tanh()], [])])
    outer = Sequential([Conv2d(3, 1), inner, [ReLU(), ReLU()]], input_shape=(6, 6, 3))
    assert [node.reads for node in outer.nodes] == [(-1,), (0,), (1,), (2, 1), (3,), (4,)]
    assert [layer for layer in outer.layers[1:4]] == list(inner.layers)


def test_what_the_backward_pass_computes() -> None:
    nodes = series([ReLU(), Add([Conv2d(3, 1)], [Tanh()]), ReLU()])
    runs = [(one.runs, one.needs_dx) for one in backward_passes(nodes)]
    assert runs == [(False, False), (True, False), (False, False), (True, True), (True, True)]


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_drawn_graphs(text: str, seed: int) -> None:
    """Notation, copies, and gradients along a random direction."""
    model = network(text).build(seed=seed, dtype=np.float64)
    assert described(network(str(model))) == described(model)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(2, *model.input_shape))
    y, saved = model.forward(x)
    assert np.array_equal(copy.deepcopy(model)(x), y)
    dy, direction = generator.normal(size=y.shape), generator.normal(size=x.shape)
    dx, gradients = model.backward(dy, saved, needs_dx=True)
    assert dx is not None
    assert gradients.keys() == model.parameters.keys()
    directions = {name: generator.normal(size=array.shape) for name, array in model.parameters.items()}
    expected = (dx * direction).sum() + sum((gradients[name] * directions[name]).sum() for name in gradients)
    step, values = 1e-6, []
    start = {name: array.copy() for name, array in model.parameters.items()}
    for sign in (1, -1):
        model.load_parameters({name: start[name] + sign * step * directions[name] for name in start})
        values.append((dy * model(x + sign * step * direction)).sum())
    size = 1 + np.abs(dy).sum() * (1 + max((np.abs(array).max() for array in gradients.values()), default=0))
    assert abs((values[0] - values[1]) / (2 * step) - expected) < 1e-6 * size
