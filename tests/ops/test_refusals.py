"""An array of a wrong shape is refused in the package's words, by forward and backward operations alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rot180 import ops
from rot180.errors import Rot180Error
from rot180.ops.batch_norm import batch_norm_inference_backward

MAPS, VECTOR = np.ones((2, 6, 6, 4)), np.ones(4)
KERNEL = np.ones((3, 3, 4, 4))
DELTA = np.ones((2, 4, 4, 4))
POOLED, WINNERS = ops.max_pool2d(MAPS, 2)
BEST, AT = ops.global_max_pool2d(MAPS)

CALLS: dict[Any, tuple[Any, ...]] = {
    ops.conv2d: (MAPS, KERNEL, VECTOR),
    ops.conv2d_backward: (DELTA, MAPS, KERNEL),
    ops.data_gradient_by_rotation: (DELTA, KERNEL, MAPS.shape),
    ops.weight_gradient_by_correlation: (DELTA, MAPS, 3),
    ops.bias_gradient_by_sum: (DELTA,),
    ops.rotate180: (KERNEL,),
    ops.spread: (DELTA, 2),
    ops.conv_transpose2d: (MAPS, KERNEL, VECTOR),
    ops.conv_transpose2d_backward: (np.ones((2, 8, 8, 4)), MAPS, KERNEL),
    ops.max_pool2d: (MAPS, 2),
    ops.max_pool2d_backward: (POOLED, WINNERS, MAPS.shape, 2),
    ops.avg_pool2d: (MAPS, 2),
    ops.avg_pool2d_backward: (POOLED, MAPS.shape, 2),
    ops.global_avg_pool2d: (MAPS,),
    ops.global_avg_pool2d_backward: (BEST, MAPS.shape),
    ops.global_max_pool2d: (MAPS,),
    ops.global_max_pool2d_backward: (BEST, AT, MAPS.shape),
    ops.resize2d: (MAPS, 3),
    ops.resize2d_backward: (POOLED, MAPS.shape),
    ops.linear: (MAPS[0, 0], KERNEL[0, 0], VECTOR),
    ops.linear_backward: (MAPS[0, 0], MAPS[0, 0], KERNEL[0, 0]),
    ops.batch_norm: (MAPS, VECTOR, VECTOR),
    ops.batch_norm_backward: (MAPS, MAPS, VECTOR, VECTOR, VECTOR),
    ops.batch_norm_inference: (MAPS, VECTOR, VECTOR, VECTOR, VECTOR),
    batch_norm_inference_backward: (MAPS, MAPS, VECTOR, VECTOR, VECTOR),
    ops.group_norm: (MAPS, VECTOR, VECTOR, 2),
    ops.group_norm_backward: (MAPS, MAPS, VECTOR, 2),
    ops.layer_norm: (MAPS, VECTOR, VECTOR),
    ops.layer_norm_backward: (MAPS, MAPS, VECTOR),
    ops.instance_norm: (MAPS, VECTOR, VECTOR),
    ops.instance_norm_backward: (MAPS, MAPS, VECTOR),
}


@pytest.mark.parametrize("operation", CALLS, ids=lambda operation: operation.__name__)
def test_wrong_shapes_are_refused(operation: Any) -> None:
    arguments = CALLS[operation]
    operation(*arguments)
    arrays = [at for at, argument in enumerate(arguments) if isinstance(argument, np.ndarray)]
    for at in arrays:
        for shape in ((3,), (2, 3, 5), (2, 3, 4, 1, 1)):
            with pytest.raises(Rot180Error, match=r"shape|channels|must|takes"):
                operation(*arguments[:at], np.ones(shape), *arguments[at + 1 :])
