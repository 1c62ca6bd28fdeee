"""The mathematics: each operation's forward and backward as pure functions of NumPy arrays.

Suggested reading order: `geometry` (where windows are placed), `conv_loops` (the definition), `conv_offsets` (the
weight gradient in four stages), `conv_im2col`, `conv_windows`, `conv_rotation` (the kernel rotated by 180 degrees),
`conv_identities`, `winograd` and `conv_winograd` (fewer multiplications); then `pooling`, `activation`, `linear`,
`softmax`, `loss`, `update`, `muon`.
Then the operations that deeper networks add: `normalization`, `batch_norm`, `group_norm`, `joins`, `resize`,
`conv_transpose2d`, `activation_piecewise`, `activation_smooth`, `channels`. docs/backpropagation.md covers the first
part in one page.
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
from rot180.ops.activation_piecewise import (
    elu,
    elu_backward,
    hard_sigmoid,
    hard_sigmoid_backward,
    hard_swish,
    hard_swish_backward,
    prelu,
    prelu_backward,
    relu6,
    relu6_backward,
)
from rot180.ops.activation_smooth import gelu, gelu_backward, silu, silu_backward
from rot180.ops.batch_norm import batch_norm, batch_norm_backward, batch_norm_inference, moving_average
from rot180.ops.channels import (
    channel_shuffle,
    channel_shuffle_backward,
    channel_slice,
    channel_slice_backward,
    local_response_norm,
    local_response_norm_backward,
)
from rot180.ops.conv2d import ALGORITHMS, choose_algorithm, conv2d, conv2d_backward
from rot180.ops.conv_identities import (
    bias_gradient_by_sum,
    data_gradient_by_rotation,
    weight_gradient_by_correlation,
)
from rot180.ops.conv_im2col import col2im, im2col
from rot180.ops.conv_rotation import rotate180, spread
from rot180.ops.conv_transpose2d import conv_transpose2d, conv_transpose2d_backward
from rot180.ops.dropout import dropout, dropout_backward, dropout_mask
from rot180.ops.group_norm import (
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
)
from rot180.ops.joins import add, add_backward, concatenate, concatenate_backward, multiply, multiply_backward
from rot180.ops.linear import linear, linear_backward
from rot180.ops.loss import cross_entropy, cross_entropy_backward, squared_error, squared_error_backward
from rot180.ops.muon import muon_update, orthogonalize
from rot180.ops.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from rot180.ops.resize import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_backward,
    resize2d,
    resize2d_backward,
)
from rot180.ops.softmax import log_softmax, log_softmax_backward, softmax, softmax_backward
from rot180.ops.update import adam_update, clip_by_norm, ema_update, rmsprop_update, sgd_update

__all__ = [
    "ALGORITHMS",
    "adam_update",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "add_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "bias_gradient_by_sum",
    "channel_shuffle",
    "channel_shuffle_backward",
    "channel_slice",
    "channel_slice_backward",
    "choose_algorithm",
    "clip_by_norm",
    "col2im",
    "concatenate",
    "concatenate_backward",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "data_gradient_by_rotation",
    "dropout",
    "dropout_backward",
    "dropout_mask",
    "elu",
    "elu_backward",
    "ema_update",
    "gelu",
    "gelu_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "hard_sigmoid",
    "hard_sigmoid_backward",
    "hard_swish",
    "hard_swish_backward",
    "im2col",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "moving_average",
    "multiply",
    "multiply_backward",
    "muon_update",
    "noisy_relu",
    "noisy_relu_backward",
    "orthogonalize",
    "prelu",
    "prelu_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "resize2d",
    "resize2d_backward",
    "rmsprop_update",
    "rotate180",
    "sgd_update",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "spread",
    "squared_error",
    "squared_error_backward",
    "tanh",
    "tanh_backward",
    "weight_gradient_by_correlation",
]
