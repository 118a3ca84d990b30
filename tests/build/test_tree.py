from __future__ import annotations

from pathlib import Path

import pytest
from doubles.builds import make_files

from ml_containerize.build.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    lower = {
        "usr/bin/python3": "python3.11",
        "usr/bin/python3.11": b"lower",
        "bin": "usr/bin",
        "etc/python": "/usr/bin/python3",
        "opt/up": "../bin/python3",
        "opt/round": "about",
        "opt/about": "round",
        "opt/out": "../../../../../usr/bin/python3.11",
    }
    upper = {"usr/bin/python3.11": b"upper", "usr/bin/pip": b"", "lost": "nowhere"}
    return Tree((make_files(tmp_path / "0", lower), make_files(tmp_path / "1", upper)))


@pytest.mark.parametrize(
    "path", ["/usr/bin/python3", "/bin/python3", "/etc/python", "/opt/up", "bin//./python3", "/opt/out"]
)
def test_links_are_followed_inside_the_image_whichever_way_they_are_written(tree: Tree, path: str) -> None:
    assert tree.resolve(path) == "/usr/bin/python3.11"


@pytest.mark.parametrize("path", ["/usr/bin/perl", "/lost", "/opt/round", "/usr/bin/python3.11/lib"])
def test_what_is_not_there_or_leads_in_a_circle_is_nothing(tree: Tree, path: str) -> None:
    assert tree.resolve(path) is None
    assert tree.find(path) is None


def test_the_topmost_layer_has_the_file(tree: Tree) -> None:
    found = tree.find("/bin/python3")
    assert found
    assert found.read_bytes() == b"upper"


def test_a_folder_has_the_names_of_all_layers(tree: Tree) -> None:
    assert tree.names("/bin") == {"python3", "python3.11", "pip"}
    assert tree.names("/nowhere") == frozenset()


def test_the_root_is_the_root(tree: Tree) -> None:
    assert tree.resolve("/") == "/"
    assert "etc" in tree.names("/")
