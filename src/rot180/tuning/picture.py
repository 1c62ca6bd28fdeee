"""The picture of a study."""

from __future__ import annotations

from pathlib import Path

from rot180.pictures import save_figure
from rot180.pictures import trials as draw
from rot180.tuning.space import CALLED
from rot180.tuning.tune import Study


def draw_study(study: Study) -> Path:
    """Draw the trials into the study's folder; return the PNG file."""
    found = study.trials
    figure = draw(
        [trial.accuracies[-1] if trial.accuracy is None and trial.accuracies else trial.accuracy for trial in found],
        [trial.state for trial in found],
        {CALLED[name]: [trial.choice[name] for trial in found] for name in study.plan.space.names},
        best=None if study.best is None else found.index(study.best),
        logarithmic=[CALLED["lr"], CALLED["weight_decay"]],
        title=f"{study.dataset.name}, {len(found)} trials",
    )
    return save_figure(figure, study.folder.picture_path, beneath=study.folder.path)[0]
