"""Every format goes the whole way: planned, built, asked its recorded predictions, scanned and published."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import skops.io
from conftest import GIT_SETTINGS, ROOT, output_of
from support.command import Command, Ran

pytestmark = pytest.mark.e2e

EXAMPLES = {
    "digits-onnx": "onnx",
    "wine-sklearn": "skops",
    "wine-xgboost": "xgboost",
    "wine-lightgbm": "lightgbm",
    "iris-predictor": "python",
    "digits-torchscript": "torchscript",
    "digits-torch-export": "torch_export",
}
SHARED = ("sklearn", "xgboost", "lightgbm", "python")  # runtimes that one environment can hold together

MakeProject = Callable[[str], Path]


@pytest.fixture(scope="session")
def shared_lock() -> str:
    """One lock that serves several formats, so that their environment is built once."""
    entries: dict[tuple[str, str], str] = {}
    for runtime in SHARED:
        text = (ROOT / "serving" / "requirements" / f"{runtime}.lock").read_text()
        for entry in re.findall(r"^\w.*(?:\n +--hash.*)+", text, re.MULTILINE):
            name, _, rest = entry.partition("==")
            key = name, rest.partition("\n")[0].partition(";")[2]
            assert entries.setdefault(key, entry) == entry, f"the locks of {SHARED} disagree on {name}"
    return "\n".join(entries.values())


@pytest.fixture
def make_project(tmp_path: Path, shared_lock: str) -> MakeProject:
    """An example as a git repository of its own with one commit."""

    def make(name: str) -> Path:
        project = tmp_path / name
        shutil.copytree(ROOT / "examples" / name, project, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        if not name.startswith("digits"):
            (project / "requirements.lock").write_text(shared_lock)
        for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Add it"]):
            output_of(["git", *arguments], cwd=project, env={**os.environ, **GIT_SETTINGS})
        return project

    return make


def wheels_for(kind: str) -> Mapping[str, str]:
    """Where PyTorch's build for CPUs is; skips the test where this machine has it nowhere."""
    if not kind.startswith("torch") or {"UV_FIND_LINKS", "UV_EXTRA_INDEX_URL"} & os.environ.keys():
        return {}
    folder = os.environ.get("PIP_FIND_LINKS", "")
    if not folder or not list(Path(folder).glob("torch-*+cpu-*.whl")):
        pytest.skip("PyTorch's wheel for CPUs is not here: set UV_EXTRA_INDEX_URL to PyTorch's CPU index")
    return {"UV_FIND_LINKS": folder}


def published_env(skopeo: str, ran: Ran) -> dict[str, str]:
    """The environment variables of the image that was published."""
    place = f"docker://{ran.stdout.strip()}"
    config = json.loads(output_of([skopeo, "inspect", "--config", "--tls-verify=false", place]))["config"]
    return dict(pair.split("=", 1) for pair in config["Env"])


@pytest.mark.parametrize(("example", "kind"), EXAMPLES.items())
def test_an_example_of_every_format_becomes_a_tested_scanned_published_image(
    example: str, kind: str, command: Command, make_project: MakeProject, registry: str, skopeo: str
) -> None:
    wheels, images = wheels_for(kind), f"{registry}/{example}"
    ran = command(
        "run", make_project(example), "--images", images, "--push", "--engine", "embedded", env=wheels
    )
    assert ran.status == 0, ran.stderr
    assert ran.record["result"] == "released"
    assert ran.record["model"]["format"] == kind
    assert ran.record["smoke"]["outcome"] == ran.record["scan"]["outcome"] == "passed"
    assert len(ran.record["smoke"]["cases"]) >= 2
    env = published_env(skopeo, ran)
    assert (env["MODEL_NAME"], env["MODEL_FORMAT"]) == (example, kind)
    assert env["MODEL_HASH"] == ran.record["model_hash"]
    assert env["GIT_SHA"] == ran.record["git_sha"]
    assert env["ENVIRONMENT_KEY"] == ran.record["environment_key"]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_is_served_on_the_backend_that_the_config_names(
    backend: str, command: Command, make_project: MakeProject, registry: str, skopeo: str
) -> None:
    wheels, images = wheels_for(backend), f"{registry}/digits-on-{backend}"
    project = make_project("digits")
    for file in project.glob("requirements.*"):
        file.unlink()
    (project / "ml-containerize.yaml").write_text(f"name: digits\nbackend: {backend}\n")
    commit = ["git", "commit", "-q", "-a", "-m", "Choose a backend"]
    output_of(commit, cwd=project, env={**os.environ, **GIT_SETTINGS})
    ran = command("run", project, "--images", images, "--push", "--engine", "embedded", env=wheels)
    assert ran.status == 0, ran.stderr
    assert ran.record["smoke"]["outcome"] == "passed"
    assert published_env(skopeo, ran)["KERAS_BACKEND"] == backend


def test_a_pickle_passes_only_where_the_user_trusts_it_and_the_scan_is_told_so(
    command: Command, make_project: MakeProject
) -> None:
    project = make_project("wine-sklearn")
    model = project / "model.skops"
    (project / "model.pkl").write_bytes(pickle.dumps(skops.io.load(model)))
    model.unlink()
    refused = command("run", project, "--engine", "embedded")
    assert refused.status == 3
    assert "runs whatever code it holds" in refused.stderr
    scanned = command("run", project, "--engine", "embedded", "--allow-pickle")
    assert scanned.status == 6, scanned.stderr
    assert scanned.record["smoke"]["outcome"] == "passed"
    assert [finding["id"] for finding in scanned.record["scan"]["refused"]] == ["MLC-PICKLE"]
    rules = project / "accepted.txt"
    rules.write_text("MLC-PICKLE\n")
    accepted = command("run", project, "--engine", "embedded", "--allow-pickle", "--trivyignores", rules)
    assert accepted.status == 0, accepted.stderr
