"""A short form of soak_requests.py."""

from __future__ import annotations

from asking import Server
from soak_requests import soak


def test_generated_requests_are_answered_with_4xx_and_change_nothing(server: Server) -> None:
    found = soak(server, 150, seed=1)
    assert found["wrong"] == []
    assert found["unchanged"]
    assert sum(count for status, count in found["statuses"].items() if 400 <= status < 500) > 75
