"""The engine that a model keeps for inference, so that many small calls need not prepare it again."""

from __future__ import annotations

import operator
from typing import Any

from rot180.engine import Engine, make_engine
from rot180.nn.loss import SquaredErrorLoss
from rot180.nn.sequential import Sequential

_PLACE = "_inference_engines"


class _Engines(dict[str, tuple[Engine, list[Any]]]):
    """Engines by name, with what they were made for. They stay behind when the model is copied or pickled."""

    def __deepcopy__(self, memo: object) -> _Engines:
        return _Engines()

    def __reduce__(self) -> tuple[type[_Engines], tuple[()]]:
        return _Engines, ()


def inference_engine(name: str, model: Sequential) -> Engine:
    """Return the model's engine of this name, made anew if the network is another than it was.

    Its loss is of no use: inference needs none.

    Parameters
    ----------
    name : str
        As in `make_engine`.
    model : Sequential
        Built.

    Examples
    --------
    >>> from rot180.nn import network
    >>> model = network("2x2x1 > fc2").build()
    >>> inference_engine("auto", model) is inference_engine("auto", model)
    True
    """
    # Beside the model in its own dictionary, not in one of all models: an engine refers to its model, which would
    # then never be let go.
    engines: _Engines = vars(model).setdefault(_PLACE, _Engines())
    made_for = _made_for(model)
    found = engines.get(name)
    if found is not None and found[0].model is model and len(found[1]) == len(made_for):
        # The same objects, not equal ones: a layer of the user's own may hold arrays, which say nothing to ==.
        if all(map(operator.is_, found[1], made_for)):
            return found[0]
    engine = make_engine(name, model, SquaredErrorLoss())
    engines[name] = engine, made_for
    return engine


def _made_for(model: Sequential) -> list[Any]:
    """All that an engine takes as given: shape, type, and the layers' hyper-parameters."""
    given: list[Any] = [model.input_shape, model.dtype]
    for layer in model.layers:
        given += [value for name, value in vars(layer).items() if name != "parameters"]
    return given
