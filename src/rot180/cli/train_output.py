"""What `rot180 train` prints about a training: at its start, at its end, and as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rot180.data import Dataset
    from rot180.inside.health_report import HealthReport
    from rot180.runs.train_run import TrainedRun
    from rot180.training import Event


def result(run: TrainedRun) -> dict[str, Any]:
    """Return what `--json` prints."""
    history = run.history
    kept = history.kept
    return {
        "run": run.folder.path,
        "stopped": history.stopped,
        "epochs": len(history.epochs),
        # An epoch that was cut short has no mean other than that of its steps.
        "train_loss": kept.train_loss
        if kept
        else sum(history.losses) / len(history.losses)
        if history.losses
        else None,
        "train_accuracy": kept.train_accuracy if kept else None,
        "kept_epoch": kept.epoch if kept else None,
        "clipped": kept.clipped if kept else None,
        "test_loss": run.test.loss if run.test else None,
        "test_accuracy": run.test.accuracy if run.test else None,
        "test_count": run.test.count if run.test else 0,
        "seconds": history.seconds,
        "images_per_second": kept.images_per_second if kept else None,
        "model": run.settings.model,
        "network": run.model.notation,
        "parameters": run.model.summary().parameters,
        "seed": run.settings.seed,
        "pictures": run.pictures,
    }


def say_start(asked: str | None, read: list[Dataset], event: Event) -> None:
    """Print the data and the network before training; a subscriber."""
    from rot180.cli.output import visible
    from rot180.nn import MODELS
    from rot180.nn import model as make_model
    from rot180.training import TrainingStarted

    if isinstance(event, TrainingStarted):
        model = event.trainer.model
        held_out = f", {event.validation_images:,} for validation" if event.validation_images else ""
        for dataset in read:
            print(f"data: {visible(dataset.sources)}")
        if asked in MODELS and make_model(asked).notation != model.notation:
            print(f"{asked} is made for other images or classes: its first and last parts are adapted")
        print(f"network: {_short(str(model))} ({model.summary().parameters:,} parameters)")
        if 0 < event.epochs <= event.progress.epoch:  # a run that had ended
            print(f"all epochs are done: {event.epochs}; train further with --epochs", flush=True)
            return
        print(f"training on {event.images:,} images{held_out}, epochs: {event.epochs}", flush=True)
        if augment := event.settings.augment:
            print(f"augmentation: {augment}", flush=True)
            if augment.mixes:
                print("training accuracy: of mixed images, for which the class of the larger part counts", flush=True)
        weights = getattr(event.trainer.loss, "class_weights", None)
        if weights is not None:
            names = model.class_names or range(len(weights))
            told = [f"{name} {weight:.3g}" for name, weight in zip(names, weights, strict=True)]
            print(f"class weights: {', '.join(told[:12])}{', ...' if len(told) > 12 else ''}", flush=True)


def _short(notation: str, most: int = 400) -> str:
    """Return a notation whose middle is left out if it is long, as that of a published network is.

    >>> _short("32x32x3 > conv3x3:16 relu > fc10"), _short("32x32x3 > conv3x3:16 relu > fc10", most=24)
    ('32x32x3 > conv3x3:16 relu > fc10', '32x32x3 > ... > fc10')
    """
    if len(notation) <= most:
        return notation
    blocks = notation.split(" > ")
    first, last = [blocks[0]], [blocks[-1]]
    for block in blocks[1:-1]:
        if len(" > ".join([*first, block, "...", *last])) > most:
            break
        first.append(block)
    return " > ".join([*first, "...", *last])


def say_health(found: list[HealthReport]) -> None:
    """Print at most three lines of findings to stderr."""
    from rot180.cli.health import lines

    for report in found:
        for line in lines(report, limit=3):
            print(line, file=sys.stderr)


def say_result(run: TrainedRun) -> None:
    """Print the results of a training, and what to run next."""
    from rot180.cli.computing import AVERAGED
    from rot180.cli.output import percent, visible
    from rot180.files import quoted

    history, folder = run.history, run.folder.path
    typed = visible(quoted(folder))  # to be copied into a shell
    if history.stopped == "interrupted":
        print(f"interrupted in epoch {history.epoch} after batch {history.batch}; resume with:")
        print(f"  rot180 train --resume {typed}")
    elif history.stopped == "early_stopping":
        print(f"stopped early after epoch {history.epoch}; the weights are those of epoch {history.restored_epoch}")
    if (kept := history.kept) is not None:
        done = f"trained: epochs {len(history.epochs)}, {history.seconds:.1f} s, {kept.images_per_second:,.0f} images/s"
        measured = f"loss {kept.train_loss:.4f}, accuracy {percent(kept.train_accuracy)}"
        print(f"{done}, {measured}" if kept is history.epochs[-1] else f"{done}, epoch {kept.epoch}: {measured}")
    if run.test:
        right = round(run.test.accuracy * run.test.count)
        print(f"test: {right} of {run.test.count} unseen images correct, accuracy {percent(run.test.accuracy)}")
        if averaged := AVERAGED.get(run.settings.tta or "none"):
            print(averaged)
    print(f"run: {visible(folder)}")
    if run.pictures:
        print(f"pictures: {visible(run.folder.pictures)}; use the network with: rot180 predict {typed} IMAGE")
