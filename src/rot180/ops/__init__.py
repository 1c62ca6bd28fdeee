"""The mathematics: each operation's forward and backward as pure functions of NumPy arrays.

To read it: `geometry` (where windows lie), `conv_loops` (the definition), `conv_offsets` (the weight gradient in four
stages), `conv_im2col`, `conv_windows`, `conv_rotation` (the kernel turned by 180 degrees), `conv_identities`; then
`pooling`, `activation`, `linear`, `softmax`, `loss`, `update`. docs/backpropagation.md leads the same way in one page.
"""

from rot180.ops.activation import (
    leaky_relu,
    leaky_relu_backward,
    noisy_relu,
    noisy_relu_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from rot180.ops.conv2d import ALGORITHMS, choose_algorithm, conv2d, conv2d_backward
from rot180.ops.conv_identities import (
    bias_gradient_by_sum,
    data_gradient_by_rotation,
    weight_gradient_by_correlation,
)
from rot180.ops.conv_im2col import col2im, im2col
from rot180.ops.conv_rotation import rotate180, spread
from rot180.ops.dropout import dropout, dropout_backward, dropout_mask
from rot180.ops.linear import linear, linear_backward
from rot180.ops.loss import cross_entropy, cross_entropy_backward, squared_error, squared_error_backward
from rot180.ops.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from rot180.ops.softmax import log_softmax, log_softmax_backward, softmax, softmax_backward
from rot180.ops.update import adam_update, rmsprop_update, sgd_update

__all__ = [
    "ALGORITHMS",
    "adam_update",
    "avg_pool2d",
    "avg_pool2d_backward",
    "bias_gradient_by_sum",
    "choose_algorithm",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "data_gradient_by_rotation",
    "dropout",
    "dropout_backward",
    "dropout_mask",
    "im2col",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "noisy_relu",
    "noisy_relu_backward",
    "relu",
    "relu_backward",
    "rmsprop_update",
    "rotate180",
    "sgd_update",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "spread",
    "squared_error",
    "squared_error_backward",
    "tanh",
    "tanh_backward",
    "weight_gradient_by_correlation",
]
