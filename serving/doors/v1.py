"""TensorFlow Serving's REST API, which is KServe's V1 protocol, too.

https://www.tensorflow.org/tfx/serving/api_rest
https://kserve.github.io/website/latest/modelserving/data_plane/v1_protocol
"""

from __future__ import annotations

from typing import Any

from serving.answers import json_answer
from serving.doors import Outputs, Task
from serving.doors.media import check_json
from serving.doors.rows import refuse_parameters, signature_named
from serving.http import Answer, Request
from serving.inputs import Document, columns_batch, members, one_of, read_json, rows_batch
from serving.outputs import as_base64, columns_json, rows_json
from serving.served import Served
from serving.signature import Signature, TensorSpec
from serving.tensors import Tensor, objects

FORMS = ("instances", "inputs")  # rows, columns
KEYS = (*FORMS, "signature_name", "parameters")
BINARY = "_bytes"  # TensorFlow Serving writes outputs whose names end so as base64
_TYPES = {  # TensorFlow's names, tensorflow/core/framework/types.proto
    "float16": "DT_HALF",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "json": "DT_VARIANT",
}


def predict(served: Served, request: Request) -> Task:
    """Rows in "instances" are answered with "predictions", columns in "inputs" with "outputs"."""
    check_json(request)
    return read_json(request.body, lambda document: _task(served, document))


def _task(served: Served, document: Document) -> Task:
    body = members(document.value, KEYS)
    refuse_parameters(body.get("parameters"))
    form, value = one_of(body, FORMS)
    name, signature = signature_named(served, body.get("signature_name", ""), "signature_name")
    read, write = (rows_batch, _write_rows) if form == "instances" else (columns_batch, _write_columns)
    batch = read(form, value, signature, served.max_rows, plain=document.plain)
    return Task(name, batch, len(next(iter(batch.values()))), write)


def _write_rows(outputs: Outputs) -> Answer:
    return Answer(200, rows_json(_encoded(outputs)))


def _write_columns(outputs: Outputs) -> Answer:
    return Answer(200, columns_json(_encoded(outputs)))


def _encoded(outputs: Outputs) -> Outputs:
    return {
        name: _base64(array) if name.endswith(BINARY) and array.dtype.kind == "O" else array
        for name, array in outputs.items()
    }


def _base64(array: Tensor) -> Tensor:
    values = [as_base64(value) if isinstance(value, bytes) else value for value in array.reshape(-1).tolist()]
    return objects(values).reshape(array.shape)


def models(served: Served, _: Request) -> Answer:
    """KServe's list of models."""
    return json_answer({"models": [served.name]})


def status(served: Served, _: Request) -> Answer:
    """TensorFlow Serving's status of all versions (there is one) and KServe's readiness in one object."""
    fine = {"error_code": "OK", "error_message": ""}
    version = {"version": served.version, "state": "AVAILABLE", "status": fine}
    return json_answer({"model_version_status": [version], "name": served.name, "ready": True})


def metadata(served: Served, _: Request) -> Answer:
    """All signatures, as a SignatureDefMap in JSON (tensorflow_serving/apis/get_model_metadata.proto)."""
    signatures = {name: _signature(signature) for name, signature in served.model.signatures.items()}
    specification = {"name": served.name, "signature_name": "", "version": served.version}
    metadata = {"signature_def": {"signature_def": signatures}}
    return json_answer({"model_spec": specification, "metadata": metadata})


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {spec.name: _tensor(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape or ()]
    return {
        "dtype": _TYPES.get(spec.dtype, f"DT_{spec.dtype.upper()}"),
        "tensor_shape": {"dim": sizes, "unknown_rank": spec.shape is None},
        "name": spec.name,
    }
