"""An environment's layers, from its lock: install, byte-compile, pack. No container runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ml_containerize.build.base import DEFAULT_PATH, BasePython, find_python
from ml_containerize.build.bytecode import (
    Compiler,
    Source,
    bytecode_path,
    find_bwrap,
    processors,
)
from ml_containerize.build.image import environment_image, notes
from ml_containerize.build.packages import Installer
from ml_containerize.build.tree import Tree
from ml_containerize.build.venv import (
    Distribution,
    Installation,
    Module,
    disputed,
    name_and_version,
    skeleton,
    with_folders,
)
from ml_containerize.command import Run
from ml_containerize.console import Advance, Console
from ml_containerize.oci.config import env_of
from ml_containerize.oci.content import Content
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import FoundImage, Image
from ml_containerize.oci.layers import Entry, Layer, write_layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.oci.rootfs import RootFolders
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.host import runs_here
from ml_containerize.plan.model import MODEL_FOLDER
from ml_containerize.plan.serving import serving_files

OWN_LAYER_SIZE = 32 * 2**20  # bytes; an unpacked package of this size or more gets a layer of its own
WORK_PREFIX = "work-"
SERVING = "opt/serving"

Bytecode = Mapping[str, Path]  # files on this machine by their paths inside the image


@dataclass(frozen=True, slots=True)
class EnvironmentBuilder:
    """Builds a plan's environment into a layout; its work folder beside that is gone afterwards."""

    plan: Plan
    layout: Layout
    connect: Connect
    run: Run
    console: Console
    environ: Mapping[str, str]

    def build(self) -> FoundImage:
        """The environment, its own layers in the layout.

        Raises what finding and unpacking the base, `find_python`, `Installer` and `Compiler` raise.
        """
        environment = self.plan.environment
        base = find_image(environment.base.where, environment.platform, self.connect)
        tree = self._unpack(base)
        path = env_of(base.config).get("PATH", DEFAULT_PATH)
        python = find_python(tree, path, environment.platform, environment.base.name)
        with TemporaryDirectory(prefix=WORK_PREFIX, dir=self.plan.settings.output) as folder:
            work = Path(folder)
            distributions = self._install(python, work / "venv")
            serving = _copy_serving(environment.serving, work / "serving")
            modules = [module for one in distributions for module in one.modules] + serving
            bytecode = self._compile(modules, tree, python, work)
            layers = self._pack(distributions, serving, bytecode, python)
        return environment_image(self.plan, base, layers)

    def _unpack(self, base: FoundImage) -> Tree:
        content = Content(self.layout, base.sources)
        image = Image(base.name, base.descriptor, base.manifest, base.config, content)
        return Tree(RootFolders(self.plan.settings.cache / "rootfs", self.console).of(image))

    def _install(self, python: BasePython, folder: Path) -> list[Distribution]:
        requirements = self.plan.environment.requirements
        self.console.info(f"installing {len(requirements)} packages for Python {python.version}")
        installer = Installer(python, self.plan.settings.project, self.environ, self.run)
        installer.install(requirements, folder)
        installation = Installation(folder, python)
        by_name = {requirement.name: requirement for requirement in requirements}
        for winner in disputed(installation.records()):
            installer.reinstall(by_name[name_and_version(winner)[0]], folder)
        return installation.distributions()

    def _compile(self, modules: Sequence[Module], tree: Tree, python: BasePython, work: Path) -> Bytecode:
        if not runs_here(self.plan.environment.platform):
            self.console.warn(
                f"programs for {self.plan.environment.platform} do not run on this machine: the packages are "
                "not byte-compiled, so containers take longer to start"
            )
            return {}
        count = processors()
        self.console.info(f"byte-compiling {len(modules)} modules in {count} processes")
        compiler = Compiler(tree, python, self.run, find_bwrap(), count)
        return compiler.compile([_source(module, work) for module in modules], work)

    def _pack(
        self,
        distributions: Sequence[Distribution],
        serving: Sequence[Module],
        bytecode: Bytecode,
        python: BasePython,
    ) -> list[Layer]:
        size = sum(one.size for one in distributions) + sum(file.stat().st_size for file in bytecode.values())
        with self.console.progress("packing", size) as advance:
            packer = _Packer(self.layout, python, bytecode, advance)
            large = [packer.package(one) for one in distributions if one.size >= OWN_LAYER_SIZE]
            others = packer.packages([one for one in distributions if one.size < OWN_LAYER_SIZE])
            return [*large, others, packer.serving(serving)]


@dataclass(frozen=True, slots=True)
class _Packer:
    layout: Layout
    python: BasePython
    bytecode: Bytecode
    advance: Advance

    def package(self, distribution: Distribution) -> Layer:
        return self._write("packages", distribution.title, self._entries([distribution]))

    def packages(self, distributions: Sequence[Distribution]) -> Layer:
        """Many packages, and what makes the folder a virtual environment."""
        entries = [*skeleton(self.python), *self._entries(distributions)]
        return self._write("packages", "Python packages", entries)

    def serving(self, modules: Sequence[Module]) -> Layer:
        """The model server; and the model's folder, so that no engine makes it up."""
        entries = [Entry.file(module.path, module.source) for module in modules]
        folder = Entry.directory(str(MODEL_FOLDER))
        return self._write("serving", "serving", [folder, *entries, *self._compiled(modules)])

    def _entries(self, distributions: Iterable[Distribution]) -> Iterator[Entry]:
        for distribution in distributions:
            yield from distribution.entries
            yield from self._compiled(distribution.modules)

    def _compiled(self, modules: Iterable[Module]) -> Iterator[Entry]:
        paths = (bytecode_path(module.path, self.python.cache_tag) for module in modules)
        return (Entry.file(path, self.bytecode[path]) for path in paths if path in self.bytecode)

    def _write(self, kind: str, title: str, entries: Iterable[Entry]) -> Layer:
        return write_layer(
            self.layout,
            with_folders(entries),
            compression="zstd",
            created_by=f"ml-containerize: {title}",
            annotations=notes(kind, title),
            advance=self.advance,
        )


def _copy_serving(folder: Path, into: Path) -> list[Module]:
    """The serving package, where the compiler's sandbox can read it."""
    modules = []
    for path in serving_files(folder):
        copy = into / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / path, copy)
        modules.append(Module(copy, f"{SERVING}/serving/{path.as_posix()}"))
    return modules


def _source(module: Module, work: Path) -> Source:
    return Source(str(module.source.relative_to(work)), module.path)
