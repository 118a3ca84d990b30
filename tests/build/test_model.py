from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from ml_containerize.build.model import ModelFileChanged, model_layers
from ml_containerize.oci import media
from ml_containerize.oci.archive import list_entries
from ml_containerize.oci.layers import Layer
from ml_containerize.oci.layout import Layout
from ml_containerize.plan.model.files import list_files
from ml_containerize.plan.model.hashing import hash_model
from ml_containerize.plan.model.model import OWN_LAYER_SIZE, Model


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def planned(root: Path) -> Model:
    return hash_model(root, "saved_model", list_files(root, root.parent), lambda _: None)


def sparse(path: Path, size: int = OWN_LAYER_SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def paths(layer: Layer, layout: Layout) -> list[str]:
    with layout.open(layer.descriptor) as stream:
        return [entry.name for entry in list_entries(stream, layer.descriptor.media_type)]


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    root = tmp_path / "saved_model"
    sparse(root / "variables" / "variables.data")
    (root / "saved_model.pb").write_bytes(b"graph")
    (root / "variables" / "variables.index").write_bytes(b"index")
    return root


def test_small_files_share_a_layer_and_a_large_one_has_its_own(saved_model: Path, layout: Layout) -> None:
    small, large = model_layers(planned(saved_model), layout)
    assert paths(small, layout) == [
        "opt/ml/model/",
        "opt/ml/model/saved_model.pb",
        "opt/ml/model/variables/",
        "opt/ml/model/variables/variables.index",
    ]
    assert paths(large, layout) == ["opt/ml/model/variables/variables.data"]
    assert (small.descriptor.media_type, large.descriptor.media_type) == (media.LAYER_ZSTD, media.LAYER_TAR)


def test_layers_say_that_they_are_the_models(saved_model: Path, layout: Layout) -> None:
    small, large = model_layers(planned(saved_model), layout)
    assert small.descriptor.annotations["io.ml-containerize.layer"] == "model"
    assert large.descriptor.annotations == {
        "io.ml-containerize.layer": "model",
        "org.opencontainers.image.title": "model: variables/variables.data",
    }


def test_a_large_files_layer_is_known_without_writing_it(saved_model: Path, layout: Layout) -> None:
    model = planned(saved_model)
    told = model_layers(model, layout, large=False)
    assert not layout.has(told[1].diff_id)
    assert model_layers(model, layout) == told
    assert layout.has(told[1].diff_id)


def test_one_large_file_needs_one_layer(tmp_path: Path, layout: Layout) -> None:
    sparse(tmp_path / "model.keras")
    [layer] = model_layers(planned(tmp_path / "model.keras"), layout)
    assert paths(layer, layout) == ["opt/ml/model/model.keras"]


def test_one_small_file_is_named_by_its_layer(tmp_path: Path, layout: Layout) -> None:
    (tmp_path / "model.keras").write_bytes(b"weights")
    [layer] = model_layers(planned(tmp_path / "model.keras"), layout)
    assert layer.created_by == "ml-containerize: model: model.keras"


def test_progress_counts_every_byte_once(saved_model: Path, layout: Layout) -> None:
    model, counts = planned(saved_model), list[int]()
    model_layers(model, layout, advance=counts.append)
    assert sum(counts) == model.size


def test_a_small_file_that_changed_after_the_plan_is_noticed(saved_model: Path, layout: Layout) -> None:
    model = planned(saved_model)
    (saved_model / "saved_model.pb").write_bytes(b"other")
    with pytest.raises(ModelFileChanged, match=r"saved_model\.pb"):
        model_layers(model, layout)


def test_a_file_that_is_gone_after_the_plan_is_noticed(saved_model: Path, layout: Layout) -> None:
    model = planned(saved_model)
    (saved_model / "saved_model.pb").unlink()
    with pytest.raises(ModelFileChanged, match=r"saved_model\.pb"):
        model_layers(model, layout)


def test_a_large_file_that_changed_after_the_plan_is_noticed_and_its_layer_is_not_kept(
    saved_model: Path, layout: Layout
) -> None:
    model = planned(saved_model)
    with (saved_model / "variables" / "variables.data").open("r+b") as file:
        file.write(b"other")
    with pytest.raises(ModelFileChanged, match=r"variables\.data"):
        model_layers(model, layout)
    assert not list((layout.path / "blobs" / "sha256").iterdir())


def test_names_with_spaces_newlines_and_other_scripts_arrive_as_they_are(
    tmp_path: Path, layout: Layout
) -> None:
    root = tmp_path / "saved_model"
    root.mkdir()
    for name in ("a b", "c\nd", "модель"):
        (root / name).write_bytes(b"")
    [layer] = model_layers(planned(root), layout)
    assert {PurePosixPath(path).name for path in paths(layer, layout)} == {"model", "a b", "c\nd", "модель"}
