"""One gate's report, published beside the image, for the job that decides whether to tag it."""

from __future__ import annotations

from ml_containerize.names import Digest
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.document import Json, MalformedContent, canonical, parse_object
from ml_containerize.oci.registry import RegistryClient
from ml_containerize.push.artifact import Artifact

_REPORTS = {
    gate: Artifact(gate, f"application/vnd.io.ml-containerize.{gate}.v1+json") for gate in ("smoke", "scan")
}


def report_tag(gate: str, image: Digest) -> str:
    return _REPORTS[gate].tag(image)


def read_gate_report(client: RegistryClient, gate: str, image: Digest) -> Json | None:
    """A gate's last report on an image, None where there is none that can be read."""
    body = _REPORTS[gate].read(client, image)
    try:
        return None if body is None else parse_object(body, f"{gate} report")
    except MalformedContent:
        return None


def write_gate_report(client: RegistryClient, gate: str, image: Descriptor, report: Json) -> None:
    """Publish a gate's report in the place of its earlier one; a failed one, too."""
    _REPORTS[gate].write(client, image, canonical(report))
