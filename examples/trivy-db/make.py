"""Write a small trivy database, `trivy.db` and `metadata.json`, from `advisories.json`; same bytes each time.

    $ python examples/trivy-db/make.py ~/.cache/ml-containerize/trivy/db

`trivy.db` is a bbolt file (https://github.com/etcd-io/bbolt, `internal/common/page.go`, `meta.go`,
`bucket.go`): pages of 4096 bytes, of which two are meta pages and one an empty free list; the others are
leaves, one a bucket. A leaf that does not fit into its page goes on in overflow pages, so no branch page is
needed at this size. What the buckets hold is defined by https://github.com/aquasecurity/trivy-db
(`pkg/types/types.go`, `pkg/vulnsrc`).
"""

from __future__ import annotations

import argparse
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = 4096
HEADER = struct.Struct("<QHHI")  # page id, flags, count, overflow pages
ELEMENT = struct.Struct("<IIII")  # flags, distance to the key, key size, value size
BUCKET_HEADER = struct.Struct("<QQ")  # root page, sequence
META = struct.Struct(
    "<IIIIQQQQQ"
)  # magic, version, page size, flags, root, sequence, free list, pages, transaction
LEAF, META_PAGE, FREE_LIST = 0x02, 0x04, 0x10
BUCKET = 0x01  # an element whose value is a bucket
MAGIC, VERSION = 0xED0CDAED, 2
ROOT = 3  # the root bucket's page

SCHEMA_VERSION = 2  # of trivy's database
SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")
PYTHON = "pip::GitHub Security Advisory pip"
DEBIAN = "debian 12"
SOURCES = {
    PYTHON: {
        "ID": "ghsa",
        "Name": "GitHub Security Advisory pip",
        "URL": "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Apip",
    },
    DEBIAN: {
        "ID": "debian",
        "Name": "Debian Security Tracker",
        "URL": "https://salsa.debian.org/security-tracker-team/security-tracker",
    },
}
LINKS = {PYTHON: "https://github.com/advisories/", DEBIAN: "https://security-tracker.debian.org/tracker/"}

Advisory = dict[str, Any]
Tree = dict[str, Any]  # bucket name → bucket, key → bytes


@dataclass(frozen=True)
class Leaf:
    """A bucket's elements as they lie behind a page header."""

    count: int
    body: bytes

    def page(self, number: int) -> bytes:
        return page(number, LEAF, self.count, self.body)


@dataclass
class Pages:
    """The file's pages in order; the first four are for the meta pages, the free list and the root."""

    content: bytearray = field(default_factory=lambda: bytearray(4 * PAGE))

    @property
    def count(self) -> int:
        return len(self.content) // PAGE

    def append(self, leaf: Leaf) -> int:
        """Add a leaf behind the last page and return the number of its first page."""
        number = self.count
        written = leaf.page(number)
        self.content += written + bytes(-len(written) % PAGE)
        return number

    def put(self, number: int, content: bytes) -> None:
        if len(content) > PAGE:
            raise ValueError(f"page {number} is {len(content)} bytes long, more than a page")
        self.content[number * PAGE : number * PAGE + len(content)] = content


def page(number: int, flags: int, count: int, body: bytes) -> bytes:
    overflow = (HEADER.size + len(body) - 1) // PAGE
    return HEADER.pack(number, flags, count, overflow) + body


def leaf(bucket: Tree, pages: Pages) -> Leaf:
    """The bucket's elements, sorted; the buckets inside it are written to `pages` first."""
    elements, data = b"", b""
    for index, (name, value) in enumerate(sorted(bucket.items())):
        nested = isinstance(value, dict)
        key, content = name.encode(), nested_bucket(value, pages) if nested else value
        distance = (len(bucket) - index) * ELEMENT.size + len(data)
        elements += ELEMENT.pack(BUCKET if nested else 0, distance, len(key), len(content))
        data += key + content
    return Leaf(len(bucket), elements + data)


