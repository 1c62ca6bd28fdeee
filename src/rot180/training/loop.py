"""The training loop, from top to bottom.

Its entire state between two batches is in `Progress`, the model's parameters, the optimizer's state and the trainer's
generators; the order of the images follows from the seed and the epoch. If this state is saved after an update and
restored, the loop continues as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable
from functools import partial
from time import perf_counter
from typing import Any

from rot180.data.lazy import Images
from rot180.data.loader import read_ahead
from rot180.errors import NonFiniteError
from rot180.ops.types import Array
from rot180.parallel.communicator import ALONE
from rot180.training.batches import EpochBatches, Examples
from rot180.training.data_parallel import DataParallel
from rot180.training.diagnosis import refuse_non_finite_weights
from rot180.training.evaluate import EvaluationStopped, run_evaluation
from rot180.training.events import EpochDone, Event, StepDone, Subscriber, TrainingEnded, TrainingStarted
from rot180.training.interrupt import interruptible
from rot180.training.progress import Progress, Settings
from rot180.training.schedule import Schedule
from rot180.training.trainer import Trainer


def train(
    trainer: Trainer,
    images: Images,
    labels: Array,
    rate: Schedule,
    settings: Settings,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    validation: Examples | None = None,
    sample_weights: Array | None = None,
    parallel: DataParallel | None = None,
    subscribers: Iterable[Subscriber] = (),
) -> str:
    """Run the loop from `progress` to its end and return why it ended.

    Parameters
    ----------
    trainer : Trainer
        Prepared for these images.
    images, labels : (N, H, W, C), (N,)
        Raw images and classes.
    rate : Schedule
        Learning rate as a function of the updates done.
    settings : Settings
    workers : int
        Threads that prepare batches ahead; with 0, each is prepared when needed. Never changes the result.
    progress : Progress, optional
        Where to continue, between two updates; updated as the loop runs. By default the start.
    validation : Examples, optional
        Evaluated after every epoch.
    sample_weights : (N,), optional
        How much each image counts in the loss.
    parallel : DataParallel, optional
        Trains on shards, with other processes or alone; they all run this loop. By default, batches stay whole.
    subscribers : iterable of callables
        Called with every event.

    Returns
    -------
    str
        `finished`, `early_stopping`, `interrupted` or the reason given to `Trainer.stop`.
    """
    progress = Progress() if progress is None else progress
    elapsed = progress.elapsed
    subscribers = tuple(subscribers)
    batches, updates = settings.batches(len(images)), settings.updates_per_epoch(len(images))
    learning_rate = rate(max(progress.step - 1, 0))
    restored: int | None = None
    trainer.stop_reason = ""
    began = perf_counter()

    def emit(event: Event) -> None:
        progress.elapsed = elapsed + perf_counter() - began
        for subscriber in subscribers:
            subscriber(event)

    def stopped() -> str:
        # A signal reaches some processes earlier than others; all must stop after the same batch.
        return trainer.stop_reason if parallel is None else parallel.stop_reason

    def stop(reason: str) -> None:
        trainer.stop(reason)
        if parallel is not None:
            parallel.stop_reason = reason

    given = Examples(images, labels, sample_weights)

    def batch_of(epoch: int, batch: int) -> tuple[Array, Array]:
        return EpochBatches(given, settings, trainer, epoch).whole(batch)[:2]

    communicator = ALONE if parallel is None else parallel.communicator

    held_out = len(validation.images) if validation else 0
    with interruptible(lambda: trainer.stop("interrupted")):
        started = TrainingStarted(
            trainer, settings, progress, settings.epochs, batches, len(images), held_out, batch_of, rate
        )
        emit(started)
        if parallel is not None:
            communicator.barrier(rest=True)  # the first writes a checkpoint
            parallel.agree()

        while progress.epoch < settings.epochs and not stopped():
            # checked here, not after an epoch: a training resumed at that point must end the same way
            if settings.early_stopping and progress.epoch - (progress.best_epoch or 0) >= settings.early_stopping:
                stop("early_stopping")
                break
            prepared = EpochBatches(given, settings, trainer, progress.epoch)
            make = prepared.whole if parallel is None else partial(prepared.shards, parallel)
            made: Generator[Any] = read_ahead(make, range(progress.batch, batches), workers=workers)

            # one pass over the images, or the rest of one
            while progress.batch < batches:
                start = perf_counter()
                ready = next(made)
                count = min(settings.batch_size, len(images) - progress.batch * settings.batch_size)
                update = (progress.batch + 1) % settings.accumulate == 0 or progress.batch + 1 == batches
                trainer.optimizer.lr = learning_rate = rate(progress.step)
                try:
                    if parallel is None:
                        result = trainer.run_batch(*ready, update=update)
                    else:
                        result = parallel.run_batch(ready, count, progress.epoch, progress.batch, update=update)
                except NonFiniteError as error:
                    place = f"epoch {progress.epoch + 1}, batch {progress.batch + 1} of {batches}"
                    raise NonFiniteError(
                        f"{place}, {error}", step=error.step, layer=error.layer, array=error.array
                    ) from None
                seconds = perf_counter() - start

                progress.batch += 1
                progress.step += update
                progress.loss_sum += result.loss * count
                progress.correct += result.correct
                progress.images += count
                progress.seconds += seconds
                norm, limit = trainer.optimizer.gradient_norm, trainer.optimizer.clip_norm
                if update and norm is not None and limit is not None:
                    progress.gradient_norms += norm
                    progress.clipped += norm > limit
                emit(
                    StepDone(
                        epoch=progress.epoch + 1,
                        batch=progress.batch,
                        images=count,
                        loss=result.loss,
                        correct=result.correct,
                        learning_rate=learning_rate,
                        updated=update,
                        seconds=seconds,
                    )
                )
                # not between two batches of one update: a partial gradient cannot be resumed from
                if stopped() and update:
                    break
            made.close()
            if progress.batch < batches:
                break

            # the epoch is complete: evaluate it (if stopped meanwhile, it is evaluated again on resuming)
            measured = None
            try:
                refuse_non_finite_weights(trainer.model, f"after step {progress.step}")
                if parallel is not None:
                    parallel.compare(progress.epoch + 1)
                if validation:
                    with trainer.averaged():
                        measured = run_evaluation(
                            trainer.engine,
                            trainer.loss,
                            validation.images,
                            validation.labels,
                            tta=settings.tta,
                            stop=lambda: trainer.stop_reason,
                            sample_weights=validation.weights,
                            communicator=communicator,
                        )
            except EvaluationStopped:
                if parallel is not None:
                    parallel.agree()
                break
            except NonFiniteError as error:
                place = f"epoch {progress.epoch + 1}, validation" if validation else f"epoch {progress.epoch + 1}"
                raise NonFiniteError(
                    f"{place}: {error}", step=progress.step, layer=error.layer, array=error.array
                ) from None
            is_best = measured is not None and measured.loss < (
                math.inf if progress.best_loss is None else progress.best_loss
            )
            if measured is not None and is_best:
                progress.best_loss, progress.best_epoch = measured.loss, progress.epoch + 1
                if settings.early_stopping is not None:
                    with trainer.averaged():
                        progress.best_parameters = {name: w.copy() for name, w in trainer.model.state.items()}
            done = EpochDone(
                epoch=progress.epoch + 1,
                train_loss=progress.loss_sum / progress.images,
                train_accuracy=progress.correct / progress.images,
                validation_loss=None if measured is None else measured.loss,
                validation_accuracy=None if measured is None else measured.accuracy,
                learning_rate=learning_rate,
                seconds=progress.seconds,
                images_per_second=progress.images / max(progress.seconds, 1e-9),
                is_best=is_best,
                gradient_norm=progress.gradient_norms / updates if trainer.optimizer.clip_norm else None,
                clipped=progress.clipped / updates if trainer.optimizer.clip_norm else None,
            )
            progress.epoch, progress.batch = progress.epoch + 1, 0
            progress.loss_sum, progress.correct, progress.images, progress.seconds = 0.0, 0, 0, 0.0
            progress.gradient_norms, progress.clipped = 0.0, 0
            emit(done)

        # an interrupted training keeps its current weights; one that ended keeps its best
        is_over = stopped() in ("", "early_stopping")
        if progress.best_parameters and is_over:
            restored = progress.best_epoch
            for name, w in trainer.model.state.items():
                w[...] = progress.best_parameters[name]
        elif is_over:
            trainer.keep_average()

        reason = stopped() or "finished"
        epoch, batch = (progress.epoch + 1, progress.batch) if progress.batch else (progress.epoch, batches)
        emit(TrainingEnded(reason, epoch, batch, batches, elapsed + perf_counter() - began, restored))
        if not is_over:
            trainer.keep_average()  # only now: a checkpoint needs the weights themselves
    return reason
