from __future__ import annotations

import io

import pytest

from ml_containerize.console import Console


def said(text: str, *, github: bool) -> str:
    stream = io.StringIO()
    Console(stream, github=github).info(text)
    return stream.getvalue()


@pytest.mark.parametrize("text", ["::error::x", "a\n ::add-mask::x", "##[error]x", "a ##[error]x"])
def test_text_from_outside_starts_no_workflow_command(text: str) -> None:
    told = said(text, github=True)
    assert not any(line.lstrip().startswith("::") for line in told.splitlines())
    assert "##[" not in told
    assert said(text, github=False) == f"  {text}\n"


def test_a_stage_is_one_heading_whatever_it_is_about() -> None:
    stream = io.StringIO()
    with Console(stream, github=True).stage("plan", "models\n::error::x"):
        pass
    assert stream.getvalue().splitlines()[0] == "::group::plan  models ::error::x"
