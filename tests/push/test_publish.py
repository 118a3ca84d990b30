from __future__ import annotations

import io
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.registry_double import RegistryDouble
from doubles.registry_fixtures import MakeDouble

from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError
from ml_containerize.names import Repository
from ml_containerize.oci.blobs import MissingBlob
from ml_containerize.oci.credentials import Credentials, Login
from ml_containerize.oci.image import Image
from ml_containerize.oci.refusals import AccessDenied, LoginRefused, Unavailable, Unreachable, WrongDigest
from ml_containerize.oci.registry import connector
from ml_containerize.oci.uploads import BlobRefused
from ml_containerize.push.proof import Proof, proof_tag, read_proof
from ml_containerize.push.publish import IdentityTaken, NotAccepted, NowhereToPush, push_by_digest
from ml_containerize.results import Decision

NAME = "org/digits"
MODEL = 6 << 20  # bytes, at least
IDENTITY = f"sha-{'5' * 12}-model-{'4' * 12}"
ENVIRONMENT_TAG = f"env-{'3' * 32}"


def tags_of(double: RegistryDouble, name: str = NAME) -> dict[str, str]:
    return dict(double.tags[name])


def people_tags(double: RegistryDouble, name: str = NAME) -> set[str]:
    """The tags that promise something to people: neither the environment's nor the proof's."""
    return {tag for tag in double.tags[name] if not tag.startswith(("env-", "sha256-"))}


# What a release is


