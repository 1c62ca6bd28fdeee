"""Ledgers, checks and findings in Chinese: sentences built from parts are translated whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from rot180.cli.health import lines
from rot180.inside.check import check
from rot180.inside.explain import Trace, explain_in, markdown, text
from rot180.inside.health_report import Finding, HealthReport
from rot180.language import display_width, use_language
from rot180.nn import Conv2d, network

ENGLISH = re.compile(r"[a-z]{3,} [a-z]{3,}")


class NotRotated(Conv2d):
    """A convolution whose data gradient uses the kernel as it is."""

    def backward(self, dy, saved, *, needs_dx=True):
        weight = self.weight.copy()
        self.weight[:] = weight[::-1, ::-1]
        dx, _ = super().backward(dy, saved, needs_dx=needs_dx)
        self.weight[:] = weight
        return dx, super().backward(dy, saved, needs_dx=False)[1]


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    use_language("zh")
    yield
    use_language("en")


@pytest.fixture(scope="module")
def trace() -> Trace:
    model = network("8x8x1 > conv3x3:4:same noisyrelu maxpool2 dropout0.5 > fc6 tanh > fc5 sigmoid").build(seed=0)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    return Trace(model, images, np.array([1, 2]), loss="squared_error", training=True)


CELLS = [
    "conv1.output[0,3,3,1]",
    "conv1.input.grad[0,0,0,0]",
    "conv1.weight.grad[0,0,0,1]",
    "conv1.weight.update[0,0,0,1]",
    "conv1.bias[1]",
    "relu1.output[0,3,3,1]",
    "relu1.input.grad[0,3,3,1]",
    "pool1.output[0,1,1,1]",
    "pool1.input.grad[0,1,1,1]",
    "dropout1.output[0,1,1,1]",
    "fc1.output[0,1]",
    "fc1.weight.grad[3,1]",
    "tanh1.input.grad[0,2]",
    "sigmoid1.output[0,2]",
    "output.grad[0,2]",
    "output.probability[0,2]",
    "image[0,2,2,0]",
    "loss",
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_ledger_has_no_english_sentence(trace: Trace, cell: str) -> None:
    ledger = explain_in(trace, cell)
    for said in (text(ledger, trace, shown=None), markdown(ledger, trace)):
        assert not ENGLISH.search(said), said
    assert max(map(display_width, text(ledger, trace).splitlines())) <= 80


def test_ledgers_of_branches_and_normalization_have_no_english_sentence() -> None:
    model = network(
        "6x6x4 > conv3x3:4:same:g4 bn relu > ( convt3x3:4:pad1 gn2 droppath0.5 + skip ) "
        "> ( skip | maxpool2 up2:bilinear ) > lrn shuffle2 prelu ( skip * gap gelu fc8 hardsigmoid ) > gmp > fc5"
    ).build(seed=0)
    for training in (True, False):
        trace = Trace(model, np.random.default_rng(0).normal(size=(2, 6, 6, 4)), np.array([1, 2]), training=training)
        cells = [f"{layer.name}.output" for layer in model.layers if layer.kind != "fc"]
        cells += [f"{layer.name}.input.grad" for layer in model.layers if not layer.is_join and layer.kind != "fc"]
        cells += ["add1.input1.grad", "concat1.input2.grad", "multiply1.input1.grad", "multiply1.input2.grad"]
        for cell in cells:
            name, array = cell.split(".")[:2]
            place = [layer.name for layer in model.layers].index(name)
            axes = (trace.outputs[place] if array == "output" else trace.input(place, int(array[5:] or 1) - 1)).ndim
            ledger = explain_in(trace, f"{cell}[{','.join('0' * axes)}]")
            assert not ENGLISH.search(text(ledger, trace, shown=None)), text(ledger, trace)
        parameters = ["bn1.weight.grad[1]", "gn1.bias.grad[1]", "prelu1.weight.grad[1]", "convt1.weight.grad[0,0,0,0]"]
        own = ["bn1.mean[1]", "bn1.var[1]", "bn1.running_var[1]", "gn1.mean.grad[0,1]", "gn1.var.grad[0,1]"]
        for cell in (*parameters, *own):
            ledger = explain_in(trace, cell)
            assert not ENGLISH.search(text(ledger, trace)), text(ledger, trace)


def test_the_check_of_a_wrong_layer() -> None:
    said = str(check(NotRotated(2, 3), (5, 5, 1)))
    assert "看起来像：卷积核没有旋转；在乘以误差项之前请将其旋转 180 度：w[::-1, ::-1]" in said.replace("\n    ", "")
    heads, row = said.splitlines()[:2]
    assert display_width(heads[: heads.index("跳过") + 2]) == display_width(row[: row.index("错误") - 2])


def test_findings_and_what_to_try() -> None:
    remedies = "try more epochs, --lr 0.01, or fewer layers"
    found = Finding("dead units", "relu1", "50% output zero for every image (usual: under 10%)", remedies)
    said = lines(HealthReport((found,), ()))
    assert said[0].startswith("失活的单元")
    assert "relu1：50% " in said[0]
    assert said[-1] == "    可以尝试：更多轮数、--lr 0.01，或 减少层数"


def test_a_finding_behind_a_normalization() -> None:
    evidence = "50% output zero for every image (usual: under 10%); bn1 shifts them below zero"
    scale = "25% have a scale below 0.001, so their output is the same for every image"
    findings = (
        Finding("dead filters", "relu1", evidence, "try --lr 0.01"),
        Finding("channels without scale", "bn3", scale, "try fewer channels"),
    )
    said = "".join(lines(HealthReport(findings, ())))
    assert "；bn1把它们移到了零以下" in said.replace(" ", "")
    assert "没有缩放的通道" in said
    assert "25% 的缩放系数小于 0.001" in said
