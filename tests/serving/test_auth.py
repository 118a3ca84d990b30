from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest

from serving.auth import LOOK_AGAIN, KeyRing
from serving.errors import SettingWrong

KEY = "s3cret-of-ada"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# for Ada\n{KEY}\n\n  other-key  \n")
    return path


def basic(text: str) -> dict[str, str]:
    return {"authorization": f"Basic {b64encode(text.encode()).decode()}"}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "headers",
    [
        bearer(KEY),
        bearer("other-key"),
        {"authorization": f"bearer {KEY}"},
        {"authorization": f"BEARER  {KEY}"},
        {"x-api-key": KEY},
        {"x-api-key": KEY, "authorization": "Basic YTpi"},
        {"x-api-key": "wrong", **bearer(KEY)},
        basic(f":{KEY}"),
        basic(f"ada:{KEY}"),
    ],
)
def test_a_key_of_the_file_opens(file: Path, headers: dict[str, str]) -> None:
    assert KeyRing.from_file(file).allows(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("wrong"),
        bearer(KEY[:-1]),
        bearer(KEY + "x"),
        bearer(KEY.upper()),
        bearer("# for Ada"),
        bearer("\ud800"),
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Basic é"},
        basic(KEY),
        basic(f"{KEY}:"),
        basic(f"ada:x:{KEY}"),
        {"x-api-key": ""},
        {"x-api-key": f"Bearer {KEY}"},
    ],
)
def test_nothing_else_opens(file: Path, headers: dict[str, str]) -> None:
    assert not KeyRing.from_file(file).allows(headers)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no key"),
        (b"# only\n\n  \n", "holds no key"),
        (b"good\nwith space\n", "line 2 holds what no header can carry"),
        (b"\xff\xfe\n", "line 1 holds what no header can carry"),
    ],
)
def test_a_file_without_usable_keys_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(SettingWrong, match=reason) as caught:
        KeyRing.from_file(path)
    assert "with space" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingWrong, match="No such file"):
        KeyRing.from_file(tmp_path / "keys")


def test_a_changed_file_is_read_again(file: Path) -> None:
    clock = Clock()
    ring = KeyRing(file, clock)
    file.write_text("new\n")
    assert ring.allows(bearer(KEY))
    clock.seconds += LOOK_AGAIN
    assert not ring.allows(bearer(KEY))
    assert ring.allows(bearer("new"))


def test_a_turned_link_is_noticed_though_the_times_are_equal(tmp_path: Path) -> None:
    """Kubernetes turns a link to a new folder: https://kubernetes.io/docs/concepts/configuration/secret/."""
    for version, key in (("1", "old"), ("2", "new")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys").write_text(key)
        os.utime(tmp_path / version / "keys", ns=(0, 0))
    (tmp_path / "data").symlink_to("1")
    clock = Clock()
    ring = KeyRing(tmp_path / "data" / "keys", clock)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "data")
    clock.seconds += LOOK_AGAIN
    assert ring.allows(bearer("new"))


@pytest.mark.parametrize("spoil", [lambda path: path.write_text(""), lambda path: path.unlink()])
def test_the_keys_stay_where_the_file_is_spoilt(file: Path, spoil: object) -> None:
    clock = Clock()
    ring = KeyRing(file, clock)
    spoil(file)  # type: ignore[operator]
    clock.seconds += LOOK_AGAIN
    assert ring.allows(bearer(KEY))
    file.write_text("newest\n")
    clock.seconds += LOOK_AGAIN
    assert ring.allows(bearer("newest"))


def test_a_key_is_in_no_log_and_no_text_of_the_ring(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    ring = KeyRing(file, clock)
    file.write_text(f"{KEY} {KEY}\n")
    clock.seconds += LOOK_AGAIN
    ring.allows(bearer(KEY))
    file.write_text(f"{KEY}\n")
    clock.seconds += LOOK_AGAIN
    ring.allows(bearer(KEY))
    assert len(caplog.records) == 1
    assert KEY not in caplog.text + repr(ring) + str(ring)
    assert KEY not in repr([getattr(ring, name) for name in KeyRing.__slots__])
