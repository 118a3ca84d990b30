from __future__ import annotations

from typing import get_args

import pytest

from ml_containerize.plan.environment.requirements import read_lock
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.model.model import Format
from ml_containerize.plan.model.runtimes import (
    runtime_lock,
    runtime_of,
    runtime_requirements,
    server_variables,
)

FORMATS: tuple[Format, ...] = get_args(Format)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_a_runtime_whose_packages_are_locked(kind: Format) -> None:
    serving = serving_folder()
    runtime = runtime_of(kind, "")
    assert all(path.is_file() for path in runtime_requirements(serving, runtime))
    assert {"flask", "numpy"} <= {one.name for one in read_lock(runtime_lock(serving, runtime))}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_backend_has_its_packages_locked(backend: str) -> None:
    names = {one.name for one in read_lock(runtime_lock(serving_folder(), runtime_of("h5", backend)))}
    assert {"flask", "keras", backend} <= names
    assert "tensorflow-cpu" not in names


@pytest.mark.parametrize("kind", FORMATS)
def test_the_server_is_told_the_name_and_the_format(kind: Format) -> None:
    assert server_variables("digits", kind, "", False) == {"MODEL_NAME": "digits", "MODEL_FORMAT": kind}
