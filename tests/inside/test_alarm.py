"""A training that goes wrong is noticed when it does, and one that goes well is left alone."""

from __future__ import annotations

import rot180
from rot180.inside.alarm import Alarm
from rot180.training.events import Event, StepDone, TrainingEnded


def _step(batch: int, loss: float) -> StepDone:
    return StepDone(1, batch, 32, loss, 0, 0.001, True, 0.01)


def test_a_jump_of_the_loss_is_noticed_once_enough_batches_came_before() -> None:
    data = rot180.load_data("digits")
    alarm = Alarm(data.test_images)
    assert alarm(_step(1, 9.0)) == ""
    assert [alarm(_step(batch, 1.0)) for batch in range(2, 30)] == [""] * 28
    assert alarm(_step(30, 4.0)) == "the loss of this batch is 4; the mean of the 20 before it is 1"
    assert alarm(_step(31, 1.1)) == ""


def test_filters_that_die_are_noticed_after_the_epoch() -> None:
    data = rot180.load_data("digits").limit(320)
    model = rot180.network("8x8x1 > conv3x3:4 relu > fc10").build(seed=0)
    alarm, reasons = Alarm(data.test_images), []

    def listen(event: Event) -> None:
        reasons.append(alarm(event))
        if isinstance(event, StepDone) and event.batch == 5:
            model.parameters["conv1.bias"][:2] = -100

    rot180.fit(model, data, epochs=2, engine="numpy", subscribers=[listen])
    told = [reason for reason in reasons if reason]
    assert told == ["50% of the filters before relu1 have died: they are zero for every image"]


def test_a_good_training_is_left_alone() -> None:
    data = rot180.load_data("digits")
    alarm, reasons = Alarm(data.test_images), []
    rot180.fit(
        rot180.network("8x8x1 > conv3x3:8 relu maxpool2 > fc10"),
        data,
        epochs=2,
        engine="numpy",
        subscribers=[lambda event: reasons.append("" if isinstance(event, TrainingEnded) else alarm(event))],
    )
    assert not any(reasons)
