"""`rot180 health`: what ails a trained network, and what to try."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def health(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or the weights file in it.")],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Whose images to use; those of the training by default.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Look for dead units, vanishing deltas, a wrong learning rate, overfitting and more.

    Each finding comes with what was measured and what to try. The limits
    are rules of thumb. Update/weight is how far one update moves a weight
    array, as a share of it; about 1e-3 is usual.

    Examples:

      rot180 health runs/first

      rot180 health runs/first --json
    """
    from rot180.cli.output import print_json
    from rot180.runs import load_run
    from rot180.runs.own_data import load_own_data

    loaded = load_run(run)
    dataset = load_own_data(run, loaded, data, how="it with --data")
    report = examine(loaded.model, loaded.history, dataset, loaded.config.get("training", {}))
    if json:
        print_json({"run": run, **report.to_dict()})
        return
    print(report.table(), "", sep="\n")
    if report.healthy:
        print("nothing ails it: no finding")
    for line in lines(report):
        print(line)


def examine(model: Any, history: Any, dataset: Any, training: dict[str, Any]) -> Any:
    """Examine a network with the images and the optimizer of its training."""
    import numpy as np

    from rot180.inside.health import health as examine_model
    from rot180.training.optimizer import OPTIMIZERS, optimizer

    images, labels = dataset.test_images, dataset.test_labels
    if not len(images):
        images, labels = dataset.train_images, dataset.train_labels
    rule = None
    if training.get("optimizer") in OPTIMIZERS:
        rate = training.get("lr")
        rule = optimizer(training["optimizer"], **({"lr": rate} if isinstance(rate, (int, float)) else {}))
    train = dataset.limit(training["limit"]) if isinstance(training.get("limit"), int) else dataset
    counts = np.bincount(train.train_labels, minlength=model.output_shape[-1]) if len(train.train_labels) else None
    return examine_model(model, history, images, labels, optimizer=rule, class_counts=counts)


def lines(report: Any, limit: int | None = None) -> list[str]:
    """Return the findings as lines of at most 80 columns where they are all shown, else one line each."""
    import textwrap

    from rot180.cli.output import visible

    if limit is None:
        found = []
        for finding in report.findings:
            place = f" in {finding.where}" if finding.where else ""
            for text in (f"{finding.what}{place}: {visible(finding.evidence)}", f"    {finding.advice}"):
                indent = " " * (len(text) - len(text.lstrip()))
                found += textwrap.wrap(text, 80, subsequent_indent=indent or "  ")
        return found
    first = [f"health: {visible(finding)}" for finding in report.findings[:limit]]
    more = len(report.findings) - len(first)
    if more:
        first[-1] = f"health: and {more + 1} more findings; rot180 health shows all"
    return first
