from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doubles.models import PICKLE, SKOPS, keras_bytes, onnx_bytes

from ml_containerize.command import Completed
from ml_containerize.command import run as run_program
from ml_containerize.plan.environment.locked import RequirementsNotFound, locked_packages
from ml_containerize.plan.environment.serving import serving_folder
from ml_containerize.plan.lock import ForeignRequirement, LockFailed, UvMissing, lock

HASH = "--hash=sha256:" + "0" * 64


@dataclass
class UvDouble:
    """Writes `content` as the lock; keeps what it was asked and what it found there."""

    content: str = f"numpy==2.0 {HASH}\n"
    status: int = 0
    argv: tuple[str, ...] = ()
    found: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, argv: Sequence[str], **options: Any) -> Completed:
        self.argv, self.options = tuple(argv), options
        output = Path(argv[argv.index("--output-file") + 1])
        self.found = output.read_text() if output.exists() else None
        if self.status == 0:
            output.write_text(self.content)
        return Completed(self.argv, self.status, "", "no version of nothing" if self.status else "")


def test_requirements_and_the_servers_are_locked_together(project: Path) -> None:
    (project / "requirements.txt").write_text("pandas\n")
    uv = UvDouble()
    path = lock(project, run=uv)
    assert path == project / "requirements.lock"
    assert path.read_text() == uv.content
    assert uv.argv[-2:] == ("requirements.txt", "-")
    assert {"--universal", "--generate-hashes", "--no-header", "--no-annotate"} <= set(uv.argv)
    assert "--python-version 3.11" in " ".join(uv.argv)
    assert "tensorflow-cpu>=" in uv.options["stdin"]
    assert "flask" in uv.options["stdin"]
    assert uv.options["cwd"] == project
    assert [one.name for one in project.iterdir() if one.name.startswith(".")] == []


def test_a_project_without_requirements_gets_the_servers(project: Path) -> None:
    uv = UvDouble()
    lock(project, run=uv)
    assert uv.argv[-1] == "-"
    assert "requirements.txt" not in uv.argv


def test_the_full_tensorflow_takes_the_place_of_the_cpus(project: Path) -> None:
    (project / "requirements.txt").write_text("tensorflow[and-cuda]>=2.20\n")
    uv = UvDouble()
    lock(project, run=uv)
    assert "tensorflow-cpu" not in uv.options["stdin"]
    assert "tensorflow>=" in uv.options["stdin"]


def test_versions_stay_unless_an_upgrade_is_asked_for(project: Path) -> None:
    (project / "requirements.lock").write_text("numpy==1.0\n")
    uv = UvDouble()
    lock(project, run=uv)
    assert uv.found == "numpy==1.0\n"
    lock(project, run=uv, upgrade=True)
    assert uv.found is None


def test_a_failure_leaves_the_lock_as_it_was(project: Path) -> None:
    (project / "requirements.lock").write_text("numpy==1.0\n")
    with pytest.raises(LockFailed, match="no version of nothing") as caught:
        lock(project, run=UvDouble(status=1))
    assert caught.value.exit_code == 3
    assert (project / "requirements.lock").read_text() == "numpy==1.0\n"


def test_a_lock_that_names_a_place_is_refused(project: Path) -> None:
    (project / "requirements.txt").write_text("pkg @ https://example.org/pkg.whl\n")
    with pytest.raises(ForeignRequirement, match="pkg"):
        lock(project, run=UvDouble(content=f"pkg @ https://example.org/pkg.whl {HASH}\n"))
    assert not (project / "requirements.lock").exists()


def test_a_named_file_must_exist(project: Path) -> None:
    with pytest.raises(RequirementsNotFound):
        lock(project, run=UvDouble(), requirements=project / "gpu.txt")


def test_a_missing_program_is_told(project: Path) -> None:
    def missing(argv: Sequence[str], **_: Any) -> Completed:
        raise FileNotFoundError(argv[0])

    with pytest.raises(UvMissing) as caught:
        lock(project, run=missing)
    assert caught.value.exit_code == 8


@pytest.mark.parametrize(
    ("model", "config", "package"),
    [
        ("model.onnx", "", "onnxruntime>="),
        ("model.skops", "", "skops>="),
        ("model.keras", "backend: jax", "jax>="),
        ("model.pkl", "allow-pickle: true", "scikit-learn>="),
    ],
)
def test_what_serves_the_projects_model_is_locked(empty: Path, model: str, config: str, package: str) -> None:
    contents = {".onnx": onnx_bytes(), ".skops": SKOPS, ".keras": keras_bytes(), ".pkl": PICKLE}
    (empty / model).write_bytes(contents[Path(model).suffix])
    (empty / "ml-containerize.yaml").write_text(config)
    uv = UvDouble()
    lock(empty, run=uv)
    assert package in uv.options["stdin"]
    assert "flask" in uv.options["stdin"]
    assert "tensorflow" not in uv.options["stdin"]


def test_a_project_without_a_model_yet_is_locked_with_the_server_alone(empty: Path) -> None:
    (empty / "requirements.txt").write_text("scikit-learn\n")
    uv = UvDouble()
    lock(empty, run=uv)
    assert "flask" in uv.options["stdin"]
    assert "tensorflow" not in uv.options["stdin"]


def test_a_build_for_cpus_that_no_index_has_is_answered_with_pytorchs_own_index(project: Path) -> None:
    def fail(argv: Sequence[str], **_: Any) -> Completed:
        return Completed(tuple(argv), 1, "", "Because there is no version of torch==2.13.0+cpu")

    with pytest.raises(LockFailed) as caught:
        lock(project, run=fail)
    assert "PyTorch's CPU index" in caught.value.fix
    assert "UV_EXTRA_INDEX_URL" in caught.value.fix


@pytest.mark.e2e
def test_the_real_uv_writes_a_lock_that_the_plan_accepts(project: Path) -> None:
    (project / "requirements.txt").write_text("six\n")
    path = lock(project, run=run_program)
    text = path.read_text()
    assert "://" not in text
    _, packages = locked_packages(project, None, serving_folder(), "tensorflow")
    assert {"six", "flask", "tensorflow-cpu"} <= {one.name for one in packages}
    assert lock(project, run=run_program).read_text() == text
