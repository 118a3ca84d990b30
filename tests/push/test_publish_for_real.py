"""A push to the Distribution project's own registry, looked at with skopeo."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from support.programs import program

from ml_containerize.names import Repository
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.image import Image
from ml_containerize.oci.registry import connector
from ml_containerize.push.proof import proof_tag, read_proof

pytestmark = pytest.mark.e2e


def inspect(reference: str) -> Any:
    argv = [program("skopeo"), "inspect", "--tls-verify=false", f"docker://{reference}"]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def test_a_release_is_what_other_tools_find(pushed: Any, make_plan: Any, image: Image, registry: str) -> None:
    plan = make_plan(f"{registry}/push/digits", f"{registry}/push/mirror", tags=("main", "latest"))
    first, second = pushed(plan=plan)
    assert first.uploaded
    assert set(second.mounted) == set(first.uploaded)
    for name in ("digits", "mirror"):
        told = inspect(f"{registry}/push/{name}:latest")
        assert told["Digest"] == str(image.digest)
        expected = {plan.identity, "main", "latest", plan.environment.key.tag, proof_tag(image.digest)}
        assert set(told["RepoTags"]) == expected
    assert inspect(f"{registry}/push/digits:{plan.environment.key.tag}")["Layers"] == [
        str(layer.digest) for layer in image.manifest.layers[:3]
    ]


def test_a_second_run_finds_the_proof_and_uploads_nothing(
    pushed: Any, make_plan: Any, image: Image, registry: str
) -> None:
    plan = make_plan(f"{registry}/push/again")
    pushed(plan=plan)
    client = connector(Credentials())(Repository.parse(f"{registry}/push/again"))
    proof = read_proof(client, image.digest)
    assert proof
    assert proof.smoke == {"outcome": "passed"}
    (release,) = pushed(plan=plan, proof=proof)
    assert (release.uploaded_bytes, release.uploaded) == (0, ())
