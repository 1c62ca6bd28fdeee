"""Optimizers are held against their equations: right ones pass, and mistakes planted into them are called by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rot180.cli import main
from rot180.errors import ArgumentError
from rot180.inside import check_optimizer
from rot180.ops import orthogonalize
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Muon, RMSprop

Array = np.ndarray


class MyAdam(Optimizer):
    """Adam and AdamW as a user would write them, with one place for each mistake."""

    rule = "my_adam"
    slots = ("mean", "square")

    def __init__(self, mistake: str = "", lr: float = 0.01, weight_decay: float = 0.1) -> None:
        super().__init__(lr)
        self.mistake, self.weight_decay = mistake, weight_decay
        self.betas, self.eps = (0.8, 0.9), 1e-6
        self.kept: dict[str, Array] = {}
        self.counted = 0

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        wrong = self.mistake
        b1, b2 = (0.9, 0.8) if wrong == "betas" else (0.8, 0.9)
        m, v = self.state["mean"][name], self.state["square"][name]
        self.counted += 1
        t = self.step_count + {"late": -1, "early": 1}.get(wrong, 0)
        if wrong == "count":
            t = self.counted
        g = dw if wrong == "adamw" else dw + self.weight_decay * w
        if wrong == "adamw":
            w *= 1 - lr * self.weight_decay
        m[...] = b1 * m + (1 - b1) * g
        v[...] = b2 * v + (1 - b2) * (np.abs(g) if wrong == "not squared" else g**2)
        if wrong == "kept elsewhere":
            m = self.kept[name] = b1 * self.kept.get(name, 0) + (1 - b1) * g
        m_hat, v_hat = (m, v) if wrong == "bias" else (m / (1 - b1**t), v / (1 - b2**t))
        if wrong == "inside":
            root = np.sqrt(v_hat + self.eps)
        elif wrong == "first":
            root = (np.sqrt(v) + self.eps) / math.sqrt(1 - b2**t)
        else:
            root = np.sqrt(v_hat) + self.eps
        if wrong == "start":
            lr = self.initial_lr
        w -= lr * m_hat / root


class MySGD(Optimizer):
    """Momentum as a user would write it."""

    rule = "sgd"
    slots = ("velocity",)

    def __init__(self, mistake: str = "", nesterov: bool = False) -> None:
        super().__init__(0.05)
        self.mistake, self.nesterov, self.momentum, self.weight_decay = mistake, nesterov, 0.9, 0.01

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        wrong, v = self.mistake, self.state["velocity"][name]
        g = dw - self.weight_decay * w if wrong == "decay sign" else dw + self.weight_decay * w
        if wrong == "lr inside":
            v[...] = 0.9 * v + lr * g
            w -= v
            return
        share = {"dampening": 1 - 0.9, "sign": -1.0}.get(wrong, 1.0)
        v[...] = 0.9 * v + share * g
        w -= lr * (g + 0.9 * v if self.nesterov != (wrong == "nesterov") else v)


class MyRMSprop(RMSprop):
    """RMSprop with another divisor."""

    rule = "rmsprop"
    mistake = ""

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        square = self.state["square"][name]
        share = 1 - self.alpha if self.mistake == "alpha" else self.alpha
        old = square.copy()
        square *= share
        square += (1 - share) * dw**2
        root = {
            "inside": np.sqrt(square + self.eps),
            "no root": square + self.eps,
            "no eps": np.sqrt(square),
            "old": np.sqrt(old) + self.eps,
        }.get(self.mistake, np.sqrt(square) + self.eps)
        w -= lr * dw / root


def rmsprop(mistake: str = "") -> Optimizer:
    made = MyRMSprop(lr=0.02, alpha=0.9, eps=1e-5)
    made.mistake = mistake
    return made


class MyMuon(Muon):
    """Muon as a user would write it, with one place for each mistake."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__(0.01, betas=(0.8, 0.9), weight_decay=0.1)
        self.wrong = wrong

    def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
        if w.ndim < 4:
            super()._update_one(name, w, dw, lr)
            return
        m = self.state["m"][name]
        m[...] = 0.8 * m + 0.2 * dw
        g = (m if self.wrong == "mean" else 0.8 * m + 0.2 * dw).reshape(-1, w.shape[-1])
        if self.wrong == "axes":
            g = g.reshape(len(w), -1)
        direction = g if self.wrong == "plain" else orthogonalize(g)
        length = 1 if self.wrong == "length" else 0.2 * np.sqrt((min if self.wrong == "smaller" else max)(g.shape))
        w *= 1 - lr * self.weight_decay
        w -= lr * length * direction.reshape(w.shape)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_built_in_optimizers_follow_their_equations(name: str) -> None:
    report = check_optimizer(name)
    assert report.passed, str(report)
    assert max(check.max_error for check in report.checks) < 1e-9
    assert not report.mistakes
    assert f"every step follows the equations of {name}" in str(report)
    assert report.to_dict()["passed"]


