"""Publishing the very bytes that were proved: blobs first, tags last, no tag unless every gate passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ml_containerize.console import Console, human_size
from ml_containerize.errors import ContainerizeError, PushError, UsageError
from ml_containerize.names import Digest, DigestReference, Repository, TagReference
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import Image
from ml_containerize.oci.layout import ENVIRONMENT
from ml_containerize.oci.manifest import Manifest
from ml_containerize.oci.registry import Connect, RegistryClient
from ml_containerize.plan.decide import Plan
from ml_containerize.push.blobs import Delivery, deliver
from ml_containerize.push.differences import explain
from ml_containerize.push.proof import Proof, read_proof, write_proof
from ml_containerize.results import Decision, Release

_TAGS_AT_ONCE = 4


class NotAccepted(PushError):
    """A gate refused this image, or none has seen it."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(
            "\n".join(("the image was refused, so it is not published", *reasons)),
            "Fix what the gates found, and run again.",
        )


class NowhereToPush(UsageError):
    """No repository was named."""

    def __init__(self) -> None:
        super().__init__("no image name to push to", "Give one, such as `--images ghcr.io/org/digits`.")


class IdentityTaken(PushError):
    """Another image was published for the same commit and model."""

    def __init__(self, tag: TagReference, published: Digest, ours: Digest, differ: Sequence[str]) -> None:
        super().__init__(
            f"{tag} is {published}, but this build is {ours}; they differ in {', '.join(differ)}",
            "A published identity never moves. Pin what differs (a base image by its digest, packages by the "
            "lock file), commit, and run again; or set `existing: keep` to keep what is published.",
        )


def push(
    plan: Plan,
    image: Image,
    decision: Decision,
    *,
    proof: Proof | None,
    connect: Connect,
    console: Console,
) -> tuple[Release, ...]:
    """Publish an accepted image to every repository of the plan: all content everywhere, then the tags.

    Raises NotAccepted before anything is sent, IdentityTaken before anything is uploaded, WrongDigest where
    a registry does not hold the very bytes, and what the network raises; until then no tag has moved.
    """
    if not decision.accepted:
        raise NotAccepted(decision.reasons)
    if not plan.settings.images:
        raise NowhereToPush
    clients = [connect(repository) for repository in plan.settings.images]
    published = [_identity(plan, image, client, connect) for client in clients]
    deliveries = [
        _publish_content(plan, image, proof, client, before, clients[:number], console)
        for number, (client, before) in enumerate(zip(clients, published, strict=True))
    ]
    return tuple(
        _publish_tags(plan, image, client, delivery, connect, console)
        for client, delivery in zip(clients, deliveries, strict=True)
    )


def push_by_digest(plan: Plan, image: Image, *, connect: Connect, console: Console) -> tuple[Release, ...]:
    """Publish an image that no gate has seen to every repository of the plan, under its digest only.

    Raises IdentityTaken before anything is uploaded, and as `push`.
    """
    clients = [connect(repository) for repository in plan.settings.images]
    for client in clients:
        _identity(plan, image, client, connect)
    repositories = [client.repository for client in clients]
    deliveries = [
        _publish_image(image, client, repositories[:number], console) for number, client in enumerate(clients)
    ]
    return tuple(map(partial(_released, image.digest, ()), clients, deliveries))


def _released(digest: Digest, tags: Iterable[str], client: RegistryClient, delivery: Delivery) -> Release:
    return Release(
        image=client.repository.at(digest),
        tags=tuple(client.repository.tag(tag) for tag in tags),
        uploaded_bytes=delivery.sent_bytes,
        uploaded=delivery.of_kind("uploaded"),
        mounted=delivery.of_kind("mounted"),
    )


def _identity(plan: Plan, image: Image, client: RegistryClient, connect: Connect) -> Digest | None:
    """What the identity tag points to; raises IdentityTaken where it may not be another image."""
    found = client.find_manifest(plan.identity)
    if found is None or found.digest == image.digest or plan.settings.existing == "keep":
        return found.digest if found else None
    differ = _differences(client.repository.at(found.digest), image, connect)
    raise IdentityTaken(client.repository.tag(plan.identity), found.digest, image.digest, differ)


def _differences(published: DigestReference, image: Image, connect: Connect) -> tuple[str, ...]:
    try:
        return explain(find_image(str(published), image.platform, connect), image)
    except ContainerizeError as error:
        return (f"parts that cannot be compared ({error.what})",)


def _publish_content(
    plan: Plan,
    image: Image,
    proof: Proof | None,
    client: RegistryClient,
    published: Digest | None,
    earlier: Sequence[RegistryClient],
    console: Console,
) -> Delivery:
    """Everything but the tags that people use; nothing new where the identity is published already."""
    delivery = Delivery()
    if published is None:
        delivery = _publish_image(image, client, [one.repository for one in earlier], console)
        _publish_environment(plan, image, client)
    if proof and published in {None, image.digest}:
        write_proof(client, image.descriptor, proof)
    return delivery


