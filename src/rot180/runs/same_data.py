"""Compare the data of a run with those that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rot180.errors import ArgumentError

DATA, WHOLE = "data", "data_whole"
"""Names in `environment.json`: the fingerprint, and that of every byte if the first is of a sample."""

SAMPLED = "data_sampled"
"""Whether the first fingerprint is of a sample."""


def check_data(
    then: Mapping[str, Any], now: Mapping[str, Any], name: str, *, force: bool, tell: Callable[[str], None]
) -> None:
    """Compare the fingerprints of a run's data with those at its start, and report what was not compared.

    Parameters
    ----------
    then, now : mapping
        Results of `rot180.runs.environment.environment`, at the start of the run and now.
    name : str
        The name of the data.
    force : bool
        Report different data instead of raising an error.
    tell : callable
        Called with each warning.

    Raises
    ------
    ArgumentError
        The data differ.
    """
    for key in (DATA, WHOLE):
        if key in then and key in now and then[key] != now[key]:
            if not force:
                raise ArgumentError(
                    f"{name}: the data differ from those the run was trained on (fingerprint {str(now[key])[:12]}, "
                    f"then {str(then[key])[:12]}); give the same data, or --force"
                )
            tell("the data differ from those the run was trained on")
            return
    if WHOLE in now and WHOLE not in then:
        tell("no checksum of every byte of the data was stored when the run started; it is stored now")
    elif now.get(SAMPLED) and WHOLE not in now:
        more = "--verify compares every byte" if WHOLE in then else "start runs with --verify to compare all"
        tell(f"only 12 KB of each large image file were compared with those the run was trained on; {more}")
