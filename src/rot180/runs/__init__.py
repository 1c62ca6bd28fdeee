"""The run folder: configuration, history, weights and pictures of one training; and models as single files."""

from rot180.runs.folder import Run, RunFolder, create_numbered_run, create_run, load_run
from rot180.runs.history_file import HistoryWriter
from rot180.runs.model_file import load_model, save_model

__all__ = [
    "HistoryWriter",
    "Run",
    "RunFolder",
    "create_numbered_run",
    "create_run",
    "load_model",
    "load_run",
    "save_model",
]
