"""Amazon SageMaker's container contract: `POST /invocations` with JSON as for /predict, or with CSV.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
CSV (RFC 4180) has a row on each line and no header, as SageMaker's own algorithms take it.
"""

from __future__ import annotations

import csv
import math
import re
from io import StringIO

import orjson

from serving.doors import Outputs, Task
from serving.doors.media import CSV, check_json, media_type
from serving.doors.rows import rows_task
from serving.errors import BadRequest
from serving.http import JSON, Answer, Request
from serving.inputs import Batch, check_rows, element_of, parse_batch
from serving.outputs import indices, written
from serving.runtimes import default_signature
from serving.served import Served
from serving.signature import Signature, TensorSpec
from serving.tensors import numpy_dtype, tensor

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
ROWS = "rows"  # what the lines of a CSV body are called in refusals


def predict(served: Served, request: Request) -> Task:
    """The answer is CSV where the request accepts that before JSON, else JSON."""
    check_json(request, CSV)
    signature = default_signature(served.model)
    read = _csv_batch if media_type(request.headers) == CSV else parse_batch
    task = rows_task(served, read(request.body, signature, served.max_rows))
    if not _prefers_csv(request.headers.get("accept") or ""):
        return task
    if len(signature.outputs) > 1:
        raise BadRequest(f"is {CSV}, but the model has several outputs: ask for {JSON}", "accept")
    return Task(task.signature, task.batch, task.rows, _write_csv)


def _prefers_csv(accept: str) -> bool:
    """The first of the types that can be answered counts."""
    for written_type in accept.split(","):
        name = written_type.split(";", 1)[0].strip().lower()
        if name in (CSV, JSON, "*/*", "application/*"):
            return name == CSV
    return False


def _csv_batch(body: bytes, signature: Signature, max_rows: int) -> Batch:
    spec = signature.inputs[0]
    if len(signature.inputs) > 1 or numpy_dtype(spec.dtype).kind not in "fiu":
        raise BadRequest(f"is {CSV}, which only a model of one numeric input takes", "content-type")
    try:
        text = body.decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 (byte {error.start})") from None
    lines = text.split("\n") if text else []
    check_rows(lines, ROWS, max_rows)
    rows = [_numbers(line, at) for at, line in enumerate(lines)]
    row_shape = (None,) if spec.row_shape is None else spec.row_shape
    free = None in row_shape
    if free and len(row_shape) > 1:
        raise BadRequest(f"is {CSV}, which leaves open where the free dimensions end", "content-type")
    cells = None if free else math.prod(size or 1 for size in row_shape)
    flat = TensorSpec(spec.name, spec.dtype, ((spec.shape or (None,))[0], cells))
    array = tensor(rows, flat, element_of(ROWS))
    return {spec.name: array if free else array.reshape(len(rows), *(size or 1 for size in row_shape))}


def _numbers(line: str, at: int) -> list[int | float]:
    return [
        _number(cell.strip().strip('"'), f"{ROWS}[{at}][{column}]")
        for column, cell in enumerate(line.split(","))
    ]


def _number(cell: str, field: str) -> int | float:
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if _NUMBER.fullmatch(cell):
        return float(cell)
    raise BadRequest(f"is {cell[:40]!r}, expected a number", field)


def _write_csv(outputs: Outputs) -> Answer:
    """A line for each row; what is no string is written as in JSON."""
    (array,) = outputs.values()
    rows = orjson.loads(
        written(array.reshape(len(array), -1), outputs, lambda _, index: f"predictions{indices(index)}")
    )
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    for row in rows:
        lines.writerow([cell if type(cell) is str else orjson.dumps(cell).decode() for cell in row])
    return Answer(200, text.getvalue().encode(), CSV)
