"""Engines, which `fit` and `predict` run: a network, its loss, and a way to compute them."""

from __future__ import annotations

from rot180.engine.interface import Engine, StepResult, Updater
from rot180.engine.reference import ReferenceEngine
from rot180.errors import ArgumentError, did_you_mean
from rot180.nn.loss import Loss
from rot180.nn.network import Network

__all__ = ["ENGINES", "Engine", "ReferenceEngine", "StepResult", "Updater", "make_engine"]

ENGINES = ("auto", "compiled", "numpy")


def make_engine(name: str, model: Network, loss: Loss) -> Engine:
    """Return the engine of this name for a built model; `auto` is the fastest one that can run it.

    Raises
    ------
    ArgumentError
        The name is unknown.
    """
    if name not in ENGINES:
        raise ArgumentError(f"unknown engine {name!r}{did_you_mean(name, ENGINES)}")
    if name == "numpy":
        return ReferenceEngine(model, loss)
    # Kernels, and LLVM, which loads them, take a moment to import; users of the NumPy engine need not wait for them.
    from rot180.engine.compiled import CompiledEngine

    return CompiledEngine(model, loss)
