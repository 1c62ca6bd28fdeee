"""Whether the data of a run are those that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rot180.errors import ArgumentError

DATA, WHOLE = "data", "data_whole"
"""Names in `environment.json`: the fingerprint, and the one of every byte where the first is of a sample."""

SAMPLED = "data_sampled"
"""Whether the first is of a sample."""


def check_data(
    then: Mapping[str, Any], now: Mapping[str, Any], name: str, *, force: bool, tell: Callable[[str], None]
) -> None:
    """Compare the fingerprints of a run's data with those of its start, and tell what was not compared.

    Parameters
    ----------
    then, now : mapping
        What `rot180.runs.environment.environment` returned at the start, and returns now.
    name : str
        Of the data.
    force : bool
        Whether data that differ are told instead of refused.
    tell : callable
        Called with each thing worth knowing.

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
        tell("no checksum of every byte of the data was noted when the run began; it is noted now")
    elif now.get(SAMPLED) and WHOLE not in now:
        more = "--verify compares every byte" if WHOLE in then else "--verify, from the start of a run, compares all"
        tell(f"of each large image file, 12 KB were compared with those the run was trained on; {more}")
