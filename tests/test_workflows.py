"""The workflows against the traps of GitHub Actions that no runner on one machine shows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_containerize import __version__

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TEXTS = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.yml"))}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
CALLED = sorted(name for name, text in TEXTS.items() if "workflow_call:" in text)
OWN = sorted(set(TEXTS) - set(CALLED))
RELEASES = ("release.yml", "release-model.yml")
MAJOR = f"v{__version__.split('.')[0]}"


def called(name: str) -> dict[str, Any]:
    """The `workflow_call` of a workflow; YAML 1.1 reads the key `on` as true."""
    found: dict[str, Any] = WORKFLOWS[name][True]["workflow_call"]
    return found


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = WORKFLOWS[name]["jobs"]
    return found


def steps(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for job, value in jobs(name).items():
        for step in value.get("steps", ()):
            yield job, step


def ours(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps that use this action, by job."""
    for job, step in steps(name):
        if str(step.get("uses", "")).startswith(("org/ml-containerize@", "./")):
            yield job, step


def test_the_called_workflows_are_these() -> None:
    assert CALLED == ["pr-check.yml", "release-model.yml", "release.yml"]


@pytest.mark.parametrize("name", CALLED)
def test_a_called_workflow_asks_for_no_permission_that_its_caller_may_lack(name: str) -> None:
    assert "permissions" not in WORKFLOWS[name]
    assert not any("permissions" in job for job in jobs(name).values())


@pytest.mark.parametrize("name", CALLED)
def test_a_called_workflow_waits_for_no_other_run(name: str) -> None:
    """`github.workflow` is the caller's name there, so that a group of that name waits for itself."""
    assert "concurrency" not in TEXTS[name]
    assert "github.workflow" not in TEXTS[name]


@pytest.mark.parametrize("name", CALLED)
def test_a_called_workflow_names_itself_by_its_release_as_dot_is_the_callers_checkout(name: str) -> None:
    used = re.findall(
        r"uses: (\S+)", "\n".join(line for line in TEXTS[name].splitlines() if "#     " not in line)
    )
    assert not [one for one in used if one.startswith(("./", "$/"))]
    own = [one for one in used if one.startswith("org/")]
    assert own
    assert all(one.endswith(f"@{MAJOR}") for one in own)


@pytest.mark.parametrize("name", CALLED)
def test_every_input_is_used_and_every_used_input_is_declared(name: str) -> None:
    assert set(re.findall(r"\binputs\.([\w-]+)", TEXTS[name])) == set(called(name)["inputs"])


@pytest.mark.parametrize("name", CALLED)
def test_every_input_says_what_it_is_and_needs_no_value(name: str) -> None:
    assert [one for one, value in called(name)["inputs"].items() if not value["description"]] == []
    assert [one for one, value in called(name)["inputs"].items() if "default" not in value] == []


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_the_action_knows_every_input_and_output_that_a_workflow_names(name: str) -> None:
    identified = {step["id"] for _, step in ours(name) if "id" in step}
    for _, step in ours(name):
        assert set(step.get("with", {})) <= set(ACTION["inputs"]), step["name"]
    for step_id, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", TEXTS[name]):
        assert step_id not in identified or output in ACTION["outputs"], output


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_job_that_a_job_waits_for_is_there(name: str) -> None:
    for job in jobs(name).values():
        needed = job.get("needs", ())
        assert {needed} <= set(jobs(name)) if isinstance(needed, str) else set(needed) <= set(jobs(name))


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_job_has_an_end(name: str) -> None:
    assert [
        job for job, value in jobs(name).items() if "uses" not in value and "timeout-minutes" not in value
    ] == []


def test_the_release_gives_each_model_every_input_that_it_takes() -> None:
    call = jobs("release.yml")["release"]
    assert set(call["with"]) == set(called("release-model.yml")["inputs"])
    assert set(call["secrets"]) == set(called("release-model.yml")["secrets"])


def test_a_check_knows_no_secret_and_pushes_nothing() -> None:
    assert "secrets" not in called("pr-check.yml")
    assert "secrets." not in TEXTS["pr-check.yml"]
    for _, step in ours("pr-check.yml"):
        assert step["with"].get("command", "run") in {"run", "models", "report"}
        assert step["with"].get("command") or step["with"]["push"] == "false"
        assert "push-by-digest" not in step["with"]


