"""The engine that a model keeps for inference, so that repeated small calls do not prepare it again."""

from __future__ import annotations

from rot180.engine import Engine, make_engine
from rot180.nn.loss import SquaredErrorLoss
from rot180.nn.network import Network

_PLACE = "_inference_engines"


class _Engines(dict[str, Engine]):
    """Engines by name. They are not copied or pickled with the model."""

    def __deepcopy__(self, memo: object) -> _Engines:
        return _Engines()

    def __reduce__(self) -> tuple[type[_Engines], tuple[()]]:
        return _Engines, ()


def inference_engine(name: str, model: Network) -> Engine:
    """Return the model's engine of this name; created at the first call, it follows changes of the model.

    Its loss is a placeholder: inference needs none.

    Parameters
    ----------
    name : str
        As in `make_engine`.
    model : Network
        Built.

    Examples
    --------
    >>> from rot180.nn import network
    >>> model = network("2x2x1 > fc2").build()
    >>> inference_engine("auto", model) is inference_engine("auto", model)
    True
    """
    # Stored in the model itself, not in a dictionary of all models: an engine refers to its model, which would then
    # never be freed.
    engines: _Engines = vars(model).setdefault(_PLACE, _Engines())
    found = engines.get(name)
    if found is None or found.model is not model:
        found = engines[name] = make_engine(name, model, SquaredErrorLoss())
    return found
