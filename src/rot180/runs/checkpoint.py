"""Checkpoints: everything that a training knows between two updates, in a folder that is there whole or not at all.

checkpoints/000042/model.safetensors      the weights, a model file like any other
checkpoints/000042/training.safetensors   the optimizer's state, the best weights, every step's loss and learning rate
checkpoints/000042/state.json             position, generators, epochs so far
checkpoints/000042/SHA256SUMS             of the three, as `sha256sum --check` reads it

The newest two are kept: the one before is removed when its successor is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rot180.engine.reference import is_finite
from rot180.errors import ModelError, NonFiniteError
from rot180.files import remove_folder, write_folder_atomically
from rot180.nn.sequential import Sequential
from rot180.ops.types import Array
from rot180.runs.model_file import load_model, model_bytes
from rot180.runs.safetensors_file import compare_arrays, entry_of, read_arrays, serialize
from rot180.runs.safetensors_header import ArrayEntry, read_header
from rot180.training import OPTIMIZERS, EpochDone, History, TrainingState

FORMAT_VERSION = 2
"""Of format 1, which is read as well, `state.json` holds the checksums of the other two files, and has none itself."""

MAX_STATE_BYTES = 20_000_000
"""`state.json` is read up to this size: enough for 50,000 epochs."""

KEPT = 2
"""Checkpoints that stay."""

MODEL, TRAINING, STATE, SUMS = "model.safetensors", "training.safetensors", "state.json", "SHA256SUMS"

MAX_SUMS_BYTES = 1000
"""`SHA256SUMS` is read up to this size."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes
    ----------
    path : Path
    model : Sequential
        With the weights, preprocessing and class names.
    state : TrainingState
    extra : dict
        What else was stored, as JSON.
    """

    path: Path
    model: Sequential
    state: TrainingState
    extra: dict[str, Any]


def save_checkpoint(folder: Path, model: Sequential, state: TrainingState, extra: dict[str, Any]) -> Path:
    """Write the next checkpoint and remove those before the last two.

    Parameters
    ----------
    folder : Path
        `checkpoints` of a run.
    model : Sequential
    state : TrainingState
        Of the same model.
    extra : dict
        Anything else that JSON can hold.

    Raises
    ------
    NonFiniteError
        A weight is infinite or NaN: there is nothing to go on from. Nothing is written.
    ModelError
        It cannot be written; those before are whole, and no part of it is left.
    """
    for name, w in model.parameters.items():
        if not is_finite(w):
            raise NonFiniteError(
                f"step {state.step_count}: {name} is not finite after its update; the learning rate is too high: lower "
                f"--lr or add --warmup",
                step=state.step_count - 1,  # done before the one that made it so
                layer=name.partition(".")[0],
                array=name,
            )
    arrays = {f"optimizer/{name}": array for name, array in state.optimizer_state.items()}
    arrays |= {f"best/{name}": array for name, array in state.best_parameters.items()}
    arrays["history/losses"] = np.array(state.history.losses, np.float64)
    arrays["history/learning_rates"] = np.array(state.history.learning_rates, np.float64)
    files = {MODEL: model_bytes(model), TRAINING: serialize(arrays)}
    table = {
        "format": FORMAT_VERSION,
        "plan": state.plan,
        "progress": state.progress,
        "generators": state.generators,
        "step_count": state.step_count,
        "steps": len(state.history.losses),
        "has_best": bool(state.best_parameters),
        "epochs": [asdict(epoch) for epoch in state.history.epochs],
        "extra": extra,
    }
    files[STATE] = json.dumps(table, indent=1).encode()
    files[SUMS] = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
    there = list_checkpoints(folder)
    path = folder / f"{int(there[0].name) + 1 if there else 1:06}"
    write_folder_atomically(path, files)
    for old in there[KEPT - 1 :]:
        _remove(old)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest first."""
    try:
        found = [entry for entry in folder.iterdir() if entry.name.isdecimal() and entry.name.isascii()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read ({error.strerror or error}); check its rights") from None
    return sorted((entry for entry in found if len(entry.name) <= 12), key=lambda entry: -int(entry.name))


def load_newest(folder: Path) -> tuple[Checkpoint, list[str]]:
    """Read the newest checkpoint that is whole, and return why newer ones were passed over.

    Raises
    ------
    ModelError
        There is none.
    """
    faults: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path), faults
        except ModelError as error:
            faults.append(str(error))
    raise ModelError(faults[0] if faults else f"{folder}: there is no checkpoint; the training has to begin anew")