def test_every_tag_points_to_the_very_manifest_that_was_built(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    (release,) = pushed()
    assert str(release.image) == f"{double.host}/{NAME}@{image.digest}"
    assert [tag.name for tag in release.tags] == [IDENTITY, "main"]
    for tag in release.tags:
        assert tags_of(double)[tag.name] == str(image.digest)
    _, body = double.manifests[NAME][str(image.digest)]
    assert body == image.content.layout.read(image.descriptor)


def test_blobs_come_first_then_the_manifest_then_its_proof_and_tags_last(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    pushed()
    puts = [seen.path.rpartition("/")[2] for seen in double.asked("PUT") if "/manifests/" in seen.path]
    manifest = f"/v2/{NAME}/manifests/{image.digest}"
    assert puts == [str(image.digest), ENVIRONMENT_TAG, proof_tag(image.digest), IDENTITY, "main"]
    first = next(at for at, seen in enumerate(double.seen) if (seen.method, seen.path) == ("PUT", manifest))
    sent = [seen for seen in double.seen[:first] if seen.method == "PUT"]
    assert len(sent) == len((image.manifest.config, *image.manifest.layers))


def test_the_manifest_is_read_back_after_it_was_published(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    pushed()
    story = [(seen.method, seen.path.rpartition("/")[2]) for seen in double.seen]
    written = story.index(("PUT", str(image.digest)))
    assert ("GET", str(image.digest)) in story[written:]
    assert story.index(("GET", str(image.digest))) < story.index(("PUT", IDENTITY))


def test_what_was_uploaded_is_counted(pushed: Any, image: Image, double: RegistryDouble) -> None:
    double.put_blob(NAME, image.content.layout.read(image.manifest.layers[0]))
    (release,) = pushed()
    moved = {image.manifest.config, *image.manifest.layers[1:]}
    assert set(release.uploaded) == {blob.digest for blob in moved}
    assert release.uploaded_bytes == sum(blob.size for blob in moved)


def test_the_log_says_what_moved(pushed: Any, log: io.StringIO) -> None:
    pushed()
    assert "6.0 MiB sent; blobs: 5 uploaded" in log.getvalue()


# The environment


def test_the_environment_is_published_for_the_next_model(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    pushed()
    environment = image.content.layout.environment()
    assert environment
    assert tags_of(double)[ENVIRONMENT_TAG] == str(environment.digest)


def test_an_environment_that_is_there_is_not_sent_again(
    pushed: Any, make_image: Any, make_plan: Any, double: RegistryDouble
) -> None:
    pushed()
    double.seen.clear()
    plan = replace(make_plan(f"{double.host}/{NAME}"), identity="another")
    pushed(plan=plan, image=make_image(model=b"another model"))
    assert not double.asked("PUT", ENVIRONMENT_TAG)
    assert len(double.asked("PUT", "/blobs/uploads/")) == 2  # the model and the configuration


def test_an_image_without_a_known_environment_is_published_without_one(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    image.content.layout.set_image(image.descriptor, "digits")
    pushed()
    assert set(tags_of(double)) == {IDENTITY, "main", proof_tag(image.digest)}


# The gates


@pytest.mark.parametrize("reason", ["smoke: case seven is off by 0.5", "scan: CVE-2026-1 is CRITICAL"])
def test_an_image_that_a_gate_refused_is_never_sent_and_no_registry_is_asked(
    pushed: Any, double: RegistryDouble, reason: str
) -> None:
    def connect(_: Repository) -> Any:
        raise AssertionError("asked")

    with pytest.raises(NotAccepted, match=reason) as error:
        pushed(decision=Decision(accepted=False, reasons=(reason,)), connect=connect)
    assert error.value.exit_code == 7
    assert double.seen == []


def test_without_a_name_there_is_nowhere_to_push(pushed: Any, make_plan: Any) -> None:
    with pytest.raises(NowhereToPush) as error:
        pushed(plan=make_plan())
    assert error.value.exit_code == 2


def test_the_proof_is_found_again(pushed: Any, image: Image, double: RegistryDouble) -> None:
    pushed()
    client = connector(Credentials())(Repository(double.host, NAME))
    found = read_proof(client, image.digest)
    assert found == Proof("policy", "2026-01-01T00:00:00Z", {"outcome": "passed"}, {"outcome": "passed"})


# Identity


def test_an_identity_that_is_published_already_uploads_nothing_and_moves_the_other_tags(
    pushed: Any, image: Image, make_plan: Any, double: RegistryDouble
) -> None:
    pushed()
    received = double.received
    double.seen.clear()
    (release,) = pushed(plan=make_plan(f"{double.host}/{NAME}", tags=("1.2.3", "latest")))
    assert release.uploaded_bytes == 0
    assert release.uploaded == ()
    assert double.received == received
    assert {seen.path.rpartition("/")[2] for seen in double.asked("PUT")} == {"1.2.3", "latest"}
    assert tags_of(double)["latest"] == str(image.digest)


def test_an_identity_tag_that_points_elsewhere_is_refused_and_nothing_is_overwritten(
    pushed: Any, make_image: Any, double: RegistryDouble
) -> None:
    pushed()
    before, received = tags_of(double), double.received
    with pytest.raises(IdentityTaken, match=r"existing: keep") as error:
        pushed(image=make_image(serving=b"other"))
    assert error.value.exit_code == 7
    assert tags_of(double) == before
    assert double.received == received


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"base": b"other"}, r"the base image \(sha256:"),
        ({"packages": b"other"}, r"the packages \(lock file\)"),
        ({"serving": b"other"}, "the serving code"),
        ({"model": b"other"}, "the model's layers"),
        ({"team": "vision"}, "the labels team"),
    ],
)
def test_the_refusal_says_which_part_differs(pushed: Any, make_image: Any, part: Any, words: str) -> None:
    pushed()
    with pytest.raises(IdentityTaken, match=f"differ in {words}"):
        pushed(image=make_image(**part))


def test_existing_keep_keeps_what_is_published_and_says_so(
    pushed: Any, image: Image, make_image: Any, make_plan: Any, double: RegistryDouble, log: io.StringIO
) -> None:
    pushed()
    received = double.received
    plan = make_plan(f"{double.host}/{NAME}", tags=("1.2.3",), existing="keep")
    (release,) = pushed(plan=plan, image=make_image(serving=b"other"))
    assert release.image.digest == image.digest
    assert release.uploaded_bytes == 0
    assert double.received == received
    assert tags_of(double)["1.2.3"] == tags_of(double)[IDENTITY] == str(image.digest)
    assert f"is kept as it is published: {image.digest}" in log.getvalue()


def test_existing_keep_moves_no_tag_to_an_image_that_no_gate_saw(
    pushed: Any, image: Image, make_image: Any, make_plan: Any, double: RegistryDouble, log: io.StringIO
) -> None:
    pushed(proof=None)
    plan = make_plan(f"{double.host}/{NAME}", tags=("1.2.3",), existing="keep")
    (release,) = pushed(plan=plan, image=make_image(serving=b"other"))
    assert [tag.name for tag in release.tags] == [IDENTITY]
    assert "1.2.3" not in tags_of(double)
    assert "no proof says" in log.getvalue()


def test_a_faster_run_wins_the_identity_and_the_slower_one_is_refused(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    other = double.put_manifest(NAME, b'{"schemaVersion":2}', "application/vnd.oci.image.manifest.v1+json")
    double.on("PUT", proof_tag(image.digest), lambda: double.tags[NAME].update({IDENTITY: other}))
    with pytest.raises(IdentityTaken):
        pushed()
    assert tags_of(double)[IDENTITY] == other
    assert "main" not in tags_of(double)


# Two repositories


def test_two_repositories_of_one_registry_share_the_bytes_by_a_mount(
    pushed: Any, image: Image, make_plan: Any, double: RegistryDouble
) -> None:
    plan = make_plan(f"{double.host}/{NAME}", f"{double.host}/mirror/digits")
    first, second = pushed(plan=plan)
    assert set(second.mounted) == set(first.uploaded)
    assert second.uploaded_bytes == 0
    assert people_tags(double, "mirror/digits") == {IDENTITY, "main"}


def test_no_repository_is_tagged_before_all_have_the_content(
    pushed: Any, make_plan: Any, make_double: MakeDouble, double: RegistryDouble
) -> None:
    broken = make_double()
    broken.fail("POST", times=99, status=503)
    plan = make_plan(f"{double.host}/{NAME}", f"{broken.host}/{NAME}")
    with pytest.raises(Unavailable):
        pushed(plan=plan)
    assert people_tags(double) == set()
    assert people_tags(broken) == set()


def test_no_repository_is_touched_when_one_has_another_identity(
    pushed: Any, make_image: Any, make_plan: Any, make_double: MakeDouble, double: RegistryDouble
) -> None:
    pushed()
    other = make_double()
    plan = make_plan(f"{other.host}/{NAME}", f"{double.host}/{NAME}")
    with pytest.raises(IdentityTaken):
        pushed(plan=plan, image=make_image(serving=b"other"))
    assert other.received == 0


# By digest, without a tag


def test_an_image_that_no_gate_saw_is_published_without_any_tag(
    image: Image, make_plan: Any, double: RegistryDouble, connect: Any
) -> None:
    plan = make_plan(f"{double.host}/{NAME}", f"{double.host}/mirror/digits")
    first, second = push_by_digest(plan, image, connect=connect, console=Console(io.StringIO()))
    assert str(first.image) == f"{double.host}/{NAME}@{image.digest}"
    assert first.tags == second.tags == ()
    assert set(second.mounted) == set(first.uploaded)
    for name in (NAME, "mirror/digits"):
        assert set(double.manifests[name]) == {str(image.digest)}
        assert tags_of(double, name) == {}


def test_an_identity_that_is_another_image_is_told_before_the_gates_take_their_time(
    pushed: Any, make_image: Any, make_plan: Any, double: RegistryDouble, connect: Any
) -> None:
    pushed()
    received = double.received
    plan = make_plan(f"{double.host}/{NAME}")
    with pytest.raises(IdentityTaken):
        push_by_digest(plan, make_image(serving=b"other"), connect=connect, console=Console(io.StringIO()))
    assert double.received == received


def test_what_lies_there_by_its_digest_is_tagged_without_a_byte_moving(
    pushed: Any, image: Image, make_plan: Any, double: RegistryDouble, connect: Any
) -> None:
    plan = make_plan(f"{double.host}/{NAME}")
    push_by_digest(plan, image, connect=connect, console=Console(io.StringIO()))
    for layer in image.manifest.layers:
        image.content.layout.blob_path(layer.digest).unlink()
    image.content.layout.set_image(image.descriptor, "digits")  # its environment stayed with the builder
    (release,) = pushed()
    assert (release.uploaded_bytes, release.uploaded) == (0, ())
    assert people_tags(double) == {IDENTITY, "main"}


def test_another_registry_gets_its_copy_from_the_one_that_has_the_image(
    pushed: Any, image: Image, make_plan: Any, make_double: MakeDouble, double: RegistryDouble, connect: Any
) -> None:
    push_by_digest(make_plan(f"{double.host}/{NAME}"), image, connect=connect, console=Console(io.StringIO()))
    for layer in image.manifest.layers:
        image.content.layout.blob_path(layer.digest).unlink()
    image.content.layout.set_image(image.descriptor, "digits")
    source = connect(Repository(double.host, NAME))
    content = image.content.with_sources({layer.digest: source for layer in image.manifest.layers})
    mirror = make_double()
    plan = make_plan(f"{double.host}/{NAME}", f"{mirror.host}/{NAME}")
    _, copy = pushed(plan=plan, image=replace(image, content=content))
    assert copy.uploaded_bytes > MODEL
    assert mirror.manifests[NAME][str(image.digest)] == double.manifests[NAME][str(image.digest)]
    assert people_tags(mirror) == people_tags(double) == {IDENTITY, "main"}


# Two runs at once


def test_two_pushes_of_one_image_at_once_end_both_right(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    with ThreadPoolExecutor(2) as pool:
        releases = [future.result()[0] for future in [pool.submit(pushed) for _ in range(2)]]
    assert {release.tags for release in releases} == {releases[0].tags}
    assert {tags_of(double)[name] for name in (IDENTITY, "main")} == {str(image.digest)}


def test_a_tag_that_another_run_moved_in_the_same_moment_is_told_and_not_claimed(
    pushed: Any, make_plan: Any, double: RegistryDouble, log: io.StringIO
) -> None:
    other = double.put_manifest(NAME, b'{"schemaVersion":2}', "application/vnd.oci.image.manifest.v1+json")
    double.on("HEAD", "/manifests/latest", lambda: double.tags[NAME].update(latest=other))
    plan = make_plan(f"{double.host}/{NAME}", tags=("1.2.3", "latest"))
    (release,) = pushed(plan=plan)
    assert [tag.name for tag in release.tags] == [IDENTITY, "1.2.3"]
    assert f"latest is {other}: another run moved it" in log.getvalue()


def test_of_two_releases_at_once_whose_tags_end_up_mixed_one_says_so(
    pushed: Any, make_image: Any, make_plan: Any, double: RegistryDouble, log: io.StringIO
) -> None:
    tags = ("1.2.3", "1.2", "1", "latest")
    other = make_image(serving=b"other")
    later = replace(make_plan(f"{double.host}/{NAME}", tags=("1.2.4", *tags[1:])), identity="another")
    faster: list[Any] = []
    double.on("PUT", "/manifests/latest", lambda: faster.extend(pushed(plan=later, image=other)))
    (slower,) = pushed(plan=make_plan(f"{double.host}/{NAME}", tags=tags))
    claimed = {tag.name: release.image.digest for release in (*faster, slower) for tag in release.tags}
    at_last = {tag: tags_of(double)[tag] for tag in ("1.2.3", "1.2.4", "1.2", "1", "latest")}
    assert (at_last["1.2.3"], at_last["1.2.4"]) == (str(slower.image.digest), str(other.digest))
    assert {tag: str(claimed[tag]) for tag in at_last} == at_last
    mixed = len({at_last[tag] for tag in ("1.2", "1", "latest")}) > 1
    assert not mixed or "another run moved it" in log.getvalue()


def test_an_identity_that_another_run_took_in_the_same_moment_is_refused(
    pushed: Any, double: RegistryDouble
) -> None:
    other = double.put_manifest(NAME, b'{"schemaVersion":2}', "application/vnd.oci.image.manifest.v1+json")

    def take_it() -> None:
        double.tags[NAME][IDENTITY] = other

    double.on("PUT", "/manifests/main", take_it)
    with pytest.raises(IdentityTaken):
        pushed()


def test_a_registry_that_goes_away_after_the_last_tag_takes_nothing_back(
    pushed: Any, double: RegistryDouble
) -> None:
    double.fail("HEAD", "/manifests/main", times=99, status=503)
    (release,) = pushed()
    assert [tag.name for tag in release.tags] == [IDENTITY, "main"]


# Base layers that are still in their registry


def remote_base(image: Image, folder: Path, double: RegistryDouble, connect: Any) -> Image:
    """The image as the builder leaves it: the base's layer is in no layout, only in the base's repository."""
    layer = image.manifest.layers[0]
    double.put_blob("library/python", image.content.layout.read(layer))
    image.content.layout.blob_path(layer.digest).unlink()
    source = connect(Repository(double.host, "library/python"))
    content = image.content.with_sources({layer.digest: source})
    return replace(image, content=content)


def test_base_layers_are_mounted_from_the_bases_repository_in_the_same_registry(
    pushed: Any, image: Image, double: RegistryDouble, connect: Any, tmp_path: Path
) -> None:
    (release,) = pushed(image=remote_base(image, tmp_path, double, connect))
    assert release.mounted == (image.manifest.layers[0].digest,)


def test_base_layers_are_streamed_from_another_registry(
    pushed: Any, image: Image, make_double: MakeDouble, connect: Any, double: RegistryDouble, tmp_path: Path
) -> None:
    hub = make_double()
    content = image.content.layout.read(image.manifest.layers[0])
    (release,) = pushed(image=remote_base(image, tmp_path, hub, connect))
    assert image.manifest.layers[0].digest in release.uploaded
    assert content in double.blobs[NAME].values()


# Faults: the right error, and nothing tagged

WRONG = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}


@pytest.mark.parametrize(
    ("method", "path", "fault", "error"),
    [
        ("PUT", "/manifests/sha256:", {"headers": WRONG}, WrongDigest),
        ("GET", "/manifests/sha256:", {"headers": WRONG}, WrongDigest),
        ("GET", "/manifests/sha256:", {"body": b"{}"}, WrongDigest),
        ("PUT", "/blobs/uploads/", {"headers": WRONG}, WrongDigest),
        ("PUT", "/blobs/uploads/", {"status": 400, "document": "DIGEST_INVALID"}, BlobRefused),
        ("POST", "/blobs/uploads/", {"status": 403, "document": "DENIED"}, AccessDenied),
        ("PATCH", "/blobs/uploads/", {"status": 500, "times": 99}, Unavailable),
        ("PATCH", "/blobs/uploads/", {"break_after": 0, "times": 99}, Unreachable),
        ("PUT", "/manifests/", {"status": 503, "times": 99}, Unavailable),
        ("HEAD", "/manifests/", {"status": 429, "headers": {"Retry-After": "3600"}}, Unavailable),
    ],
)
def test_a_push_that_fails_tags_nothing(
    pushed: Any, double: RegistryDouble, method: str, path: str, fault: Any, error: type[ContainerizeError]
) -> None:
    double.fail(method, path, **fault)
    with pytest.raises(error) as raised:
        pushed()
    assert raised.value.fix
    assert people_tags(double) == set()


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("PATCH", {"break_after": 1 << 20}),
        ("PATCH", {"status": 429, "headers": {"Retry-After": "1"}}),
        ("POST", {"status": 500, "times": 2}),
        ("PUT", {"status": 502, "times": 2}),
        ("HEAD", {"status": 503, "times": 2}),
        ("PUT", {"lost": True}),
    ],
)
def test_a_fault_that_passes_is_outlived(
    pushed: Any, image: Image, double: RegistryDouble, method: str, fault: Any
) -> None:
    double.fail(method, **fault)
    pushed()
    assert tags_of(double)[IDENTITY] == str(image.digest)


