from __future__ import annotations

import io
import json

import pytest
from doubles.registry_double import RegistryDouble

from ml_containerize.names import Repository
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.refusals import Unavailable
from ml_containerize.oci.registry import Connect, RegistryClient
from ml_containerize.push.proof import ARTIFACT, Proof, proof_tag, read_proof, write_proof

IMAGE = Descriptor.of(b"the image's manifest", media.MANIFEST)
OTHER = Descriptor.of(b"another image's manifest", media.MANIFEST)
PROOF = Proof("policy", "2026-01-01T00:00:00Z", {"outcome": "passed", "cases": []}, {"outcome": "passed"})


@pytest.fixture
def client(double: RegistryDouble, connect: Connect) -> RegistryClient:
    return connect(Repository(double.host, "org/digits"))


def test_what_was_written_is_read(client: RegistryClient) -> None:
    assert read_proof(client, IMAGE.digest) is None
    write_proof(client, IMAGE, PROOF)
    assert read_proof(client, IMAGE.digest) == PROOF


def test_a_proof_is_an_artifact_with_the_image_as_its_subject(
    client: RegistryClient, double: RegistryDouble
) -> None:
    write_proof(client, IMAGE, PROOF)
    digest = double.tags["org/digits"][f"sha256-{IMAGE.digest.hex}.proof"]
    media_type, body = double.manifests["org/digits"][digest]
    manifest = json.loads(body)
    assert media_type == media.MANIFEST
    assert manifest["artifactType"] == ARTIFACT
    assert manifest["subject"] == {
        "mediaType": media.MANIFEST,
        "digest": str(IMAGE.digest),
        "size": IMAGE.size,
    }
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert [layer["mediaType"] for layer in manifest["layers"]] == [ARTIFACT]


def test_the_same_proof_is_not_written_twice(client: RegistryClient, double: RegistryDouble) -> None:
    write_proof(client, IMAGE, PROOF)
    double.seen.clear()
    write_proof(client, IMAGE, PROOF)
    assert double.count() == {"HEAD": 1}


def test_a_newer_proof_takes_the_older_ones_place(client: RegistryClient) -> None:
    write_proof(client, IMAGE, PROOF)
    newer = Proof("policy", "2026-02-01T00:00:00Z", PROOF.smoke, PROOF.scan)
    write_proof(client, IMAGE, newer)
    assert read_proof(client, IMAGE.digest) == newer


def test_a_proof_of_another_image_is_none(client: RegistryClient, double: RegistryDouble) -> None:
    write_proof(client, OTHER, PROOF)
    tags = double.tags["org/digits"]
    tags[proof_tag(IMAGE.digest)] = tags[proof_tag(OTHER.digest)]
    assert read_proof(client, IMAGE.digest) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"not json", b'{"policy":1,"time":"x","smoke":{},"scan":{}}', PROOF.as_bytes()[:-1]],
)
def test_a_proof_that_cannot_be_read_is_none(client: RegistryClient, content: bytes) -> None:
    layer = Descriptor.of(content, ARTIFACT)
    client.upload(layer, lambda: io.BytesIO(content))
    manifest = {
        "schemaVersion": 2,
        "mediaType": media.MANIFEST,
        "layers": [layer.as_json()],
        "subject": IMAGE.as_json(),
    }
    client.put_manifest(json.dumps(manifest).encode(), media.MANIFEST, proof_tag(IMAGE.digest))
    assert read_proof(client, IMAGE.digest) is None


def test_bytes_that_are_not_the_proofs_are_none(client: RegistryClient, double: RegistryDouble) -> None:
    write_proof(client, IMAGE, PROOF)
    double.fail("GET", "/blobs/", body=PROOF.as_bytes().replace(b"passed", b"forged"))
    assert read_proof(client, IMAGE.digest) is None


def test_a_registry_that_does_not_answer_is_no_missing_proof(
    client: RegistryClient, double: RegistryDouble
) -> None:
    double.fail("GET", times=99, status=503)
    with pytest.raises(Unavailable):
        read_proof(client, IMAGE.digest)
