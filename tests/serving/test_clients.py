"""The ecosystem's own client against the real server: Triton's, which speaks the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.serving.process import starting

pytestmark = pytest.mark.e2e

PREDICTOR = """
INPUTS = {"pixels": ("float32", (None, 2, 2)), "label": ("string", (None,))}
OUTPUTS = {"mean": ("float32", (None,)), "backwards": ("string", (None,))}

def load(path):
    return None

def predict(model, inputs):
    pixels = inputs["pixels"]
    means = pixels.reshape(len(pixels), -1).mean(axis=1)
    return {"mean": means, "backwards": [each[::-1] for each in inputs["label"]]}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "model").mkdir()
    (folder / "model" / "predictor.py").write_text(PREDICTOR)
    with starting(folder) as start:
        server = start(folder / "model", MODEL_NAME="means", MODEL_VERSION="7")
        server.wait_until_ready()
        with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            yield client


PIXELS = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
LABELS = np.array(["one", "zwei", ""], object)


def inputs(*, binary: bool) -> list[triton.InferInput]:
    pixels = triton.InferInput("pixels", list(PIXELS.shape), "FP32")
    labels = triton.InferInput("label", [3], "BYTES")
    pixels.set_data_from_numpy(PIXELS, binary_data=binary)
    labels.set_data_from_numpy(LABELS, binary_data=binary)
    return [pixels, labels]


def test_it_finds_server_and_model_alive_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("means")
    assert client.is_model_ready("means", "7")
    assert not client.is_model_ready("medians")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]


def test_it_reads_what_the_model_takes(client: triton.InferenceServerClient) -> None:
    metadata = client.get_model_metadata("means")
    assert metadata["versions"] == ["7"]
    assert metadata["inputs"] == [
        {"name": "pixels", "datatype": "FP32", "shape": [-1, 2, 2]},
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
    ]


@pytest.mark.parametrize("asked", [True, False], ids=["binary in", "json in"])
@pytest.mark.parametrize("answered", [True, False], ids=["binary out", "json out"])
def test_its_predictions_come_back_as_arrays(
    client: triton.InferenceServerClient, asked: bool, answered: bool
) -> None:
    outputs = [triton.InferRequestedOutput(name, binary_data=answered) for name in ("mean", "backwards")]
    result = client.infer("means", inputs(binary=asked), outputs=outputs, request_id="r-1")
    assert result.get_response()["id"] == "r-1"
    assert result.as_numpy("mean").tolist() == [1.5, 5.5, 9.5]
    texts = [each.decode() if isinstance(each, bytes) else each for each in result.as_numpy("backwards")]
    assert texts == ["eno", "iewz", ""]


def test_a_refusal_reaches_it_as_its_own_error(client: triton.InferenceServerClient) -> None:
    wrong = triton.InferInput("pixels", [1, 3], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(InferenceServerException) as refused:
        client.infer("means", [wrong])
    assert refused.value.status() == "400"
