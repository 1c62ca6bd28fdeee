"""Optimizers, learning-rate schedules, the training loop, its events and history, and evaluation."""

from rot180.training.evaluate import Evaluation, evaluate
from rot180.training.events import EpochDone, Event, StepDone, Subscriber, TrainingEnded, TrainingStarted
from rot180.training.features import features
from rot180.training.find_lr import LearningRateCurve, find_lr
from rot180.training.fit import fit
from rot180.training.history import History
from rot180.training.loop import train
from rot180.training.metrics import accuracy, confusion_matrix
from rot180.training.optimizer import Optimizer
from rot180.training.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Muon, RMSprop, optimizer
from rot180.training.predict import predict
from rot180.training.progress import Progress, Settings
from rot180.training.schedule import SCHEDULES, Schedule, schedule
from rot180.training.state import TrainingState, capture
from rot180.training.trainer import Trainer

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "EpochDone",
    "Evaluation",
    "Event",
    "History",
    "LearningRateCurve",
    "Muon",
    "Optimizer",
    "Progress",
    "RMSprop",
    "Schedule",
    "Settings",
    "StepDone",
    "Subscriber",
    "Trainer",
    "TrainingEnded",
    "TrainingStarted",
    "TrainingState",
    "accuracy",
    "capture",
    "confusion_matrix",
    "evaluate",
    "features",
    "find_lr",
    "fit",
    "optimizer",
    "predict",
    "schedule",
    "train",
]
