"""Layers, containers, initializers, the notation and the named models."""

from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, PReLU, ReLU6
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.nn.dropout import Dropout, DropPath
from rot180.nn.flatten import Flatten
from rot180.nn.global_pooling import AdaptiveAvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.graph import Node
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.joins import Add, Concatenate, Join, Multiply
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.loss import LOSSES, CrossEntropyLoss, Loss, SquaredErrorLoss
from rot180.nn.models import MODELS, NAMED_MODELS, model
from rot180.nn.network import Network
from rot180.nn.notation import network
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.registry import LAYERS
from rot180.nn.sequential import Sequential
from rot180.nn.upsample import Upsample

__all__ = [
    "ELU",
    "GELU",
    "LAYERS",
    "LOSSES",
    "MODELS",
    "NAMED_MODELS",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "ChannelShuffle",
    "ChannelSlice",
    "Concatenate",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "DropPath",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "InstanceNorm2d",
    "Join",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "Loss",
    "MaxPool2d",
    "Multiply",
    "Network",
    "Node",
    "NoisyReLU",
    "PReLU",
    "Preprocessing",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SquaredErrorLoss",
    "Tanh",
    "Upsample",
    "model",
    "network",
]
