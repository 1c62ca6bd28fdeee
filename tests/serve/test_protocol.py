"""The Open Inference Protocol: its metadata, tensors in JSON and in binary, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Server

import rot180
from rot180.serve.served import DATATYPES


def infer(server: Server, name: str, images: np.ndarray[Any, Any], datatype: str, **more: Any) -> dict[str, Any]:
    tensor = {"name": "images", "shape": list(images.shape), "datatype": datatype, "data": images.tolist()}
    found: dict[str, Any] = server.json("POST", f"/v2/models/{name}/infer", {"inputs": [tensor], **more})
    return found


@pytest.fixture(scope="module")
def digits(folder: Path) -> rot180.Network:
    return rot180.load_model(folder / "digits.safetensors")


def test_the_server_and_its_networks_tell_about_themselves(server: Server) -> None:
    told = server.json("GET", "/v2")
    assert told == {"name": "rot180", "version": rot180.__version__, "extensions": ["binary_tensor_data"]}
    assert server.json("GET", "/v2/health/live") == {"live": True}
    assert server.json("GET", "/v2/health/ready") == {"ready": True}
    for path in ("/v2/models/digits", "/v2/models/digits/versions/1"):
        assert server.json("GET", f"{path}/ready") == {"name": "digits", "ready": True}
        told = server.json("GET", path)
        assert told["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
        assert told["outputs"][0] | {"parameters": None} == {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [-1, 10],
            "parameters": None,
        }
    assert server.json("GET", "/v2/models/colors")["outputs"][0]["parameters"]["labels"] == ["cat", "dog", "雪"]
    assert server.json("GET", "/v2/models/maps")["outputs"] == [
        {"name": "maps", "datatype": "FP32", "shape": [-1, 6, 6, 2]}
    ]
    for path in (
        "/v2/models/nothing",
        "/v2/models/digits/versions/2",
        "/v2/models/nothing/ready",
        "/v2/nothing",
        "/v2/",
    ):
        assert server.ask("GET", path)[0] == 404


@pytest.mark.parametrize("datatype", ["UINT8", "UINT16", "INT64", "FP32", "FP64"])
def test_answers_have_the_bits_of_predict(server: Server, digits: rot180.Network, datatype: str) -> None:
    data = rot180.load_data("digits").test_images[:7]
    images = data / data.max() if datatype.startswith("FP") else data
    images = images.astype(DATATYPES[datatype])
    answer = infer(server, "digits", images, datatype, id="seven")
    (output,) = answer["outputs"]
    assert {key: answer[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "digits",
        "model_version": "1",
        "id": "seven",
    }
    assert output["shape"] == [7, 10]
    found = np.array(output["data"], np.float32).reshape(7, 10)
    assert found.tobytes() == rot180.predict(digits, images).tobytes()
    one = infer(server, "digits", images[3:4], datatype)["outputs"][0]["data"]
    np.testing.assert_array_equal(np.array(one, np.float32), found[3])


def test_numbers_may_be_one_list_or_nested_and_gray_images_without_their_channel(server: Server) -> None:
    images = np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1) * 2
    nested = infer(server, "digits", images, "UINT8")
    tensor = {"name": "images", "shape": [2, 8, 8], "datatype": "UINT8", "data": images.ravel().tolist()}
    assert server.json("POST", "/v2/models/digits/infer", {"inputs": [tensor]}) == nested


def test_maps_are_returned_as_they_are(server: Server, folder: Path) -> None:
    images = np.random.default_rng(0).random((3, 6, 6, 1), np.float32)
    (output,) = infer(server, "maps", images, "FP32")["outputs"]
    expected = rot180.predict(rot180.load_model(folder / "maps.safetensors"), images)
    np.testing.assert_array_equal(np.array(output["data"], np.float32).reshape(output["shape"]), expected)


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT32", "FP16", "FP32", "FP64"])
@pytest.mark.parametrize("asked", ["all", "one", "none"])
def test_binary_tensors_in_and_out(server: Server, digits: rot180.Network, datatype: str, asked: str) -> None:
    images = np.random.default_rng(1).integers(2, size=(3, 8, 8, 1)).astype(DATATYPES[datatype])
    images = images if datatype in ("BOOL", "FP16", "FP32", "FP64") else images * 255
    data = images.tobytes()
    tensor = {"name": "images", "shape": [3, 8, 8, 1], "datatype": datatype}
    request: dict[str, Any] = {"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}
    if asked == "all":
        request["parameters"] = {"binary_data_output": True}
    if asked == "one":
        request["outputs"] = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps(request).encode()
    status, headers, body = server.ask(
        "POST", "/v2/models/digits/infer", head + data, Inference_Header_Content_Length=str(len(head))
    )
    assert status == 200, body
    expected = rot180.predict(digits, images)
    if asked == "none":
        found = np.array(json.loads(body)["outputs"][0]["data"], np.float32)
    else:
        length = int(headers["inference-header-content-length"])
        (output,) = json.loads(body[:length])["outputs"]
        assert output["parameters"] == {"binary_data_size": len(body) - length}
        assert "data" not in output
        found = np.frombuffer(body[length:], "<f4")
    assert found.tobytes() == expected.tobytes()


def _tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "images", "shape": [1, 8, 8], "datatype": "UINT8", "data": [0] * 64} | changes


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (b"", "a request is one JSON object"),
        (b"[1", "a request is one JSON object"),
        (b"[" * 100_000, "a request is one JSON object"),
        ([], "a request is one JSON object"),
        ({}, "inputs must be a list of one tensor"),
        ({"inputs": [_tensor(), _tensor()]}, "inputs must be a list of one tensor"),
        ({"inputs": [_tensor()], "id": 7}, "id must be a text"),
        ({"inputs": [_tensor(name="x")]}, "digits has no input 'x'; its input is 'images'"),
        ({"inputs": [_tensor(datatype="UINT9")]}, "unknown datatype 'UINT9'; did you mean"),
        ({"inputs": [_tensor(datatype=["UINT8"])]}, "unknown datatype"),
        ({"inputs": [_tensor(datatype="BYTES")]}, "unknown datatype 'BYTES'"),
        ({"inputs": [_tensor(shape=[1, 8, 9])]}, r"the network takes images (N, 8, 8, 1); got (1, 8, 9)"),
        ({"inputs": [_tensor(shape=[0, 8, 8])]}, "shape must be a list of whole numbers above 0"),
        ({"inputs": [_tensor(shape=[-1, 8, 8])]}, "shape must be a list of whole numbers above 0"),
        ({"inputs": [_tensor(shape=[1.0, 8, 8])]}, "shape must be a list of whole numbers above 0"),
        ({"inputs": [_tensor(shape=[10**30, 8, 8])]}, "shape must be a list of whole numbers above 0"),
        ({"inputs": [_tensor(shape=[2**39, 8, 8])]}, "data must be the 35,184,372,088,832 numbers of the shape"),
        ({"inputs": [_tensor(shape=[1] * 50)]}, "shape must be a list of whole numbers above 0"),
        ({"inputs": [_tensor(data=[0] * 63)]}, "data must be the 64 numbers of the shape; it is 63"),
        ({"inputs": [_tensor(data=["0"] * 64)]}, "data must be numbers"),
        ({"inputs": [_tensor(data=[[1, 2], [3]])]}, "data must be numbers"),
        ({"inputs": [_tensor(data=[10**400] + [0] * 63)]}, "data must be numbers"),
        ({"inputs": [_tensor(data=[None] * 64)]}, "data must be numbers"),
        ({"inputs": [_tensor(data=7)]}, "data must be a list of numbers"),
        ({"inputs": [_tensor(data=[256] * 64)]}, "data has values that are not uint8"),
        ({"inputs": [_tensor(data=[-1] * 64)]}, "data has values that are not uint8"),
        ({"inputs": [_tensor(data=[0.5] * 64)]}, "data has values that are not uint8"),
        ({"inputs": [_tensor(datatype="BOOL", data=[2] * 64)]}, "data has values that are not bool"),
        ({"inputs": [_tensor(datatype="FP32", data=[float("nan")] * 64)]}, "NaN"),
        ({"inputs": [_tensor(datatype="FP32", data=[1e300] * 64)]}, "infinit"),
        ({"inputs": [_tensor(datatype="FP32", data=[7e4] * 64)]}, "pixels must be in the range of the training images"),
        ({"inputs": [_tensor(datatype="INT32", data=[-5] * 64)]}, "integers"),
        ({"inputs": [_tensor(parameters=[1])]}, "parameters must be an object"),
        ({"inputs": [_tensor(parameters={"binary_data_size": 64})]}, "binary_data_size must be 64"),
        (
            {"inputs": [_tensor()], "outputs": [{"name": "x"}]},
            "digits has no output 'x'; its output is 'probabilities'",
        ),
        ({"inputs": [_tensor()], "outputs": "x"}, "outputs must be a list of objects"),
        ({"inputs": [_tensor()], "parameters": {"binary_data_output": 1}}, "binary_data must be true or false"),
    ],
)
def test_what_is_no_request_is_refused_in_one_line(server: Server, asked: object, reason: str) -> None:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    status, _, answer = server.ask("POST", "/v2/models/digits/infer", body)
    told = json.loads(answer)["error"]
    assert (status, "\n" in told) == (400, False), told
    assert reason in told


@pytest.mark.parametrize("length", ["x", "-1", "99999", "1" * 5000, "10"])
def test_a_wrong_length_of_the_json_is_refused(server: Server, length: str) -> None:
    status, _, _ = server.ask(
        "POST", "/v2/models/digits/infer", b'{"inputs": []}', Inference_Header_Content_Length=length
    )
    assert status == 400


@pytest.mark.parametrize("code", ["zh", "zh-CN,zh;q=0.9"])
def test_reasons_are_in_the_language_that_is_asked_for(server: Server, code: str) -> None:
    _, _, answer = server.ask("POST", "/v2/models/digits/infer", b"[]", Accept_Language=code)
    assert json.loads(answer)["error"] == "请求必须是一个含有 'inputs' 的 JSON 对象"


def test_a_third_partys_client_agrees(server: Server, digits: rot180.Network) -> None:
    client = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    triton = client.InferenceServerClient(server.host)
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("digits")
    assert triton.get_server_metadata()["name"] == "rot180"
    assert triton.get_model_metadata("digits")["inputs"][0]["name"] == "images"
    images = rot180.load_data("digits").test_images[:5]
    expected = rot180.predict(digits, images)
    for binary in (True, False):
        given = client.InferInput("images", list(images.shape), "UINT8")
        given.set_data_from_numpy(images, binary_data=binary)
        wanted = client.InferRequestedOutput("probabilities", binary_data=binary)
        found = triton.infer("digits", [given], outputs=[wanted]).as_numpy("probabilities")
        assert found.astype(np.float32).tobytes() == expected.tobytes()
    with pytest.raises(client.InferenceServerException, match="no network is called 'none'"):
        triton.get_model_metadata("none")
    triton.close()


def test_every_datatype_has_the_size_of_the_protocol() -> None:
    sizes = {name: dtype.itemsize for name, dtype in DATATYPES.items()}
    assert sizes == {name: int("".join(filter(str.isdigit, name)) or 8) // 8 for name in DATATYPES}
