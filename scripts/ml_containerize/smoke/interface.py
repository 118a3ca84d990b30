"""What a model takes and gives, in the server's own words.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md#model-metadata
"""

from __future__ import annotations

from typing import Any

from ml_containerize.results import Interface, Json, Tensor


def parse_interface(metadata: Json) -> Interface | None:
    """The inputs and outputs of `GET /v2/models/<name>`; None where it is no such answer."""
    try:
        return Interface(_tensors(metadata["inputs"]), _tensors(metadata["outputs"]))
    except (KeyError, TypeError, ValueError):
        return None


def _tensors(values: Any) -> tuple[Tensor, ...]:
    if not isinstance(values, list):
        raise TypeError(values)
    return tuple(
        Tensor(str(value["name"]), str(value["datatype"]), tuple(map(int, value["shape"])))
        for value in values
    )
