from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from doubles.models import (
    LIGHTGBM,
    SKOPS,
    TORCH_EXPORT,
    TORCHSCRIPT,
    XGBOOST_BINARY,
    field,
    node,
    onnx_bytes,
    zip_bytes,
)

from ml_containerize.plan.model.model import Model
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


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("keras", "digits/model.keras"),
        ("saved_model", "digits-savedmodel/saved_model/saved_model.pb"),
        ("onnx", "digits-onnx/model.onnx"),
        ("skops", "wine-sklearn/model.skops"),
        ("xgboost", "wine-xgboost/model.ubj"),
        ("lightgbm", "wine-lightgbm/model.txt"),
        ("torchscript", "digits-torchscript/model.pt"),
        ("torch_export", "digits-torch-export/model.pt2"),
    ],
)
def test_the_examples_models_are_harmless(make_model: MakeModel, kind: str, path: str) -> None:
    content = (EXAMPLES / path).read_bytes()
    assert check_model(make_model(kind, {Path(path).name: content})).findings == ()


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


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("onnx", "model.onnx", onnx_bytes(graph=node("Gemm") + node("Gelu", "com.microsoft"))),
        ("skops", "model.skops", SKOPS),
        ("xgboost", "model.ubj", XGBOOST_BINARY),
        ("lightgbm", "model.txt", LIGHTGBM),
        ("torchscript", "model.pt", TORCHSCRIPT),
        ("torch_export", "model.pt2", TORCH_EXPORT),
    ],
)
def test_a_model_that_only_computes_passes_without_a_word(
    make_model: MakeModel, kind: str, name: str, content: bytes
) -> None:
    report = check_model(make_model(kind, {name: content}))
    assert report.findings == ()
    assert report.notices == ()


def test_a_pickle_is_critical_unless_it_was_allowed(make_model: MakeModel) -> None:
    model = make_model("pickle", {"model.pkl": pickle.dumps({"a": OrderedDict()})})
    [refused] = check_model(model).findings
    [allowed] = check_model(model, allow_pickle=True).findings
    assert (refused.id, refused.severity) == ("MLC-PICKLE", "CRITICAL")
    assert (allowed.id, allowed.severity) == ("MLC-PICKLE", "HIGH")
    assert "collections.OrderedDict" in allowed.title


@pytest.mark.parametrize(
    ("content", "severity"),
    [
        (b"cos\nsystem\n(S'id'\ntR.", "CRITICAL"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "CRITICAL"),
        (b"\x80\4\x8c\x02os]\x93.", "CRITICAL"),
        (b"cour_team\nScaler\n.", "HIGH"),
    ],
)
def test_what_a_pickle_calls_is_told_although_it_was_allowed(
    make_model: MakeModel, content: bytes, severity: str
) -> None:
    findings = check_model(make_model("pickle", {"model.pkl": content}), allow_pickle=True).findings
    assert [(one.id, one.severity) for one in findings] == [
        ("MLC-PICKLE", "HIGH"),
        ("MLC-PICKLE-IMPORT", severity),
    ]


@pytest.mark.parametrize("content", [b"", b"no pickle", b"x\x9c\0", b"\x1f\x8b", b"\x04\x22\x4d\x18"])
def test_a_pickle_that_cannot_be_walked_does_not_pass(make_model: MakeModel, content: bytes) -> None:
    model = make_model("pickle", {"model.joblib": content})
    assert [one.id for one in check_model(model, allow_pickle=True).findings] == ["MLC-MODEL-UNREADABLE"]


@pytest.mark.parametrize("one", [("os", "system"), ("our_team", "Scaler"), ("__main__", "Model")])
def test_a_type_of_another_family_is_found_in_a_skops_file(
    make_model: MakeModel, one: tuple[str, str]
) -> None:
    module, name = one
    inner = {"__class__": name, "__module__": module, "__loader__": "ObjectNode"}
    schema = {"__class__": "dict", "__module__": "builtins", "content": {"steps": [inner]}}
    archive = zip_bytes({"schema.json": json.dumps(schema)})
    [finding] = check_model(make_model("skops", {"model.skops": archive})).findings
    assert (finding.id, finding.severity) == ("MLC-SKOPS-TYPE", "HIGH")
    assert f"{module}.{name}" in finding.title


