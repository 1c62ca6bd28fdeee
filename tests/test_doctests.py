"""Every example in a docstring runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import rot180

FOUND = ["rot180", *(module.name for module in pkgutil.walk_packages(rot180.__path__, "rot180."))]
MODULES = [name for name in FOUND if name != "rot180.parallel.mpi"]  # importing it starts MPI


NEEDS = {"rot180.estimator": "sklearn", "rot180.tuning": "optuna"}
"""Rooms that cannot be imported without a package."""


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    for room, package in NEEDS.items():
        if name.startswith(f"{room}."):
            pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.chdir(tmp_path)  # an example that writes a file does so here
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples in {name} failed; see above"
