"""Seeing inside: every number of a network shown, explained and checked.

| what | names |
|---|---|
| the way of a batch through the network and back | `journey`, `Journey`, `Step`, `Source` |
| what a network costs before it runs | `cost`, `Cost` |
| the convolution algorithms on this machine | `compare`, `Comparison` |
"""

from rot180.inside.journeys import Journey, journey
from rot180.inside.watcher import Source, Step

__all__ = ["Journey", "Source", "Step", "journey"]