@pytest.mark.parametrize(
    ("optimizer", "like"),
    [
        (MyAdam(), "adam"),
        (MySGD(), None),
        (MySGD(nesterov=True), "sgd"),
        (rmsprop(), None),
        (MyAdam("adamw"), "adamw"),
        (MyMuon(), None),
    ],
    ids=["adam", "momentum", "nesterov", "rmsprop", "adamw", "muon"],
)
def test_right_optimizers_of_a_user_pass(optimizer: Optimizer, like: str | None) -> None:
    for seed in range(5):
        report = check_optimizer(optimizer, like, seed=seed)
        assert report.passed, str(report)


DECAY = "weight decay decoupled instead of L2, or vice versa"
PLANTED: list[tuple[Callable[[], Optimizer], str, str]] = [
    (lambda: MyAdam("bias"), "adam", "bias correction missing"),
    (lambda: MyAdam("late"), "adam", "step count off by one"),
    (lambda: MyAdam("early"), "adam", "step count off by one"),
    (lambda: MyAdam("count"), "adam", "step counted for each parameter"),
    (lambda: MyAdam("betas"), "adam", "betas exchanged"),
    (lambda: MyAdam("inside"), "adam", "epsilon inside the root"),
    (lambda: MyAdam("first"), "adam", "epsilon added before the bias correction"),
    (lambda: MyAdam("not squared"), "adam", "gradient not squared"),
    (lambda: MyAdam("start"), "adam", "initial learning rate"),
    (lambda: MyAdam("adamw"), "adam", DECAY),
    (lambda: MyAdam(), "adamw", DECAY),
    (lambda: MyAdam("kept elsewhere"), "adam", "state not in self.state"),
    (lambda: MySGD("dampening"), "sgd", "momentum with dampening"),
    (lambda: MySGD("sign"), "sgd", "velocity with a wrong sign"),
    (lambda: MySGD("nesterov"), "sgd", "Nesterov's and classical momentum exchanged"),
    (lambda: MySGD("nesterov", nesterov=True), "sgd", "Nesterov's and classical momentum exchanged"),
    (lambda: MySGD("lr inside"), "sgd", "learning rate inside the velocity"),
    (lambda: MySGD("decay sign"), "sgd", "weight decay with a wrong sign"),
    (lambda: rmsprop("inside"), "rmsprop", "epsilon inside the root"),
    (lambda: rmsprop("alpha"), "rmsprop", "alpha and 1 - alpha exchanged"),
    (lambda: rmsprop("no root"), "rmsprop", "root missing"),
    (lambda: rmsprop("no eps"), "rmsprop", "epsilon missing"),
    (lambda: rmsprop("old"), "rmsprop", "mean square of the previous step"),
    (lambda: SGD(0.1, 0.9), "rmsprop", "another rule: sgd"),
    (lambda: MyMuon("mean"), "muon", "mean of the gradients instead of the look-ahead"),
    (lambda: MyMuon("axes"), "muon", "matrix of other axes"),
    (lambda: MyMuon("plain"), "muon", "step not made orthogonal"),
    (lambda: MyMuon("smaller"), "muon", "smaller instead of larger side"),
    (lambda: MyMuon("length"), "muon", "length of the step missing"),
    (lambda: AdamW(), "muon", "another rule: adamw"),
]