def test_a_registry_that_refuses_the_login_is_sent_nothing(
    pushed: Any, make_plan: Any, make_double: MakeDouble
) -> None:
    double = make_double(auth="basic", users={"ada": "secret"})
    connect = connector(Credentials({double.host: Login("ada", "WR0NG")}))
    with pytest.raises(LoginRefused) as error:
        pushed(plan=make_plan(f"{double.host}/{NAME}"), connect=connect)
    assert "WR0NG" not in str(error.value)
    assert double.received == 0


def test_a_blob_that_is_nowhere_is_named_and_nothing_is_tagged(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    layer = image.manifest.layers[1]
    image.content.layout.blob_path(layer.digest).unlink()
    with pytest.raises(MissingBlob, match=str(layer.digest)):
        pushed()
    assert people_tags(double) == set()


def test_a_damaged_blob_is_noticed_by_its_digest_and_nothing_is_tagged(
    pushed: Any, image: Image, double: RegistryDouble
) -> None:
    layer = image.manifest.layers[1]
    path = image.content.layout.blob_path(layer.digest)
    path.write_bytes(b"X" + path.read_bytes()[1:])
    with pytest.raises(BlobRefused, match=str(layer.digest)):
        pushed()
    assert people_tags(double) == set()


# Interruption


def test_an_interruption_ends_every_thread_and_the_next_run_resumes(
    pushed: Any, double: RegistryDouble, tmp_path: Path
) -> None:
    journal = tmp_path / "uploads"
    double.fail("PUT", "/blobs/uploads/", times=99, status=503, headers={"Retry-After": "120"})
    double.on("PUT", "/blobs/uploads/", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pushed(connect=connector(Credentials(), journal=journal))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("upload")]
    assert people_tags(double) == set()
    double.faults.clear()
    double.received = 0
    pushed(connect=connector(Credentials(), journal=journal))
    assert double.received < 1 << 20  # the model's six MiB were there
    assert list(journal.iterdir()) == []


def interrupt() -> None:
    """Press Ctrl-C once the model is all but there."""
    time.sleep(0.3)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
