"""`rot180 models`: list the named networks, or show one network layer by layer."""

from __future__ import annotations

from typing import Annotated

import typer

from rot180.cli.options import Json

SHOWN = 160
"""The most characters of a notation in the list; `rot180 models NAME` prints all of it."""


def models(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A model name or a network in the notation, to show layer by layer.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the named models and recipes, or show one network layer by layer.

    A named model is adapted to the size of the images and to the number of
    classes that it is trained with.

    Examples:

      rot180 models

      rot180 models lenet5

      rot180 models "28x28x1 > conv5x5:8 relu maxpool2 > fc10"
    """
    from rot180.cli.output import print_json
    from rot180.language import translate
    from rot180.nn import MODELS, NAMED_MODELS
    from rot180.nn import model as make_model
    from rot180.training.recipe import NAMED_RECIPES

    if model is not None:
        network = make_model(model)
        table = network.summary()
        if json:
            print_json({"notation": network.notation, **table.to_dict()})
        else:
            print(network.notation, table, sep="\n\n")
        return

    rows = []
    for name, named in NAMED_MODELS.items():
        table = make_model(name).summary()
        numbers = {"parameters": table.parameters, "multiply_adds": table.multiply_adds}
        rows.append({"name": name, "notation": MODELS[name], "description": named.description, **numbers})
    if json:
        recipes = [{"name": name, "description": named.description} for name, named in NAMED_RECIPES.items()]
        print_json({"models": rows, "recipes": recipes})
        return
    for row in rows:
        print(f"{row['name']}: {translate(str(row['description']))}")
        print(f"  {row['parameters']:,} parameters, {row['multiply_adds']:,} multiply-adds per image")
        notation = str(row["notation"])
        print(f"  {notation if len(notation) <= SHOWN else notation[: SHOWN - 1] + '…'}\n")
    print(
        "Train one: rot180 train --model NAME. See its layers: rot180 models NAME. "
        'Write your own: --model "8x8x1 > fc10".\n'
    )
    print("Recipes, settings for training (rot180 train --recipe NAME):")
    for name, recipe in NAMED_RECIPES.items():
        print(f"  {name}: {translate(recipe.description)}")