@pytest.mark.parametrize(("make", "like", "name"), PLANTED, ids=[f"{like}-{name}" for _, like, name in PLANTED])
def test_a_planted_mistake_is_called_by_its_name(make: Callable[[], Optimizer], like: str, name: str) -> None:
    for seed in range(3):
        report = check_optimizer(make(), like, seed=seed)
        assert not report.passed
        assert report.mistakes[0].split(";")[0] == name
    assert "in the formula:" in str(report)
    assert max(len(line) for line in str(report).splitlines()[3:]) <= 80


def test_two_mistakes_at_once_are_both_named() -> None:
    class Two(MyAdam):
        def _update_one(self, name: str, w: Array, dw: Array, lr: float) -> None:
            before = w.copy()
            super()._update_one(name, w, dw, lr)
            w[...] = before - (w - before)  # and the other way

    (mistake,) = check_optimizer(Two("inside"), "adam").mistakes
    assert mistake.startswith("sign flipped; epsilon inside the root") or "sign flipped" in mistake
    assert "epsilon inside the root" in mistake


class Odd(SGD):
    """Does what the contract forbids."""

    how = ""

    def update(self, parameters: Any, gradients: Any, lr_factors: Any) -> None:
        for name, gradient in gradients.items():
            if self.how == "new arrays":
                parameters[name] = parameters[name] - self.lr * gradient
            elif self.how == "nothing":
                _ = parameters[name] - self.lr * gradient
            elif self.how == "raises":
                gradient @ np.ones(99)
            else:
                gradient *= self.lr
                parameters[name] -= gradient


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("new arrays", "update put new arrays into the dict"),
        ("nothing", "update changed no parameter"),
        ("raises", "update raised ValueError: matmul"),
        ("gradients", "update changed the gradients"),
    ],
)
def test_what_breaks_the_contract_is_said(how: str, says: str) -> None:
    optimizer = Odd(0.1)
    optimizer.how = how
    report = check_optimizer(optimizer)
    assert not report.passed
    assert says in report.mistakes[0]


def test_what_could_not_be_checked_is_said() -> None:
    assert "not checked because zero: weight_decay" in str(check_optimizer(Adam()))
    assert "not checked" not in str(check_optimizer(AdamW()))


def test_a_rule_is_needed() -> None:
    with pytest.raises(ArgumentError, match="needs the rule that it follows, one of sgd, adam, adamw, muon, rmsprop"):
        check_optimizer(MyAdam())
    with pytest.raises(ArgumentError, match="unknown optimizer 'adma'; did you mean 'adam'"):
        check_optimizer("adma")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from rot180 import Adam\n\n\nclass Mine(Adam):\n    def _update_one(self, name, w, dw, lr):\n"
        "        super()._update_one(name, w, -dw, lr)\n",
        encoding="utf-8",
    )
    assert main(["check", "--optimizer", "sgd"]) == 0
    assert "every step follows the equations of sgd" in capsys.readouterr().out
    assert main(["check", "--optimizer", "mine.py:Mine", "--like", "adam", "--set", "lr=0.1"]) == 1
    assert "it looks like: sign flipped" in capsys.readouterr().out
    assert main(["check", "--optimizer", "mine.py:Mine", "--like", "adam", "--json"]) == 1
    assert '"mistake":"sign flipped"' in capsys.readouterr().out.replace(": ", ":")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--optimizer", "sgd", "--layer", "a:B"],
            "check takes one of MODEL-OR-RUN, --layer MODULE:CLASS and --optimizer NAME",
        ),
        (["lenet5", "--like", "adam"], "--like names the rule of --optimizer"),
        (["--optimizer", "json:JSONDecoder"], "json has no optimizer class 'JSONDecoder'"),
        (["--optimizer", "sgd", "--set", "momntum=0.9"], "has no argument 'momntum'; did you mean 'momentum'"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *arguments]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
