"""Layers, containers, initializers, the notation and the named models."""

from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.conv2d import Conv2d
from rot180.nn.dropout import Dropout
from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.loss import LOSSES, CrossEntropyLoss, Loss, SquaredErrorLoss
from rot180.nn.models import MODELS, NAMED_MODELS, model
from rot180.nn.notation import network
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.preprocessing import Preprocessing
from rot180.nn.registry import LAYERS
from rot180.nn.sequential import Sequential

__all__ = [
    "LAYERS",
    "LOSSES",
    "MODELS",
    "NAMED_MODELS",
    "AvgPool2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Linear",
    "Loss",
    "MaxPool2d",
    "NoisyReLU",
    "Preprocessing",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SquaredErrorLoss",
    "Tanh",
    "model",
    "network",
]
