"""The main job, with the real engines, registry and scanner."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
from support.command import Command
from support.processes import children

pytestmark = pytest.mark.e2e

REFERENCE = re.compile(r"localhost:\d+/[a-z-]+@sha256:[0-9a-f]{64}\n")


def tags_of(registry: str, name: str) -> list[str]:
    """The repository's tags, [] where there is no such repository."""
    try:
        with urllib.request.urlopen(f"http://{registry}/v2/{name}/tags/list", timeout=10) as answer:
            return sorted(json.load(answer)["tags"] or [])
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return []


def published_proof(registry: str, name: str, digest: str) -> dict[str, Any]:
    """The proof that lies beside an image."""
    place = f"http://{registry}/v2/{name}"
    asked = urllib.request.Request(
        f"{place}/manifests/{digest.replace(':', '-')}.proof",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        layer = json.load(answer)["layers"][0]["digest"]
    with urllib.request.urlopen(f"{place}/blobs/{layer}", timeout=10) as answer:
        proof: dict[str, Any] = json.load(answer)
    return proof


def spoil_a_prediction(project: Path) -> None:
    case = project / "smoke" / "one-scan.json"
    value = json.loads(case.read_text())
    value["expect"]["predictions"][0][0] += 0.5
    case.write_text(json.dumps(value))


def commit(project: Path, message: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, "commit", "-qam", message], cwd=project, check=True)


def skopeo_inspect(skopeo: str, reference: str) -> dict[str, Any]:
    argv = [skopeo, "inspect", "--tls-verify=false", f"docker://{reference}"]
    found: dict[str, Any] = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    return found


@pytest.mark.parametrize("engine_name", ["docker", "embedded"])
def test_a_model_becomes_a_tested_scanned_tagged_image(
    engine_name: str, engine: docker.DockerClient, command: Command, digits: Path, registry: str
) -> None:
    ran = command(
        "run", digits, "--images", f"{registry}/digits-{engine_name}", "--push", "--engine", engine_name
    )
    assert ran.status == 0, ran.stderr
    assert REFERENCE.fullmatch(ran.stdout)
    record = ran.record
    assert record["result"] == "released"
    assert record["tested_digest"] == record["pushed_digest"] == record["digest"]
    assert record["smoke"]["outcome"] == record["scan"]["outcome"] == "passed"
    assert engine_name in record["smoke"]["engine"]
    assert all(case["passed"] for case in record["smoke"]["cases"])
    identity = f"sha-{record['git_sha'][:12]}-model-{record['model_hash'][:12]}"
    assert {identity, "main"} <= set(tags_of(registry, f"digits-{engine_name}"))


def test_skopeo_and_the_engine_accept_the_image(
    engine: docker.DockerClient, command: Command, digits: Path, registry: str, skopeo: str
) -> None:
    ran = command("run", digits, "--images", f"{registry}/accepted", "--push", "--no-smoke")
    assert ran.status == 0, ran.stderr
    reference = ran.stdout.strip()
    labels = skopeo_inspect(skopeo, reference)["Labels"]
    assert labels["io.ml-containerize.model.hash"] == ran.record["model_hash"]
    assert labels["org.opencontainers.image.revision"] == ran.record["git_sha"]
    image = engine.images.pull(reference)
    try:
        assert image.labels == labels
    finally:
        engine.images.remove(reference, force=True)


def test_nothing_changed_on_a_new_machine_moves_no_blob_and_asks_no_gate_again(
    command: Command, new_machine: Command, digits: Path, registry: str
) -> None:
    argv = ("run", digits, "--images", f"{registry}/again", "--push", "--engine", "embedded")
    first, second = command(*argv), new_machine(*argv)
    assert (first.status, second.status) == (0, 0), first.stderr + second.stderr
    assert second.stdout == first.stdout
    assert second.record["bytes_uploaded"] == 0
    assert second.record["smoke"]["outcome"] == second.record["scan"]["outcome"] == "reused"
    assert second.record["tested_digest"] == second.record["digest"]


def test_a_changed_model_on_a_new_machine_moves_the_model_and_little_more(
    command: Command, new_machine: Command, digits: Path, registry: str
) -> None:
    argv = ("run", digits, "--images", f"{registry}/model-only", "--push", "--no-smoke", "--no-scan")
    assert command(*argv).status == 0
    model = digits / "model.keras"
    model.write_bytes(model.read_bytes() + b"\0" * 100)
    commit(digits, "Another model")
    ran = new_machine(*argv)
    assert ran.status == 0, ran.stderr
    assert ran.record["bytes_uploaded"] <= model.stat().st_size + 64 * 1024
    kinds = {layer["kind"]: layer["reused"] for layer in ran.record["layers"]}
    assert kinds == {"base": True, "packages": True, "serving": True, "model": False}


def test_a_wrong_answer_is_exit_5_and_leaves_no_tag(command: Command, digits: Path, registry: str) -> None:
    spoil_a_prediction(digits)
    commit(digits, "Expect something else")
    ran = command("run", digits, "--images", f"{registry}/wrong", "--push", "--engine", "embedded")
    assert ran.status == 5
    assert ran.stdout == ""
    assert "one-scan" in ran.stderr
    assert ran.record["result"] == "refused"
    assert ran.record["scan"]["outcome"] == "passed"
    assert tags_of(registry, "wrong") == []


