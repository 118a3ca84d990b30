from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.build.base import BasePython
from ml_containerize.build.bytecode import bytecode_path
from ml_containerize.build.environment_layers import OWN_LAYER_SIZE, EnvironmentLayers
from ml_containerize.build.venv import Distribution, Module
from ml_containerize.oci.archive import list_entries
from ml_containerize.oci.layers import Entry, Layer
from ml_containerize.oci.layout import Layout
from ml_containerize.plan.labels import PACKAGES, TITLE

SITE = "opt/venv/lib/python3.12/site-packages"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def package(folder: Path, name: str, size: int = 0) -> Distribution:
    """A package of one module; `size` is what it claims to have, bytes."""
    source = folder / f"{name}.py"
    source.write_bytes(f"NAME = '{name}'\n".encode())
    path = f"{SITE}/{name}.py"
    return Distribution(name, "1.0", (Entry.file(path, source),), (Module(str(source), path),), size)


def bytecode(folder: Path, *distributions: Distribution) -> dict[str, str]:
    made = {}
    for module in (module for one in distributions for module in one.modules):
        file = folder / f"{Path(module.source).stem}.pyc"
        file.write_bytes(b"code")
        made[bytecode_path(module.path, "cpython-312")] = str(file)
    return made


def ignore(_: int) -> None:
    pass


def paths(layer: Layer, layout: Layout) -> list[str]:
    with layout.open(layer.descriptor) as stream:
        return [entry.name for entry in list_entries(stream, layer.descriptor.media_type)]


def test_a_large_package_has_its_own_layer_with_its_bytecode(
    tmp_path: Path, layout: Layout, python: BasePython
) -> None:
    numpy, flask = package(tmp_path, "numpy", OWN_LAYER_SIZE), package(tmp_path, "flask", OWN_LAYER_SIZE - 1)
    layers = EnvironmentLayers(layout, python)
    layers.add([numpy, flask], bytecode(tmp_path, numpy, flask), ignore)
    own, others, server = layers.finish([], advance=ignore)
    assert own.descriptor.annotations[TITLE] == "numpy 1.0"
    assert [path for path in paths(own, layout) if not path.endswith("/")] == [
        f"{SITE}/__pycache__/numpy.cpython-312.pyc",
        f"{SITE}/numpy.py",
    ]
    assert {f"{SITE}/flask.py", "opt/venv/pyvenv.cfg", "opt/venv/bin/python"} <= set(paths(others, layout))
    assert server.descriptor.annotations["io.ml-containerize.layer"] == "serving"


def test_the_order_in_which_packages_get_ready_does_not_show(
    tmp_path: Path, layout: Layout, python: BasePython
) -> None:
    large = [package(tmp_path, name, OWN_LAYER_SIZE) for name in ("torch", "numpy")]
    small = [package(tmp_path, name) for name in ("flask", "click")]
    found = []
    for order in ((large, small), (small[::-1], large[::-1])):
        layers = EnvironmentLayers(layout, python)
        for part in order:
            layers.add(part, bytecode(tmp_path, *part), ignore)
        found.append(layers.finish([], advance=ignore))
    assert found[0] == found[1]
    assert [layer.descriptor.annotations[TITLE] for layer in found[0]] == [
        "numpy 1.0",
        "torch 1.0",
        "Python packages",
        "serving",
    ]


def test_layers_name_the_packages_in_them(tmp_path: Path, layout: Layout, python: BasePython) -> None:
    layers = EnvironmentLayers(layout, python)
    layers.add([package(tmp_path, name, size) for name, size in (("flask", 1), ("click", 1))], {}, ignore)
    layers.add([package(tmp_path, "numpy", OWN_LAYER_SIZE)], {}, ignore)
    own, others, server = layers.finish([], advance=ignore)
    assert own.descriptor.annotations[PACKAGES] == "numpy==1.0"
    assert others.descriptor.annotations[PACKAGES] == "click==1.0\nflask==1.0"
    assert PACKAGES not in server.descriptor.annotations


def test_a_module_without_bytecode_goes_without(tmp_path: Path, layout: Layout, python: BasePython) -> None:
    layers = EnvironmentLayers(layout, python)
    layers.add([package(tmp_path, "flask")], {}, ignore)
    assert not [path for path in paths(layers.finish([], advance=ignore)[0], layout) if "pyc" in path]


def test_the_servers_layer_makes_the_models_folder(
    tmp_path: Path, layout: Layout, python: BasePython
) -> None:
    source = tmp_path / "app.py"
    source.touch()
    module = Module(str(source), "opt/serving/serving/app.py")
    *_, server = EnvironmentLayers(layout, python).finish([module], advance=ignore)
    assert paths(server, layout) == [
        "opt/ml/",
        "opt/ml/model/",
        "opt/serving/",
        "opt/serving/serving/",
        "opt/serving/serving/app.py",
    ]


def test_what_is_known_to_be_large_has_its_own_layer_whatever_its_size(
    tmp_path: Path, layout: Layout, python: BasePython
) -> None:
    layers = EnvironmentLayers(layout, python)
    layers.add([package(tmp_path, "tensorflow-cpu", 15)], {}, ignore)
    own, _, _ = layers.finish([], advance=ignore)
    assert own.descriptor.annotations[TITLE] == "tensorflow-cpu 1.0"


def test_the_layers_are_the_same_when_the_large_packages_come_late(
    tmp_path: Path, layout: Layout, python: BasePython
) -> None:
    large, small = package(tmp_path, "torch", 15), package(tmp_path, "flask", 15)
    at_once, one_by_one = EnvironmentLayers(layout, python), EnvironmentLayers(layout, python)
    at_once.add([large, small], {}, ignore)
    one_by_one.add([small], {}, ignore)
    one_by_one.pack_others(ignore)
    one_by_one.add([large], {}, ignore)
    assert one_by_one.finish([], advance=ignore) == at_once.finish([], advance=ignore)


def test_progress_counts_what_is_packed(tmp_path: Path, layout: Layout, python: BasePython) -> None:
    flask, counts = package(tmp_path, "flask", 15), list[int]()
    layers = EnvironmentLayers(layout, python)
    layers.add([flask], {}, counts.append)
    assert (layers.waiting, counts) == (15, [])
    layers.finish([], advance=counts.append)
    assert sum(counts) >= len(b"NAME = 'flask'\n")


def test_a_page_of_the_server_and_a_link_lie_in_the_servers_layer(
    tmp_path: Path, layout: Layout, python: BasePython
) -> None:
    (tmp_path / "page.html").write_bytes(b"<p>")
    page = Module(str(tmp_path / "page.html"), "opt/serving/serving/page.html")
    link = Entry.link("usr/lib/libgomp.so.1", "/opt/venv/libgomp")
    *_, server = EnvironmentLayers(layout, python).finish([page], [link])
    assert {"opt/serving/serving/page.html", "usr/lib/libgomp.so.1"} <= set(paths(server, layout))
