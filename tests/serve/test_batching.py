"""Images of many requests run together, and have the bits that they have alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rot180
from rot180.errors import NonFiniteError
from rot180.serve.batching import Batcher, QueueFull, sizes_of
from rot180.serve.served import Served
from rot180.training.predict import run_prediction

NETWORKS = {
    "wide": "9x9x1 > conv3x3:8:same relu maxpool2 > fc200 relu > fc7",
    "deep": "10x10x3 > conv3x3:8 bn relu > conv3x3:8:s2 silu > gap > fc4 sigmoid",
}


def counted(ran: list[int]) -> Callable[[str, int, float], None]:
    """Note how many images each batch had."""
    return lambda name, images, seconds: ran.append(images)


@pytest.fixture
def networks() -> dict[str, Served]:
    tta = {"wide": "none", "deep": "flip"}
    return {name: Served(name, rot180.network(text).build(seed=3), tta[name]) for name, text in NETWORKS.items()}


@pytest.mark.parametrize("max_wait", [0.0, 0.002])
def test_drawn_requests_have_the_bits_of_prediction_in_whatever_batches_they_fall(
    networks: dict[str, Served], max_wait: float
) -> None:
    draw = np.random.default_rng(int(1000 * max_wait))
    ran: list[int] = []
    batcher = Batcher(
        networks,
        max_batch=6,
        max_wait=max_wait,
        max_queue=10_000,
        observe=counted(ran),
    )
    asked = []
    for _ in range(120):
        served = networks[str(draw.choice(list(networks)))]
        images = draw.integers(256, size=(draw.integers(1, 12), *served.model.input_shape), dtype=np.uint8)
        asked.append((served, images, batcher.submit(served.name, served.ready(images))))
        if draw.random() < 0.1:
            time.sleep(0.002)
    for served, images, future in asked:
        expected = run_prediction(served.model, images, tta=served.tta, steady=True)
        assert future.result(timeout=30).tobytes() == expected.tobytes()
    batcher.close()
    assert set(ran) <= set(sizes_of(6))
    assert sum(ran) == sum(len(images) for _, images, _ in asked)
    assert len(ran) < 0.8 * sum(len(images) for _, images, _ in asked)


def test_images_are_joined_not_requests(networks: dict[str, Served]) -> None:
    ran: list[int] = []
    batcher = Batcher(networks, max_batch=4, max_wait=0.3, observe=counted(ran))
    while not batcher.is_ready:
        time.sleep(0.01)
    ready = np.zeros((3, 9, 9, 1), np.float32)
    futures = [batcher.submit("wide", ready) for _ in range(4)]
    for future in futures:
        assert future.result(timeout=10).shape == (3, 7)
    batcher.close()
    assert ran == [4, 4, 4]


def test_a_long_request_lets_others_pass(networks: dict[str, Served]) -> None:
    done: list[str] = []
    batcher = Batcher(networks, max_batch=4, max_queue=10_000)
    long = batcher.submit("wide", np.zeros((2000, 9, 9, 1), np.float32))
    long.add_done_callback(lambda _: done.append("long"))
    short = batcher.submit("wide", np.zeros((2, 9, 9, 1), np.float32))
    short.add_done_callback(lambda _: done.append("short"))
    other = batcher.submit("deep", np.zeros((1, 10, 10, 3), np.float32))
    other.add_done_callback(lambda _: done.append("other"))
    long.result(timeout=60)
    batcher.close()
    assert done[-1] == "long"
    assert len(done) == 3


def test_a_full_queue_refuses_and_says_when_to_come_back(networks: dict[str, Served]) -> None:
    batcher = Batcher(networks, max_batch=2, max_queue=8)
    accepted = batcher.submit("wide", np.zeros((500, 9, 9, 1), np.float32))  # nobody else waits
    with pytest.raises(QueueFull, match="the queue is full; try again in 1 s") as full:
        batcher.submit("wide", np.zeros((1, 9, 9, 1), np.float32))
    assert full.value.seconds >= 1
    batcher.submit("deep", np.zeros((1, 10, 10, 3), np.float32)).result(timeout=60)  # its queue is another one
    assert accepted.result(timeout=60).shape == (500, 7)
    assert batcher.waiting("wide") == 0
    batcher.close()


def test_a_request_that_cannot_be_answered_does_not_spoil_its_neighbors(networks: dict[str, Served]) -> None:
    batcher = Batcher(networks, max_batch=8, max_wait=0.2)
    good = np.random.default_rng(0).random((3, 9, 9, 1), np.float32)
    bad = np.full((2, 9, 9, 1), 3e38, np.float32)
    futures = [batcher.submit("wide", images) for images in (good, bad, good)]
    expected = run_prediction(networks["wide"].model, good, white=1.0)
    assert futures[0].result(timeout=30).tobytes() == expected.tobytes() == futures[2].result(timeout=30).tobytes()
    with pytest.raises(NonFiniteError, match="the outputs are not finite"):
        futures[1].result(timeout=30)
    batcher.close()


@pytest.mark.parametrize("patient", [False, True])
def test_of_a_request_that_has_failed_nothing_more_runs(networks: dict[str, Served], patient: bool) -> None:
    ran: list[int] = []
    batcher = Batcher(networks, max_batch=2, observe=counted(ran))
    bad = np.full((5000, 9, 9, 1), 3e38, np.float32)
    with pytest.raises(NonFiniteError, match=r"images? 0"):
        batcher.submit("wide", bad, patient=patient).result(timeout=30)
    assert batcher.waiting("wide") == 0
    assert batcher.submit("wide", bad[:1] * 0).result(timeout=30).shape == (1, 7)
    batcher.close()
    assert ran == [1]


def test_patient_images_run_behind_others_and_are_not_counted(networks: dict[str, Served]) -> None:
    batcher = Batcher(networks, max_batch=4, max_queue=4)
    order: list[str] = []
    patient = batcher.submit("wide", np.zeros((8000, 9, 9, 1), np.float32), patient=True)
    patient.add_done_callback(lambda _: order.append("patient"))
    for _ in range(3):
        hasty = batcher.submit("wide", np.zeros((4, 9, 9, 1), np.float32))
        hasty.result(timeout=30)
        order.append("hasty")
    assert patient.result(timeout=60).shape == (8000, 7)
    batcher.close()
    assert order == ["hasty"] * 3 + ["patient"]


def test_what_waits_at_the_end_is_answered_and_nothing_is_taken_any_more(networks: dict[str, Served]) -> None:
    batcher = Batcher(networks, max_batch=2, max_wait=60)
    waiting = [batcher.submit("wide", np.zeros((1, 9, 9, 1), np.float32)) for _ in range(3)]
    batcher.close()
    assert all(future.done() and future.result().shape == (1, 7) for future in waiting)
    assert not batcher.is_alive
    with pytest.raises(QueueFull):
        batcher.submit("wide", np.zeros((1, 9, 9, 1), np.float32))


def test_what_nobody_waits_for_does_not_delay_the_end(networks: dict[str, Served]) -> None:
    batcher = Batcher(networks, max_batch=1)
    while not batcher.is_ready:
        time.sleep(0.01)
    long = batcher.submit("wide", np.zeros((100_000, 9, 9, 1), np.float32))
    patient = batcher.submit("deep", np.zeros((1000, 10, 10, 3), np.float32), patient=True)
    began = time.perf_counter()
    batcher.close(finish=False)
    assert time.perf_counter() - began < 2
    for future in (long, patient):
        with pytest.raises(QueueFull):
            future.result(timeout=1)


def test_a_fault_while_images_run_is_the_requests_and_others_are_still_answered(
    networks: dict[str, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rot180.serve import batching

    batcher = Batcher(networks)
    while not batcher.is_ready:
        time.sleep(0.01)
    images = np.zeros((2, 9, 9, 1), np.float32)
    predict = batching.predict_ready

    def fail(*_: object, **__: object) -> None:
        monkeypatch.setattr(batching, "predict_ready", predict)
        raise RuntimeError("a fault")

    monkeypatch.setattr(batching, "predict_ready", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        batcher.submit("wide", images).result(timeout=30)
    assert batcher.submit("wide", images).result(timeout=30).shape == (2, 7)
    batcher.close()


def test_many_threads_ask_at_once(networks: dict[str, Served]) -> None:
    batcher = Batcher(networks, max_queue=10_000)
    images = np.random.default_rng(1).integers(256, size=(5, 9, 9, 1), dtype=np.uint8)
    expected = run_prediction(networks["wide"].model, images)
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            one = images[number : number + 1]
            if (
                batcher.submit("wide", networks["wide"].ready(one)).result(timeout=30)[0].tobytes()
                != expected[number].tobytes()
            ):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number % 5,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    assert wrong == []


def test_a_run_is_served_under_its_name_and_a_file_under_its_own(tmp_path: Path) -> None:
    from rot180.errors import ArgumentError
    from rot180.serve import Settings

    named = Settings([str(tmp_path), "runs/a/model.safetensors", "b.safetensors", "x=runs/a"]).named()
    assert list(named) == [tmp_path.name, "a", "b", "x"]
    for models, match in (
        (["runs/a", "other/a"], "two networks would be served as 'a'; name one of them with NAME=other/a"),
        (["runs/a b"], "the name of a served network may have letters, digits"),
        (["=runs/a"], "'=runs/a': a name or a path is missing; write NAME=PATH, or the path alone"),
        (["a="], "'a=': a name or a path is missing"),
        ([], "needs at least one run"),
    ):
        with pytest.raises(ArgumentError, match=match):
            Settings(models)
    for values, match in (
        ({"host": "0.0.0.0"}, "other machines could send requests; add --token"),
        ({"token": "short"}, "a token must have at least 16 characters"),
        ({"token": "with space and more"}, "a token must have at least 16 characters"),
        ({"max_batch": 0}, "--max-batch must be from 1 to 1,024; it is 0"),
        ({"max_wait": -1.0}, "--max-wait-ms must be from 0"),
        ({"max_body": float("nan")}, "--max-body must be from 0.001 to 2,000; it is nan"),
        ({"max_body": -1.0}, "--max-body must be from 0.001 to 2,000; it is -1"),
        ({"timeout": float("inf")}, "--timeout must be from 0.01 to 3,600; it is inf"),
        ({"workers": 1000}, "--workers must be from 1 to 256; it is 1,000"),
    ):
        with pytest.raises(ArgumentError, match=match):
            Settings(["a"], **values)  # type: ignore[arg-type]