def test_githubs_token_goes_to_its_own_registry_alone_and_in_a_check_only_where_that_was_said() -> None:
    for _, step in ours("pr-check.yml"):
        given = step["with"]
        assert given.get("password", "") in {"", "${{ inputs.packages && github.token || '' }}"}
        assert given.get("registry", "") in {"", "${{ inputs.packages && 'ghcr.io' || '' }}"}
    for _, step in ours("release-model.yml"):
        assert (
            step["with"]["registry"] == "${{ inputs.registry || secrets.password == '' && 'ghcr.io' || '' }}"
        )
        assert (
            "(inputs.registry == '' || inputs.registry == 'ghcr.io') && github.token"
            in step["with"]["password"]
        )


def test_a_strangers_code_reaches_the_machine_with_the_gpu_only_where_that_was_said() -> None:
    condition = jobs("pr-check.yml")["gpu"]["if"]
    assert "inputs.gpu-for-forks || !github.event.pull_request" in condition
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_restores_no_cache(name: str) -> None:
    assert "actions/cache" not in TEXTS[name]
    assert not re.search(r"^\s+cache:", TEXTS[name], re.MULTILINE)


def test_a_release_tags_in_one_job_after_both_gates() -> None:
    done = {job: step["with"].get("command", "run") for job, step in ours("release-model.yml")}
    assert done == {"build": "build", "smoke": "smoke", "scan": "scan", "tag": "push"}
    assert jobs("release-model.yml")["tag"]["needs"] == ["build", "smoke", "scan"]
    assert "if" not in jobs("release-model.yml")["tag"]


def test_every_job_of_a_release_is_asked_under_the_same_settings() -> None:
    own = {"command", "push", "push-by-digest", "image"}
    given = [{k: v for k, v in step["with"].items() if k not in own} for _, step in ours("release-model.yml")]
    assert all(one == given[0] for one in given)


@pytest.mark.parametrize(
    ("name", "job"), [("pr-check.yml", "required"), ("release.yml", "released"), ("ci.yml", "required")]
)
def test_the_job_to_require_waits_for_all_others_and_always_tells(name: str, job: str) -> None:
    last = jobs(name)[job]
    assert set(last["needs"]) == set(jobs(name)) - {job}
    assert last["if"] == "always()"
    assert last["name"] == job


@pytest.mark.parametrize("name", OWN)
def test_our_own_workflows_begin_without_any_permission(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}


REQUIRED = [
    # find, any, check, gpu, accepted
    ("success", "true", "success", "success", True),
    ("success", "true", "success", "skipped", True),  # no GPU was wanted, or not for a fork
    ("success", "false", "skipped", "skipped", True),
    ("success", "true", "failure", "skipped", False),
    ("success", "true", "success", "failure", False),
    ("success", "true", "cancelled", "skipped", False),
    ("success", "true", "success", "cancelled", False),
    ("success", "true", "skipped", "skipped", False),
    ("failure", "", "skipped", "skipped", False),
    ("cancelled", "", "skipped", "skipped", False),
    ("success", "", "skipped", "skipped", False),
]


@pytest.mark.e2e
@pytest.mark.parametrize(("find", "found", "check", "gpu", "accepted"), REQUIRED)
def test_the_required_job_is_right_for_every_way_that_the_others_end(
    find: str, found: str, check: str, gpu: str, accepted: bool
) -> None:
    given = {"FIND": find, "ANY": found, "CHECK": check, "GPU": gpu, "GPU_RUNNER": "gpu"}
    assert shell("pr-check.yml", "required", given) is accepted


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("find", "found", "release", "accepted"),
    sorted({(find, found, check, ok) for find, found, check, gpu, ok in REQUIRED if gpu == "skipped"}),
)
def test_the_released_job_is_right_for_every_way_that_the_others_end(
    find: str, found: str, release: str, accepted: bool
) -> None:
    given = {"FIND": find, "ANY": found, "RELEASE": release}
    assert shell("release.yml", "released", given) is accepted


def shell(name: str, job: str, environ: dict[str, str]) -> bool:
    """Run a job's last step as GitHub's runner starts it."""
    script = jobs(name)[job]["steps"][-1]["run"]
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(argv, env={"PATH": os.environ["PATH"], **environ}, capture_output=True, check=False)
    return done.returncode == 0
