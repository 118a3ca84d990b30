"""Fixtures for tests that talk to a registry double; a folder's conftest imports those it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from doubles.registry_double import RegistryDouble

from ml_containerize.names import Repository
from ml_containerize.oci.credentials import Credentials, Login
from ml_containerize.oci.registry import RegistryClient, connector

MakeDouble = Callable[..., RegistryDouble]
ConnectTo = Callable[..., RegistryClient]


@pytest.fixture
def make_double() -> Iterator[MakeDouble]:
    """Start registries that fail as told: `make_double(auth="basic", users={"ada": "secret"})`."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RegistryDouble(**options))


@pytest.fixture
def double(make_double: MakeDouble) -> RegistryDouble:
    """A registry that asks for no login."""
    return make_double()


@pytest.fixture
def waits() -> list[float]:
    """How long a client waited before it tried again, seconds."""
    return []


@pytest.fixture
def connect(waits: list[float]) -> ConnectTo:
    """A client for a repository of a double, which notes its waits instead of waiting."""

    def make(
        double: RegistryDouble, path: str = "org/app", login: Login | None = None, **options: Any
    ) -> RegistryClient:
        credentials = Credentials({double.host: login} if login else {})
        return connector(credentials, sleep=waits.append, **options)(Repository(double.host, path))

    return make
