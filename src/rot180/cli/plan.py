"""`rot180 plan`: show how the compiled engine runs a network."""

from __future__ import annotations

from typing import Annotated

import typer

from rot180.cli.network_argument import HELP
from rot180.cli.options import Json


def plan(
    network: Annotated[str, typer.Argument(metavar="MODEL-OR-RUN", help=HELP)],
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="Images in a step.")] = 32,
    optimizer: Annotated[str, typer.Option("--optimizer", help="sgd, adam, adamw, muon or rmsprop.")] = "adam",
    inference: Annotated[bool, typer.Option("--inference", help="Plan the forward pass only.")] = False,
    json: Json = False,
) -> None:
    """Show how the compiled engine runs a network: which layers are fused, in which steps.

    Each step is listed with its layers, its multiply-adds and the bytes that
    it reads and writes for a batch, followed by the sums and the total size of
    the buffers, which the steps share. A convolution "in tiles" is computed by
    minimal filtering, which makes fewer multiply-adds than are listed.

    Examples:

      rot180 plan cnn-32-64-512

      rot180 plan runs/first --batch-size 1 --inference
    """
    from rot180.cli.network_argument import read_network
    from rot180.cli.output import print_json
    from rot180.nn.validation import whole_number
    from rot180.training import Trainer

    whole_number(batch_size, "--batch-size")
    model = read_network(network)
    trainer = Trainer(model, optimizer=optimizer, engine="compiled")
    from rot180.engine.compiled import CompiledEngine

    engine = trainer.prepare(model.input_shape)
    if not isinstance(engine, CompiledEngine):
        raise TypeError("the compiled engine was asked for")
    found = engine.plan(batch_size, trainer.optimizer, training=not inference)
    if json:
        print_json({"network": model.notation, **found.to_dict()})
        return
    print(model.notation, found, sep="\n\n")
