"""An environment's layers: large packages one by one, all others together, the model server on top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ml_containerize.build.base import BasePython
from ml_containerize.build.bytecode import bytecode_path
from ml_containerize.build.image import notes
from ml_containerize.build.venv import Distribution, Module, skeleton, with_folders
from ml_containerize.console import Advance
from ml_containerize.oci.layers import Entry, Layer, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.plan.labels import PACKAGES, TITLE
from ml_containerize.plan.model.model import MODEL_FOLDER

OWN_LAYER_SIZE = 32 * 2**20  # bytes; an unpacked package of this size or more gets a layer of its own

# These get layers of their own whatever their size: what takes long to arrive must not hold up all others.
KNOWN_LARGE = ("tensorflow", "torch", "jaxlib", "nvidia-", "triton", "onnxruntime", "xgboost", "pyspark")

Bytecode = Mapping[str, str]  # files on this machine by their paths inside the image


def is_large(distribution: Distribution) -> bool:
    return distribution.size >= OWN_LAYER_SIZE or distribution.name.startswith(KNOWN_LARGE)


def large_size(distributions: Iterable[Distribution]) -> int:
    """Bytes of the packages that get layers of their own, their bytecode aside."""
    return sum(one.size for one in distributions if is_large(one))


@dataclass(slots=True)
class EnvironmentLayers:
    """Takes packages in as they get ready; the layers do not depend on the order in which that happens."""

    layout: Layout
    python: BasePython
    bytecode: dict[str, str] = field(default_factory=dict)
    _large: list[Layer] = field(default_factory=list)
    _small: list[Distribution] = field(default_factory=list)
    _others: Layer | None = None

    def add(self, distributions: Iterable[Distribution], bytecode: Bytecode, advance: Advance) -> None:
        """Take packages in with their bytecode, and write the layers of large ones."""
        self.bytecode |= bytecode
        for one in distributions:
            if is_large(one) or self._others:
                self._large.append(self._packages(one.title, [one], (), advance))
            else:
                self._small.append(one)

    @property
    def waiting(self) -> int:
        """Bytes of the packages that have no layer yet, their bytecode aside."""
        return sum(one.size for one in self._small)

    def pack_others(self, advance: Advance) -> Layer:
        """Write the one layer of all packages that have none of their own; only large ones may come after."""
        if self._others is None:
            below = skeleton(self.python)
            self._others = self._packages("Python packages", self._small, below, advance)
        return self._others

    def finish(
        self, serving: Sequence[Module], links: Sequence[Entry] = (), advance: Advance = lambda _: None
    ) -> list[Layer]:
        """Write the layer of the server, and of links that packages need; all layers, lowest first."""
        large = sorted(self._large, key=lambda layer: layer.descriptor.annotations[TITLE])
        others = self.pack_others(advance)
        server = [*self._server(serving), *links]
        return [*large, others, self._write("serving", server, notes("serving", "serving"), advance)]

    def _packages(
        self, title: str, distributions: Sequence[Distribution], below: Iterable[Entry], advance: Advance
    ) -> Layer:
        """A layer of packages, which names them in an annotation: nobody has to pull it to know them."""
        names = "\n".join(sorted(f"{one.name}=={one.version}" for one in distributions))
        annotations = {**notes("packages", title), PACKAGES: names}
        return self._write(title, [*below, *self._entries(distributions)], annotations, advance)

    def _server(self, modules: Sequence[Module]) -> Iterator[Entry]:
        """The model server; and the model's folder, so that no engine has to make it up."""
        yield Entry.directory(str(MODEL_FOLDER))
        yield from (Entry.file(module.path, module.source) for module in modules)
        yield from self._compiled(modules)

    def _entries(self, distributions: Iterable[Distribution]) -> Iterator[Entry]:
        for distribution in distributions:
            yield from distribution.entries
            yield from self._compiled(distribution.modules)

    def _compiled(self, modules: Iterable[Module]) -> Iterator[Entry]:
        paths = (bytecode_path(module.path, self.python.cache_tag) for module in modules)
        return (Entry.file(path, self.bytecode[path]) for path in paths if path in self.bytecode)

    def _write(
        self, title: str, entries: Iterable[Entry], annotations: Mapping[str, str], advance: Advance
    ) -> Layer:
        return write_layer(
            self.layout,
            with_folders(entries),
            compression="zstd",
            created_by=f"ml-containerize: {title}",
            annotations=annotations,
            advance=advance,
        )
