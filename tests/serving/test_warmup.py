from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import ModelUnusable
from serving.runtimes import DEFAULT_SIGNATURE, Model
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor
from serving.warmup import BUDGET, RECORDED, warm_up

NOWHERE = Path("/nonexistent")


class Recorder:
    """Remembers the batches that it was given, and answers a row for a row, or a fixed array."""

    device = "cpu"

    def __init__(self, *inputs: TensorSpec, answer: Tensor | None = None) -> None:
        signature = Signature(inputs, (TensorSpec("out", "float32", (None, 1)),))
        self.signatures = {DEFAULT_SIGNATURE: signature}
        self.answer = answer
        self.batches: list[Mapping[str, Tensor]] = []

    def predict(self, batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        assert signature in ("", *self.signatures)
        self.batches.append(batch)
        rows = len(next(iter(batch.values())))
        return {"out": np.zeros((rows, 1)) if self.answer is None else self.answer}

    @property
    def sizes(self) -> list[int]:
        return sorted({len(batch["a"]) for batch in self.batches})


class Clock:
    """Tells times that were laid down before: each call of the model takes the next of `seconds`."""

    def __init__(self, *seconds: float) -> None:
        self.left = iter(seconds)
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_time(self, *_: Any) -> None:
        self.now += next(self.left)


VECTOR = TensorSpec("a", "float32", (None, 2))


def timed(clock: Clock) -> Recorder:
    """A model whose calls take the clock's time."""
    model = Recorder(VECTOR)
    predict = model.predict

    def slow(batch: Mapping[str, Tensor], signature: str = "") -> dict[str, Tensor]:
        clock.pass_time()
        return predict(batch, signature)

    model.predict = slow  # type: ignore[method-assign]
    return model


def test_a_row_of_zeros_has_every_input_in_its_type_and_shape() -> None:
    model = Recorder(TensorSpec("a", "int32", (None, 2, 3)), TensorSpec("b", "string", (None,)))
    assert warm_up(model, NOWHERE, 1).keys() == {1}
    batch = model.batches[0]
    assert (batch["a"].shape, batch["a"].dtype, batch["b"].tolist()) == ((1, 2, 3), np.int32, [b""])


@pytest.mark.parametrize(("most", "sizes"), [(1, [1]), (8, [1, 2, 4, 8]), (6, [1, 2, 4, 6])])
def test_sizes_double_up_to_the_largest_batch(most: int, sizes: list[int]) -> None:
    model = Recorder(VECTOR)
    assert list(warm_up(model, NOWHERE, most)) == sizes
    assert model.sizes == sizes


def test_a_model_of_a_fixed_size_is_called_with_that_size_only() -> None:
    model = Recorder(TensorSpec("a", "float32", (8, 2)))
    assert list(warm_up(model, NOWHERE, 64)) == [8]


def test_a_size_is_called_until_its_time_falls_no_longer() -> None:
    clock = Clock(5.0, 0.5, 0.1, 0.01, 0.01, 0.02)
    model = timed(clock)
    assert warm_up(model, NOWHERE, 1, clock) == {1: pytest.approx(0.01)}
    assert len(model.batches) == 6


def test_sizes_that_would_take_longer_than_is_left_are_left_out() -> None:
    compiling, calling = 10 * BUDGET, BUDGET / 8
    clock = Clock(compiling, *[calling] * 20)
    model = timed(clock)
    assert warm_up(model, NOWHERE, 64, clock) == {rows: pytest.approx(calling) for rows in (1, 2, 4)}
    assert clock.now <= compiling + BUDGET


def test_one_row_is_predicted_however_long_it_takes() -> None:
    clock = Clock(10 * BUDGET, 9 * BUDGET)
    assert warm_up(timed(clock), NOWHERE, 64, clock) == {1: 9 * BUDGET}


@pytest.mark.parametrize("spec", [TensorSpec("a", "float32", None), TensorSpec("a", "json", (None,))])
def test_no_row_is_made_up_where_anything_may_be_one(spec: TensorSpec) -> None:
    model = Recorder(spec)
    assert not warm_up(model, NOWHERE, 4)
    assert model.batches == []


def test_a_free_dimension_is_tried_once_with_the_size_one() -> None:
    model = Recorder(TensorSpec("a", "float32", (None, None, 3)))
    assert warm_up(model, NOWHERE, 4).keys() == {1}
    assert model.batches[0]["a"].shape == (1, 1, 3)


def test_a_free_dimension_that_cannot_be_one_is_no_error() -> None:
    model = Recorder(TensorSpec("a", "float32", (None, None)), answer=np.float32(0))
    assert not warm_up(model, NOWHERE, 4)


def test_a_model_whose_first_call_fails_is_unusable(doubler: Any) -> None:
    doubler.error = RuntimeError("no kernel\n  for this processor")
    with pytest.raises(
        ModelUnusable, match=r"^the model's first call failed: RuntimeError: no kernel for this"
    ):
        warm_up(doubler, NOWHERE, 1)


@pytest.mark.parametrize("answer", [np.float32(0), np.zeros((2, 1))])
def test_a_model_that_does_not_answer_row_by_row_is_unusable(answer: Tensor) -> None:
    with pytest.raises(ModelUnusable, match=r"^the output 'out' has the shape .* for 1 row"):
        warm_up(Recorder(VECTOR, answer=answer), NOWHERE, 1)


# Requests that came with a SavedModel

Load = Callable[[Path], Model]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def tf(load_model: Load) -> Any:
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def prediction_log(tf: Any) -> Any:
    """The message type, made from TensorFlow Serving's definitions by Google's own library."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="warmup_test.proto", package="warmup_test", syntax="proto3"
    )
    file.dependency.append("tensorflow/core/framework/tensor.proto")
    messages = {
        "ModelSpec": [("name", 1, ""), ("signature_name", 3, "")],
        "Entry": [("key", 1, ""), ("value", 2, ".tensorflow.TensorProto")],
        "Request": [
            ("model_spec", 1, ".warmup_test.ModelSpec"),
            ("inputs", 2, ".warmup_test.Entry"),
            ("output_filter", 3, ""),
        ],
        "PredictLog": [("request", 1, ".warmup_test.Request")],
        "PredictionLog": [
            ("log_metadata", 1, ".warmup_test.ModelSpec"),
            ("predict_log", 6, ".warmup_test.PredictLog"),
        ],
    }
    for message, members in messages.items():
        described = file.message_type.add(name=message)
        for name, number, kind in members:
            field = described.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if name == "inputs" else field.LABEL_OPTIONAL
            field.type = field.TYPE_MESSAGE if kind else field.TYPE_STRING
            if kind:
                field.type_name = kind
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("warmup_test.PredictionLog"))


@pytest.fixture
def record(tf: Any, prediction_log: Any) -> Callable[..., bytes]:
    """One serialised PredictionLog of a predict request."""

    def record(signature: str = "", **inputs: Any) -> bytes:
        log = prediction_log()
        log.log_metadata.name = "left out"
        request = log.predict_log.request
        request.model_spec.name = "any"
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs.add(key=name, value=tf.make_tensor_proto(values))
        data: bytes = log.SerializeToString()
        return data

    return record


@pytest.fixture
def write(tf: Any, tmp_path: Path) -> Write:
    """Write records where TensorFlow Serving looks for them, below the SavedModel's folder."""

    def write(*records: bytes) -> Path:
        (tmp_path / RECORDED).parent.mkdir()
        with tf.io.TFRecordWriter(str(tmp_path / RECORDED)) as writer:
            for each in records:
                writer.write(each)
        return tmp_path

    return write


def test_recorded_requests_are_made_instead_of_zeros(record: Any, write: Write) -> None:
    model = Recorder(VECTOR)
    folder = write(record(a=[[1.0, 2.0]]), record(DEFAULT_SIGNATURE, a=[[1.0, 2.0]] * 3))
    assert warm_up(model, folder, 64).keys() == {1, 3}
    assert {str(batch["a"].tolist()) for batch in model.batches} == {str([[1.0, 2.0]]), str([[1.0, 2.0]] * 3)}


def test_recorded_text_and_whole_numbers_keep_their_types(record: Any, write: Write) -> None:
    model = Recorder(VECTOR)
    warm_up(model, write(record(a=np.array([[7]], np.int64), b=[[b"\xff"]])), 1)
    assert model.batches[0]["a"].dtype == np.int64
    assert model.batches[0]["b"].tolist() == [[b"\xff"]]


def test_a_recorded_request_that_fails_is_named_by_its_number(record: Any, write: Write) -> None:
    folder = write(record(a=[[1.0, 2.0]]), record("nobody's", a=[[1.0, 2.0]]))
    with pytest.raises(ModelUnusable, match="tf_serving_warmup_requests, record 1: AssertionError"):
        warm_up(Recorder(VECTOR), folder, 1)


WHOLE = b"\x32\x02\x0a\x00"  # a predict log with an empty request


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (WHOLE[:-1], "ends in the middle of a field"),
        (b"\x80" * 11, "ends in the middle of a number"),
        (b"\x07", "unknown wire type 7"),
        (b"", "is no predict request"),
        (b"\x12\x02\x0a\x00", "is no predict request"),  # a classify log
        (WHOLE, "has no inputs"),
    ],
)
def test_a_record_that_is_no_request_is_named_by_its_number(
    bad: bytes, why: str, record: Any, write: Write
) -> None:
    with pytest.raises(ModelUnusable, match=f"record 1: .*{why}"):
        warm_up(Recorder(VECTOR), write(record(a=[[1.0, 2.0]]), bad), 1)


def test_a_file_with_a_wrong_checksum_is_refused(record: Any, write: Write) -> None:
    folder = write(record(a=[[1.0, 2.0]]))
    data = bytearray((folder / RECORDED).read_bytes())
    data[-6] ^= 1
    (folder / RECORDED).write_bytes(data)
    with pytest.raises(ModelUnusable, match="record 0: is cut off or has a wrong checksum"):
        warm_up(Recorder(VECTOR), folder, 1)


def test_more_records_than_tensorflow_serving_takes_are_refused(record: Any, write: Write) -> None:
    with pytest.raises(ModelUnusable, match="more than 1000 records"):
        warm_up(Recorder(VECTOR), write(*[record(a=[[1.0, 2.0]])] * 1001), 1)
