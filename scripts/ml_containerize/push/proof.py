"""The gates' proof: what passed, when, under which policy, published beside the image that it speaks of.

A later run that would ask the same of the same bytes can rely on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ml_containerize.names import Digest
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import MalformedContent, canonical, expect, parse_object
from ml_containerize.oci.registry import RegistryClient
from ml_containerize.push.artifact import Artifact
from ml_containerize.results import Json

ARTIFACT = "application/vnd.io.ml-containerize.proof.v1+json"
_PROOF = Artifact("proof", ARTIFACT)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the gates found: `policy` is the SHA-256 of what they were asked, `checked_at` is RFC 3339."""

    policy: str
    checked_at: str
    smoke: Json
    scan: Json

    @classmethod
    def parse(cls, body: bytes) -> Proof:
        """Read a proof's JSON; raises MalformedContent."""
        members = parse_object(body, "proof")
        return cls(
            policy=expect(members.get("policy"), str, "proof.policy"),
            checked_at=expect(members.get("time"), str, "proof.time"),
            smoke=expect(members.get("smoke"), dict, "proof.smoke"),
            scan=expect(members.get("scan"), dict, "proof.scan"),
        )

    def as_bytes(self) -> bytes:
        return canonical(
            {"policy": self.policy, "time": self.checked_at, "smoke": self.smoke, "scan": self.scan}
        )


def proof_tag(image: Digest) -> str:
    return _PROOF.tag(image)


def read_proof(client: RegistryClient, image: Digest) -> Proof | None:
    """The proof for an image, None where there is none that can be read: then the gates are asked again."""
    body = _PROOF.read(client, image)
    try:
        return None if body is None else Proof.parse(body)
    except MalformedContent:
        return None


def write_proof(client: RegistryClient, image: Descriptor, proof: Proof) -> None:
    """Publish a proof, unless this very one is there."""
    _PROOF.write(client, image, proof.as_bytes())
