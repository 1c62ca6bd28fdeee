"""`rot180 push`: send a run to a repository of a model hub."""

from __future__ import annotations

from typing import Annotated

import typer

from rot180.cli.options import Json, RunPath


def push(
    run: RunPath,
    name: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The repository, which is created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as private.")] = False,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="BRANCH",
            help="The branch to send to, which is created if it does not exist; by default the main one.",
            show_default=False,
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="How others may use the network: an identifier of the hub, such as mit, apache-2.0 or cc-by-4.0.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Send a run to a repository of a model hub: its weights, its configuration and a card with the measured figures.

    The card's first lines tell the hub the license, the kind of network and
    the test accuracy. No path of this machine is sent. Others fetch the
    network with rot180 pull OWNER/NAME, or start from it with
    rot180 train DATA --from OWNER/NAME; it predicts the same bits there.

    Needs a package, pip install "rot180[hub]", and a token that may write: that
    of hf auth login, or HF_TOKEN. HF_ENDPOINT is the address of another hub.

    Examples:

      rot180 push runs/first me/digits --license mit

      rot180 push runs/photos me/photos --private --revision experiment
    """
    import sys

    from rot180.cli.failure import warn
    from rot180.cli.output import print_json, visible
    from rot180.interop.hub import hub_address
    from rot180.runs.repository import push as send

    is_terminal = sys.stderr.isatty() and not json
    commit = send(run, name, private=private, revision=revision, license=license, tell=warn, shows_progress=is_terminal)
    plain = name.partition("@")[0]
    if json:
        print_json({"repository": plain, "commit": commit, "address": f"{hub_address()}/{plain}"})
        return
    print(f"sent to {visible(hub_address())}/{visible(plain)}, commit {visible(commit[:12])}")
    print(f"fetch it with: rot180 pull {visible(plain)}")
