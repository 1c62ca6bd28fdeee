"""A command whose extra is not installed says how to install it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rot180.cli.extras import PACKAGES, extra
from rot180.errors import ArgumentError

WITHOUT = """
import sys

class Missing:
    def find_spec(name, path, target=None):
        if name in {missing!r}:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Missing)
from rot180.cli import main
print([main([command, "digits"]) for command in {commands!r}])
"""


def test_a_command_without_its_extra_says_what_to_install() -> None:
    missing = {package for packages in PACKAGES.values() for package in packages}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=missing, commands=list(PACKAGES))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{[2] * len(PACKAGES)}\n"
    assert done.stderr.splitlines() == [
        f"rot180: {command} needs the extra {command}: pip install 'rot180[{command}]'" for command in PACKAGES
    ]


@pytest.mark.parametrize("command", PACKAGES)
def test_only_what_belongs_to_the_extra_is_taken_for_it(command: str) -> None:
    for package in PACKAGES[command]:
        with (
            pytest.raises(ArgumentError, match=rf"{command} needs the extra {command}: pip install 'rot180\["),
            extra(command),
        ):
            raise ModuleNotFoundError(name=package)
    with pytest.raises(ModuleNotFoundError), extra(command):
        raise ModuleNotFoundError(name="rot180.missing")
