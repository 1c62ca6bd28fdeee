"""The loop over the trials of a study.

What a trial tries follows from the seed, its number and the trials before it, as the sampler is seeded anew for each:
a study that was killed and started again is the study that it would have been.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import optuna
from optuna.trial import TrialState

from rot180.data import Dataset
from rot180.data.options import Progress
from rot180.errors import ArgumentError, ModelError, Rot180Error
from rot180.files import remove_folder, remove_unfinished, system
from rot180.runs.command import train_command
from rot180.runs.config import write_config
from rot180.runs.environment import differences, environment
from rot180.runs.lock import RunLock
from rot180.runs.prepare import Prepared, doubts, prepare, with_validation
from rot180.runs.same_data import DATA
from rot180.runs.settings import RunSettings
from rot180.training.interrupt import interruptible
from rot180.training.streams import stream
from rot180.tuning.journal import Journal
from rot180.tuning.space import applied, own_choice, searched, space_around, suggested
from rot180.tuning.study import Plan, StudyFolder, create_study, read_plan, write_study
from rot180.tuning.trial import PRUNED, Trial, TrialEnded, TrialStarted, best_of, train_trial, trial_of

HELD_OUT = 0.2
"""The share of the training images on which trials are compared if the data have no validation images."""

BEFORE_PRUNING = 4
"""Trials that are finished before one is compared with them."""

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states of trials that count; one that was interrupted is begun anew."""

Subscriber = Callable[[Any], None]
"""Called with `TrialStarted`, the events of each training, and `TrialEnded`."""


@dataclass(frozen=True)
class Study:
    """The result of a study.

    Attributes
    ----------
    folder : StudyFolder
    plan : Plan
    dataset : Dataset
        Without its test images.
    trials : tuple of Trial
        In the order in which they ran.
    is_complete : bool
        Whether all planned trials have ended.
    best : Trial or None
    command : str or None
        Trains with the best choice, on all training images.
    """

    folder: StudyFolder
    plan: Plan
    dataset: Dataset
    trials: tuple[Trial, ...]
    is_complete: bool
    best: Trial | None
    command: str | None


def tune(
    settings: RunSettings,
    *,
    trials: int = 20,
    search: Iterable[str] | None = None,
    out: str | Path | None = None,
    subscribers: Iterable[Subscriber] = (),
    progress: Progress | None = None,
    tell: Callable[[str], None] = warnings.warn,
    on_plan: Callable[[Plan, Dataset], None] | None = None,
) -> Study:
    """Search for the settings with which a network learns best.

    Each trial is an ordinary training. Trials are compared by the accuracy of the validation images: the data's own,
    or a fifth of the training images, the same ones in all trials. Test images are not looked at. The first trial has
    the recipe's settings.

    Parameters
    ----------
    settings : RunSettings
        What all trials have in common; what is given is not searched.
    trials : int
    search : iterable of str, optional
        Some of `lr`, `weight-decay`, `width` and `augment`; by default all that are not given.
    out : str or Path, optional
        The folder of the study; by default the next free number in `studies/`.
    subscribers : iterable of callables
        Called with `TrialStarted`, the events of each training, and `TrialEnded`.
    progress : callable, optional
        Called with the progress of reading the data.
    tell : callable
        Called with warnings before the first trial.
    on_plan : callable, optional
        Called with the plan and the data before the first trial.

    Raises
    ------
    Rot180Error
        As from `train_run`; or there is nothing to search.

    Examples
    --------
    >>> import tempfile
    >>> study = tune(RunSettings(epochs=1, limit=100), trials=2, search=["lr"], out=tempfile.mkdtemp() + "/study")
    >>> len(study.trials), study.trials[0].choice
    (2, {'lr': 0.002})
    """
    if trials < 1:
        raise ArgumentError(f"trials must be at least 1; it is {trials}")
    if settings.source is not None:
        raise ArgumentError("tune trains networks from the start; leave out --from, and fine-tune with rot180 train")
    names = searched(settings, search)
    prepared = without_test(prepare(settings, progress))
    held_out = settings.validation is None and not len(prepared.dataset.validation_images)
    if held_out:
        chosen = replace(prepared.settings, validation=HELD_OUT)
        prepared = replace(prepared, settings=chosen, dataset=with_validation(prepared.dataset, chosen))
    space = space_around(prepared, names)
    for reason in doubts(prepared):
        tell(reason)
    plan = Plan(prepared.settings, prepared.model.notation, space, trials, held_out)
    folder = create_study(out, prepared.dataset.name)
    with ExitStack() as held:
        held.callback(RunLock(folder.path).release)
        write_study(folder, plan.config(prepared), environment(prepared.dataset, settings.engine))
        plan, _ = read_plan(folder)  # with whole paths, as it is when the study is resumed
        ended: list[TrialEnded] = []
        noted = (*subscribers, lambda event: ended.append(event) if isinstance(event, TrialEnded) else None)
        try:
            with _quiet():
                return _run(folder, plan, prepared.dataset, noted, on_plan)
        except Rot180Error:
            if not ended:  # settings that only a training shows to be wrong
                held.close()  # the lock, which some systems do not remove while it is held
                remove_folder(folder.path)
            raise


