"""The table of operators, and the choice of an implementation by the version of the operator set."""

from __future__ import annotations

from rot180.errors import ModelError, did_you_mean
from rot180.interop.onnx.call import Operator, Versions
from rot180.interop.onnx.graph import OnnxNode
from rot180.interop.onnx.op_activation import ACTIVATIONS
from rot180.interop.onnx.op_convolution import CONVOLUTIONS
from rot180.interop.onnx.op_elementwise import ELEMENTWISE
from rot180.interop.onnx.op_matrix import MATRICES
from rot180.interop.onnx.op_normalization import NORMALIZATIONS
from rot180.interop.onnx.op_pooling import POOLINGS
from rot180.interop.onnx.op_quantized import QUANTIZED
from rot180.interop.onnx.op_reduction import REDUCTIONS
from rot180.interop.onnx.op_resize import RESIZES
from rot180.interop.onnx.op_shape import SHAPES

OPERATORS: dict[str, Versions] = {
    **CONVOLUTIONS,
    **POOLINGS,
    **NORMALIZATIONS,
    **MATRICES,
    **ELEMENTWISE,
    **ACTIVATIONS,
    **SHAPES,
    **REDUCTIONS,
    **RESIZES,
    **QUANTIZED,
}
"""The implementations of each operator."""


def operator_of(node: OnnxNode, opset: int, path: str) -> Operator:
    """Return the newest implementation that is not above the version of the operator set.

    Raises
    ------
    ModelError
        There is none.
    """
    versions = OPERATORS.get(node.operator)
    if versions is None:
        close = did_you_mean(node.operator, OPERATORS) if len(node.operator) <= 60 else ""
        raise ModelError(f"{path}: {node.label}: the operator is not supported{close if 'mean' in close else ''}")
    since = [version for version in versions if version <= opset]
    if not since:
        raise ModelError(
            f"{path}: {node.label}: the operator exists since version {min(versions)} of the operator set; the file "
            f"says {opset}"
        )
    return versions[max(since)]
