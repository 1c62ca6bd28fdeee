"""The configuration of a model as a list of calls of layers, models inside models resolved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rot180.errors import ModelError, short
from rot180.interop.keras.container import snake_case

MODELS = ("Model", "Functional", "Sequential")
"""Classes that hold layers."""

MAX_CALLS = 5_000
MAX_DEPTH = 8

MAX_PASSES = 50
"""How often the layers of a graph are gone through; Keras lists them in an order in which once is enough."""


@dataclass(frozen=True)
class LayerCall:
    """A layer, called with the outputs of earlier calls.

    Attributes
    ----------
    kind : str
        The class of the layer.
    names : tuple of str
        Its name, after those of the models that it is inside.
    place : str
        The path of its variables by class and number.
    config : dict
    inputs : tuple of int
        The places of the calls that it reads.
    """

    kind: str
    names: tuple[str, ...]
    place: str
    config: dict[str, Any]
    inputs: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its name in messages."""
        return short("/".join(self.names))


class _Fault(Exception):
    """What is wrong with a configuration."""


def read_calls(path: Path, config: dict[str, Any]) -> tuple[list[LayerCall], int]:
    """Return the calls of a model, each after those that it reads, and the place of the output.

    Raises
    ------
    ModelError
        The configuration is damaged, or describes what is no chain or graph of layers with one input and one output.
    """
    try:
        reader = _Reader()
        kind, settings = _kind(config), config.get("config")
        output = reader.model(kind, settings, (), "", None, 0)
        return reader.calls, output
    except _Fault as fault:
        raise ModelError(f"{path}: the model cannot be imported: {fault}") from None
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        why = str(error)[:80] or type(error).__name__
        raise ModelError(f"{path}: the configuration of the model cannot be read ({why}); use another copy") from None


def _kind(entry: dict[str, Any]) -> str:
    kind = entry["class_name"]
    if not isinstance(kind, str):
        raise TypeError("class_name")
    return kind.rpartition(">")[2]  # "MyPackage>MyLayer"


class _Reader:
    """The calls read so far."""

    def __init__(self) -> None:
        self.calls: list[LayerCall] = []

    def model(
        self, kind: str, config: Any, names: tuple[str, ...], place: str, inputs: tuple[int, ...] | None, depth: int
    ) -> int:
        """Append the calls of a model's layers, and return the place of its output; `inputs` is None at the top."""
        if kind not in MODELS:
            raise _Fault(f"a model of class {short(kind)} is not supported; only Sequential and Functional models are")
        if depth > MAX_DEPTH:
            raise _Fault(f"models are inside models, more than {MAX_DEPTH} of them")
        entries = config if isinstance(config, list) else config["layers"]
        places = self._places(entries, place)
        if kind == "Sequential" or isinstance(config, list):
            return self._chain(entries, config, names, places, inputs, depth)
        return self._graph(entries, config, names, places, inputs, depth)

    def _places(self, entries: list[dict[str, Any]], place: str) -> list[str]:
        """Return the path of each layer's group: by class, and its number among the layers of this class."""
        counts: Counter[str] = Counter()
        found = []
        for entry in entries:
            name = snake_case(_kind(entry))
            found.append(f"{place}layers/{name}_{counts[name]}" if counts[name] else f"{place}layers/{name}")
            counts[name] += 1
        return found

    def _call(
        self, entry: dict[str, Any], names: tuple[str, ...], place: str, inputs: tuple[int, ...], depth: int
    ) -> int:
        """Append a layer's call, or those of a model's layers, and return the place of its output."""
        kind, config = _kind(entry), entry.get("config")
        own = (*names, _name(entry) or kind)
        if kind in MODELS:
            return self.model(kind, config, own, f"{place}/", inputs, depth + 1)
        if not isinstance(config, dict):
            raise TypeError("config")
        if len(self.calls) >= MAX_CALLS:
            raise _Fault(f"a model may have at most {MAX_CALLS:,} layers")
        self.calls.append(LayerCall(kind, own, place, config, inputs))
        return len(self.calls) - 1

    def _chain(
        self,
        entries: list[dict[str, Any]],
        config: Any,
        names: tuple[str, ...],
        places: list[str],
        inputs: tuple[int, ...] | None,
        depth: int,
    ) -> int:
        if inputs is None:
            first = entries[0] if entries else {}
            if _kind(first) != "InputLayer":
                shape = _input_shape(first, config)
                self._call({"class_name": "InputLayer", "config": {"batch_shape": shape}}, names, "", (), depth)
                inputs = (len(self.calls) - 1,)
        at = -1 if inputs is None else _only(inputs)
        for entry, place in zip(entries, places, strict=True):
            if _kind(entry) == "InputLayer" and at >= 0:
                continue
            at = self._call(entry, names, place, () if at < 0 else (at,), depth)
        return at

    def _graph(
        self,
        entries: list[dict[str, Any]],
        config: dict[str, Any],
        names: tuple[str, ...],
        places: list[str],
        inputs: tuple[int, ...] | None,
        depth: int,
    ) -> int:
        given, wanted = _ends(config["input_layers"]), _ends(config["output_layers"])
        if len(given) != 1 or len(wanted) != 1:
            raise _Fault(
                f"a network has one input and one output; the model {short('/'.join(names) or 'itself')} has "
                f"{len(given)} and {len(wanted)}"
            )
        outputs: dict[str, int] = {}
        waiting = [(entry, place, _name(entry), _reads(entry)) for entry, place in zip(entries, places, strict=True)]
        for _ in range(MAX_PASSES):
            left = []
            for entry, place, name, reads in waiting:
                if _kind(entry) == "InputLayer" and inputs is not None:
                    outputs[name] = _only(inputs)
                elif all(read in outputs for read in reads):
                    outputs[name] = self._call(entry, names, place, tuple(outputs[read] for read in reads), depth)
                else:
                    left.append((entry, place, name, reads))
            waiting = left
        if waiting:
            raise _Fault(f"the layer {short(waiting[0][2])} reads what no layer before it makes")
        return outputs[wanted[0]]


