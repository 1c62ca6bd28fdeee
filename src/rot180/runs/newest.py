"""The newest weights of a run, from its final model or from a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from rot180.errors import ModelError
from rot180.nn.network import Network
from rot180.runs.checkpoint import list_checkpoints, load_checkpoint, load_newest, load_weights, steps_done
from rot180.runs.history_file import is_milestone, iterate_records
from rot180.runs.model_file import read_model, stored_step


def newest_weights(model_path: Path, checkpoints: Path, history_path: Path) -> Network:
    """Return a run's model with its newest weights.

    `model.safetensors` is written when a training ends or is interrupted. After a training that was resumed and then
    killed, it is older than the checkpoints; so it is used only if no intact checkpoint has more updates.

    Parameters
    ----------
    model_path, checkpoints, history_path : Path
        Paths of a `RunFolder`.

    Raises
    ------
    ModelError
        There are no weights, or they are damaged.
    """
    if not os.path.lexists(model_path):
        return load_weights(load_newest(checkpoints)[0])
    stored = stored_step(model_path)
    if stored is not None or _went_on(history_path):
        for path in list_checkpoints(checkpoints):
            try:
                if stored is not None and steps_done(path) <= stored:
                    break
                return load_weights(load_checkpoint(path))
            except ModelError:
                continue  # damaged: an older one may still be newer than the file
    return read_model(model_path)


def _went_on(history_path: Path) -> bool:
    """Return whether a training was resumed after it last ended; used if the weights do not record their step."""
    events = [record["event"] for record in iterate_records(history_path) if is_milestone(record)]
    return "resumed" in events and "ended" not in events[len(events) - events[::-1].index("resumed") :]
