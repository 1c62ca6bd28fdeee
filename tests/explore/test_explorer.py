"""What the explorer answers, against the same questions asked directly."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load
from serving import NETWORK, Served

import rot180
from rot180.errors import ArgumentError, ModelError
from rot180.explore import open_beside, open_subject, write_lesson
from rot180.explore.app import BETWEEN_EVENTS, Explorer
from rot180.explore.lesson import ask
from rot180.explore.owner import COURTESY, NICE, Owner
from rot180.explore.passes import Passes
from rot180.explore.training import PAUSED, RUNNING, Training
from rot180.inside.explain import Trace, explain_in
from rot180.inside.explain.arrays import layer_arrays
from rot180.runs.replay import weights_sha256
from rot180.runs.train_run import RunSettings, train_run


def test_maps_and_ledgers_are_those_of_the_network(served: Served) -> None:
    subject = open_subject(NETWORK, data="digits")
    trace = Trace(subject.model, subject.images[5], int(subject.labels[5]))
    made = served.post("/api/pass", {"image": 5})
    assert made["label"] == subject.labels[5]
    assert made["loss"] == trace.loss_value
    for place, layer in enumerate(subject.model.layers):
        status, headers, body = served.ask("GET", f"/api/pass/{made['pass']}/{layer.name}")
        assert status == 200
        assert "immutable" in headers["cache-control"]
        found, expected = load(body), layer_arrays(trace, place)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{layer.name}.{name}")
    for cell in ("conv1.output[3,5,1]", "bn1.output[3,5,1]", "add1.input2.grad[0,1,2]", "fc1.weight.grad[3,7]", "loss"):
        ledger = served.post("/api/ledger", {"pass": made["pass"], "cell": cell})
        assert ledger == json.loads(json.dumps(explain_in(trace, cell).to_dict()))


def test_the_products_are_those_of_inside(served: Served) -> None:
    subject = open_subject(NETWORK, data="digits")
    expected = rot180.inside.products(Trace(subject.model, subject.images[5], int(subject.labels[5])), 0)
    made = served.post("/api/pass", {"image": 5})
    status, _, body = served.ask("GET", f"/api/pass/{made['pass']}/conv1/products/0")
    assert status == 200
    found = load(body)
    for name in ("x_col", "w_col", "dy_col", "y_col", "dw_col", "dx_col", "image", "folded", "places"):
        np.testing.assert_array_equal(found[name], getattr(expected, name), err_msg=name)
    status, _, body = served.ask("GET", f"/api/pass/{made['pass']}/relu1/products/0")
    assert status == 400
    assert "relu1 is not a product of matrices" in json.loads(body)["error"]


def test_a_ledger_speaks_the_language_of_the_page(served: Served) -> None:
    made = served.post("/api/pass", {"image": 0})
    asked = json.dumps({"pass": made["pass"], "cell": "conv1.output[3,5,1]"}).encode()
    told = json.loads(served.ask("POST", "/api/ledger", asked, Accept_Language="zh")[2])
    assert told["rule"].startswith("卷积")


def test_the_journey_is_that_of_inside(served: Served) -> None:
    subject = open_subject(NETWORK, data="digits")
    found = served.post("/api/journey", {"image": 2})
    expected = rot180.inside.journey(subject.model, subject.images[2:3], subject.labels[2:3])
    assert [array["name"] for array in found["arrays"]] == [step.name for step in expected.steps]
    assert found["loss"] == pytest.approx(expected.loss)


def test_an_image_from_the_page_is_taken_byte_by_byte_and_attributed(served: Served) -> None:
    subject = open_subject(NETWORK, data="digits")
    image = np.asarray(subject.images[4])
    pixels = base64.b64encode(image.tobytes()).decode()
    own, known = served.post("/api/pass", {"pixels": pixels}), served.post("/api/pass", {"image": 4})
    assert own["probabilities"] == known["probabilities"]
    assert own["image"] is None
    found = served.post("/api/attribution", {"pixels": pixels, "class": 3})
    expected = rot180.inside.attribution(subject.model, image, 3, engine="numpy")
    np.testing.assert_allclose(found["saliency"], expected.saliency, rtol=1e-6)
    np.testing.assert_allclose(found["occlusion"], expected.occlusion, atol=1e-6)
    assert found["layer"] == expected.layer


def test_a_drawing_is_taken_in_the_range_of_the_images(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images, labels = generator.normal(size=(60, 5, 5)).astype(np.float32), np.arange(60) % 3
    path = tmp_path / "signed.npz"
    np.savez(path, x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    explorer = Explorer(open_subject("5x5x1 > conv3x3:2 relu > fc3", data=str(path)))
    black, white = explorer.limits
    drawn = np.zeros(25, np.uint8)
    drawn[-1] = 255
    image, number, label = explorer._image({"pixels": base64.b64encode(drawn.tobytes()).decode()})
    assert (number, label) == (None, None)
    assert image.ravel()[0] == pytest.approx(black)
    assert image.ravel()[-1] == pytest.approx(white)
    made = explorer.passes.make(explorer.subject.model, 0, image, None, None, None)
    assert made.describe()["likeliest"] in (0, 1, 2)


@pytest.mark.parametrize("kind", ["convolution", "transposed", "max-pooling"])
def test_the_shape_lab_counts_the_readers_of_each_pixel(served: Served, kind: str) -> None:
    settings = {"kind": kind, "height": 7, "width": 6, "kernel": 3, "stride": 2, "padding": 1, "dilation": 1}
    made = served.post("/api/lab", settings)
    found = load(served.ask("GET", f"/api/pass/{made['pass']}/{made['layer']}")[2])
    assert list(found["output"].shape[1:]) == made["output"]
    assert (found["output"] == found["output"].round()).all()
    assert (found["output.grad"] == 1).all()
    counted = np.zeros((7, 6))
    rows, columns = made["output"][:2]
    for i in range(rows):
        for j in range(columns):
            if kind == "transposed":
                continue
            for u in range(3):
                for v in range(3):
                    row, column = 2 * i + u - 1, 2 * j + v - 1
                    if 0 <= row < 7 and 0 <= column < 6:
                        counted[row, column] += 1
    if kind != "transposed":
        np.testing.assert_array_equal(made["readers"], counted)
    else:  # padding crops what the kernel of a pixel at the edge would reach
        assert made["readers"][0][0] == 4
        assert made["readers"][3][3] == 9


def test_a_setting_of_the_lab_that_cannot_be_is_told(served: Served) -> None:
    settings = {"kind": "convolution", "height": 2, "width": 2, "kernel": 5, "stride": 1, "padding": 0, "dilation": 1}
    status, _, body = served.ask("POST", "/api/lab", json.dumps(settings).encode())
    assert status == 400
    assert "window" in json.loads(body)["error"]
    status, _, body = served.ask("POST", "/api/lab", json.dumps({**settings, "kernel": 99}).encode())
    assert "kernel must be a whole number from 1 to 7" in json.loads(body)["error"]


def _settle(served: Served, *states: str) -> dict[str, object]:
    for _ in range(600):
        status, _, body = _first_event(served)
        assert status == 200
        found: dict[str, object] = json.loads(body)
        if found["state"] in states:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def _first_event(served: Served) -> tuple[int, str, str]:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    try:
        connection.request("GET", "/api/events", headers={"Host": served.host, "Cookie": served.cookie})
        answer = connection.getresponse()
        identifier, data = answer.readline().decode(), answer.readline().decode()
        return answer.status, identifier.removeprefix("id: ").strip(), data.removeprefix("data: ")
    finally:
        connection.close()


def test_training_pauses_between_steps_and_events_go_on_where_a_page_stopped(served: Served) -> None:
    served.post("/api/train", {"command": "step", "steps": 3})
    found = _settle(served, "paused")
    assert [point[0] for point in found["points"]] == [1, 2, 3]  # type: ignore[attr-defined]
    assert found["step"] == 3
    ahead = served.post("/api/journey", {})
    batch = load(served.ask("GET", "/api/batch")[2])["images"]
    assert batch.shape == (32, 8, 8, 1)
    assert 0 <= batch.min() < batch.max() <= 1
    served.post("/api/train", {"command": "step"})
    for _ in range(200):
        found = _settle(served, "paused")
        if found["step"] == 4:
            break
    # The journey of the next batch was the step that came.
    assert found["points"][3][1] == pytest.approx(ahead["loss"], rel=1e-4)  # type: ignore[index]
    made = served.post("/api/pass", {"image": 0})
    assert made["step"] == 4
    looked_back = served.post("/api/time", {"image": 0})
    assert looked_back["steps"] == [0, 1, 2, 3, 4]
    assert looked_back["probabilities"][4] == pytest.approx(made["probabilities"])
    assert served.post("/api/pass", {"image": 0, "moment": 2})["step"] == 2
    assert served.post("/api/health", {})["layers"]
    served.post("/api/train", {"command": "restart"})
    found = _settle(served, "idle")
    time.sleep(0.5)  # a training that went on unseen would add points
    assert _settle(served, "idle")["points"] == []
    assert served.post("/api/pass", {"image": 0})["step"] == 0


def test_a_training_that_simply_runs_is_told_seldom_and_its_pause_at_once() -> None:
    explorer, told = Explorer(open_subject("8x8x1 > fc10", data="digits", engine="numpy")), []
    training = explorer.training

    class Page:
        async def is_disconnected(self) -> bool:
            return False

    async def train() -> None:
        training.state = RUNNING
        for batch in range(1, 10_000):
            training.points.append((batch, 1.0, 0, 32, 0.001))
            await asyncio.sleep(0.01)

    async def listen() -> None:
        running = asyncio.create_task(train())
        async for event in explorer._stream(Page(), 0, 0, "en"):  # type: ignore[arg-type]
            told.append((time.perf_counter(), json.loads(event.partition("data: ")[2])))
            if len(told) == 4:
                running.cancel()
                training.state = PAUSED
            if told[-1][1]["state"] == PAUSED:
                return

    asyncio.run(asyncio.wait_for(listen(), 20))
    at = [when for when, _ in told]
    assert [found["state"] for _, found in told[1:]] == [RUNNING] * 3 + [PAUSED]
    assert min(np.diff(at[1:4])) > 0.75 * BETWEEN_EVENTS
    assert at[4] - at[3] < 0.75 * BETWEEN_EVENTS
    assert sum(len(found["points"]) for _, found in told) == len(training.points)  # nothing is left out


def test_the_training_has_the_bits_of_train(tmp_path: Path) -> None:
    settings = RunSettings(model="8x8x1 > conv3x3:4 relu maxpool2 > fc10", epochs=1, seed=3, engine="numpy")
    run = train_run(settings, out=tmp_path / "run", draw=False)
    subject = open_subject(str(tmp_path / "run"))
    owner = Owner()
    training = Training(owner, subject)
    owner.start()
    training.command("step", 2)
    _wait(lambda: training.state == "paused")
    training.command("run")
    _wait(lambda: training.state == "ended")
    owner.close()
    assert training.model is not subject.model
    assert len(training.points) == len(run.history.epochs) * -(-len(run.dataset.train_images) // 32)

    def digest(model: rot180.Network) -> str:
        return hashlib.sha256(b"".join(array.tobytes() for array in model.state.values())).hexdigest()

    assert digest(training.model) == digest(run.model)


def test_a_finished_run_is_replayed_from_its_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    notation = "8x8x1 > conv3x3:4 bn relu dropout0.3 maxpool2 > fc10"
    settings = RunSettings(model=notation, epochs=2, seed=3, limit=300, augment="shift:1", engine="numpy")
    run = train_run(settings, out=tmp_path / "run", draw=False)
    subject = open_subject(str(tmp_path / "run"))
    assert subject.checkpoints == (10,)
    owner = Owner()
    training = Training(owner, subject)
    owner.start()
    with pytest.raises(ArgumentError, match="there is no checkpoint after 3 updates to replay from; there is: 10"):
        training.command("replay", start=3)
    training.command("replay", start=10)
    _wait(lambda: training.state == "paused")
    assert (training.step, training.replayed_from, training.compared) == (10, 10, [])
    then = training.next_batch()  # a step of the run, part by part
    training.command("step", 1)
    _wait(lambda: training.points)
    assert training.points[0][0] == 11
    assert training.points[0][1] == run.history.losses[10]  # the loss of that step, to the last bit
    assert then.loss == pytest.approx(run.history.losses[10], abs=0.5)  # its noise is drawn anew
    with pytest.raises(ArgumentError, match="a training is under way: start over first"):
        training.command("replay", start=10)
    training.command("run")
    _wait(lambda: training.state == "ended")
    owner.close()
    expected = weights_sha256(run.model.state)
    assert training.compared == [{"step": 20, "sha256": expected, "same": True}]
    assert weights_sha256(training.model.state) == expected
    assert [point[1] for point in training.points] == run.history.losses[10:]
    assert [moment.step for moment in training.moments.kept] == list(range(10, 21))


def test_a_replay_that_differs_is_told(tmp_path: Path) -> None:
    settings = RunSettings(model="8x8x1 > fc10", epochs=2, limit=100, engine="numpy")
    train_run(settings, out=tmp_path / "run", draw=False)
    subject = open_subject(str(tmp_path / "run"))
    owner = Owner()
    training = Training(owner, subject)
    owner.start()
    training.command("replay", start=4)
    _wait(lambda: training.state == "paused")
    training.model.parameters["fc1.bias"][0] += 1e-3
    training.command("run")
    _wait(lambda: training.state == "ended")
    owner.close()
    assert [found["same"] for found in training.compared] == [False]


def test_a_biography_is_told_of_the_training_on_the_page(served: Served) -> None:
    served.post("/api/train", {"command": "restart"})
    _settle(served, "idle")
    cell = {"cell": "conv1.weight[0,1,0,2]"}
    status, _, body = served.ask("POST", "/api/biography", json.dumps(cell).encode())
    assert status == 400
    assert "no moments of a training to look back at" in json.loads(body)["error"]
    served.post("/api/train", {"command": "step", "steps": 3})
    _settle(served, "paused")
    while (life := served.post("/api/biography", cell))["steps"][-1] < 3:
        time.sleep(0.05)
    assert life["steps"] == [0, 1, 2, 3]
    told = served.post("/api/chapter", {**cell, "moment": 1, "image": 5})
    assert told["value"] == life["values"][1]
    assert told["after"] == pytest.approx(life["values"][2], abs=1e-6)
    assert sum(told["pulls"]) == pytest.approx(told["gradient"], abs=1e-6)
    images = load(served.ask("GET", "/api/moments/1")[2])["images"]
    assert len(images) == len(told["pulls"]) == 32
    assert len(told["pushes"]) == 56  # in the first row of windows, this weight falls on the padding
    for path, command, reason in [
        ("/api/biography", {"cell": 3}, "cell must be the name of a parameter"),
        ("/api/biography", {"cell": "conv1.output[0,0,0]"}, "is not a parameter"),
        ("/api/biography", {"cell": "loss"}, "is not a parameter"),
        ("/api/chapter", {**cell, "moment": 77}, "the moment after 77 updates is not kept"),
        ("/api/chapter", {**cell, "moment": 1, "image": 32}, "image must be a whole number from 0 to 31"),
        ("/api/pass", {"image": 0, "moment": 77}, "the moment after 77 updates is not kept"),
    ]:
        status, _, body = served.ask("POST", path, json.dumps(command).encode())
        assert (status, reason in json.loads(body)["error"]) == (400, True), (path, command, body)
    assert served.ask("GET", "/api/moments/77")[0] == 400
    served.post("/api/train", {"command": "restart"})
    _settle(served, "idle")


def test_two_runs_are_beside_each_other(tmp_path: Path) -> None:
    for seed in (0, 1):
        settings = RunSettings(model="8x8x1 > fc10", epochs=2, seed=seed, limit=100, engine="numpy")
        run = train_run(settings, out=tmp_path / str(seed), draw=False)
    subject = open_beside(open_subject(str(tmp_path / "0")), str(tmp_path / "1"))
    explorer = Explorer(subject)
    explorer.owner.start()
    found = json.loads(asyncio.run(ask(explorer, "GET", "/api/beside")))
    assert found["settings"] == [["seed", 0, 1]]
    assert len(found["losses"]) == 8
    assert found["losses"] != found["other_losses"] == run.history.losses
    assert [weights["name"] for weights in found["weights"]] == ["fc1.weight", "fc1.bias"]
    assert found["weights"][0]["distance"] > 0.5
    answers = json.loads(asyncio.run(ask(explorer, "POST", "/api/beside", {"image": 7})))
    explorer.training.command("replay", start=4)
    explorer.training.command("step", 2)
    _wait(lambda: len(explorer.training.points) == 2)
    again = json.loads(asyncio.run(ask(explorer, "GET", "/api/beside")))["losses"]
    assert again == found["losses"][:6]  # each in the place of its batch, although the first four were not replayed
    explorer.close()
    assert subject.beside is not None
    for model, told in ((subject.model, answers["mine"]), (subject.beside.model, answers["theirs"])):
        expected = rot180.predict(model, subject.images[7:8])
        np.testing.assert_allclose(told["probabilities"], expected[0], atol=1e-6)
    train_run(
        RunSettings(model="8x8x1 > fc12", epochs=1, limit=100, engine="numpy"), out=tmp_path / "other", draw=False
    )
    with pytest.raises(ArgumentError, match="both networks must take the same images and have as many outputs"):
        open_beside(subject, str(tmp_path / "other"))


def test_a_lesson_is_refused_where_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = open_subject("5x5x1 > conv3x3:2 relu > fc3")
    monkeypatch.setattr("rot180.explore.lesson.LARGEST_IMAGE", 1000)
    with pytest.raises(ArgumentError, match="more than the 0 MB of a lesson; choose a smaller network"):
        write_lesson(subject, tmp_path / "lesson.html")
    assert list(tmp_path.iterdir()) == []


def _wait(condition: object) -> None:
    for _ in range(2000):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def test_a_training_leaves_the_processors_to_whoever_has_just_asked() -> None:
    owner = Owner()
    began = time.perf_counter()
    owner.pause_for_commands(wait=lambda: False)
    assert time.perf_counter() - began < COURTESY  # nobody has asked
    owner.hear()
    began = time.perf_counter()
    owner.pause_for_commands(wait=lambda: False)
    assert time.perf_counter() - began > 0.5 * COURTESY


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")
def test_the_owner_stands_behind_the_rest_of_the_program() -> None:
    owner = Owner()
    owner.start()
    owner.ask(lambda: None).result()
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    its = os.getpriority(os.PRIO_PROCESS, owner.native_id or 0)
    owner.close()
    assert its == min(mine + NICE, 19)


def test_a_network_without_data_is_shown_noise_and_cannot_train() -> None:
    subject = open_subject("5x5x2 > conv3x3:2 relu > fc3")
    assert subject.part == "noise"
    assert subject.images.shape == (16, 5, 5, 2)
    with pytest.raises(ArgumentError, match="no data to train on; start rot180 explore with --data"):
        Training(Owner(), subject).command("run")


def test_a_network_that_returns_maps_has_a_way_back_too() -> None:
    subject = open_subject("6x6x1 > conv3x3:2:same relu > conv3x3:1:same")
    made = Passes().make(subject.model, 0, subject.images[0], 0, int(subject.labels[0]), None)
    assert made.describe()["loss"] > 0
    assert made.ledger("image.grad[2,3,0]").adds_up
    assert {"input.grad", "weight.grad"} <= load(made.layer("conv1")).keys()


def test_what_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such run"):
        open_subject(str(tmp_path / "none"))
    with pytest.raises(ArgumentError, match="lenet55"):
        open_subject("lenet55")
