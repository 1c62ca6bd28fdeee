"""One explorer for all tests of this folder: the command itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import NETWORK, Served, end, start


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    process, served = start(NETWORK, "--data", "digits", "--engine", "numpy")
    served.open()
    yield served
    end(process)
