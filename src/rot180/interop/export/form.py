"""What is asked of an exported file, and what its outputs are."""

from __future__ import annotations

from typing import NamedTuple

from rot180.nn.network import Network


class Form(NamedTuple):
    """The options of `export_onnx`."""

    opset: int
    fold: bool
    with_preprocessing: bool
    softmax: bool
    layout: str

    def output_name(self, model: Network) -> str:
        """Return the name of the graph's output, which says what it is.

        >>> from rot180.nn import network
        >>> Form(17, False, False, False, "nchw").output_name(network("8x8x1 > conv3x3:4"))
        'maps'
        """
        return "probabilities" if self.softmax else output_of(model).split()[-1]


def output_of(model: Network) -> str:
    """Return what a network returns: logits, sigmoids, probabilities or feature maps."""
    return "feature maps" if len(model.output_shape) > 1 else model.layers[-1].output_kind
