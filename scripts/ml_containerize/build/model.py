"""The model's layers: one for each large file, its bytes as they are, and one for all small files."""

from __future__ import annotations

from pathlib import Path

from ml_containerize.build.image import notes
from ml_containerize.console import Advance
from ml_containerize.errors import BuildError
from ml_containerize.names import Digest
from ml_containerize.oci import media
from ml_containerize.oci.descriptor import Descriptor
from ml_containerize.oci.layers import Entry, Layer, file_frame, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.plan.model.hashing import identify
from ml_containerize.plan.model.model import MODEL_FOLDER, Model, ModelFile


class ModelFileChanged(BuildError):
    """A file of the model is no longer what the plan was made for."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} changed after it was hashed",
            "Let what writes it finish, then run the command again.",
        )


def model_layers(
    model: Model, layout: Layout, *, large: bool = True, advance: Advance = lambda _: None
) -> list[Layer]:
    """Write the layers; without `large` those of large files are only told, as the plan knows their digests.

    The layer of small files has the model's folders, too, and lies lowest: an engine that has to make up a
    missing folder may keep the server's user out of it. Raises ModelFileChanged, and as `write_layer`.
    """
    own = [_large_layer(file, file.layer, layout, large, advance) for file in model.files if file.layer]
    return [*_small_layer(model, layout, advance), *own]


def _small_layer(model: Model, layout: Layout, advance: Advance) -> list[Layer]:
    small = [file for file in model.files if file.layer is None]
    folders = {folder for file in model.files for folder in file.image_path.parents}
    inner = sorted(str(folder) for folder in folders if MODEL_FOLDER in folder.parents)
    if not small and not inner:
        return []
    title = f"model: {len(small)} files" if len(small) != 1 else f"model: {small[0].path}"
    entries = [Entry.directory(folder) for folder in (str(MODEL_FOLDER), *inner)]
    entries += [Entry.file(str(file.image_path), file.source) for file in small]
    _refuse_changed(small)
    layer = write_layer(
        layout,
        entries,
        compression="zstd",
        created_by=f"ml-containerize: {title}",
        annotations=notes("model", title),
        advance=advance,
    )
    _refuse_changed(small)
    return [layer]


def _large_layer(file: ModelFile, digest: Digest, layout: Layout, write: bool, advance: Advance) -> Layer:
    path, title = str(file.image_path), f"model: {file.path}"
    before, after = file_frame(path, file.size)
    size = len(before) + file.size + len(after)
    told = Layer(
        Descriptor(media.LAYER_TAR, digest, size, notes("model", title)), digest, f"ml-containerize: {title}"
    )
    if not write:
        return told
    made = write_layer(
        layout,
        [Entry.file(path, file.source)],
        compression="none",
        created_by=told.created_by,
        annotations=told.descriptor.annotations,
        advance=advance,
    )
    if made != told:
        layout.blob_path(made.diff_id).unlink()
        raise ModelFileChanged(file.source)
    return made


def _refuse_changed(files: list[ModelFile]) -> None:
    for file in files:
        try:
            unchanged = identify(file.source.stat()) == file.identity
        except OSError:
            unchanged = False
        if not unchanged:
            raise ModelFileChanged(file.source)