def load_weights(checkpoint: Checkpoint) -> Sequential:
    """Return the model with the weights that the training would leave if it ended at this checkpoint."""
    checkpoint.model.load_parameters(checkpoint.state.final_parameters)
    return checkpoint.model


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Sizes, names, types, shapes and checksums are compared before anything is taken from it, and nothing in it is
    executed: checkpoints from strangers are safe to load.

    Raises
    ------
    ModelError
        A part is missing, damaged, or does not fit the others.
    """
    path = Path(path)
    table, sums = _read_table(path)
    try:
        for name in (MODEL, TRAINING):
            with (path / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sums[name]:
                    raise _damaged(path / name)
        model = load_model(path / MODEL)
        arrays = _read_training(path / TRAINING, model, table)
        _check_progress(table["progress"])
        history = History(
            losses=arrays.pop("history/losses").tolist(),
            learning_rates=arrays.pop("history/learning_rates").tolist(),
            epochs=_epochs(table),
        )
        state = TrainingState(
            plan=dict(table["plan"]),
            progress=dict(table["progress"]),
            generators={str(name): dict(value) for name, value in table["generators"].items()},
            step_count=_count(table["step_count"]),
            history=history,
            parameters=model.parameters,
            optimizer_state=_under("optimizer/", arrays),
            best_parameters=_under("best/", arrays),
        )
        return Checkpoint(path, model, state, dict(table["extra"]))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); take an older checkpoint") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _of_another_kind(path, error) from None


def steps_done(path: Path) -> int:
    """Return the updates that a checkpoint was written after; its arrays are not looked at.

    Raises
    ------
    ModelError
        It cannot be read, or is damaged.
    """
    table, _ = _read_table(path)
    try:
        return _count(table["progress"]["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise _of_another_kind(path, error) from None


def _read_table(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a checkpoint's `state.json` holds, and the checksums of the other files by name."""
    text = _read(path / STATE, MAX_STATE_BYTES)
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path / STATE}: expected JSON ({str(error)[:80]}); take an older checkpoint") from None
    version = table.get("format") if isinstance(table, dict) else None
    if version == 1 and isinstance(table.get("sha256"), dict):
        return table, table["sha256"]
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path / STATE}: expected a checkpoint of format {FORMAT_VERSION}; it comes from another version"
        )
    lines = _read(path / SUMS, MAX_SUMS_BYTES).decode("ascii", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if hashlib.sha256(text).hexdigest() != sums.get(STATE):
        raise _damaged(path / STATE)
    return table, sums


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); take an older checkpoint") from None
    if len(data) > limit:
        raise ModelError(f"{path}: expected at most {limit} bytes, found more; it is no checkpoint")
    return data


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path}: its checksum is not the one noted when it was written; the file is damaged")


def _of_another_kind(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path / STATE}: a value is missing or of another kind ({str(error)[:120]})")


def _read_training(path: Path, model: Sequential, table: dict[str, Any]) -> dict[str, Array]:
    """Read the arrays beside the model, after their names and shapes are known to be the right ones."""
    header = read_header(path)
    rule = table["plan"]["optimizer"]["name"]
    if not isinstance(rule, str) or rule not in OPTIMIZERS:
        raise ModelError(f"{path.with_name(STATE)}: unknown optimizer {str(rule)[:40]!r}")
    own = {name: entry_of(array) for name, array in model.parameters.items()}
    expected = {f"optimizer/{slot}/{name}": own[name] for slot in OPTIMIZERS[rule].slots for name in own}
    if table["has_best"]:
        expected |= {f"best/{name}": entry for name, entry in own.items()}
    steps = ArrayEntry("F64", (_count(table["steps"]),))
    expected |= {"history/losses": steps, "history/learning_rates": steps}
    compare_arrays(path, header, expected, f"{rule} on the network {model.notation[:80]!r}")
    return read_arrays(path)


def _check_progress(progress: dict[str, Any]) -> None:
    for name in ("epoch", "batch", "step", "correct", "images"):
        _count(progress[name])
    for name in ("loss_sum", "seconds", "elapsed"):
        _number(progress[name])
    if progress["best_loss"] is not None:
        _number(progress["best_loss"])
    if progress["best_epoch"] is not None:
        _count(progress["best_epoch"])


def _epochs(table: dict[str, Any]) -> list[EpochDone]:
    epochs = table["epochs"]
    if not isinstance(epochs, list) or len(epochs) != _count(table["progress"]["epoch"]):
        raise ValueError("epochs: as many as were done")
    values = [{field.name: epoch[field.name] for field in fields(EpochDone)} for epoch in epochs]
    if not all(type(value) in (int, float, bool, type(None)) for epoch in values for value in epoch.values()):
        raise ValueError("epochs: expected numbers")
    return [EpochDone(**epoch) for epoch in values]


def _number(value: object) -> None:
    if type(value) not in (int, float) or not math.isfinite(float(str(value))):
        raise ValueError(f"expected a number, found {str(value)[:40]!r}")


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError(f"expected a whole number, found {str(value)[:40]!r}")
    return value


def _under(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _remove(path: Path) -> None:
    try:
        remove_folder(path)
    except OSError:
        return  # it stays; the next one tries again