def test_a_known_vulnerability_is_exit_6_and_leaves_no_tag(
    command: Command, digits: Path, registry: str, vulnerable_lock: Callable[[Path], None]
) -> None:
    vulnerable_lock(digits)
    commit(digits, "Take an old package")
    ran = command("run", digits, "--images", f"{registry}/vulnerable", "--push", "--engine", "embedded")
    assert ran.status == 6, ran.stderr
    assert ran.record["smoke"]["outcome"] == "passed"
    assert [finding["id"] for finding in ran.record["scan"]["refused"]]
    assert tags_of(registry, "vulnerable") == []


def test_the_stages_one_by_one_give_what_the_whole_job_gives(
    command: Command, digits: Path, registry: str
) -> None:
    where = ("--images", f"{registry}/staged", "--engine", "embedded")
    for stage in ("build", "smoke", "scan"):
        ran = command(stage, digits, *where)
        assert ran.status == 0, ran.stderr
    pushed = command("push", digits, *where, "--push")
    assert pushed.status == 0, pushed.stderr
    assert REFERENCE.fullmatch(pushed.stdout)
    assert pushed.record["result"] == "released"
    kept = [json.loads((command.output / f"{gate}.json").read_text()) for gate in ("smoke", "scan")]
    assert published_proof(registry, "staged", pushed.record["digest"])["time"] == min(
        report["checked_at"] for report in kept
    )


def test_what_no_gate_saw_is_not_pushed(command: Command, digits: Path, registry: str) -> None:
    where = ("--images", f"{registry}/unseen")
    assert command("build", digits, *where).status == 0
    ran = command("push", digits, *where, "--push")
    assert ran.status == 7
    assert "ml-containerize smoke" in ran.stderr
    assert tags_of(registry, "unseen") == []


def test_one_commit_gives_one_digest_in_any_folder_umask_time_zone_and_user(
    new_machine: Command, digits: Path, tmp_path: Path
) -> None:
    other = tmp_path / "somewhere else" / "digits"
    other.parent.mkdir()
    subprocess.run(["git", "clone", "-q", digits, other], check=True)
    first = new_machine("build", digits, "--images", "localhost:1/digits", output=tmp_path / "one")
    second = new_machine(
        "build",
        other,
        "--images",
        "localhost:1/digits",
        "--cache-dir",
        tmp_path / "second cache",
        output=tmp_path / "two",
        umask=0o077,
        env={
            "TZ": "Asia/Tokyo",
            "LC_ALL": "tr_TR.UTF-8",
            "HOME": str(tmp_path),
            "USER": "someone",
            "LOGNAME": "someone",
        },
    )
    assert (first.status, second.status) == (0, 0), first.stderr + second.stderr
    assert first.record["digest"] == second.record["digest"]


def test_two_runs_at_once_in_one_folder_do_not_harm_each_other(
    command: Command, digits: Path, registry: str
) -> None:
    argv = [Path(sys.executable).parent / "ml-containerize", "run", digits, "--no-smoke", "--no-scan"]
    more = ["--push", "--images", f"{registry}/twice"]
    environ = command.environ(command.output, {})
    both = [
        subprocess.Popen(
            [*argv, *more], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [(one.communicate(timeout=300), one.returncode) for one in both]
    done = [out for (out, _), status in ended if status == 0]
    assert done, ended
    assert len(set(done)) == 1
    assert all(status in {0, 4} for _, status in ended), ended


def test_without_a_network_the_run_ends_with_exit_8_and_advice(
    new_machine: Command, digits: Path, tmp_path: Path
) -> None:
    ran = new_machine(
        "run",
        digits,
        "--base-image",
        "registry.invalid/python:3.12",
        "--images",
        "registry.invalid/x",
        "--push",
    )
    assert ran.status == 8, ran.stderr
    assert "registry.invalid" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.record["failure"]["exit_code"] == 8


def test_the_plan_is_printed_for_people_and_as_json(command: Command, digits: Path) -> None:
    told = command("plan", digits)
    asked = command("plan", digits, "--json")
    assert (told.status, asked.status) == (0, 0), told.stderr + asked.stderr
    plan = json.loads(asked.stdout)
    assert plan["identity"] in told.stdout


def test_an_interrupted_run_leaves_nothing_running_and_no_tag(
    command: Command, digits: Path, registry: str
) -> None:
    argv = [Path(sys.executable).parent / "ml-containerize", "run", digits, "--push", "--engine", "embedded"]
    before = children()
    run = subprocess.Popen(
        [*argv, "--images", f"{registry}/interrupted"],
        env=command.environ(command.output, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr
    for line in run.stderr:
        if "smoke" in line and "recorded cases" in line:
            break
    run.terminate()
    _, rest = run.communicate(timeout=60)
    assert run.returncode == 128 + 15, rest
    assert tags_of(registry, "interrupted") == []
    assert json.loads((command.output / "result.json").read_text())["result"] == "failed"
    assert children() == before
