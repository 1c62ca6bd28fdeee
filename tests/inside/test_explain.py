"""The ledger of a number adds up to the number, and says what a change of a source would do."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from rot180 import SGD, Adam, AdamW, Muon, RMSprop, load_data, network
from rot180.errors import ArgumentError, ShapeError
from rot180.inside.explain import Ledger, Trace, explain, explain_in, markdown, text, way
from rot180.inside.explain.account import EXPLAINERS
from rot180.inside.explain.cells import GRAD, read_cell
from rot180.inside.explain.scene import panels
from rot180.inside.explain.sets import own_arrays
from rot180.inside.explain.text import lay_out
from rot180.nn import LAYERS, Conv2d, CrossEntropyLoss, Flatten, Layer, Linear, Sequential, SquaredErrorLoss
from rot180.ops.geometry import geometry

CELLS = 24
LAYER_TEXTS = {
    "conv": "9x8x2 > conv3x3:4:same > fc5",
    "conv-stride": "9x8x2 > conv3x2:4:same:s2 > fc5",
    "conv-all": "9x8x4 > conv3x3:6:g2:d2:s2:pad2,1,1,2 > fc5",
    "conv-nobias": "9x8x2 > conv2x3:3:nobias:s3x1 > fc5",
    "conv-deep": "9x8x2 > conv1:3 tanh conv3x3:3:g3 > fc5",
    "conv-winograd": "9x8x2 > conv3x3:4:same:algorithm=winograd > fc5",
    "conv-winograd-5": "9x8x2 > conv5x5:3:pad4x0:algorithm=winograd > fc5",
    "maxpool": "9x8x2 > maxpool2 > fc5",
    "maxpool-overlap": "9x8x2 > maxpool3x2:same:s1 > fc5",
    "avgpool": "9x8x2 > avgpool2:same > fc5",
    "avgpool-exclude": "9x8x2 > avgpool3:pad1:s2:excludepad > fc5",
    "maxpool-ceil": "9x8x2 > maxpool3:s2:pad1x0:ceil > fc5",
    "avgpool-ceil": "9x8x2 > avgpool3:s2:pad1x0:ceil > fc5",
    "flatten": "3x4x2 > flatten > fc5",
    "fc": "30 > fc9 > fc5",
    "relu": "30 > relu > fc5",
    "noisyrelu": "30 > noisyrelu:sigma=0.5 > fc5",
    "leakyrelu": "30 > leakyrelu:slope=0.3 > fc5",
    "sigmoid": "30 > sigmoid > fc5",
    "tanh": "30 > tanh > fc5",
    "softmax": "30 > softmax > fc5",
    "dropout": "30 > dropout0.4 > fc5",
    "depthwise": "7x6x4 > conv3x3:4:g4:same:s2 > fc5",
    "convt": "5x4x2 > convt3x3:4:s2:pad1:outpad1 > fc5",
    "convt-groups": "4x3x4 > convt3x2:6:s1x3:d2x1:g2:nobias > fc5",
    "convt-winograd": "5x4x2 > convt3x3:3:pad1:algorithm=winograd > fc5",
    "bn": "5x4x3 > bn > fc5",
    "bn-flat": "7 > bn:eps=0.1 > fc5",
    "bn-noaffine": "3x3x2 > bn:noaffine > fc5",
    "gn": "4x3x6 > gn2 > fc5",
    "ln": "4x3x6 > ln > fc5",
    "ln-image": "4x3x2 > ln:axes=3 > fc5",
    "in": "4x5x3 > in > fc5",
    "in-affine": "4x5x3 > in:affine > fc5",
    "lrn": "2x2x8 > lrn4:alpha=0.5:k=2 > fc5",
    "gap": "5x4x3 > gap > fc5",
    "gmp": "5x4x3 > gmp > fc5",
    "adaptavg": "5x7x2 > adaptavg2x3 > fc5",
    "up": "3x4x2 > up2x3 > fc5",
    "up-bilinear": "3x4x2 > up2:bilinear > fc5",
    "relu6": "30 > relu6 > fc5",
    "hardsigmoid": "30 > hardsigmoid > fc5",
    "hardswish": "30 > hardswish > fc5",
    "elu": "30 > elu:alpha=0.5 > fc5",
    "silu": "30 > silu > fc5",
    "gelu": "30 > gelu > fc5",
    "gelu-tanh": "30 > gelu:tanh > fc5",
    "prelu": "3x3x4 > prelu > fc5",
    "prelu-shared": "30 > prelu:shared > fc5",
    "shuffle": "2x2x6 > shuffle2 > fc5",
    "slice": "2x2x6 > ( slice2:from3 | slice3 relu ) > fc5",
    "droppath": "30 > droppath0.5 > fc5",
    "add": "4x4x2 > ( conv3x3:2:same + skip + tanh ) > fc5",
    "concat": "4x4x2 > ( skip | conv1:3 | tanh ) > fc5",
    "gate": "4x4x2 > ( skip * gap fc2 sigmoid ) > fc5",
    "multiply": "3x3x2 > ( tanh * skip ) > fc5",
}
DRAWN = ("relu", "dropout", "droppath")


def make(notation: str, images: int = 2, **options: object) -> Trace:
    """A pass of random images, negative values among them, in float32."""
    generator = np.random.default_rng(1)
    model = network(notation).build(seed=1)
    for array in model.parameters.values():
        array += generator.normal(scale=0.1, size=array.shape).astype(np.float32)
    x = generator.normal(size=(images, *model.input_shape)).astype(np.float32)
    return Trace(model, x, generator.integers(0, 5, images), training=True, seed=3, **options)


def ask(trace: Trace, place: int, what: str, generator: np.random.Generator) -> str:
    """Draw a cell of an array of a layer."""
    layer = trace.model.layers[place]
    array = what.split(".")[0]
    if array == "output":
        shape: tuple[int, ...] = trace.outputs[place].shape
    elif array.startswith("input"):
        shape = trace.input(place, int(array[5:] or 1) - 1).shape
    elif array in layer.parameters:
        shape = layer.parameters[array].shape
    else:
        shape, of_image = own_arrays(layer, trace.input(place).shape[1:])[array]
        shape = (trace.count, *shape) if of_image else shape
    return f"{layer.name}.{what}[{','.join(str(generator.integers(0, n)) for n in shape)}]"


def questions(trace: Trace, place: int) -> list[str]:
    layer, reads = trace.model.nodes[place]
    inputs = [f"input{k + 1}.grad" for k in range(len(reads))] if layer.is_join else ["input.grad"]
    own = (
        ("mean", "var", "normalized", "mean.grad", "var.grad")
        if own_arrays(layer, trace.input(place).shape[1:])
        else ()
    )
    return ["output", *inputs, *(f"{n}.{w}" for n in layer.parameters for w in ("grad", "update")), *own]


@pytest.mark.parametrize("key", LAYER_TEXTS)
def test_every_ledger_adds_up(key: str) -> None:
    trace = make(LAYER_TEXTS[key])
    generator = np.random.default_rng(0)
    for place in range(len(trace.model.layers)):
        for what in questions(trace, place):
            for _ in range(CELLS if place == 0 else 10):
                ledger = explain_in(trace, ask(trace, place, what, generator))
                assert ledger.adds_up, text(ledger, trace)
                size = sum(abs(term.value) for term in ledger.terms)
                looser = 4 if "winograd" in key and place == 0 else 1  # its products are larger than those of the sum
                assert ledger.allowed <= looser * 2e-7 * (len(ledger.terms) + 80) * (size + 1)  # or it proves nothing


def test_every_layer_has_ledgers_and_is_asked() -> None:
    assert set(EXPLAINERS) == set(LAYERS.values())
    seen = {type(layer) for notation in LAYER_TEXTS.values() for layer in network(notation).layers}
    assert seen == set(EXPLAINERS)


def test_a_layer_of_ones_own_says_that_it_has_none() -> None:
    model = Sequential([RowMeans(), Flatten(), Linear(5)], input_shape=(4, 4, 1)).build(seed=0)
    with pytest.raises(ArgumentError, match=r"explain supports the layers of rot180.nn; rows1 is RowMeans, a layer of"):
        explain(model, np.ones((4, 4)), "rows1.output[0,0,0]")


class RowMeans(Layer):
    """A layer of the user's own: the mean of three rows."""

    kind = "rows"

    def geometry(self, input_shape):
        return geometry(*input_shape[:2], (3, 1))

    def output_shape(self, input_shape):
        return (input_shape[0] - 2, *input_shape[1:])

    def forward(self, x, *, training=False, generator=None):
        return (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 3, None


class Gated(RowMeans):
    """A layer of the user's own whose parameter has a name like that of an input."""

    kind = "gated"

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.parameters = {"input_gate": np.full(1, 0.5, dtype)}

    def forward(self, x, *, training=False, generator=None):
        return super().forward(x)[0] * self.parameters["input_gate"], x

    def backward(self, dy, saved, *, needs_dx=True):
        dx = np.zeros_like(saved)
        for row in range(3):
            dx[:, row : row + dy.shape[1]] += dy * self.parameters["input_gate"] / 3
        return dx, {"input_gate": (dy * super().forward(saved)[0]).sum(keepdims=True).reshape(1)}


def test_the_update_of_a_parameter_of_ones_own_layer() -> None:
    model = Sequential([Gated(), Flatten(), Linear(5)], input_shape=(4, 4, 1)).build(seed=0)
    for asked in ("gated1.input_gate[0]", "gated1.input_gate.update[0]"):
        assert explain(model, np.ones((4, 4)), asked, 1).adds_up


def own_sources(trace: Trace, ledger: Ledger) -> list[str]:
    """The sources of a ledger that are arrays of the layer's own, such as the mean of a normalization."""
    names = {"mean", "var", "normalized"}
    return [source for source in ledger.sources if read_cell(source, trace.model, trace.count).array in names]


def leaves(trace: Trace, asked: str) -> dict[str, float]:
    """The derivative of a number with respect to each of its sources outside the layer, through the layer's own."""
    ledger = explain_in(trace, asked)
    own = own_sources(trace, ledger)
    found = {source: ledger.slope(source) for source in ledger.sources if source not in own}
    for source in own:
        slope = ledger.slope(source)
        for leaf, more in leaves(trace, source).items():
            found[leaf] = found.get(leaf, 0.0) + slope * more
    return found


def computed(trace: Trace, place: int, asked: str, source: str, change: float) -> float:
    """Compute a number of a layer in float64, with one of its sources changed."""
    layer, reads = trace.model.nodes[place]
    layer = copy.deepcopy(layer)
    layer.parameters = {name: array.astype(np.float64) for name, array in layer.parameters.items()}
    inputs = [trace.input(place, slot).astype(np.float64) for slot in range(len(reads))]
    dy, saved = trace.deltas[place + 1].astype(np.float64), trace.saved[place]
    array = asked.split("[")[0].split(".", 1)[1]
    index = read_cell(asked, trace.model, trace.count).index
    of = read_cell(source, trace.model, trace.count)
    drawn = (layer.kind in DRAWN and layer.kind != "relu") or place in trace.noise
    if of.array != "output":
        layer.parameters[of.array][of.index] += change
    elif of.what == GRAD:
        dy[of.index] += change
    elif of.layer == place:  # its own output, which backward reads
        saved = saved.astype(np.float64)
        saved[of.index] += change
        drawn = True
    else:
        inputs[reads.index(of.layer)][of.index] += change
    if array == "output" and place in trace.noise:  # drawn anew in float64 it would be another
        return float(np.maximum(inputs[0] + trace.noise[place], 0)[index])
    y, again = layer.forward(*inputs, training=True, generator=np.random.default_rng(3))
    if array == "output":
        return float(y[index])
    dx, gradients = layer.backward(dy, saved if drawn else again, needs_dx=True)
    if array.startswith("input"):
        return float((dx[int(array[5:-5]) - 1] if layer.is_join else dx)[index])
    return float(gradients[array.removesuffix(".grad")][index])


@pytest.mark.parametrize("key", LAYER_TEXTS)
def test_a_change_of_a_source_does_what_the_ledger_says(key: str) -> None:
    trace = make(LAYER_TEXTS[key])
    generator = np.random.default_rng(2)
    h = 1e-5
    place = next((place for place, layer in enumerate(trace.model.layers) if layer.is_join), 0)
    outside = [what for what in questions(trace, place) if re.match(r"output|input|.*(weight|bias)\.grad", what)]
    for what in outside:
        for _ in range(CELLS // 2):
            asked = ask(trace, place, what, generator)
            slopes = leaves(trace, asked)
            if key == "lrn" and what == "input.grad":  # its ledger holds the denominators fixed
                slopes = {source: slope for source, slope in slopes.items() if ".grad" in source}
            if not slopes:
                continue
            source = sorted(slopes)[generator.integers(len(slopes))]
            up, down = (computed(trace, place, asked, source, sign * h) for sign in (1, -1))
            assert (up - down) / (2 * h) == pytest.approx(slopes[source], rel=1e-4, abs=1e-6), (asked, source)


BLOCK = (
    "6x6x2 > conv3x3:4:same bn relu > ( conv3x3:4:same bn relu conv3x3:4:same bn + skip ) relu "
    "> ( skip | conv1:2 ) ( skip * gap fc6 sigmoid ) > gap > fc5"
)


@pytest.mark.parametrize("training", [True, False])
def test_every_number_of_a_network_with_branches_adds_up(training: bool) -> None:
    model = network(BLOCK).build(seed=1)
    generator = np.random.default_rng(3)
    for name, array in model.state.items():
        array += np.abs(generator.normal(scale=0.2, size=array.shape)) if "var" in name else 0.1
    trace = Trace(model, generator.normal(size=(2, 6, 6, 2)).astype(np.float32), [1, 2], training=training)
    for place in range(len(model.layers)):
        for what in questions(trace, place):
            if training or what not in ("mean.grad", "var.grad"):
                for _ in range(5):
                    ledger = explain_in(trace, ask(trace, place, what, generator))
                    assert ledger.adds_up, text(ledger, trace)
                    for source, value in ledger.sources.items():  # each can be asked in turn
                        assert explain_in(trace, source).stored == value
                        break


def test_the_gradient_of_an_output_read_by_two_layers_names_what_each_passes_back() -> None:
    trace = make(BLOCK)
    fork = explain_in(trace, "relu1.output.grad[0,2,2,1]")
    assert list(fork.sources) == ["add1.input2.grad[0,2,2,1]", "conv2.input.grad[0,2,2,1]"]
    assert fork.account.rule == "read 2 times: the gradient is the sum of what the readers pass back"
    for cell, value in fork.sources.items():
        ledger = explain_in(trace, cell)
        assert (ledger.cell, ledger.stored) == (cell, value)
        assert ledger.adds_up
    assert way(trace, "add1.input2.grad[0,2,2,1]")[0] == ("passed the sum", "add1.output.grad[0,2,2,1]")
    # An output with one reader has one name, and the image of a network that starts with a fork is a sum as well.
    assert (
        explain_in(trace, "add1.input1.grad[0,2,2,1]").account.notes[0] == "the same number as bn3.output.grad[0,2,2,1]"
    )
    image = explain_in(make(LAYER_TEXTS["add"]), "image.grad[0,1,1,0]")
    assert list(image.sources) == [f"{of}.grad[0,1,1,0]" for of in ("add1.input2", "tanh1.input", "conv1.input")]
    assert image.adds_up


def test_a_normalization_is_taken_apart_down_to_the_pixels_both_ways() -> None:
    trace = make("5x4x3 > bn > fc5")
    forward = explain_in(trace, "bn1.output[1,2,3,2]")
    assert [step.name for step in forward.account.steps] == ["x", "mean", "variance", "deviation", "normalized"]
    assert set(forward.sources) == {"image[1,2,3,2]", "bn1.mean[2]", "bn1.var[2]", "bn1.weight[2]", "bn1.bias[2]"}
    assert len(explain_in(trace, "bn1.mean[2]").terms) == len(explain_in(trace, "bn1.var[2]").terms) == 40
    backward = explain_in(trace, "bn1.input.grad[1,2,3,2]")
    assert [term.factors[0].cell for term in backward.terms] == [
        "bn1.output.grad[1,2,3,2]", "bn1.mean.grad[2]", "bn1.var.grad[2]"
    ]  # fmt: skip
    assert len(explain_in(trace, "bn1.var.grad[2]").terms) == 40


def test_at_inference_the_running_statistics_are_constants() -> None:
    model = network("5x4x3 > bn > fc5").build(seed=0)
    trace = Trace(model, np.ones((5, 4, 3), np.float32), 1)
    assert "bn1.running_mean[2]" in explain_in(trace, "bn1.output[2,3,2]").sources
    assert list(explain_in(trace, "bn1.mean[2]").sources) == ["bn1.running_mean[2]"]
    assert explain_in(trace, "bn1.running_var[1]").stored == 1
    assert len(explain_in(trace, "bn1.input.grad[2,3,2]").terms) == 1
    with pytest.raises(ArgumentError, match=r"bn1\.mean\.grad: at inference, mean and variance are constants"):
        explain_in(trace, "bn1.mean.grad[2]")
    with pytest.raises(ArgumentError, match=r"normalized has no gradient of its own"):
        explain_in(trace, "bn1.normalized.grad[2,3,2]")


OPTIMIZERS = [
    SGD(0.1),
    SGD(0.1, momentum=0.9, weight_decay=0.01),
    SGD(0.1, momentum=0.9, nesterov=True),
    Adam(),
    Adam(0.01, weight_decay=0.1),
    AdamW(0.01),
    RMSprop(0.01, weight_decay=0.1),
    SGD(0.1, momentum=0.9, weight_decay=0.1, clip_norm=0.05),
    AdamW(0.01, weight_decay=0.3, decay_bias_and_norm=False),
    Muon(0.01, weight_decay=0.3, clip_norm=0.05),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("updates", [0, 3])
def test_updates(optimizer, updates: int) -> None:
    optimizer = copy.deepcopy(optimizer)
    trace = make("5x5x2 > conv3x3:3:lr=0.5 tanh > fc5", optimizer=optimizer)
    for _ in range(updates):
        gradients = {name: 0.9 * gradient for name, gradient in trace.gradients.items()}
        optimizer.update({name: a.copy() for name, a in trace.model.parameters.items()}, gradients, {})
    generator = np.random.default_rng(0)
    for _ in range(25):
        asked = ask(trace, 0, "weight.update", generator)
        ledger = explain_in(trace, asked)
        assert ledger.adds_up, text(ledger)
        assert ledger.stored != 0
        # The slope against the update rule itself, in float64.
        cell = read_cell(asked, trace.model, trace.count)
        for source in ledger.sources:
            changed = []
            for sign in (1, -1):
                w = {name: array.astype(np.float64) for name, array in trace.model.parameters.items()}
                dw = {name: array.astype(np.float64) for name, array in trace.gradients.items()}
                (dw if source.startswith("conv1.weight.grad") else w)["conv1.weight"][cell.index] += sign * 1e-6
                before = w["conv1.weight"][cell.index]
                rule = copy.deepcopy(optimizer)
                rule.state = {
                    slot: {n: a.astype(np.float64) for n, a in arrays.items()} for slot, arrays in rule.state.items()
                }
                rule.update(w, dw, trace.model.lr_factors)
                changed.append(w["conv1.weight"][cell.index] - before)
            slope = (changed[0] - changed[1]) / 2e-6
            assert slope == pytest.approx(ledger.slope(source), rel=1e-3, abs=1e-5), source


WEIGHTS = (0.5, 2, 1, 3, 0.25)


@pytest.mark.parametrize(
    "loss",
    [
        "cross_entropy",
        "squared_error",
        CrossEntropyLoss(0.2),
        CrossEntropyLoss(class_weights=WEIGHTS),
        SquaredErrorLoss(class_weights=WEIGHTS),
    ],
    ids=["cross_entropy", "squared_error", "smoothed", "weighted", "weighted squares"],
)
@pytest.mark.parametrize("scale", [1, 30])
def test_loss_probabilities_and_the_gradient_of_the_outputs(loss, scale: int) -> None:
    trace = make("6 > fc5", loss=loss)
    trace.model.parameters["fc1.weight"][:] *= scale
    trace = Trace(trace.model, trace.images, trace.target, loss=loss)
    for asked in ["loss", *(f"output.{w}[{n},{k}]" for w in ("probability", "grad") for n in (0, 1) for k in range(5))]:
        ledger = explain_in(trace, asked)
        assert ledger.adds_up, text(ledger, trace)
    ledger = explain_in(trace, "loss")
    values = []
    for sign in (1, -1):
        outputs = trace.outputs[-1].astype(np.float64)
        outputs[1, 2] += sign * 1e-5
        values.append(trace.loss.forward(outputs, trace.target)[0])
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(ledger.slope("fc1.output[1,2]"), rel=1e-4, abs=1e-6)


def test_networks_that_end_in_sigmoid_or_softmax() -> None:
    for notation in ("6 > fc5 sigmoid", "6 > fc5 softmax"):
        model = network(notation).build(seed=0)
        trace = Trace(model, np.ones((1, 6)), 2, loss="squared_error")
        for asked in ("output.probability[3]", "output.grad[3]", "loss", "fc1.weight.grad[2,3]"):
            assert explain_in(trace, asked).adds_up


def test_a_network_in_float64() -> None:
    model = network("6x6x1 > conv3x3:2 tanh > fc5").build(dtype=np.float64)
    ledger = explain(model, np.random.default_rng(0).normal(size=(6, 6)), "fc1.weight.grad[3,2]")
    assert ledger.adds_up
    assert ledger.allowed < 1e-14


@pytest.fixture(scope="module")
def digit() -> Trace:
    data = load_data("digits")
    model = network("8x8x1 > conv3x3:4:same relu maxpool2 > conv3x3:6:same relu > fc10").build(seed=2)
    return Trace(model, data.test_images[3], data.test_labels[3])


def test_gates_and_winners_on_the_way_lead_to_the_next_sum(digit: Trace) -> None:
    ledger = explain_in(digit, "conv2.output[2,1,5]")
    assert ledger.account.rule == "convolution: window times kernel, 3 x 3, 4 channels: 36 products, and the bias"
    for cell in ledger.sources:
        if cell.startswith("pool1"):
            chain = way(digit, cell)
            assert chain[0][0] == "largest of 4"
            if chain[-1][0] == "gate open":
                assert chain[-1][1].startswith("conv1.output")
                assert explain_in(digit, chain[-1][1]).stored == ledger.sources[cell]
            else:
                assert ledger.sources[cell] == 0
    backward = [explain_in(digit, f"relu1.output.grad[{i},{j},1]") for i in range(8) for j in range(8)]
    assert {len(way(digit, ledger.cell)) for ledger in backward} == {1}
    assert {way(digit, ledger.cell)[0][0] for ledger in backward} == {"won its window", "won no window"}


def test_the_rotation_is_said_and_seen(digit: Trace) -> None:
    ledger = explain_in(digit, "conv2.input.grad[2,1,3]")
    assert "the kernel is rotated by 180 degrees" in " ".join(ledger.account.notes)
    taps, windows = [], []
    for term in ledger.terms:
        windows.append(re.findall(r"\d+", term.factors[0].cell)[1:3])
        taps.append(re.findall(r"\d+", term.factors[1].cell)[1:3])
    assert windows == sorted(windows)
    assert taps == sorted(taps, reverse=True)
    assert explain_in(digit, "conv2.input.grad[2,1,3]").stored == explain_in(digit, "pool1.output.grad[2,1,3]").stored


def printed_sum(said: str) -> tuple[int, int]:
    """Return the printed entries added up, and the printed sum, in the last digit."""
    above, below = said.split("===")[0], said.split("===")[-1]
    entries = re.findall(r"^  +([+-]\d+\.\d+)  ", above, re.MULTILINE)
    total = re.search(r"([+-]\d+\.\d+)  sum", below)
    assert total is not None
    return sum(int(e.replace(".", "")) for e in entries), int(total[1].replace(".", ""))


@pytest.mark.parametrize("asked", ["conv2.output[2,1,5]", "fc1.output[3]", "conv1.weight.grad[1,1,0,2]", "loss"])
def test_what_is_printed_adds_up_digit_by_digit(digit: Trace, asked: str) -> None:
    ledger = explain_in(digit, asked)
    for shown in (8, None):
        said = text(ledger, digit, shown=shown)
        entries, total = printed_sum(said)
        assert entries == total
        assert max(len(line) for line in said.splitlines()) <= 80
    assert len(lay_out(ledger).lines) <= 10
    if len(ledger.terms) > 12:
        assert f"{len([t for t in ledger.terms if not t.pinned]) - 8} more, together" in text(ledger, digit)


def test_markdown(digit: Trace) -> None:
    said = markdown(explain_in(digit, "conv1.weight.update[1,1,0,2]"), digit)
    assert said.startswith("### `conv1.weight.update[1,1,0,2]` = ")
    assert "| m corrected |" in said
    assert all(line.count("|") == 4 for line in said.splitlines() if line.startswith("|"))


def test_json(digit: Trace) -> None:
    values = explain_in(digit, "fc1.output[3]").to_dict()
    assert values["adds_up"]
    assert len(values["terms"]) == 97
    assert values["terms"][0]["factors"][1] == {
        "cell": "fc1.weight[0,3]",
        "name": "",
        "value": float(digit.model.parameters["fc1.weight"][0, 3]),
    }


def test_nothing_is_changed() -> None:
    trace = make("5x5x2 > conv3x3:3 > fc5", optimizer=(optimizer := SGD(0.1, momentum=0.9)))
    before = {name: array.copy() for name, array in trace.model.parameters.items()}
    explain_in(trace, "conv1.weight.update[0,0,0,0]")
    assert optimizer.step_count == 0
    for name, array in trace.model.parameters.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        ("conv2 output", ArgumentError, "is not the name of a number; write it as conv1.output"),
        ("conv3.output[0,0,0]", ArgumentError, "unknown layer 'conv3'; did you mean 'conv2'"),
        ("conv1.wieght[0,0,0,0]", ArgumentError, "conv1 has no 'wieght'; did you mean 'weight'"),
        ("conv1.output.update[0,0,0]", ArgumentError, "only parameters are updated"),
        ("conv1.output[8,0,0]", ShapeError, r"the array is 8 x 8 x 4, so the index goes from \[0,0,0\] to \[7,7,3\]"),
        ("conv1.output[-1,0,0]", ShapeError, "the index goes from"),
        ("conv1.output[0]", ShapeError, "the array is 8 x 8 x 4"),
        ("conv1.output", ShapeError, "the array is 8 x 8 x 4"),
        ("conv1.output[1-2,0,0]", ArgumentError, "an index consists of integers"),
        ("loss[0]", ArgumentError, "the loss is a single number"),
        ("output.probability.grad[0]", ArgumentError, "ask for output.grad"),
        ("conv1.a.b[0]", ArgumentError, "is not the name of a number"),
    ],
)
def test_questions_that_cannot_be_answered(digit: Trace, asked: str, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        explain_in(digit, asked)


def test_networks_that_cannot_be_explained() -> None:
    with pytest.raises(ArgumentError, match="the model has no parameters yet"):
        explain(network("4 > fc2"), np.ones(4), "loss")
    model = network("4x4x1 > conv3x3:2").build()
    assert explain(model, np.ones((4, 4)), "conv1.output[0,0,0]").adds_up
    with pytest.raises(ArgumentError, match="the network returns maps; pass the wanted maps as labels"):
        explain(model, np.ones((4, 4)), "loss")
    with pytest.raises(ArgumentError, match="the network returns maps, which are no probabilities"):
        explain(model, np.ones((4, 4)), "output.probability[0,0,0]")
    with pytest.raises(ShapeError, match="the network takes images of 4 x 4 x 1; got an array"):
        explain(model, np.ones((5, 4)), "loss")


def test_a_network_that_returns_maps() -> None:
    model = network("6x6x1 > conv3x3:4:same bn relu ( maxpool2 convt2x2:4:s2 | skip ) conv1:2").build(seed=0)
    generator = np.random.default_rng(0)
    images, wanted = generator.random((2, 6, 6, 1)), generator.random((2, 6, 6, 2)).astype(np.float32)
    trace = Trace(model, images, wanted, training=True)
    for asked in ("loss", "output.grad[1,2,3,1]", "conv1.weight.grad[1,1,0,2]", "concat1.input1.grad[0,1,1,3]"):
        ledger = explain_in(trace, asked)
        assert ledger.adds_up
        assert ledger.stored
    assert explain_in(Trace(model, images[0], wanted[0]), "loss").adds_up


def test_a_pixel_and_a_parameter_are_where_it_ends(digit: Trace) -> None:
    pixel = explain_in(digit, "image[2,3,0]")
    assert isinstance(pixel, Ledger)
    assert pixel.account.rule.startswith(f"a pixel: read as {digit.images[0, 2, 3, 0]}")
    assert "conv1.bias.update[1] explains how it changes" in explain_in(digit, "conv1.bias[1]").account.rule


def test_the_receptive_field_goes_through_a_layer_of_ones_own_that_has_windows() -> None:
    model = Sequential([RowMeans(), Conv2d(2, 3, stride=2)], input_shape=(9, 9, 1)).build(seed=0)
    trace = Trace(model, np.random.default_rng(0).random((9, 9)))
    top, left, height, width = panels(explain_in(trace, "conv1.output[0,1,2,0]"), trace)[0].marks[0]
    nudged = trace.images + np.eye(81).reshape(81, 9, 9, 1)  # one pixel each
    changed = model(nudged)[:, 1, 2, 0] != trace.outputs[-1][0, 1, 2, 0]
    inside = np.zeros((9, 9), bool)
    inside[top : top + height, left : left + width] = True
    assert np.array_equal(changed.reshape(9, 9), inside)


def test_the_receptive_field_is_the_union_over_all_paths() -> None:
    cases = {
        "9x9x1 > ( conv3x3:2:same relu conv3x3:2:same + conv1:2 ) > maxpool2": "pool1",
        "9x9x1 > conv3x3:2:s2 > ( skip | up2 maxpool2 ) convt3x3:3:s2 > conv1:2": "conv2",
        "9x9x1 > conv3x3:2:same ( skip * gap sigmoid ) > conv3x3:2": "conv2",
        "9x9x1 > conv3x3:2 gn1 > conv1:2": "conv2",
        "9x9x1 > conv3x3:2 ln > adaptavg3x3": "pool1",
    }
    for notation, last in cases.items():
        model = network(notation).build(seed=3, dtype=np.float64)
        trace = Trace(model, np.random.default_rng(0).random((9, 9)))
        ledger = explain_in(trace, f"{last}.output[0,1,2,0]")
        top, left, height, width = panels(ledger, trace)[0].marks[0]
        nudged = trace.images + 0.5 * np.eye(81).reshape(81, 9, 9, 1)
        changed = np.argwhere((model(nudged)[:, 1, 2, 0] != trace.outputs[-1][0, 1, 2, 0]).reshape(9, 9))
        (first_row, first_column), (last_row, last_column) = changed.min(0), changed.max(0)
        assert top <= first_row, notation
        assert left <= first_column, notation
        assert top + height > last_row, notation
        assert left + width > last_column, notation
        everything = "gn" in notation or "gap" in notation
        assert everything == ((height, width) == (9, 9)), notation


def test_every_number_of_a_map_has_panels() -> None:
    trace = make(BLOCK)
    for place, layer in enumerate(trace.model.layers):
        for what in questions(trace, place):
            ledger = explain_in(trace, ask(trace, place, what, np.random.default_rng(0)))
            shown = panels(ledger, trace)
            of_map = what == "output" and trace.outputs[place].ndim == 4
            if what.startswith("input"):
                of_map = trace.input(place, int(what[5:-5] or 1) - 1).ndim == 4
            assert bool(shown) >= of_map, (layer.name, what)
            assert all(panel.values.ndim == 2 for panel in shown)
