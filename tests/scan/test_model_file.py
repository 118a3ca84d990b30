from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ml_containerize.plan.model import Model
from ml_containerize.scan.model_file import check_model

MakeModel = Callable[..., Model]
EXAMPLES = Path(__file__).parents[2] / "examples"

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 64}}
LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "evil", "function": {}}}


def description(*layers: Any) -> str:
    return json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": layers}})


def keras_archive(config: str | None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", "{}")
        if config is not None:
            archive.writestr("config.json", config, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def h5_file(config: str | bytes, **more: Any) -> bytes:
    """As Keras writes it: the description is an attribute of the root group, weights are data sets."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in {"keras_version": "3.15.1", "model_config": config, **more}.items():
            file.attrs[name] = value
        file.create_dataset("model_weights/dense/kernel", data=np.frombuffer(os.urandom(50_000), np.uint8))
    return buffer.getvalue()


def ids(model: Model) -> list[str]:
    return [finding.id for finding in check_model(model).findings]


def test_the_examples_models_are_harmless(make_model: MakeModel) -> None:
    archive = (EXAMPLES / "digits" / "model.keras").read_bytes()
    assert check_model(make_model("keras", {"model.keras": archive})).findings == ()
    graph = (EXAMPLES / "digits-savedmodel" / "saved_model" / "saved_model.pb").read_bytes()
    assert check_model(make_model("saved_model", {"saved_model.pb": graph})).findings == ()


def test_a_lambda_layer_in_a_keras_archive_is_found(make_model: MakeModel) -> None:
    model = make_model("keras", {"model.keras": keras_archive(description(DENSE, LAMBDA))})
    (finding,) = check_model(model).findings
    assert (finding.id, finding.severity, finding.kind) == ("MLC-KERAS-LAMBDA", "CRITICAL", "model")
    assert finding.path == "opt/ml/model/model.keras"
    assert finding.package == "model.keras"


@pytest.mark.parametrize("content", [b"", b"no zip", keras_archive(None), keras_archive("{")])
def test_a_keras_archive_that_cannot_be_read_does_not_pass(make_model: MakeModel, content: bytes) -> None:
    assert ids(make_model("keras", {"model.keras": content})) == ["MLC-MODEL-UNREADABLE"]


def test_a_description_beyond_all_reason_is_not_read_into_memory(make_model: MakeModel) -> None:
    bomb = keras_archive("[" + " " * (64 * 2**20))
    assert ids(make_model("keras", {"model.keras": bomb})) == ["MLC-MODEL-UNREADABLE"]


@pytest.mark.parametrize("encode", [str, str.encode])
@pytest.mark.parametrize("padding", range(9))
def test_a_lambda_layer_in_an_h5_file_is_found(
    make_model: MakeModel, encode: Callable[[str], str | bytes], padding: int
) -> None:
    config = description({**DENSE, "pad": "x" * padding}, LAMBDA)
    training = json.dumps({"optimizer_config": {"class_name": "Adam", "module": "keras.optimizers"}})
    model = make_model("h5", {"model.h5": h5_file(encode(config), training_config=training)})
    assert ids(model) == ["MLC-KERAS-LAMBDA"]


def test_an_h5_file_with_a_long_description_is_read_whole(make_model: MakeModel) -> None:
    config = description(*[DENSE] * 3000, LAMBDA)
    assert ids(make_model("h5", {"model.h5": h5_file(config)})) == ["MLC-KERAS-LAMBDA"]


def test_escaped_letters_in_an_h5_file_hide_nothing(make_model: MakeModel) -> None:
    config = description(LAMBDA).replace("Lambda", r"\u004cambda").replace("class_name", r"\u0063lass_name")
    assert ids(make_model("h5", {"model.h5": h5_file(config)})) == ["MLC-KERAS-LAMBDA"]


def test_a_harmless_h5_file_passes_with_a_word_about_its_format(make_model: MakeModel) -> None:
    report = check_model(make_model("h5", {"model.h5": h5_file(description(DENSE))}))
    assert report.findings == ()
    assert "model.h5 is HDF5" in report.notices[0]


def test_an_h5_description_that_cannot_be_read_does_not_pass(make_model: MakeModel) -> None:
    model = make_model("h5", {"model.h5": h5_file(description(LAMBDA)[:-3])})
    assert ids(model) == ["MLC-MODEL-UNREADABLE"]


def test_a_layer_that_is_named_like_a_key_is_harmless(make_model: MakeModel) -> None:
    model = make_model("h5", {"model.h5": h5_file(description(DENSE), layer_names=["class_name"])})
    assert ids(model) == []


@pytest.mark.parametrize("operation", ["ReadFile", "WriteFile"])
def test_an_operation_that_opens_files_is_found_in_a_saved_model(
    make_model: MakeModel, operation: str
) -> None:
    name = b"save_it"
    node = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(operation)]) + operation.encode()
    files = {"saved_model.pb": b"\x08\x01" + node * 2, "variables/variables.data-00000-of-00001": node}
    (finding,) = check_model(make_model("saved_model", files)).findings
    assert (finding.id, finding.severity) == ("MLC-TF-FILE", "HIGH")
    assert operation in finding.title
    assert finding.path == "opt/ml/model/saved_model.pb"


def test_an_operation_that_is_only_mentioned_is_harmless(make_model: MakeModel) -> None:
    assert ids(make_model("saved_model", {"saved_model.pb": b"\x0a\x0emy_WriteFile_2"})) == []


@pytest.mark.e2e
@pytest.mark.parametrize(("name", "kind"), [("model.keras", "keras"), ("model.h5", "h5")])
def test_a_lambda_layer_that_keras_itself_wrote_is_found(
    tmp_path: Path, make_model: MakeModel, name: str, kind: str
) -> None:
    import keras

    plain = [keras.Input((4,)), keras.layers.Dense(3)]
    keras.Sequential(plain).save(tmp_path / f"harmless-{name}")
    keras.Sequential([*plain, keras.layers.Lambda(lambda x: x * 2)]).save(tmp_path / f"code-{name}")
    harmless, code = ((tmp_path / f"{which}-{name}").read_bytes() for which in ("harmless", "code"))
    assert ids(make_model(kind, {name: harmless})) == []
    assert set(ids(make_model(kind, {name: code}))) == {"MLC-KERAS-LAMBDA"}
