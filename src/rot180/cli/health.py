"""`rot180 health`: find problems of a trained network, and suggest what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from rot180.cli.options import Json, RunPath


def health(
    run: RunPath,
    data: Annotated[
        str | None,
        typer.Option("--data", help="Data to use; by default the data of the training.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Look for dead units, vanishing deltas, a wrong learning rate, overfitting and more.

    Each finding comes with its measurement, a suggestion of what to try next
    and, if possible, a command. The limits are rules of thumb. Update/weight
    is the size of one update relative to the weight array; about 1e-3 is
    typical.

    Examples:

      rot180 health runs/first

      rot180 health runs/first --json
    """
    from rot180.cli.output import print_json
    from rot180.runs import load_run
    from rot180.runs.own_data import load_own_data

    loaded = load_run(run)
    dataset = load_own_data(run, loaded, data, how="it with --data")
    config = loaded.config
    settings = {name: config[name] for name in ("data", "model") if name in config} | config.get("training", {})
    report = examine(loaded.model, loaded.history, dataset, settings)
    if json:
        found = report.to_dict()
        for finding in found["findings"]:
            finding["command"] = train_again(settings, finding["options"]) if finding["options"] else None
        print_json({"run": run, **found})
        return
    print(report.table(), "", sep="\n")
    if report.healthy:
        print("no problems found")
    for line in lines(report, settings):
        print(line)


def examine(model: Any, history: Any, dataset: Any, training: Mapping[str, Any]) -> Any:
    """Examine a network with the images and optimizer of its training."""
    import numpy as np

    from rot180.inside.health import health as examine_model
    from rot180.runs.settings import optimizer_of

    images, labels, of = dataset.test_images, dataset.test_labels, "test images"
    if not len(images):
        images, labels, of = dataset.train_images, dataset.train_labels, "training images"
    train = dataset.limit(training["limit"]) if isinstance(training.get("limit"), int) else dataset
    counts = np.bincount(train.train_labels, minlength=model.output_shape[-1]) if len(train.train_labels) else None
    return examine_model(
        model, history, images, labels, optimizer=optimizer_of(training), class_counts=counts, settings=training, of=of
    )


def train_again(settings: Mapping[str, Any], options: Sequence[str]) -> str:
    """Return the command that trains with these settings and changed options; what the recipe sets is left out."""
    from dataclasses import asdict

    from rot180.files import quoted
    from rot180.runs.settings import RunSettings
    from rot180.training.recipe import recipe

    changed: dict[str, Any] = {}
    given = iter(options)
    for option in given:
        is_off = option.startswith("--no-")  # a flag, without a value
        changed[option[5 if is_off else 2 :].replace("-", "_")] = False if is_off else next(given)
    wanted = {**settings, **changed}
    model, kind = str(wanted.get("model") or ""), str(wanted.get("recipe") or "default")
    usual = recipe(model, kind=kind)
    said = {
        name: wanted[name]
        for name in ("optimizer", "schedule")
        if wanted.get(name, getattr(usual, name)) != getattr(usual, name)
    }
    filled = asdict(RunSettings(recipe=kind, **said).filled_in("", usual)) | said
    words = ["rot180", "train", *([str(wanted["data"])] if wanted.get("data") else [])]
    for name, value in wanted.items():
        is_said = name in changed or name in said or name in ("model", "epochs") or value != filled.get(name)
        if name == "data" or value is None or not is_said:
            continue
        option = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{option}"] if isinstance(value, bool) else [f"--{option}", str(value)]
    return " ".join(quoted(word) for word in words)


def lines(report: Any, settings: Mapping[str, Any] | None = None, limit: int | None = None) -> list[str]:
    """Return all findings as lines of at most 80 columns, or the first `limit` of them as one line each."""
    from rot180.cli.output import visible
    from rot180.language.width import wrap
    from rot180.runs.report import translate_finding

    if limit is None:
        found = []
        for finding in report.findings:
            told, advice = translate_finding(visible(finding))
            found += wrap(told, 80, indent="  ")
            found += wrap(advice, 80, first="    ", indent="    ")
            if finding.options and settings is not None:
                found.append(f"    {visible(train_again(settings, finding.options))}")
        return found
    first = [f"health: {'; '.join(translate_finding(visible(finding)))}" for finding in report.findings[:limit]]
    more = len(report.findings) - len(first)
    if more:
        first[-1] = f"health: and {more + 1} more findings; see rot180 health"
    return first
