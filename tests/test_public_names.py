"""The exported names are there, sorted, documented and cheap to import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rot180

NAMES = [name for name in rot180.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_name_is_documented(name: str) -> None:
    value = getattr(rot180, name)
    assert getattr(value, "__doc__", None), f"{name} has no docstring"
    assert f"`{name}`" in (rot180.__doc__ or ""), f"{name} is not in the table of the package's docstring"


def test_the_documented_names_are_the_exported_ones() -> None:
    documented = re.findall(r"`(\w+)`", rot180.__doc__ or "")
    assert sorted(documented) == sorted(NAMES)
    assert sorted(rot180.__all__) == dir(rot180)


def test_type_checkers_see_the_exported_names() -> None:
    tree = ast.parse(Path(rot180.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(seen) == sorted(NAMES)
    assert seen == {name: rot180._HOME.get(name, "rot180.nn") for name in NAMES}


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'rot180' has no attribute 'Conv3d'"):
        rot180.Conv3d  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, rot180; print([name for name in sys.modules if name in ('numpy', 'matplotlib', 'numba')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
