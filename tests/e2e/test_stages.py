"""The stages in different jobs: each on a machine of its own, with nothing between them but a registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import GIT_SETTINGS, ROOT, output_of
from doubles.registry_double import RegistryDouble
from support.command import BIN, Command, Ran

from ml_containerize.gates import timestamp
from ml_containerize.names import Digest, Repository
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.registry import connector
from ml_containerize.push.gate_report import read_gate_report, write_gate_report

pytestmark = pytest.mark.e2e

COPIES = ("unseen", "edited", "mirrored", "twice")  # where tests have the same image to themselves

MakeMachine = Callable[[], Command]


@dataclass(frozen=True, slots=True)
class Proved:
    """An image that was built, asked and scanned by three machines, in the repository `journey`."""

    registry: str
    project: Path
    build: Ran
    smoke: Ran
    scan: Ran
    tags: tuple[tuple[str, ...], ...]  # after each of the three

    @property
    def digest(self) -> str:
        return str(self.build.record["digest"])

    def at(self, name: str) -> str:
        return f"{self.registry}/{name}@{self.digest}"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, base_layout: Path) -> MakeMachine:
    """A new machine each time: nothing cached but the vulnerability database, an empty output folder."""

    def make() -> Command:
        home = tmp_path_factory.mktemp("machine")
        shutil.copytree(shared_cache / "trivy" / "db", home / "cache" / "trivy" / "db")
        return Command(home / "out", home / "cache", str(base_layout))

    return make


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX example as a git repository of its own."""
    folder = tmp_path_factory.mktemp("work") / "digits-onnx"
    shutil.copytree(ROOT / "examples" / "digits-onnx", folder, ignore=shutil.ignore_patterns(".*"))
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Add it"]):
        git(folder, *arguments)
    return folder


def git(folder: Path, *arguments: str) -> None:
    output_of(["git", *arguments], cwd=folder, env={**os.environ, **GIT_SETTINGS})


@pytest.fixture(scope="module")
def proved(
    machine: MakeMachine,
    project: Path,
    registry: str,
    shared_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Proved:
    builder = replace(machine(), cache=shared_cache)
    images = [f"--images={registry}/{name}" for name in ("journey", *COPIES)]
    build = builder("build", project, "--push-by-digest", *images)
    assert build.status == 0, build.stderr
    tags = [tags_of(registry, "journey")]
    image = build.stdout.strip()
    smoke = machine()("smoke", image, project, "--engine", "embedded", "--push")
    tags.append(tags_of(registry, "journey"))
    scan = machine()("scan", project, image, "--push")
    tags.append(tags_of(registry, "journey"))
    return Proved(registry, project, build, smoke, scan, tuple(tags))


def tags_of(registry: str, name: str) -> tuple[str, ...]:
    """The repository's tags, none where there is no such repository."""
    answer = requests.get(f"http://{registry}/v2/{name}/tags/list", timeout=10)
    return tuple(sorted(answer.json().get("tags") or [])) if answer.ok else ()


def people_tags(registry: str, name: str) -> set[str]:
    """The tags that promise something to people: neither a report's, a proof's nor an environment's."""
    return {tag for tag in tags_of(registry, name) if not tag.startswith(("sha256-", "env-"))}


def bring_reports(proved: Proved, name: str, **changes: Any) -> None:
    """Leave both gates' reports beside another copy of the image, the smoke test's changed."""
    connect = connector(Credentials())
    source, target = (connect(Repository(proved.registry, where)) for where in ("journey", name))
    image = target.find_manifest(Digest.parse(proved.digest))
    assert image
    for gate in ("smoke", "scan"):
        report = read_gate_report(source, gate, image.digest)
        assert report
        write_gate_report(target, gate, image, report | (changes if gate == "smoke" else {}))


def test_a_build_by_digest_leaves_no_tag_and_each_gate_only_its_report(proved: Proved, skopeo: str) -> None:
    assert (proved.smoke.status, proved.scan.status) == (0, 0), proved.smoke.stderr + proved.scan.stderr
    assert [ran.stdout.strip() for ran in (proved.build, proved.smoke, proved.scan)] == [
        proved.at("journey")
    ] * 3
    results = [ran.record["result"] for ran in (proved.build, proved.smoke, proved.scan)]
    assert results == ["built", "passed", "passed"]
    assert proved.smoke.record["tested_digest"] == proved.digest
    name = proved.digest.replace(":", "-")
    assert proved.tags == ((), (f"{name}.smoke",), (f"{name}.scan", f"{name}.smoke"))
    output_of([skopeo, "inspect", "--tls-verify=false", f"docker://{proved.at('journey')}"])


def test_what_every_gate_passed_is_tagged_and_the_bytes_stay_where_they_are(
    proved: Proved, machine: MakeMachine
) -> None:
    ran = machine()("push", proved.at("journey"), proved.project, "--tags", "1.2.3")
    assert ran.status == 0, ran.stderr
    assert ran.stdout.strip() == proved.at("journey")
    record = ran.record
    assert (record["result"], record["bytes_uploaded"]) == ("released", 0)
    assert record["tested_digest"] == record["pushed_digest"] == proved.digest
    assert record["smoke"]["outcome"] == record["scan"]["outcome"] == "reused"
    assert people_tags(proved.registry, "journey") == {record["identity"], "main", "1.2.3"}


def test_a_later_run_finds_environment_and_proof_as_if_one_job_had_done_it_all(
    proved: Proved, machine: MakeMachine
) -> None:
    ran = machine()("run", proved.project, "--images", f"{proved.registry}/journey", "--push")
    assert ran.status == 0, ran.stderr
    assert (ran.record["digest"], ran.record["bytes_uploaded"]) == (proved.digest, 0)
    assert ran.record["smoke"]["outcome"] == "reused"


def test_what_no_gate_saw_is_not_tagged_and_the_advice_can_be_typed(
    proved: Proved, machine: MakeMachine
) -> None:
    ran = machine()("push", proved.at("unseen"), proved.project)
    assert ran.status == 7
    assert f"there is no smoke report on {proved.digest}" in ran.stderr
    assert f"ml-containerize smoke {proved.at('unseen')} --push" in ran.stderr
    assert tags_of(proved.registry, "unseen") == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"checked_at": timestamp(datetime.now(UTC) - timedelta(days=2))}, "not of the last day"),
        ({"digest": f"sha256:{'9' * 64}"}, "about sha256:999"),
        ({"policy": "0" * 64}, "other settings"),
    ],
)
def test_a_report_that_is_old_or_about_something_else_tags_nothing(
    proved: Proved, machine: MakeMachine, changes: dict[str, str], why: str
) -> None:
    bring_reports(proved, "edited", **changes)
    ran = machine()("push", proved.at("edited"), proved.project)
    assert ran.status == 7
    assert why in ran.stderr
    assert people_tags(proved.registry, "edited") == set()


