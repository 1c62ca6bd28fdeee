"""`rot180 pull`: fetch a network from a repository of a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rot180.cli.options import Json


def pull(
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; @REVISION may follow.")],
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision", help="A branch, tag or commit; by default the newest of the main branch.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder to create; by default the repository's name, in this folder.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a network that rot180 push has sent to a model hub.

    What is downloaded is compared with the hub's checksum, and nothing in it is
    executed. The new folder holds the weights, the configuration and the card,
    and stands for a run in predict, explain, export and other commands. For
    weights of other programs, see rot180 import.

    A private repository needs a token: that of hf auth login (with the package
    rot180[hub]), or HF_TOKEN. HF_ENDPOINT is the address of another hub.

    Examples:

      rot180 pull me/digits

      rot180 pull me/digits@experiment --out runs/theirs
    """
    from rot180.cli.failure import warn
    from rot180.cli.output import percent, print_json, visible
    from rot180.cli.reading import reading_bar
    from rot180.files import quoted
    from rot180.runs.repository import pull as fetch

    with reading_bar() as progress:
        found = fetch(name, out, revision=revision, progress=progress)
    parameters = found.model.summary().parameters
    if json:
        print_json(
            {
                "path": found.path,
                "repository": found.repository,
                "license": found.license,
                "network": found.model.notation,
                "parameters": parameters,
                "classes": found.model.class_names,
                "measured": found.measured,
                "note": found.note,
            }
        )
        return
    if found.note:
        warn(f"{visible(name)}: {found.note}")
    license = f", license {visible(found.license)}" if found.license else ""
    print(f"weights: {visible(found.repository)}{license}")
    print(f"network: {found.model} ({parameters:,} parameters)")
    if "test" in found.measured:
        print(f"test accuracy according to the repository: {percent(found.measured['test']['accuracy'])}")
    print(f"written to {visible(found.path)}; use the network with: rot180 predict {visible(quoted(found.path))} IMAGE")
