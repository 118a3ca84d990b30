from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest
import yaml
from doubles.git_double import GitDouble
from doubles.models import PICKLE

from ml_containerize.console import Console
from ml_containerize.init.begin import Stages, begin
from ml_containerize.init.desk import NotWritable
from ml_containerize.plan.chosen import PickleNotAllowed
from ml_containerize.plan.environment.locked import locked_packages
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.model.lfs import LfsPointer
from ml_containerize.plan.settings.problems import WrongSettings
from ml_containerize.plan.settings.settings import Settings, load_settings
from ml_containerize.smoke.record import NoFirstCase

Make = Callable[..., GitDouble]
WORKFLOW = ".github/workflows/ml-containerize.yml"


@dataclass
class Work:
    """Stands for the stages that run programs: they leave the files that they would leave."""

    dumb: set[str] = field(default_factory=set)  # models that cannot be asked
    locked: list[str] = field(default_factory=list)
    said: StringIO = field(default_factory=StringIO)

    def lock(self, settings: Settings) -> Path:
        self.locked.append(settings.name)
        path = settings.project / "requirements.lock"
        path.write_text("")
        return path

    def record(self, settings: Settings) -> tuple[Path, ...]:
        if settings.name in self.dumb:
            raise NoFirstCase(settings.project, ["no"])
        path = settings.project / "smoke" / "zeros.json"
        path.parent.mkdir()
        path.write_text("{}")
        return (path,)

    def begin(self, git: GitDouble, *, dry_run: bool = False, **flags: object) -> list[str]:
        named = {name.replace("_", "-"): value for name, value in flags.items()}
        written = begin(
            git.root,
            named,
            Stages(self.lock, self.record),
            dry_run=dry_run,
            run=git,
            environ={},
            console=Console(stream=self.said),
        )
        return [str(path.relative_to(git.root)) for path in written]


@pytest.fixture
def work() -> Work:
    return Work()


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_missing_is_written_and_is_all_that_a_model_needs(make_repository: Make, work: Work) -> None:
    git = make_repository("digits/model.keras")
    assert work.begin(git) == [
        "digits/ml-containerize.yaml",
        "digits/requirements.lock",
        WORKFLOW,
        "digits/smoke/zeros.json",
    ]
    assert yaml.safe_load((git.root / "digits" / "ml-containerize.yaml").read_text()) is None  # all defaults
    assert "ghcr.io/ada/{name}" in (git.root / WORKFLOW).read_text()
    locked_packages(git.root / "digits", None, serving_folder(), "tensorflow")
    assert work.locked == []  # without requirements of its own, nothing is resolved
    assert "commit these files" in work.said.getvalue()


def test_nothing_is_overwritten_and_a_second_time_nothing_is_missing(
    make_repository: Make, work: Work
) -> None:
    git = make_repository("digits/model.keras")
    work.begin(git)
    before = contents(git.root)
    git.status = "".join(f"?? {name}\0" for name in before if name not in git.files)
    assert work.begin(git) == []
    assert contents(git.root) == before
    for kept in ("kept digits/smoke/zeros.json", f"kept {WORKFLOW}", "nothing is missing"):
        assert kept in work.said.getvalue()


def test_a_dry_run_writes_nothing_and_tells_the_same(make_repository: Make, work: Work) -> None:
    git = make_repository("digits/model.keras")
    before = contents(git.root)
    assert work.begin(git, dry_run=True) == [
        "digits/ml-containerize.yaml",
        "digits/requirements.lock",
        WORKFLOW,
        "digits/smoke/*.json",
    ]
    assert contents(git.root) == before


def test_the_config_file_says_what_differs_from_the_defaults(make_repository: Make, work: Work) -> None:
    git = make_repository("model.keras", "other/model.keras")
    work.begin(git, backend="jax", images=["registry.example.org/{name}"])
    config = yaml.safe_load((git.root / "ml-containerize.yaml").read_text())
    assert config == {"name": "irises", "model": "model.keras", "backend": "jax"}
    assert load_settings(git.root, {}, {}).name == "irises"
    assert '"registry.example.org/{name}"' in (git.root / WORKFLOW).read_text()
    assert "REGISTRY_PASSWORD" in work.said.getvalue()


def test_a_project_with_requirements_is_locked(make_repository: Make, work: Work) -> None:
    git = make_repository("digits/model.keras", files={"digits/requirements.txt": b"keras\n"})
    work.begin(git)
    assert work.locked == ["digits"]


def test_a_pickle_is_taken_only_where_the_user_says_so(make_repository: Make, work: Work) -> None:
    git = make_repository(files={"wine/model.pkl": PICKLE})
    with pytest.raises(PickleNotAllowed):
        work.begin(git)
    work.begin(git, allow_pickle=True)
    assert yaml.safe_load((git.root / "wine/ml-containerize.yaml").read_text()) == {"allow-pickle": True}


def test_a_workflow_that_calls_already_is_kept_whatever_its_name(make_repository: Make, work: Work) -> None:
    text = b"jobs: {a: {uses: org/ml-containerize/.github/workflows/release.yml@v1}}"
    git = make_repository("model.keras", files={".github/workflows/ship.yml": text})
    assert WORKFLOW not in work.begin(git)
    assert "kept .github/workflows/ship.yml" in work.said.getvalue()


@pytest.mark.parametrize("flags", [{"images": ["Not an image!"]}, {"backend": "caffe"}])
def test_nothing_is_written_where_a_flag_is_wrong(
    make_repository: Make, work: Work, flags: dict[str, object]
) -> None:
    git = make_repository("model.keras")
    before = contents(git.root)
    with pytest.raises(WrongSettings):
        work.begin(git, **flags)
    assert contents(git.root) == before


def test_nothing_is_written_where_one_model_cannot_be_served(make_repository: Make, work: Work) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    git = make_repository("a/model.keras", files={"b/model.keras": pointer})
    before = contents(git.root)
    with pytest.raises(LfsPointer, match="git lfs pull"):
        work.begin(git)
    assert contents(git.root) == before


def test_a_model_that_cannot_be_asked_keeps_no_other_from_its_cases(
    make_repository: Make, work: Work
) -> None:
    git = make_repository("a/model.keras", "b/model.keras", "c/model.keras")
    work.dumb = {"a", "b"}
    with pytest.raises(NoFirstCase, match="/a takes"):
        work.begin(git)
    assert "/b takes" in work.said.getvalue()
    assert (git.root / "c/smoke/zeros.json").exists()
    assert (git.root / WORKFLOW).exists()


def test_a_folder_that_cannot_be_written_is_exit_2(make_repository: Make, work: Work) -> None:
    git = make_repository("model.keras", files={".github": b"a file"})
    with pytest.raises(NotWritable) as caught:
        work.begin(git)
    assert caught.value.exit_code == 2


def test_a_link_to_nothing_is_not_written_through(make_repository: Make, work: Work) -> None:
    git = make_repository("digits/model.keras")
    (git.root / "digits/ml-containerize.yaml").symlink_to(git.root / "elsewhere")
    work.begin(git)
    assert not (git.root / "elsewhere").exists()
