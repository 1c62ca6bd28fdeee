"""The biography of a weight is what the training did: its values, what pushed it, and each update."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError
from rot180.inside import Moments, biography, chapter, trace_of
from rot180.training import TrainingStarted

NETWORKS = {
    "adam": "8x8x1 > conv3x3:4 bn relu dropout0.2 maxpool2 > fc10",
    "sgd": "8x8x1 > conv3x3:3 prelu > ( conv3x3:3:same + skip ) > fc10",
    "rmsprop": "8x8x1 > conv3x3:3:s2 gn3 noisyrelu > fc10",
}
CELLS = ("conv1.weight[1,1,0,2]", "conv1.bias[0]", "fc1.weight[7,3]")


def _trained(rule: str) -> tuple[Any, Moments, list[TrainingStarted]]:
    data, moments = rot180.load_data("digits").limit(250), Moments()
    model, started = rot180.network(NETWORKS[rule]), []
    rot180.fit(
        model, data, epochs=2, batch_size=40, optimizer=rule, lr=0.01, schedule="cosine", engine="numpy",
        subscribers=[moments, lambda event: isinstance(event, TrainingStarted) and started.append(event)],
    )  # fmt: skip
    return model, moments, started


@pytest.mark.parametrize("rule", NETWORKS)
def test_each_chapter_ends_where_the_next_one_begins(rule: str) -> None:
    model, moments, (started,) = _trained(rule)
    kept = moments.kept
    assert [moment.step for moment in kept] == list(range(len(kept)))  # every update: none was dropped
    norm = next(layer.name for layer in model.layers if layer.name in ("bn1", "prelu1", "gn1"))
    for cell in (*CELLS, f"{norm}.weight[1]"):
        life = biography(model, kept, cell)
        assert life.steps == tuple(range(len(kept)))
        assert len(set(life.values)) > len(kept) // 2
        for at in (0, 5, 6, 7, 12):  # before, at and after the end of an epoch of seven batches
            moment = kept[at]
            images, labels = started.batch_of(moment.epoch, moment.batch)
            found = chapter(trace_of(model, moment, images, labels, started.trainer.loss), moment.step, cell, image=2)
            assert found.value == life.values[at]
            assert found.after == pytest.approx(life.values[at + 1], rel=1e-5, abs=1e-7), (cell, at)
            assert sum(found.pulls) == pytest.approx(found.gradient, rel=1e-3, abs=1e-6)
            assert len(found.pulls) == len(images)
            assert sum(push.value for push in found.pushes) == pytest.approx(found.pulls[2], abs=1e-12)
            assert found.update.adds_up
            if cell == CELLS[0] and rule == "sgd":  # every window pushes, at its place in the output
                assert {push.place for push in found.pushes} == {(i, j) for i in range(6) for j in range(6)}


def test_after_the_last_update_there_is_no_batch() -> None:
    _, moments, (started,) = _trained("sgd")
    assert moments.kept[-1].epoch == started.epochs
    assert moments.kept[-2].epoch == started.epochs - 1


def test_what_is_no_parameter_or_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, moments, (started,) = _trained("sgd")
    for cell in ("conv1.output[0,0,0]", "loss", "conv1.weight.grad[0,0,0,0]", "image[0,0,0]"):
        with pytest.raises(ArgumentError, match="is not a parameter; name one such as"):
            biography(model, moments.kept, cell)
    trace = trace_of(model, moments.kept[0], *started.batch_of(0, 0))
    with pytest.raises(ArgumentError, match="the batch has 40 images, counted from 0; there is no number 40"):
        chapter(trace, 0, "conv1.bias[0]", image=40)
    monkeypatch.setattr("rot180.inside.biographies.MOST_TERMS", 100)
    with pytest.raises(ArgumentError, match="is a sum of 1,440 products, more than the 100 that are told"):
        chapter(trace, 0, "conv1.bias[0]")


def test_a_trace_of_a_moment_leaves_the_network_alone() -> None:
    model, moments, (started,) = _trained("adam")
    before = {name: array.copy() for name, array in model.state.items()}
    trace_of(model, moments.kept[3], *started.batch_of(0, 3)).gradients  # noqa: B018
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, before[name])