def nested_bucket(bucket: Tree, pages: Pages) -> bytes:
    """A bucket as a value: its root page and sequence number, a small one with its page in line."""
    written = leaf(bucket, pages)
    flat = not any(isinstance(value, dict) for value in bucket.values())
    if flat and HEADER.size + len(written.body) <= PAGE // 4:
        return BUCKET_HEADER.pack(0, 0) + written.page(0)
    return BUCKET_HEADER.pack(pages.append(written), 0)


def fnv1a(content: bytes) -> int:
    """FNV-1a, 64 bits: bbolt's check sum over a meta page."""
    value = 0xCBF29CE484222325
    for byte in content:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def meta(transaction: int, pages: Pages) -> bytes:
    body = META.pack(MAGIC, VERSION, PAGE, 0, ROOT, 0, 2, pages.count, transaction)
    return page(transaction, META_PAGE, 0, body + struct.pack("<Q", fnv1a(body)))


def database(root: Tree) -> bytes:
    pages = Pages()
    pages.put(ROOT, leaf(root, pages).page(ROOT))
    pages.put(2, page(2, FREE_LIST, 0, b""))
    pages.put(0, meta(0, pages))
    pages.put(1, meta(1, pages))
    return bytes(pages.content)


def compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def detail(advisory: Advisory, source: str) -> bytes:
    severity = SEVERITIES.index(advisory["severity"])
    return compact(
        {
            "Title": advisory["title"],
            "VendorSeverity": {SOURCES[source]["ID"]: severity},
            "References": [LINKS[source] + advisory["source"]],
            "PublishedDate": f"{advisory['published']}T00:00:00Z",
        }
    )


def python_packages(advisories: list[Advisory]) -> Tree:
    """Package → CVE → vulnerable ranges, and the version that ends each range."""
    packages: Tree = {}
    for advisory in advisories:
        for name, ranges in advisory["affected"].items():
            patched = [versions.rpartition("<")[2] for versions in ranges]
            entry = {"PatchedVersions": patched, "VulnerableVersions": ranges}
            packages.setdefault(name, {})[advisory["id"]] = compact(entry)
    return packages


def debian_packages(advisories: list[Advisory]) -> Tree:
    """Source package → CVE → the version that fixes it."""
    packages: Tree = {}
    for advisory in advisories:
        for name, version in advisory["fixed"].items():
            packages.setdefault(name, {})[advisory["id"]] = compact({"FixedVersion": version})
    return packages


def tree(advisories: dict[str, list[Advisory]]) -> Tree:
    details = {entry["id"]: detail(entry, PYTHON) for entry in advisories["python"]}
    details |= {entry["id"]: detail(entry, DEBIAN) for entry in advisories[DEBIAN]}
    return {
        "data-source": {name: compact(source) for name, source in SOURCES.items()},
        "vulnerability": details,
        PYTHON: python_packages(advisories["python"]),
        DEBIAN: debian_packages(advisories[DEBIAN]),
    }


def metadata(checked: str, count: int) -> bytes:
    """What trivy wants to know; `NextUpdate` has passed, so that it looks for the real database if it may."""
    note = (
        f"It is a sample of {count} advisories for demonstrations and closed networks, not trivy's database: "
        "what it does not list is not thereby safe."
    )
    time = f"{checked}T00:00:00Z"
    return compact({"Version": SCHEMA_VERSION, "UpdatedAt": time, "NextUpdate": time, "Note": note}) + b"\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where trivy.db and metadata.json go")
    folder = parser.parse_args(arguments).folder
    source = json.loads((Path(__file__).parent / "advisories.json").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trivy.db").write_bytes(database(tree(source)))
    count = len(source["python"]) + len(source[DEBIAN])
    (folder / "metadata.json").write_bytes(metadata(source["checked"], count))


if __name__ == "__main__":
    main()
