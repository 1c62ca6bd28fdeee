"""Curves, kernels, feature maps, confusion matrix and mistakes as PNG and SVG, drawn from arrays alone.

Importing this package imports Matplotlib; do so inside the function that draws.
"""

from rot180.pictures.confusion import confusion_matrix
from rot180.pictures.contact_sheet import contact_sheet
from rot180.pictures.curves import curves
from rot180.pictures.feature_maps import feature_maps
from rot180.pictures.kernels import kernels
from rot180.pictures.learning_rates import learning_rates
from rot180.pictures.mistakes import mistakes, worst_mistakes
from rot180.pictures.save import save_figure
from rot180.pictures.trials import trials

__all__ = [
    "confusion_matrix",
    "contact_sheet",
    "curves",
    "feature_maps",
    "kernels",
    "learning_rates",
    "mistakes",
    "save_figure",
    "trials",
    "worst_mistakes",
]
