"""`rot180 explore`: a page on which a network trains, is looked at, and is taken apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rot180.cli.extras import Port, extra
from rot180.cli.options import Engine


def explore(
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|MODEL",
            help="A run folder or weights file; or an untrained network: a name from rot180 models, or a notation. By "
            "default the network that rot180 train would train.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Data to look at and to train on; by default the run's own, or the bundled digits.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of an untrained network and of its training.")] = 0,
    engine: Engine = "auto",
    beside: Annotated[
        str | None,
        typer.Option(
            "--beside",
            metavar="RUN",
            help="Another run, whose losses, weights and answers are shown beside this one's on the page Time.",
            show_default=False,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE.html",
            help="Write the page as one file that works without a server and without a network, and end: one image of "
            "each class, with the pages that need no running program.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", help="Address to serve on. Others than this machine's are unencrypted; use an SSH tunnel."
        ),
    ] = "127.0.0.1",
    port: Port = 0,
    browser: Annotated[
        bool | None,
        typer.Option(
            "--browser/--no-browser",
            help="Open the page in a browser, or not; by default if the output is a terminal.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the address as one JSON object and nothing else.")
    ] = False,
) -> None:
    """Serve a page on this machine on which a network is taken apart.

    Train it step by step, follow an image through every layer and back, and
    see each number of the network with all the products whose sum it is,
    forward and backward. Needs the extra explore:
    pip install 'rot180[explore]'. Ctrl-C ends it.

    The printed address is good for one browser, and for this machine only.

    Examples:

      rot180 explore

      rot180 explore runs/first

      rot180 explore runs/first --beside runs/second

      rot180 explore runs/first --export lesson.html

      rot180 explore lenet5 --data path/to/mnist

      rot180 explore "8x8x1 > conv3x3:4 relu maxpool2 > fc10"
    """
    import sys

    from rot180.cli.failure import warn
    from rot180.cli.new_file import new_file
    from rot180.cli.output import print_json
    from rot180.cli.quantity import memory
    from rot180.cli.reading import reading_bar

    with extra("explore"):
        from rot180.explore import explore as serve
        from rot180.explore import open_beside, open_subject, write_lesson

    if export is not None:
        new_file(export, "--export", ".html", ".htm")
    with reading_bar() as progress:
        subject = open_subject(network, data=data, seed=seed, engine=engine, progress=progress, tell=warn)
        if beside is not None:
            subject = open_beside(subject, beside)
        if export is not None:
            write_lesson(subject, export, progress)
            size = export.stat().st_size
            if json:
                print_json({"file": str(export), "bytes": size})
            else:
                print(f"{export}: {memory(size)}; open it in any browser")
            return

    def ready(address: str) -> None:
        if json:
            print_json({"address": address})
        else:
            print(f"open in a browser: {address}")
            print("Ctrl-C ends it")
        sys.stdout.flush()
        if browser or (browser is None and sys.stdout.isatty() and not json):
            import webbrowser

            webbrowser.open(address)

    serve(subject, host=host, port=port, ready=ready, tell=warn)
