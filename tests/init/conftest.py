"""Small repositories with models, at which init looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from doubles.git_double import GitDouble
from doubles.models import keras_bytes

MakeRepository = Callable[..., GitDouble]


@pytest.fixture
def make_repository(tmp_path: Path) -> MakeRepository:
    """A repository of these files; a model where no content is given. `new` ones are not added to git yet."""

    def make(*models: str, files: Mapping[str, bytes] | None = None, new: tuple[str, ...] = ()) -> GitDouble:
        root = tmp_path / "checkout"
        contents = {**dict.fromkeys((*models, *new), keras_bytes()), **(files or {})}
        (root / ".git").mkdir(parents=True)
        for name, content in contents.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return GitDouble(
            root,
            files=[name for name in contents if name not in new],
            status="".join(f"?? {name}\0" for name in new),
            remote="git@github.com:Ada/irises.git",
            symbolic={"HEAD": "refs/heads/trunk"},
        )

    return make
