from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ml_containerize.errors import UsageError
from ml_containerize.scan.release import (
    PINNED_SHA256,
    MaliciousScanner,
    NoScannerForHost,
    Version,
    archive_for,
    stamped_version,
)

STAMP = b'build\t-ldflags="-s -w -X github.com/aquasecurity/trivy/pkg/version/app.ver=%s"\n'


def test_the_pin_is_the_release_that_others_verified() -> None:
    archive = archive_for("", "", "Linux", "x86_64")
    assert archive.url == (
        "https://github.com/aquasecurity/trivy/releases/download/v0.74.0/trivy_0.74.0_Linux-64bit.tar.gz"
    )
    assert archive.sha256 == "2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a"
    assert archive_for("", "", "Linux", "aarch64").sha256 == PINNED_SHA256["Linux-ARM64"]
    assert archive_for("", "", "Darwin", "arm64").sha256 == PINNED_SHA256["macOS-ARM64"]


def test_another_release_is_taken_with_the_hash_that_was_given() -> None:
    archive = archive_for("0.75.1", "ab" * 32, "Darwin", "arm64")
    assert archive.url.endswith("/v0.75.1/trivy_0.75.1_macOS-ARM64.tar.gz")
    assert archive.sha256 == "ab" * 32


@pytest.mark.parametrize("version", ["0.69.4", "0.69.5", "0.69.6"])
def test_a_malicious_release_is_refused_even_with_a_hash(version: str) -> None:
    with pytest.raises(MaliciousScanner, match="CVE-2026-33634"):
        archive_for(version, "ab" * 32, "Linux", "x86_64")


@pytest.mark.parametrize("host", [("Linux", "riscv64"), ("Windows", "AMD64"), ("Darwin", "")])
def test_a_machine_without_a_release_is_told_what_to_do(host: tuple[str, str]) -> None:
    with pytest.raises(NoScannerForHost) as caught:
        archive_for("", "", *host)
    assert "trivy-path" in caught.value.fix


@pytest.mark.parametrize("text", ["", "0.74", "latest", "0.74.0-rc1", "0.74.0\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Version.parse(text)


def test_versions_are_ordered_as_numbers() -> None:
    assert Version.parse("0.9.0") < Version.parse("v0.63.0") < Version.parse("0.100.0")


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"\x7fELF" + bytes(5000) + STAMP % b"0.69.4", Version(0, 69, 4)),
        (b"\x7fELF" + STAMP % b"v0.74.0" + struct.pack("<Q", 1), Version(0, 74, 0)),
        (STAMP % b"dev", None),
        (b"#!/bin/sh\nexec trivy\n", None),
        (b"", None),
    ],
)
def test_the_version_is_read_from_the_program_without_running_it(
    tmp_path: Path, content: bytes, version: Version | None
) -> None:
    program = tmp_path / "trivy"
    program.write_bytes(content)
    assert stamped_version(program) == version
