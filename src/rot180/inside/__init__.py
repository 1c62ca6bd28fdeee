"""Look inside a network: show, explain and check every number of it.

| what | names |
|---|---|
| the path of a batch through the network and back | `journey`, `Journey`, `Step`, `Source` |
| the loss around one pixel or parameter | `nudge`, `Nudge` |
| one weight through a training, and what pushed it | `biography`, `Biography`; `chapter`, `Chapter`, `trace_of` |
| one image through a training | `Moments`, `Moment`; `decision`, `Decision` |
| the three products of a layer | `products`, `Products` |
| how much of delta flows through each layer | `river`, `Bed` |
| mistakes made on purpose, and the check that finds them | `bug_bench`, `BenchResult`, `BUGS` |
| the cost of a network before it runs | `cost`, `Cost`, `LayerCost`; `compiled_cost`, `CompiledCost`, `StepCost` |
| whether an optimizer follows its equations | `check_optimizer`, `OptimizerReport` |
| which part of an image a decision rests on | `attribution`, `Attribution` |
| the convolution algorithms on this machine | `compare`, `Comparison`, `Way` |
"""

from rot180.inside.attributions import Attribution, attribution
from rot180.inside.biographies import Biography, Chapter, biography, chapter, trace_of
from rot180.inside.bugs import BUGS, BenchResult, bug_bench
from rot180.inside.comparison import Comparison, Way, compare
from rot180.inside.compiled_cost import CompiledCost, StepCost, compiled_cost
from rot180.inside.costs import Cost, LayerCost, cost
from rot180.inside.journeys import Journey, journey
from rot180.inside.moments import Decision, Moment, Moments, decision
from rot180.inside.nudging import Nudge, nudge
from rot180.inside.optimizer_check import OptimizerReport, check_optimizer
from rot180.inside.products import Products, products
from rot180.inside.rivers import Bed, river
from rot180.inside.watcher import Source, Step

__all__ = [
    "BUGS",
    "Attribution",
    "Bed",
    "BenchResult",
    "Biography",
    "Chapter",
    "Comparison",
    "CompiledCost",
    "Cost",
    "Decision",
    "Journey",
    "LayerCost",
    "Moment",
    "Moments",
    "Nudge",
    "OptimizerReport",
    "Products",
    "Source",
    "Step",
    "StepCost",
    "Way",
    "attribution",
    "biography",
    "bug_bench",
    "chapter",
    "check_optimizer",
    "compare",
    "compiled_cost",
    "cost",
    "decision",
    "journey",
    "nudge",
    "products",
    "river",
    "trace_of",
]
