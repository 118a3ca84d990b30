"""Getting an image from its layout into a container engine by digest, and out again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from docker.errors import APIError, NotFound

from ml_containerize.console import Advance, Console
from ml_containerize.names import DigestReference
from ml_containerize.oci.image import Image
from ml_containerize.oci.loopback import serve
from ml_containerize.smoke.cleanup import uninterrupted
from ml_containerize.smoke.engine import EngineUnusable

Events = Iterable[Mapping[str, Any]]

_PODMAN_PULL = "/v4.0.0/libpod/images/pull"
_UNREACHABLE = ("connection refused", "no route to host", "i/o timeout", "timeout exceeded")


class LoopbackUnreachable(EngineUnusable):
    """The engine runs where this machine's 127.0.0.1 is another one."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the container engine cannot reach this machine's 127.0.0.1 to get the image ({reason})",
            "It probably runs in a virtual machine or on another host: use an engine of this machine, "
            "or `engine: embedded` on Linux.",
        )


class PullFailed(EngineUnusable):
    """The engine did not accept the image."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the container engine could not take the image: {reason}",
            "Engines read OCI images with zstd layers from Docker 23 on; make sure that its disk has room.",
        )


@contextmanager
def pulled(api: Any, image: Image, console: Console, *, podman: bool = False) -> Iterator[DigestReference]:
    """The image in the engine under a loopback name, which is gone afterwards.

    An image that the engine had before stays, with its other names; so do layers that other images use.
    """
    had_before = any(_has(api, str(digest)) for digest in (image.digest, image.manifest.config.digest))
    reference: DigestReference | None = None
    try:
        with serve(image.content, image.name, image) as reference:
            events = _podman_pull if podman else _docker_pull
            _pull(lambda: events(api, reference), image, console)
        yield reference
    finally:
        if reference:
            with uninterrupted():
                _remove(api, reference, had_before)


def _has(api: Any, name: str) -> bool:
    try:
        api.inspect_image(name)
    except NotFound:
        return False
    return True


def _pull(start: Callable[[], Events], image: Image, console: Console) -> None:
    total = sum(layer.size for layer in image.manifest.layers)
    try:
        with console.progress("pulling", total) as advance:
            reason = follow_pull(start(), advance)
    except APIError as error:
        reason = str(error.explanation or error)
    if reason:
        raise (LoopbackUnreachable if _is_unreachable(reason) else PullFailed)(reason)


def _docker_pull(api: Any, reference: DigestReference) -> Events:
    """An empty login keeps the SDK from asking the user's credential helpers about 127.0.0.1."""
    events: Events = api.pull(
        str(reference.repository), str(reference.digest), stream=True, decode=True, auth_config={}
    )
    return events


def _podman_pull(api: Any, reference: DigestReference) -> Events:
    """Through podman's own API: its Docker-compatible one insists on TLS, also for 127.0.0.1."""
    question = {"reference": str(reference), "tlsVerify": "false"}
    response = api.post(f"{api.base_url}{_PODMAN_PULL}", params=question, stream=True, timeout=None)
    if not response.ok:
        return [{"error": response.text}]
    return (json.loads(line) for line in response.iter_lines() if line)


def follow_pull(events: Events, advance: Advance) -> str:
    """Read the engine's progress to its end; the error that it reports, "" where it reports none."""
    seen: dict[str, int] = {}
    for event in events:
        if error := event.get("error"):
            return str(error)
        current = (event.get("progressDetail") or {}).get("current", 0)
        layer = str(event.get("id", ""))
        if event.get("status") == "Downloading" and current > seen.get(layer, 0):
            advance(current - seen.get(layer, 0))
            seen[layer] = current
    return ""


def _is_unreachable(reason: str) -> bool:
    return any(sign in reason.lower() for sign in _UNREACHABLE)


def _remove(api: Any, reference: DigestReference, had_before: bool) -> None:
    """Take away the loopback name, and the image with it where that is its only one."""
    with suppress(APIError):
        if had_before and _names(api, str(reference)) <= 1:
            return  # it had no name before either: taking this one away would delete it
        api.remove_image(str(reference))


def _names(api: Any, name: str) -> int:
    told = api.inspect_image(name)
    return len(told.get("RepoTags") or ()) + len(told.get("RepoDigests") or ())
