from __future__ import annotations

import json
from typing import Any

import pytest

from ml_containerize.scan.model_config import dangers_in, parse_config


def ids(config: object) -> list[str]:
    return [danger.id for danger in dangers_in(config)]


def layer(kind: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": kind,
        "config": {"name": "mine", **config},
        "registered_name": None,
    }


def model(*layers: object) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Functional", "config": {"name": "m", "layers": list(layers)}}


def test_layers_of_keras_are_harmless() -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    activation = {"module": "builtins", "class_name": "function", "config": "relu"}
    assert (
        ids(model(layer("Dense", units=64, dtype=policy), layer("Activation", activation=activation))) == []
    )


def test_a_lambda_layer_is_code_in_the_model() -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
    dangers = list(dangers_in(model(layer("Dense"), layer("Lambda", function=code))))
    assert {(danger.id, danger.severity) for danger in dangers} == {("MLC-KERAS-LAMBDA", "CRITICAL")}
    assert "'mine' is a Lambda layer" in dangers[0].what


def test_a_lambda_layer_of_keras_2_is_found() -> None:
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                {
                    "class_name": "Lambda",
                    "config": {
                        "name": "lambda",
                        "function": ["4wEAAAAA", None, None],
                        "function_type": "lambda",
                    },
                }
            ],
        },
    }
    assert ids(config) == ["MLC-KERAS-LAMBDA"]


@pytest.mark.parametrize("module", ["subprocess", "os.path", "keras_evil", "my_package.layers", "tensorflow"])
def test_a_class_from_elsewhere_is_an_import(module: str) -> None:
    (danger,) = dangers_in(model(layer("run", module)))
    assert (danger.id, danger.severity) == ("MLC-KERAS-IMPORT", "HIGH")
    assert f"{module}.run" in danger.what


@pytest.mark.parametrize(
    "name", ["enable_unsafe_deserialization", "keras.config.enable_unsafe_deserialization", "get_file"]
)
def test_a_function_that_undoes_safe_mode_is_found_wherever_it_stands(name: str) -> None:
    assert "MLC-KERAS-UNSAFE" in ids(
        model({"class_name": "function", "module": "keras.utils", "config": name})
    )


@pytest.mark.parametrize(
    ("dangerous", "expected"),
    [
        (layer("TorchModuleWrapper", module_bytes="gAJ"), "MLC-KERAS-PICKLE"),
        (layer("TFSMLayer", filepath="/tmp/other"), "MLC-KERAS-FILE"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "MLC-KERAS-FILE"),
    ],
)
def test_layers_that_read_other_files_or_pickles_are_found(dangerous: object, expected: str) -> None:
    assert ids(model(dangerous)) == [expected]


def test_a_vocabulary_of_words_is_harmless() -> None:
    assert ids(model(layer("StringLookup", vocabulary=["a", "b"]))) == []


def test_a_danger_is_found_however_deeply_it_is_nested() -> None:
    config: object = layer("Lambda")
    for _ in range(500):
        config = model(layer("TimeDistributed", layer=config))
    assert ids(config) == ["MLC-KERAS-LAMBDA"]


def test_escaped_letters_hide_nothing() -> None:
    body = json.dumps(model(layer("Lambda"))).replace("Lambda", r"\u004cambda").encode()
    assert ids(parse_config(body)) == ["MLC-KERAS-LAMBDA"]


@pytest.mark.parametrize("body", [b"", b"no json", b"{", b"[" * 100_000])
def test_what_is_no_description_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|nested too deeply"):
        parse_config(body)


@pytest.mark.parametrize("value", [None, 1, "text", [], {}, {"class_name": 1, "module": 2, "config": 3}])
def test_odd_descriptions_are_no_danger(value: object) -> None:
    assert ids(value) == []