def _setting(config: Any, name: str, otherwise: Any) -> Any:
    return config.get(name, otherwise) if isinstance(config, dict) else otherwise


def _only(inputs: tuple[int, ...]) -> int:
    if len(inputs) != 1:
        raise _Fault(f"a model inside the model is called with {len(inputs)} inputs; only one is supported")
    return inputs[0]


def _input_shape(first: dict[str, Any], config: Any) -> Any:
    """Return the shape of the input of a chain that does not begin with an InputLayer."""
    own = first.get("config") or {}
    for table in (own, first.get("build_config") or {}, config if isinstance(config, dict) else {}):
        for name in ("batch_shape", "batch_input_shape", "build_input_shape", "input_shape"):
            if isinstance(table, dict) and table.get(name) is not None:
                return table[name]
    raise _Fault("the model does not say the size of its input; build it in Keras, and save it again")


def _ends(entries: Any) -> list[str]:
    """Return the names in a list of [name, node, tensor], of which a single one may stand without the outer list."""
    if isinstance(entries, dict):
        entries = list(entries.values())
    if entries and isinstance(entries[0], str):
        entries = [entries]
    return [str(entry[0]) for entry in entries]


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("name") or _setting(entry.get("config"), "name", ""))


def _reads(entry: dict[str, Any]) -> list[str]:
    """Return the names of the layers that a layer reads."""
    nodes = entry.get("inbound_nodes") or []
    if len(nodes) > 1:
        raise _Fault(
            f"the layer {short(_name(entry))} is used {len(nodes)} times; layers that share weights are not supported"
        )
    return list(_names(nodes[0])) if nodes else []


def _names(node: Any) -> Iterator[str]:
    """Yield the layers that a call reads: [[name, 0, 0, {}], ...] before Keras 3, tensors with a history since."""
    if isinstance(node, dict) and "args" in node:
        yield from _tensors(node["args"])
        rest = [value for value in (node.get("kwargs") or {}).values() if _is_tensor(value)]
        if rest:
            raise _Fault("a layer is called with a tensor by name, which is not supported")
        return
    if node and isinstance(node[0], str):
        node = [node]
    for name, _, tensor, *more in node:
        if tensor or (more and any(isinstance(value, list) for value in more[0].values())):
            raise _Fault(f"a call with the output of {short(name)} is not supported")
        yield str(name)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _tensors(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from _tensors(value)
        elif _is_tensor(value):
            name, _, tensor = value["config"]["keras_history"]
            if tensor:
                raise _Fault(f"a call with another output of {short(name)} than its first is not supported")
            yield str(name)
        else:
            raise _Fault(f"a layer is called with {short(value)}, which is no layer's output")
