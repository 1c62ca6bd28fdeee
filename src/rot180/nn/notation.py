"""The notation: networks written as text.

`28x28x1 > conv5x5:32:same relu maxpool2 > conv5x5:64:same relu maxpool2 > fc512 relu > fc10`

The size of an image, then the layers. Spaces and `>` both separate layers; `[conv3x3:32:same relu]*2` repeats them.
The words are those of `registry`; their options follow after colons:

| word | layer | options besides `name=stem` |
|---|---|---|
| `conv5x5:32`, `conv5:32` | Conv2d | `same` `valid` `pad2` `pad1x2` `pad0,1,0,1` `s2` `s2x1` `d2` `g4` \
`nobias` `init=...` `lr=0.5` `algorithm=...` |
| `convt2x2:32:s2` | ConvTranspose2d | `pad1` `outpad1` `s2` `d2` `g4` `nobias` `init=...` `lr=0.5` `algorithm=...` |
| `maxpool2`, `maxpool3x2` | MaxPool2d | `same` `valid` `pad...` `s2` `ceil` |
| `avgpool2` | AvgPool2d | the same, and `excludepad` |
| `gap` `gmp` | GlobalAvgPool2d, GlobalMaxPool2d | |
| `adaptavg7x7` | AdaptiveAvgPool2d | |
| `up2`, `up2x3` | Upsample | `bilinear` |
| `fc10` | Linear | `nobias` `init=...` `lr=0.5` |
| `flatten` | Flatten | inserted automatically where `fc` follows feature maps |
| `bn` | BatchNorm2d | `momentum=0.1` `frozen` `eps=1e-5` `noaffine` `lr=0.5` |
| `gn4` | GroupNorm | `eps=1e-5` `noaffine` `lr=0.5` |
| `ln` | LayerNorm, over the channels of each pixel | `axes=3` (the whole image) `eps=1e-5` `noaffine` `lr=0.5` |
| `in` | InstanceNorm2d | `eps=1e-5` `affine` `lr=0.5` |
| `lrn5` | LocalResponseNorm | `alpha=1e-4` `beta=0.75` `k=1` |
| `shuffle2` | ChannelShuffle | |
| `slice8` | ChannelSlice, the first channels | `from8` (the channels from there on) |
| `relu` `relu6` `sigmoid` `tanh` `softmax` | ReLU, ReLU6, Sigmoid, Tanh, Softmax | |
| `silu` `hardsigmoid` `hardswish` | SiLU, Hardsigmoid, Hardswish | |
| `gelu` | GELU | `tanh` |
| `elu` | ELU | `alpha=1` |
| `prelu` | PReLU | `init=0.25` `shared` `lr=0.5` |
| `noisyrelu` | NoisyReLU | `sigma=0.1` |
| `leakyrelu` | LeakyReLU | `slope=0.01` |
| `dropout0.5` | Dropout | |
| `droppath0.1` | DropPath | |

`pad0,1,0,1` is top, bottom, left, right.

`( A + B )` adds the outputs of two branches, `( A | B )` concatenates their channels, and `( A * B )` multiplies them,
as a gate does; `skip` is the value before the parentheses. A network of any other form is a list of its nodes:
`8x8x1; conv1 = conv3x3:4:same(input); relu1 = relu(conv1); add1 = add(relu1, conv1)`.
"""

from __future__ import annotations

from rot180.nn.keywords import answering_call
from rot180.nn.network import Network
from rot180.nn.notation_parser import parse


@answering_call
def network(text: str) -> Network:
    """Parse a network. Its shapes are known and checked; `build` creates its parameters.

    Parameters
    ----------
    text : str
        In the notation of this module.

    Raises
    ------
    NotationError
        The text is invalid, or a layer does not fit: the first line says why, a caret shows the place, and the last
        line lists what is expected there.

    Examples
    --------
    >>> model = network("28x28x1 > [conv3x3:8:same relu]*2 maxpool2 > fc10")
    >>> str(model), model.output_shape
    ('28x28x1 > conv3x3:8:same relu > conv3x3:8:same relu maxpool2 > fc10', (10,))
    """
    return parse(text)
