"""The `rot180` command and its subcommands, one file each.

These files import nothing heavy at the top, so that `rot180 --help` responds in under half a second. NumPy and the
other packages are imported inside the functions that use them.
"""

from __future__ import annotations

from typing import Annotated

import typer

from rot180 import __version__
from rot180.cli.check import check
from rot180.cli.compare import compare
from rot180.cli.cost import cost
from rot180.cli.data import data
from rot180.cli.evaluate import evaluate
from rot180.cli.explain import explain
from rot180.cli.explore import explore
from rot180.cli.export import export
from rot180.cli.features import features
from rot180.cli.find_lr import find_lr
from rot180.cli.health import health
from rot180.cli.import_weights import import_weights
from rot180.cli.journey import journey
from rot180.cli.launch import launch
from rot180.cli.models import models
from rot180.cli.plan import plan
from rot180.cli.predict import predict
from rot180.cli.pull import pull
from rot180.cli.push import push
from rot180.cli.runs import runs
from rot180.cli.serve import serve
from rot180.cli.show import show
from rot180.cli.train import train
from rot180.cli.tune import tune

HELP = """
Train and use convolutional networks you can see through.

[bold]First steps[/bold]

  rot180 train                          train on the bundled digits

  rot180 train path/to/mnist            train on a folder of MNIST files

  rot180 predict runs/first my.png      classify an image

Every command has its own help: rot180 train --help.
"""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"rot180 {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, help=HELP)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    lang: Annotated[
        str | None,
        typer.Option(
            "--lang",
            metavar="en|zh",
            help="Language of the output; by default that of the environment (LANG). May appear anywhere.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the help if no command is given; `main` has already removed `--lang` from the arguments."""
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command()(train)
app.command(context_settings={"allow_interspersed_args": False})(launch)  # the rest belongs to the command
app.command("find-lr")(find_lr)
app.command()(tune)
app.command()(evaluate)
app.command()(predict)
app.command()(features)
app.command()(export)
app.command("import")(import_weights)
app.command()(serve)
app.command()(push)
app.command()(pull)
app.command()(show)
app.command()(journey)
app.command()(explain)
app.command()(explore)
app.command()(check)
app.command()(health)
app.command()(cost)
app.command()(plan)
app.command()(compare)
app.command()(models)
app.command()(runs)
app.add_typer(data, name="data")
