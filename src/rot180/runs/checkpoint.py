"""Checkpoints: the entire state of a training between two updates, in a folder that is written whole or not at all.

checkpoints/000042/model.safetensors      the weights, a model file like any other; with --ema, not their average
checkpoints/000042/training.safetensors   the optimizer's state, the best weights, the average of the
                                          weights, every step's loss and learning rate
checkpoints/000042/state.json             position, generators, epochs so far
checkpoints/000042/SHA256SUMS             checksums of the three, in the format of `sha256sum --check`

The newest two are kept: an older one is removed when its second successor is on the disk.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np

from rot180.engine.reference import is_finite
from rot180.errors import ModelError, NonFiniteError
from rot180.files import Folder, open_regular, read_bounded, remove_folder, write_folder_atomically
from rot180.files.safetensors_file import compare_arrays, entry_of, open_arrays, serialize
from rot180.files.safetensors_header import ArrayEntry
from rot180.memory import available_memory
from rot180.nn.network import Network
from rot180.ops.types import Array
from rot180.runs.fields import STATE as STATE_FIELDS
from rot180.runs.fields import TEXT, check_fields, parse_json
from rot180.runs.fields import table as table_of
from rot180.runs.model_file import model_bytes, read_model
from rot180.training import OPTIMIZERS, EpochDone, History, TrainingState

FORMAT_VERSION = 2
"""Format 1 can still be read: its `state.json` holds the checksums of the other two files and has none itself."""

MAX_STATE_BYTES = 20_000_000
"""The largest `state.json` that is read: enough for 50,000 epochs."""

KEPT = 2
"""Checkpoints that are kept."""

MODEL, TRAINING, STATE, SUMS = "model.safetensors", "training.safetensors", "state.json", "SHA256SUMS"

MAX_STATE_VALUES = 600_000
"""The most values in `state.json`: enough for as many epochs."""

SUMS_OF_FORMAT_1 = table_of({MODEL: TEXT, TRAINING: TEXT})

MAX_SUMS_BYTES = 1000
"""The largest `SHA256SUMS` that is read."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes
    ----------
    path : Path
    model : Network
        With the weights, preprocessing and class names.
    state : TrainingState
    extra : dict
        Other stored values, as JSON.
    """

    path: Path
    model: Network
    state: TrainingState
    extra: dict[str, Any]


def save_checkpoint(folder: Path, model: Network, state: TrainingState, extra: dict[str, Any]) -> Path:
    """Write the next checkpoint and remove all but the last two.

    Parameters
    ----------
    folder : Path
        The `checkpoints` folder of a run.
    model : Network
    state : TrainingState
        Of the same model.
    extra : dict
        Anything else that JSON can hold.

    Raises
    ------
    NonFiniteError
        A weight is infinite or NaN, so training could not continue from it. Nothing is written.
    ModelError
        The checkpoint cannot be written; earlier ones are intact, and no partial one is left.
    """
    for name, w in model.state.items():
        if not is_finite(w):
            raise NonFiniteError(
                f"step {state.step_count}: {name} is not finite after its update; the learning rate is too high: lower "
                f"--lr or add --warmup",
                step=state.step_count - 1,  # updates before the faulty one
                layer=name.partition(".")[0],
                array=name,
            )
    arrays = {f"optimizer/{name}": array for name, array in state.optimizer_state.items()}
    arrays |= {f"best/{name}": array for name, array in state.best_parameters.items()}
    arrays |= {f"average/{name}": array for name, array in state.average.items()}
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
    write_folder_atomically(path, files, beneath=folder.parent)
    for old in there[KEPT - 1 :]:
        _remove(old)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest first."""
    try:
        with Folder(folder, folder.parent) as opened:
            names = opened.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read ({error.strerror or error}); check its permissions") from None
    numbers = [name for name in names if name.isdecimal() and name.isascii() and len(name) <= 12]
    return [folder / name for name in sorted(numbers, key=int, reverse=True)]


def load_newest(folder: Path) -> tuple[Checkpoint, list[str]]:
    """Read the newest intact checkpoint, and return why newer ones were skipped.

    Raises
    ------
    ModelError
        There is no intact checkpoint.
    """
    faults: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path), faults
        except ModelError as error:
            faults.append(str(error))
    raise ModelError(faults[0] if faults else f"{folder}: no checkpoint found; start the training again")


