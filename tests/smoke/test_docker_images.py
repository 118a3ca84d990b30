from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError, ImageNotFound
from doubles.images import write_image

from ml_containerize.console import Console
from ml_containerize.oci.image import Image
from ml_containerize.smoke.docker_images import LoopbackUnreachable, PullFailed, pulled


@dataclass
class FakeApi:
    """An engine's image store that pulls the manifest and fails where it is told to."""

    error: str = ""
    refusal: str = ""
    images: dict[str, list[str]] = field(default_factory=dict)  # names by digest

    def inspect_image(self, name: str) -> dict[str, Any]:
        for digest, names in self.images.items():
            if name == digest or name in names:
                return {"RepoDigests": names}
        raise ImageNotFound(name)

    def pull(self, repository: str, tag: str, **_: Any) -> Iterator[dict[str, Any]]:
        if self.refusal:
            raise APIError(self.refusal)
        if self.error:
            failed: list[dict[str, Any]] = [{"status": "Pulling"}, {"error": self.error}]
            return iter(failed)
        registry, _, path = repository.partition("/")
        response = requests.get(f"http://{registry}/v2/{path}/manifests/{tag}", timeout=5)
        assert response.status_code == 200
        self.images.setdefault(tag, []).append(f"{repository}@{tag}")
        return iter([{"status": "Downloading", "id": "a", "progressDetail": {"current": 3}}])

    def remove_image(self, name: str) -> None:
        for digest, names in list(self.images.items()):
            if name in names:
                names.remove(name)
                if not names:
                    del self.images[digest]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    made: Image = write_image(tmp_path / "layout", {"a": b"1"})
    return made


QUIET = Console(stream=io.StringIO())


def test_an_image_is_pulled_by_digest_from_loopback_and_is_gone_afterwards(image: Image) -> None:
    api = FakeApi()
    with pulled(api, image, QUIET) as reference:
        assert reference.digest == image.digest
        assert reference.repository.is_loopback
        assert str(image.digest) in api.images
    assert api.images == {}


def test_an_image_that_was_there_before_keeps_its_own_names(image: Image) -> None:
    api = FakeApi(images={str(image.digest): ["example.org/digits@sha256:1"]})
    with pulled(api, image, QUIET):
        pass
    assert api.images == {str(image.digest): ["example.org/digits@sha256:1"]}


def test_an_image_that_was_there_without_a_name_is_not_deleted(image: Image) -> None:
    api = FakeApi(images={str(image.digest): []})
    with pulled(api, image, QUIET):
        pass
    assert str(image.digest) in api.images


def test_an_image_is_gone_also_when_its_use_fails(image: Image) -> None:
    api = FakeApi()
    with pytest.raises(KeyboardInterrupt), pulled(api, image, QUIET):
        raise KeyboardInterrupt
    assert api.images == {}


REFUSED = 'Get "http://127.0.0.1:40111/v2/": dial tcp 127.0.0.1:40111: connect: connection refused'


@pytest.mark.parametrize("api", [FakeApi(error=REFUSED), FakeApi(refusal=REFUSED)])
def test_an_engine_that_cannot_reach_our_loopback_is_exit_8(image: Image, api: FakeApi) -> None:
    with pytest.raises(LoopbackUnreachable) as caught, pulled(api, image, QUIET):
        pass
    assert caught.value.exit_code == 8
    assert "connection refused" in caught.value.what


def test_an_engine_that_does_not_take_the_image_is_exit_8_with_its_words(image: Image) -> None:
    full = FakeApi(error="no space left on device")
    with pytest.raises(PullFailed, match="no space left on device") as caught, pulled(full, image, QUIET):
        pass
    assert caught.value.exit_code == 8
