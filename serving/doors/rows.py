"""`POST /predict`, this server's own protocol, and Vertex AI's, which differs in one optional key.

Vertex AI: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

from typing import Any

from serving.doors import Outputs, Task
from serving.doors.media import check_json
from serving.errors import BadRequest
from serving.http import Answer, Request
from serving.inputs import KEYS, Batch, Document, members, one_of, parse_batch, read_json, rows_batch
from serving.outputs import rows_json
from serving.runtimes import default_signature
from serving.served import Served
from serving.signature import Signature
from serving.tensors import json_name


def predict(served: Served, request: Request) -> Task:
    """`{"instances": [row, …]}` or `{"data": [row, …]}` in, `{"predictions": [row, …]}` out."""
    check_json(request)
    batch = parse_batch(request.body, default_signature(served.model), served.max_rows)
    return rows_task(served, batch)


def predict_vertex(served: Served, request: Request) -> Task:
    """As `predict`, and `"parameters"` may come along as long as there are none in them."""
    check_json(request)
    return rows_task(served, read_json(request.body, lambda document: _vertex_batch(served, document)))


def rows_task(served: Served, batch: Batch) -> Task:
    """Ask the default signature for the batch, and answer with a list of predictions."""
    return Task(next(iter(served.model.signatures)), batch, len(next(iter(batch.values()))), write)


def write(outputs: Outputs) -> Answer:
    """`{"predictions": [row, …]}`; raises NotRepresentable."""
    return Answer(200, rows_json(outputs))


def refuse_parameters(value: object) -> None:
    """BadRequest names the first parameter; a model takes none."""
    if value is not None:
        members(value, (), "parameters")


def signature_named(served: Served, name: Any, field: str) -> tuple[str, Signature]:
    """The signature that a request asks for, "" for the default; raises BadRequest."""
    signatures = served.model.signatures
    if type(name) is not str:
        raise BadRequest(f"is {json_name(name)}, expected a string", field)
    name = name or next(iter(signatures))
    if name not in signatures:
        raise BadRequest(f"unknown signature {name!r}, the model has {', '.join(signatures)}", field)
    return name, signatures[name]


def _vertex_batch(served: Served, document: Document) -> Batch:
    body = members(document.value, (*KEYS, "parameters"))
    refuse_parameters(body.get("parameters"))
    key, rows = one_of(body, KEYS)
    signature = default_signature(served.model)
    return rows_batch(key, rows, signature, served.max_rows, plain=document.plain)