def test_a_wrong_answer_is_told_to_the_job_that_would_tag(
    proved: Proved, machine: MakeMachine, shared_cache: Path, tmp_path: Path
) -> None:
    other = tmp_path / "digits-onnx"
    shutil.copytree(proved.project, other)
    case = next((other / "smoke").glob("*.json"))
    value = json.loads(case.read_text())
    value["expect"]["predictions"][0][0] += 0.5
    case.write_text(json.dumps(value))
    git(other, "commit", "-qam", "Expect something else")
    name = f"{proved.registry}/wrong"
    build = replace(machine(), cache=shared_cache)("build", other, "--push-by-digest", "--images", name)
    image = build.stdout.strip()
    asked_before = replace(machine(), cache=proved.smoke.output.parent / "cache")
    smoke = asked_before("smoke", other, image, "--engine", "embedded", "--push", "--no-scan")
    assert (smoke.status, smoke.record["result"]) == (5, "refused")
    pushed = machine()("push", other, image, "--tags", "1.2.3", "--no-scan")
    assert pushed.status == 5
    assert case.stem in pushed.stderr
    assert people_tags(proved.registry, "wrong") == set()
    strange = machine()("push", proved.project, image, "--tags", "1.2.3")
    assert strange.status == 4
    assert "org.opencontainers.image.revision is " in strange.stderr


def go_away(registry: RegistryDouble) -> None:
    for method in ("HEAD", "GET", "POST", "PATCH", "PUT"):
        registry.fail(method, status=503, times=999)


def test_a_mirror_that_goes_away_in_the_middle_leaves_no_tag_anywhere(
    proved: Proved, machine: MakeMachine
) -> None:
    bring_reports(proved, "mirrored")
    push = ("push", proved.at("mirrored"), proved.project)
    with RegistryDouble() as mirror:
        mirror.on("PUT", "/blobs/uploads/", lambda: go_away(mirror))
        both = [f"--images={proved.registry}/mirrored", f"--images={mirror.host}/digits"]
        ran = machine()(*push, *both)
    assert ran.status == 8, ran.stderr
    assert mirror.host in ran.stderr
    assert mirror.received > 0
    assert "Traceback" not in ran.stderr
    assert not mirror.tags["digits"]
    assert people_tags(proved.registry, "mirrored") == set()
    assert machine()(*push).status == 0
    assert "main" in people_tags(proved.registry, "mirrored")


def test_two_pushes_at_once_end_both_right(proved: Proved, machine: MakeMachine) -> None:
    bring_reports(proved, "twice")
    machines = [machine(), machine()]
    both = [
        subprocess.Popen(
            [BIN / "ml-containerize", "push", proved.project, proved.at("twice"), "--tags", "1.2.3"],
            env=one.environ(one.output, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for one in machines
    ]
    told = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert {out.strip() for out, _ in told} == {proved.at("twice")}
    assert {"main", "1.2.3"} <= people_tags(proved.registry, "twice")
