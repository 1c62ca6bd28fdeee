"""Work ahead: order, errors, how much is ahead, and an end half-way."""

from __future__ import annotations

import threading
import time

import pytest

from rot180.data.loader import read_ahead


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_order_is_kept(workers: int) -> None:
    def make(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    assert list(read_ahead(make, range(20), workers=workers)) == list(range(20))


def test_an_error_comes_at_its_place() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise ValueError("number three")
        return number

    seen = []
    with pytest.raises(ValueError, match="number three"):
        seen.extend(read_ahead(make, range(10), workers=2))
    iterator = read_ahead(make, range(10), workers=2)
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]


def test_it_is_not_too_far_ahead_and_ends_when_it_is_closed() -> None:
    begun: list[int] = []
    before = threading.active_count()
    iterator = read_ahead(lambda number: begun.append(number) or number, range(1000), workers=2, ahead=2)
    assert next(iterator) == 0
    time.sleep(0.05)
    assert len(begun) <= 6
    iterator.close()
    time.sleep(0.05)
    assert len(begun) <= 6
    assert threading.active_count() <= before  # threads of earlier tests may have ended meanwhile
