from __future__ import annotations

import os

import pytest

from serving.runtimes.threads import threads


@pytest.mark.parametrize(("value", "wanted"), [("3", 3), ("4,2", 4), (" 2 ", 2)])
def test_the_first_number_of_the_variable_counts(
    value: str, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads() == wanted


@pytest.mark.parametrize("value", ["", "0", "many"])
def test_without_a_number_every_processor_computes(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads() == os.cpu_count()