def test_an_operator_of_others_is_found_in_an_onnx_model_also_inside_an_attribute(
    make_model: MakeModel,
) -> None:
    inner = field(6, node("Regex", "ai.example"))
    graph = node("If", attributes=field(5, inner)) + node("Run", "ai.example")
    findings = check_model(make_model("onnx", {"model.onnx": onnx_bytes(graph=graph)})).findings
    assert [(one.id, one.severity) for one in findings] == [("MLC-ONNX-OPERATOR", "HIGH")] * 2
    assert "Regex of ai.example" in findings[0].title


def test_a_function_that_the_onnx_model_defines_itself_is_no_operator_of_others(
    make_model: MakeModel,
) -> None:
    function = field(25, field(1, "gelu") + field(10, "pkg.torch") + field(7, field(4, "Erf")))
    content = onnx_bytes(graph=node("gelu", "pkg.torch"), functions=function)
    assert ids(make_model("onnx", {"model.onnx": content})) == []


@pytest.mark.parametrize("place", ["/etc/passwd", "../other", "a/../../b", "..\\b", "C:\\b"])
def test_weights_outside_of_an_onnx_model_are_found(make_model: MakeModel, place: str) -> None:
    files = {"model.onnx": onnx_bytes("weights.bin", place), "weights.bin": b"\0"}
    [finding] = check_model(make_model("onnx", files)).findings
    assert (finding.id, finding.severity) == ("MLC-ONNX-FILE", "CRITICAL")
    assert place in finding.title


def test_a_program_that_opens_files_is_found_in_torchscript(make_model: MakeModel) -> None:
    code = 'y = torch.from_file("/etc/passwd", None, 4)\nz = ops.ours.relu(y)\nw = ops.quantized.linear(z)'
    archive = zip_bytes(
        {"m/data.pkl": b"\x80\2).", "m/code/__torch__.py": code, "m/constants.pkl": b"\x80\2)."}
    )
    findings = check_model(make_model("torchscript", {"model.pt": archive})).findings
    assert [(one.id, one.severity) for one in findings] == [
        ("MLC-TORCH-FILE", "HIGH"),
        ("MLC-TORCH-OPERATOR", "HIGH"),
    ]
    assert "ours::relu" in findings[1].title


def test_an_unusual_import_is_found_in_torchscripts_pickles(make_model: MakeModel) -> None:
    usual = b"c__torch__\nModel\nctorch._utils\n_rebuild_tensor_v2\nccollections\nOrderedDict\n"
    for content, expected in ((usual + b".", []), (usual + b"cos\nsystem\n.", ["MLC-TORCH-IMPORT"])):
        archive = zip_bytes({"m/data.pkl": content, "m/constants.pkl": b"\x80\2)."})
        assert ids(make_model("torchscript", {"model.pt": archive})) == expected


def test_an_exported_program_is_searched_with_the_archives_inside_of_it(make_model: MakeModel) -> None:
    graph = {
        "graph": {"nodes": [{"target": "torch.ops.aten.from_file.default"}, {"target": "_operator.add"}]}
    }
    samples = zip_bytes({"s/data.pkl": b"cos\nsystem\n."})
    archive = zip_bytes({"m/models/model.json": json.dumps(graph), "m/data/sample_inputs/model.pt": samples})
    assert ids(make_model("torch_export", {"model.pt2": archive})) == ["MLC-TORCH-FILE", "MLC-TORCH-IMPORT"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("skops", "model.skops"), ("onnx", "model.onnx"), ("torchscript", "m.pt"), ("torch_export", "m.pt2")],
)
def test_a_damaged_file_of_any_format_does_not_pass(make_model: MakeModel, kind: str, name: str) -> None:
    assert ids(make_model(kind, {name: b"\x0f\xff"})) == ["MLC-MODEL-UNREADABLE"]


def test_a_predictor_is_told_to_be_the_teams_own_code(make_model: MakeModel) -> None:
    report = check_model(make_model("python", {"predictor.py": b"import os", "data.pkl": b"cos\nsystem\n."}))
    assert report.findings == ()
    assert "the team's own code" in report.notices[0]


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
