"""Data augmentation: random changes to each batch of images, so that no two epochs see exactly the same images."""

from rot180.data.augment.augmentation import Augmentation
from rot180.data.augment.steps import BORDERS, STEPS, WITH_BORDER, parse_augmentation

__all__ = ["BORDERS", "STEPS", "WITH_BORDER", "Augmentation", "parse_augmentation"]