def resume_tuning(
    path: str | Path,
    *,
    trials: int | None = None,
    subscribers: Iterable[Subscriber] = (),
    progress: Progress | None = None,
    tell: Callable[[str], None] = warnings.warn,
    on_plan: Callable[[Plan, Dataset], None] | None = None,
) -> Study:
    """Continue a study that was interrupted in any way, or add trials to it.

    Parameters
    ----------
    path : str or Path
        Its folder.
    trials : int, optional
        More trials than were planned.
    subscribers, progress, tell, on_plan
        As in `tune`.

    Raises
    ------
    Rot180Error
        It is not the folder of a study, another process is at it, its data have changed, or fewer trials are asked for.
    """
    folder = StudyFolder(Path(path))
    plan, config = read_plan(folder)
    with ExitStack() as held:
        held.callback(RunLock(folder.path).release)
        remove_unfinished(folder.path)
        if trials is not None and trials < plan.trials:
            raise ArgumentError(f"--trials must be at least the {plan.trials} that were planned; it is {trials}")
        prepared = without_test(prepare(plan.settings, progress))
        if prepared.model.notation != plan.network:
            raise ModelError(
                f"{path}: the network of the study is {plan.network[:200]!r}, but here it is "
                f"{prepared.model.notation[:200]!r}; give the same data, and use the version of rot180 that began it"
            )
        then, now = folder.read_environment(), environment(prepared.dataset, plan.settings.engine)
        if then.get(DATA) != now[DATA]:
            raise ArgumentError(
                f"{prepared.dataset.name}: the data differ from those that the trials of {path} were trained on; "
                f"start another study"
            )
        for difference in differences(then, now):
            tell(difference)
        if trials is not None and trials != plan.trials:
            plan = replace(plan, trials=trials)
            write_config(folder.config_path, {**config, "tuning": {**config["tuning"], "trials": trials}})
        with _quiet():
            return _run(folder, plan, prepared.dataset, subscribers, on_plan)


def without_test(prepared: Prepared) -> Prepared:
    """Return the same without test images: nothing after this can look at them."""
    data = prepared.dataset
    none = replace(data, test_images=data.test_images[:0], test_labels=data.test_labels[:0], test_names=())
    return replace(prepared, dataset=none)


def _run(
    folder: StudyFolder,
    plan: Plan,
    dataset: Dataset,
    subscribers: Iterable[Subscriber],
    on_plan: Callable[[Plan, Dataset], None] | None,
) -> Study:
    """Run the trials that are left."""
    subscribers = tuple(subscribers)
    study = _open(folder, plan)
    trials = _trials(folder, study, plan)
    if on_plan is not None:
        on_plan(plan, dataset)
    stops: list[Callable[[str], None]] = []
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        for one in stops[-1:]:
            one("interrupted")

    with interruptible(stop, (signal.SIGINT, *system.ending_signals())):
        while len(trials) < plan.trials and not stopped:
            if _run_trial(study, len(trials), plan, dataset, subscribers, stops):
                trials = _trials(folder, study, plan)
                for subscriber in subscribers:
                    subscriber(TrialEnded(trials[-1], best_of(trials), plan.trials))
            else:
                stopped = True
    best = best_of(trials)
    return Study(
        folder,
        plan,
        dataset,
        tuple(trials),
        len(trials) >= plan.trials,
        best,
        None if best is None else train_command(_to_train(plan, best), dataset),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from reporting what subscribers are told."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _to_train(plan: Plan, best: Trial) -> RunSettings:
    """Return the settings with which to train after the study: on all images, if it held some out only to compare."""
    settings = applied(plan.settings, best.choice, plan.network)
    needed = not plan.held_out or settings.early_stopping is not None
    return settings if needed else replace(settings, validation=None)


def _open(folder: StudyFolder, plan: Plan) -> optuna.Study:
    """Open the study in the journal; trials that were running when a process ended count as not begun."""
    try:
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(Journal(folder.journal_path)),
            study_name="rot180",
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(BEFORE_PRUNING, n_warmup_steps=max(1, (plan.settings.epochs or 1) // 4)),
        )
        for _ in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.ask()
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise _damaged(folder, error) from None
    return study


def _trials(folder: StudyFolder, study: optuna.Study, plan: Plan) -> list[Trial]:
    """Return the trials that have ended."""
    try:
        found = study.get_trials(deepcopy=False, states=ENDED)
        return [trial_of(frozen, number, plan.space) for number, frozen in enumerate(found, 1)]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder, error) from None


def _damaged(folder: StudyFolder, error: Exception) -> ModelError:
    return ModelError(
        f"{folder.journal_path}: the journal cannot be read ({type(error).__name__}: {str(error)[:80]}); it is "
        f"damaged, or of another version of Optuna: start another study"
    )


def _run_trial(
    study: optuna.Study,
    index: int,
    plan: Plan,
    dataset: Dataset,
    subscribers: tuple[Subscriber, ...],
    stops: list[Callable[[str], None]],
) -> bool:
    """Run one trial; return False if it was interrupted."""
    seed = int(stream(plan.settings.seed, "tune", index).integers(2**31))
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    if index == 0:
        study.enqueue_trial(own_choice(plan.settings, plan.space))
    trial = study.ask()
    choice = suggested(trial, plan.space)
    trial.set_user_attr("choice", choice)
    for subscriber in subscribers:
        subscriber(TrialStarted(index + 1, plan.trials, choice))

    def falls_behind(epoch: int, accuracy: float) -> bool:
        trial.report(accuracy, epoch)
        return bool(trial.should_prune())

    began = perf_counter()
    settings = applied(plan.settings, choice, plan.network)
    history, reason = train_trial(settings, dataset, subscribers, falls_behind, stops.append)
    trial.set_user_attr("seconds", perf_counter() - began)
    if history.stopped == "interrupted":
        study.tell(trial, state=TrialState.FAIL)
        return False
    kept = history.kept
    if reason is not None or history.stopped == PRUNED or kept is None:
        if history.stopped != PRUNED:
            trial.set_user_attr("reason", reason or "no epoch was completed")
        study.tell(trial, state=TrialState.PRUNED)
    else:
        trial.set_user_attr("loss", kept.validation_loss)
        study.tell(trial, kept.validation_accuracy)
    return True
