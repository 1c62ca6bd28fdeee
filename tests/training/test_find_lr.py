"""The learning-rate range test: its curve, its suggestion, and that it leaves everything as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rot180
from rot180.cli import main
from rot180.errors import ArgumentError, NonFiniteError
from rot180.training import StepDone, TrainingStarted, find_lr, fit
from rot180.training.find_lr import curve_of

DIGITS = rot180.load_data("digits").limit(600)
TEXT = "8x8x1 > conv3x3:8 relu > fc10"


def test_the_rates_rise_by_the_same_factor_until_the_loss_diverges() -> None:
    curve = find_lr(rot180.network(TEXT), DIGITS, lowest=1e-5, highest=1e3, steps=80, engine="numpy")
    factors = np.divide(curve.learning_rates[1:], curve.learning_rates[:-1])
    np.testing.assert_allclose(factors, (1e3 / 1e-5) ** (1 / 79))
    assert curve.diverged
    assert 20 < len(curve.losses) == len(curve.learning_rates) == len(curve.smoothed) < 80
    assert curve.suggestion == pytest.approx(curve.minimum / 3)
    again = find_lr(rot180.network(TEXT), DIGITS, lowest=1e-5, highest=1e3, steps=80, engine="numpy")
    assert again == curve


def test_the_suggestion_trains_better_than_a_tenth_and_than_ten_times_it() -> None:
    found = {}
    for make in (rot180.Adam, rot180.SGD):
        rate = find_lr(rot180.network(TEXT), DIGITS, optimizer=make(), engine="numpy").suggestion
        for times in (0.1, 1.0, 10.0):
            optimizer = make(rate * times)
            history = fit(
                rot180.network(TEXT), DIGITS, optimizer=optimizer, epochs=3, schedule="cosine", engine="numpy"
            )
            found[times] = history.epochs[-1].train_loss
        assert found[1.0] < 0.8 * min(found[0.1], found[10.0] if make is rot180.Adam else np.inf), make


def test_neither_the_model_nor_the_optimizer_changes() -> None:
    optimizer = rot180.Adam()
    model = rot180.network(TEXT).build(seed=3)
    before = {name: w.copy() for name, w in model.parameters.items()}
    find_lr(model, DIGITS, optimizer=optimizer, steps=30, lowest=1e-3, engine="numpy")
    assert all(np.array_equal(w, before[name]) for name, w in model.parameters.items())
    assert (optimizer.step_count, optimizer.lr, model.image_statistics) == (0, 1e-3, None)
    unbuilt = rot180.network(TEXT)
    find_lr(unbuilt, DIGITS, steps=30, lowest=1e-3)  # by the compiled engine
    assert not unbuilt.is_built


def test_a_loss_that_is_no_longer_finite_ends_the_test() -> None:
    network = rot180.network("8x8x1 > fc64 relu > fc64 relu > fc64 relu > fc10")
    curve = find_lr(network, DIGITS, optimizer="sgd", lowest=1e-8, highest=1e30, engine="numpy")
    assert curve.diverged
    assert np.isfinite(curve.losses).all()
    with pytest.raises(NonFiniteError, match="learning rate is too high"):  # before there is a curve
        find_lr(network, DIGITS, optimizer="sgd", lowest=1e20, highest=1e30, engine="numpy")


def test_where_nothing_can_be_suggested_the_reason_is_given() -> None:
    rates = np.geomspace(1e-6, 1e-2, 50).tolist()
    flat = curve_of(rates, [2.3] * 50)
    assert flat.suggestion is None
    assert flat.reason.startswith("the loss did not fall at any rate")
    falling = curve_of(rates, np.linspace(2.3, 1.0, 50).tolist())
    assert falling.reason == "the loss did not rise again up to the highest rate, 0.01: raise the highest rate"
    valley = curve_of(rates, [*np.linspace(2.3, 1.0, 30), *np.linspace(1.0, 2.0, 20)])
    assert (valley.reason, valley.minimum) == ("", pytest.approx(rates[29], rel=0.5))


def test_an_explosion_does_not_drown_what_comes_before_it() -> None:
    rates = np.geomspace(1e-6, 1.0, 100).tolist()
    losses = [2.3 - 1.3 * min(n, 80) / 80 for n in range(100)]
    calm, wild = (
        curve_of(rates, [*losses[:95], *[3.0] * 5]),
        curve_of(rates, [*losses[:95], *[1e30] * 5], diverged=True),
    )
    assert wild.minimum == pytest.approx(calm.minimum, rel=2)
    assert wild.smoothed[:80] == calm.smoothed[:80]


def test_ctrl_c_ends_it() -> None:
    def interrupt(event) -> None:
        if isinstance(event, TrainingStarted):
            interrupt.trainer = event.trainer
        if isinstance(event, StepDone):
            interrupt.trainer.stop("interrupted")

    with pytest.raises(KeyboardInterrupt):
        find_lr(rot180.network(TEXT), DIGITS, subscribers=[interrupt], engine="numpy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 5}, "find_lr: steps must be an int, at least 20; it is 5"),
        ({"steps": 10_001}, "find_lr: steps must be at most 10,000; it is 10001"),
        ({"lowest": 0.0}, r"find_lr: lowest must be above 0 and below highest; they are 0\.0 and 10\.0"),
        ({"lowest": 1.0, "highest": 0.1}, "below highest"),
        ({"highest": float("inf")}, "find_lr: highest must be a number"),
        ({"step": 5}, r"find_lr has no argument 'step'; did you mean 'steps'\?"),
    ],
)
def test_what_makes_no_curve(options, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        find_lr(rot180.network(TEXT), DIGITS, **options)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["find-lr", "digits", "--limit", "300", "--model", TEXT, "--optimizer", "sgd", "--engine", "numpy"]
    options += ["--lowest", "1e-4", "--steps", "40"]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert "optimizer: sgd, batches of 32" in printed
    assert "suggested peak learning rate, a third of that: --lr 0." in printed
    assert {file.name for file in tmp_path.iterdir()} == {"learning-rates.png", "learning-rates.svg"}
    assert main([*options, "--json", "--out", "curve.png"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["picture"] == "curve.png"
    assert (tmp_path / "curve.svg").exists()
    assert f"--lr {found['suggestion']:.2g}" in printed
    assert main([*options, "--out", "curve.png"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert main([*options, "--highest", "1e-3", "--no-picture"]) == 0
    assert "no suggestion: the loss did not" in capsys.readouterr().out
    assert main([*options, "--steps", "2"]) == 2
