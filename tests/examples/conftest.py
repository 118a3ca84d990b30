from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from serving.runtimes import Model, find, load
from serving.settings import prepare_frameworks

EXAMPLES = Path(__file__).parents[2] / "examples"

Load = Callable[[Path], Model]


@pytest.fixture(scope="session")
def load_model() -> Load:
    """Load a model as the server does, TensorFlow set up as there."""
    prepare_frameworks(os.environ, cpus=2)
    return lambda path: load(find(path))


@pytest.fixture(scope="session")
def training(load_model: Load) -> ModuleType:
    """examples/digits/train.py as a module."""
    spec = importlib.util.spec_from_file_location("digits_train", EXAMPLES / "digits" / "train.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
