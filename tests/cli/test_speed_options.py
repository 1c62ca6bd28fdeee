"""What computes and how it is told: --engine, --threads, --recipe, plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rot180.engine import threads

Command = Callable[..., Any]


def test_threads_change_nothing_but_the_number(rot180: Command, quick: list[str], tmp_path: Path) -> None:
    said = [
        rot180("train", *quick, "--out", tmp_path / str(count), "--no-pictures", "--json", "--threads", count)
        for count in range(1, min(threads.most_threads(), 2) + 1)
    ]
    assert threads.threads() == len(said)
    assert {one.status for one in said} == {0}
    assert len({one.json["train_loss"] for one in said}) == 1


def test_threads_for_trained_networks(rot180: Command, trained: Path) -> None:
    assert rot180("evaluate", trained, "--threads", 1).status == 0
    assert threads.threads() == 1


@pytest.mark.parametrize("count", [0, -1, 10_000])
def test_a_number_of_threads_that_cannot_be(rot180: Command, trained: Path, count: int) -> None:
    for command in (["train"], ["evaluate", trained], ["predict", trained, "x.png"]):
        said = rot180(*command, "--threads", count)
        assert said.status == 2
        assert said.err.startswith("rot180: threads must be an integer from 1 to ")
        assert said.err.count("\n") == 1


def test_threads_of_numpy_are_its_own_affair(rot180: Command, trained: Path) -> None:
    said = rot180("evaluate", trained, "--threads", 1, "--engine", "numpy")
    assert said.status == 2
    assert "OMP_NUM_THREADS" in said.err


def test_both_engines_say_the_same(rot180: Command, trained: Path) -> None:
    found = [rot180("evaluate", trained, "--engine", name, "--json").json for name in ("compiled", "numpy", "auto")]
    assert found[0] == found[2]
    assert found[0]["confusion"] == found[1]["confusion"]
    said = rot180("evaluate", trained, "--engine", "compield")
    assert said.status == 2
    assert said.err == "rot180: unknown engine 'compield'; did you mean 'compiled'?\n"


def test_a_recipe_by_name(rot180: Command, quick: list[str], tmp_path: Path) -> None:
    said = rot180("train", *quick, "--recipe", "fast", "--no-pictures", "--out", tmp_path / "run")
    assert said.status == 0
    config = (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert 'recipe = "fast"' in config
    assert "batch_size = 64" in config
    said = rot180("train", "--recipe", "fats")
    assert said.err == "rot180: unknown recipe 'fats'; did you mean 'fast'?\n"


def test_recipes_are_listed(rot180: Command) -> None:
    assert "  fast: " in rot180("models").out
    assert [one["name"] for one in rot180("models", "--json").json["recipes"]] == ["default", "fast", "best"]


def test_a_plan_names_steps_and_totals(rot180: Command) -> None:
    text = "12x12x1 > conv3x3:16:same relu maxpool2 > fc10"
    said = rot180("plan", text, "--batch-size", 4)
    assert said.status == 0
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert "conv1 relu1 pool1" in said.out
    assert "weight gradient and update" in said.out
    whole, forward = rot180("plan", text, "--json").json, rot180("plan", text, "--inference", "--json").json
    assert (whole["batch_size"], whole["dtype"]) == (32, "float32")
    steps = [[{**step, "buffers": None} for step in plan["forward"]] for plan in (whole, forward)]
    assert steps[0] == steps[1]  # but for the buffers, which inference shares
    assert forward["backward"] == []
    # forward, weight gradient; no data gradient below the first layer
    conv, fc = 12 * 12 * 9 * 16, 6 * 6 * 16 * 10
    assert forward["multiply_adds_per_image"] == conv + fc
    assert whole["multiply_adds_per_image"] == 2 * conv + 3 * fc
    assert whole["bytes"] > forward["bytes"] > 32 * 12 * 12 * 4
    assert whole["buffers"] > forward["buffers"] > 1
    first, *_, last = forward["forward"]
    assert all(len(step["shapes"]) == len(step["buffers"]) for step in forward["forward"])
    assert max(first["buffers"] + last["buffers"]) < forward["buffers"]


@pytest.mark.parametrize(
    "arguments",
    [["lenet5"], ["digits", "-b", "7"], ["4x4x1 > fc3", "-b", "1"], ["cnn-8-16", "--inference"]],
    ids=lambda arguments: arguments[0],
)
def test_the_totals_of_a_plan_are_the_sums_of_its_rows(rot180: Command, arguments: list[str]) -> None:
    out = rot180("plan", *arguments).out
    rows = [line for line in out.splitlines() if len(line) == 80 and line[-1].isdigit()]
    *steps, total = [[int(cell.replace(",", "") or 0) for cell in (row[49:64].strip(), row[65:])] for row in rows]
    assert [sum(column) for column in zip(*steps, strict=True)] == total
    found = rot180("plan", *arguments, "--json").json
    assert [found["multiply_adds"], found["bytes_touched"]] == total
    assert found["multiply_adds"] == found["batch_size"] * found["multiply_adds_per_image"]
    assert f"per batch of {found['batch_size']} images" in out or "per batch of one image" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet6"], "unknown model 'lenet6'"),
        (["lenet5", "--batch-size", "0"], "--batch-size must be an int, at least 1; it is 0"),
        (["lenet5", "--optimizer", "adm"], "unknown optimizer 'adm'; did you mean 'adam'"),
    ],
)
def test_a_plan_of_what_cannot_be(rot180: Command, arguments: list[str], message: str) -> None:
    said = rot180("plan", *arguments)
    assert said.status == 2
    assert message in said.err
