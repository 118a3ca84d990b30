from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from doubles.models import LFS_POINTER, write_saved_model

from ml_containerize.names import Digest
from ml_containerize.oci.layers import Entry, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.plan.model.files import list_files
from ml_containerize.plan.model.hashing import BLOCK, ModelChanged, hash_model, sum_line
from ml_containerize.plan.model.lfs import LfsPointer
from ml_containerize.plan.model.model import OWN_LAYER_SIZE, Model
from ml_containerize.plan.model.unusable import UnreadableModel

COREUTILS = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"


def hashed(root: Path, project: Path) -> Model:
    return hash_model(root, "saved_model", list_files(root, project), lambda _: None)


@pytest.fixture
def folder(project: Path) -> Path:
    """A SavedModel with names that few tools expect."""
    folder = write_saved_model(project / "export")
    for number, name in enumerate(
        ("a b", "line\nbreak", "return\r", "back\\slash", "数字 ä 🎉", "'$(x)\"", "A")
    ):
        (folder / name).write_bytes(bytes([number]) * number)
    return folder


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as stream:
        stream.truncate(size)
        stream.seek(size // 2)
        stream.write(b"weights")
    return path


def test_the_hash_is_over_sorted_lines_as_sha256sum_prints_them(project: Path) -> None:
    folder = write_saved_model(project / "export")
    graph, index = (hashlib.sha256(content).hexdigest() for content in (b"graph", b"index"))
    lines = f"{graph}  saved_model.pb\n{index}  variables/variables.index\n"
    model = hashed(folder, project)
    assert model.hash.hex == hashlib.sha256(lines.encode()).hexdigest()
    assert model.size == 10


@pytest.mark.parametrize(
    ("path", "line"),
    [("a b", "{}  a b\n"), ("a\nb", "\\{}  a\\nb\n"), ("a\rb", "\\{}  a\\rb\n"), ("a\\b", "\\{}  a\\\\b\n")],
)
def test_names_are_escaped_as_coreutils_does(path: str, line: str) -> None:
    assert sum_line(Digest("0" * 64), path) == line.format("0" * 64)


@pytest.mark.e2e
def test_coreutils_give_the_same_hash(folder: Path, project: Path) -> None:
    sparse(folder / "large", 3 * BLOCK + 1)
    done = subprocess.run(["sh", "-c", COREUTILS], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == f"{hashed(folder, project).hash}  -\n"


def test_names_with_spaces_newlines_and_beyond_ascii_are_hashed(folder: Path, project: Path) -> None:
    model = hashed(folder, project)
    assert {str(file.path) for file in model.files} >= {"a b", "line\nbreak", "数字 ä 🎉"}
    assert [str(file.path).encode() for file in model.files] == sorted(
        str(f.path).encode() for f in model.files
    )
    (folder / "a b").rename(folder / "a_b")
    assert hashed(folder, project).hash != model.hash


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_files_of_any_size_have_their_own_digest(project: Path, size: int) -> None:
    path = sparse(project / "export.h5", size)
    (file,) = hash_model(path, "h5", list_files(path, project), lambda _: None).files
    assert file.sha256 == Digest.of(path.read_bytes())
    assert file.layer is None


def test_a_large_file_knows_the_digest_of_its_own_layer(project: Path, tmp_path: Path) -> None:
    path = sparse(project / "export.h5", OWN_LAYER_SIZE)
    (file,) = hash_model(path, "h5", list_files(path, project), lambda _: None).files
    layer = write_layer(
        Layout.create(tmp_path / "layout"),
        [Entry.file(str(file.image_path), path)],
        compression="none",
        created_by="model",
        annotations={},
        advance=lambda _: None,
    )
    assert file.layer == layer.descriptor.digest
    assert str(file.image_path) == "opt/ml/model/export.h5"


def test_every_byte_is_counted_once(folder: Path, project: Path) -> None:
    sparse(folder / "large", OWN_LAYER_SIZE + 1)
    counted: list[int] = []
    model = hash_model(folder, "saved_model", list_files(folder, project), counted.append)
    assert sum(counted) == model.size


@pytest.mark.parametrize("size", [BLOCK // 2, 2 * BLOCK, OWN_LAYER_SIZE])
def test_a_file_that_changes_while_it_is_hashed_is_told(project: Path, size: int) -> None:
    path = sparse(project / "export.h5", size)

    def append(_: int) -> None:
        with path.open("ab") as stream:
            stream.write(b"more")

    with pytest.raises(ModelChanged, match=r"export\.h5 changed while it was hashed") as caught:
        hash_model(path, "h5", list_files(path, project), append)
    assert caught.value.exit_code == 3


def test_a_file_that_is_replaced_while_it_is_hashed_is_told(project: Path) -> None:
    path = sparse(project / "export.h5", 2 * BLOCK)
    times = path.stat()

    def replace(_: int) -> None:
        new = sparse(project / "new", 2 * BLOCK)
        os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
        new.replace(path)

    with pytest.raises(ModelChanged):
        hash_model(path, "h5", list_files(path, project), replace)


def test_an_lfs_pointer_among_many_files_is_found(folder: Path, project: Path) -> None:
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(LFS_POINTER)
    with pytest.raises(LfsPointer, match=r"variables\.data"):
        hashed(folder, project)


def test_a_file_that_disappears_is_told(folder: Path, project: Path) -> None:
    found = list_files(folder, project)
    (folder / "A").unlink()
    with pytest.raises(UnreadableModel, match="No such file"):
        hash_model(folder, "saved_model", found, lambda _: None)


def test_a_failure_ends_the_hashing_of_the_other_files(project: Path) -> None:
    folder = write_saved_model(project / "export")
    sparse(folder / "large", OWN_LAYER_SIZE)
    found = list_files(folder, project)
    (folder / "saved_model.pb").unlink()
    counted: list[int] = []
    with pytest.raises(UnreadableModel):
        hash_model(folder, "saved_model", found, counted.append)
    assert sum(counted) < OWN_LAYER_SIZE


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_a_hundred_thousand_small_files_are_hashed(project: Path) -> None:
    folder = write_saved_model(project / "export")
    for number in range(100_000):
        if number % 1000 == 0:
            (folder / f"{number}").mkdir()
        handle = os.open(f"{folder}/{number - number % 1000}/{number}", os.O_CREAT | os.O_WRONLY)
        os.close(handle)
    assert len(hashed(folder, project).files) == 100_002