def load_weights(checkpoint: Checkpoint) -> Network:
    """Return the model with the final weights of a training that ended at this checkpoint."""
    checkpoint.model.load_parameters(checkpoint.state.final_parameters)
    return checkpoint.model


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Sizes, names, types, shapes and checksums are checked before anything is used, and nothing is executed: checkpoints
    from untrusted sources are safe to load.

    Raises
    ------
    ModelError
        A part is missing, damaged, or does not match the others.
    """
    path = Path(path)
    table, sums = _read_table(path)
    try:
        for name in (MODEL, TRAINING):
            with open_regular(path / name, beneath=_run_of(path)) as file:
                if os.fstat(file.fileno()).st_size > available_memory():  # not read for hours to be refused afterwards
                    raise ModelError(f"{path / name}: larger than the available memory; use an older checkpoint")
                if hashlib.file_digest(cast("io.BufferedReader", file), "sha256").hexdigest() != sums[name]:
                    raise _damaged(path / name)
        model = read_model(path / MODEL, beneath=_run_of(path))
        arrays = _read_training(path / TRAINING, model, table)
        history = History(
            losses=arrays.pop("history/losses").tolist(),
            learning_rates=arrays.pop("history/learning_rates").tolist(),
            epochs=_epochs(path, table),
        )
        state = TrainingState(
            plan=dict(table["plan"]),
            progress=dict(table["progress"]),
            generators={str(name): dict(value) for name, value in table["generators"].items()},
            step_count=table["step_count"],
            history=history,
            parameters=model.state,
            optimizer_state=_under("optimizer/", arrays),
            best_parameters=_under("best/", arrays),
            average=_under("average/", arrays),
        )
        return Checkpoint(path, model, state, dict(table["extra"]))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); use an older checkpoint") from None


def steps_done(path: Path) -> int:
    """Return the number of updates before a checkpoint, without reading its arrays.

    Raises
    ------
    ModelError
        The checkpoint cannot be read, or is damaged.
    """
    return int(_read_table(path)[0]["progress"]["step"])


def _read_table(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the contents of a checkpoint's `state.json`, and the checksums of the other files by name."""
    text = read_bounded(path / STATE, MAX_STATE_BYTES, beneath=_run_of(path))
    table = parse_json(text, str(path / STATE), MAX_STATE_VALUES)
    version = table.get("format") if isinstance(table, dict) else None
    if version == 1:
        check_fields(table, {**STATE_FIELDS, "sha256": SUMS_OF_FORMAT_1}, str(path / STATE))
        return table, table["sha256"]
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path / STATE}: expected a checkpoint of format {FORMAT_VERSION}; it comes from another version"
        )
    lines = read_bounded(path / SUMS, MAX_SUMS_BYTES, beneath=_run_of(path)).decode("ascii", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if hashlib.sha256(text).hexdigest() != sums.get(STATE):
        raise _damaged(path / STATE)
    if not sums.keys() >= {MODEL, TRAINING}:
        raise ModelError(f"{path / SUMS}: the checksum of a file is missing; the file is damaged")
    check_fields(table, STATE_FIELDS, str(path / STATE))
    return table, sums


def _run_of(path: Path) -> Path:
    """Return the run folder of a checkpoint; no part of the path below it may be a link."""
    return path.parents[1]


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path}: the checksum differs from the one stored with the checkpoint; the file is damaged")


def _read_training(path: Path, model: Network, table: dict[str, Any]) -> dict[str, Array]:
    """Read the arrays other than the model's, after checking their names and shapes."""
    rule = table["plan"]["optimizer"]["name"]
    if rule not in OPTIMIZERS:
        raise ModelError(f"{path.with_name(STATE)}: unknown optimizer {rule[:40]!r}")
    own = {name: entry_of(array) for name, array in model.state.items()}
    expected = {f"optimizer/{slot}/{name}": own[name] for slot in OPTIMIZERS[rule].slots for name in model.parameters}
    if table["has_best"]:
        expected |= {f"best/{name}": entry for name, entry in own.items()}
    if table["plan"].get("ema") is not None:
        expected |= {f"average/{name}": entry for name, entry in own.items()}
    steps = ArrayEntry("F64", (table["steps"],))
    expected |= {"history/losses": steps, "history/learning_rates": steps}
    with open_arrays(path, beneath=_run_of(path.parent)) as stored:
        compare_arrays(path, stored.header, expected, f"{rule} on the network {model.notation[:80]!r}")
        return stored.read()


def _epochs(path: Path, table: dict[str, Any]) -> list[EpochDone]:
    epochs, done = table["epochs"], table["progress"]["epoch"]
    if len(epochs) != done:
        raise ModelError(f"{path / STATE}: epochs: expected {done}, the number completed; found {len(epochs)}")
    names = [field.name for field in fields(EpochDone)]
    return [EpochDone(**{name: epoch[name] for name in names if name in epoch}) for epoch in epochs]


def _under(prefix: str, arrays: dict[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _remove(path: Path) -> None:
    try:
        remove_folder(path, beneath=_run_of(path))
    except OSError:
        return  # the next call tries again