def _publish_image(
    image: Image, client: RegistryClient, earlier: Iterable[Repository], console: Console
) -> Delivery:
    """Blobs, then the manifest under its digest, then read it back."""
    if client.find_manifest(image.digest):
        console.info(f"{client.repository} has this image already")
        return Delivery()
    blobs = {blob.digest: blob for blob in (*image.manifest.layers, image.manifest.config)}
    total = sum(blob.size for blob in blobs.values())
    with console.progress(f"uploading to {client.repository}", total) as advance:
        delivery = deliver(client, image.content, blobs.values(), neighbours=earlier, advance=advance)
    client.put_manifest(_body(image), image.descriptor.media_type, image.digest)
    client.get_manifest(image.digest)  # read back: raises WrongDigest unless it is these very bytes
    counts = {kind: len(delivery.of_kind(kind)) for kind in ("uploaded", "mounted", "present")}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    console.info(f"{client.repository}: {human_size(delivery.sent_bytes)} sent; blobs: {told}")
    return delivery


def _publish_environment(plan: Plan, image: Image, client: RegistryClient) -> None:
    """The environment under its key's tag, so that the next model needs no more than its own layers."""
    content, key = image.content, plan.environment.key
    environment = content.layout.environment()
    if not environment or environment.annotations[ENVIRONMENT] != str(key):
        return
    found = client.find_manifest(key.tag)
    if found and found.digest == environment.digest:
        return
    body = content.layout.read(environment)
    manifest = Manifest.parse(body)
    deliver(client, content, (manifest.config, *manifest.layers), advance=lambda _: None)
    client.put_manifest(body, environment.media_type, key.tag)


def _publish_tags(
    plan: Plan, image: Image, client: RegistryClient, delivery: Delivery, connect: Connect, console: Console
) -> Release:
    """The identity first, asked for once more: another run may have been faster; then the tags that move."""
    published = _identity(plan, image, client, connect)
    if published not in {None, image.digest}:
        return _keep(plan, client, published, console)
    body, media_type = _body(image), image.descriptor.media_type
    if published is None:
        client.put_manifest(body, media_type, plan.identity)
    _move(client, body, media_type, plan.tags)
    overtaken = _overtaken(client, image.digest, (plan.identity, *plan.tags), console)
    if plan.identity in overtaken:
        _identity(plan, image, client, connect)
    tags = (tag for tag in (plan.identity, *plan.tags) if tag not in overtaken)
    return _released(image.digest, tags, client, delivery)


def _keep(plan: Plan, client: RegistryClient, published: Digest, console: Console) -> Release:
    """`existing: keep`: the tags that move go to what is published, if a gate has seen it."""
    identity = client.repository.tag(plan.identity)
    console.warn(f"{identity} is kept as it is published: {published}")
    moved: list[str] = []
    if read_proof(client, published) is not None:
        descriptor, body = client.get_manifest(published)
        _move(client, body, descriptor.media_type, plan.tags)
        overtaken = _overtaken(client, published, plan.tags, console)
        moved = [tag for tag in plan.tags if tag not in overtaken]
    elif plan.tags:
        console.warn(f"{', '.join(plan.tags)} not moved: no proof says that {published} passed the gates")
    return _released(published, (plan.identity, *moved), client, Delivery())


def _move(client: RegistryClient, body: bytes, media_type: str, tags: Sequence[str]) -> None:
    with ThreadPoolExecutor(_TAGS_AT_ONCE, thread_name_prefix="tag") as pool:
        list(pool.map(lambda tag: client.put_manifest(body, media_type, tag), tags))


def _overtaken(
    client: RegistryClient, digest: Digest, tags: Iterable[str], console: Console
) -> frozenset[str]:
    """Those of the tags just written that another run has moved on since, and a warning for each.

    No registry changes several tags at once. Of two runs whose tags end up mixed, at least one sees here
    what the other wrote, as both read only after all that they wrote.
    """
    overtaken = set()
    for tag in tags:
        found = _found(client, tag)
        if found and found.digest != digest:
            overtaken.add(tag)
            console.warn(
                f"{client.repository.tag(tag)} is {found.digest}: another run moved it in this very moment. "
                "Run the one again whose image it should be."
            )
    return frozenset(overtaken)


def _found(client: RegistryClient, tag: str) -> Descriptor | None:
    """A tag's descriptor; None also from a registry that is gone: what it accepted stays written."""
    try:
        return client.find_manifest(tag)
    except ContainerizeError:
        return None


def _body(image: Image) -> bytes:
    return image.content.layout.read(image.descriptor)
