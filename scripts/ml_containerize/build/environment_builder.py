"""Building an environment from its lock: install, byte-compile, pack. No container runs.

What takes long to download and unpack is installed beside the rest: its one large archive keeps one processor
busy, while the others compile and pack what is there already.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ml_containerize.build.base import DEFAULT_PATH, BasePython, find_python
from ml_containerize.build.bytecode import Compiler, Source, find_bwrap, processors
from ml_containerize.build.environment_layers import KNOWN_LARGE, Bytecode, EnvironmentLayers, large_size
from ml_containerize.build.image import environment_image
from ml_containerize.build.openmp import openmp_link
from ml_containerize.build.packages import Installer
from ml_containerize.build.tree import Tree
from ml_containerize.build.venv import Installation, Module, disputed, name_and_version
from ml_containerize.build.work_folder import WorkFolder, uv_cache, work_folder
from ml_containerize.command import Run, Start, start
from ml_containerize.console import Console
from ml_containerize.oci.config import env_of
from ml_containerize.oci.content import Content
from ml_containerize.oci.find import find_image
from ml_containerize.oci.image import FoundImage, Image
from ml_containerize.oci.layers import Layer
from ml_containerize.oci.layout import Layout
from ml_containerize.oci.registry import Connect
from ml_containerize.oci.rootfs import RootFolders
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.environment.host import runs_here
from ml_containerize.plan.environment.requirements import Requirement
from ml_containerize.plan.environment.serving import serving_files

SERVING = "opt/serving"

_PACKAGE_SIZE = 48 * 2**20  # bytes for each package, from a TensorFlow environment's 2 GB for 41


@dataclass(frozen=True, slots=True)
class EnvironmentBuilder:
    """Builds a plan's environment into a layout; its work folder beside that is gone afterwards."""

    plan: Plan
    layout: Layout
    connect: Connect
    run: Run
    console: Console
    environ: Mapping[str, str]
    start: Start = start

    def build(self) -> FoundImage:
        """The environment, its own layers in the layout.

        Raises what finding and unpacking the base, `find_python`, `Installer` and `Compiler` raise.
        """
        environment = self.plan.environment
        base = find_image(environment.base.where, environment.platform, self.connect)
        path = env_of(base.config).get("PATH", DEFAULT_PATH)
        with work_folder(self.plan.settings.output, needed_room(self.plan)) as work:
            tree = self._unpack(base, work)
            python = find_python(tree, path, environment.platform, environment.base.name)
            layers = self._make_layers(tree, python, work)
        return environment_image(self.plan, base, layers)

    def _unpack(self, base: FoundImage, work: WorkFolder) -> Tree:
        """The base's files, from the folder that the embedded engine uses, too, unless memory is quicker."""
        content = Content(self.layout, base.sources)
        image = Image(base.name, base.descriptor, base.manifest, base.config, content)
        shared = RootFolders(self.plan.settings.cache / "rootfs", self.console)
        passing = RootFolders(work.path / "rootfs", self.console)
        return Tree((passing if work.in_memory and not shared.has(image) else shared).of(image))

    def _make_layers(self, tree: Tree, python: BasePython, folder: WorkFolder) -> list[Layer]:
        work = folder.path
        requirements = self.plan.environment.requirements
        self.console.info(f"installing {len(requirements)} packages for Python {python.version}")
        large, others = split(requirements)
        serving = _copy_serving(self.plan.environment.serving, work / "serving")
        environ = {**self.environ, **uv_cache(self.environ, folder)}
        installer = Installer(python, self.plan.settings.project, environ, self.run, self.start)
        layers = EnvironmentLayers(self.layout, python)
        assembly = _Assembly(installer, self._compiler(tree, python), layers, work, self.console)
        with installer.installing(large, work / "large") as finish:
            installer.install(others, work / "others")
            assembly.take("others", others, [file for file in serving if file.path.endswith(".py")])
            with self.console.progress("packing the other packages", layers.waiting) as advance:
                layers.pack_others(advance)
            finish()
            assembly.take("large", large)
        base, names = self.plan.environment.base.name, {one.name for one in requirements}
        return layers.finish(serving, openmp_link(tree, python, base, names, assembly.claimed))

    def _compiler(self, tree: Tree, python: BasePython) -> Compiler | None:
        platform = self.plan.environment.platform
        if runs_here(platform):
            return Compiler(tree, python, self.run, find_bwrap(), processors())
        self.console.warn(
            f"programs for {platform} do not run on this machine: the packages are not byte-compiled, "
            "so containers take longer to start"
        )
        return None


@dataclass(slots=True)
class _Assembly:
    """Takes what was installed in a folder of the work folder: reads, compiles, and packs what is large."""

    installer: Installer
    compiler: Compiler | None
    layers: EnvironmentLayers
    work: Path
    console: Console
    claimed: set[str] = field(default_factory=set)  # paths that have their owner

    def take(self, folder: str, requirements: Sequence[Requirement], further: Sequence[Module] = ()) -> None:
        """`further` modules are compiled along."""
        installation = Installation(self.work / folder, self.layers.python)
        records = installation.records() if requirements else {}
        by_name = {requirement.name: requirement for requirement in requirements}
        for winner in disputed(records):
            self.installer.reinstall(by_name[name_and_version(winner)[0]], installation.folder)
        distributions = installation.distributions(records, self.claimed)
        self.claimed |= {line.path for lines in records.values() for line in lines}
        bytecode = self._compile([*(module for one in distributions for module in one.modules), *further])
        with self.console.progress("packing large packages", large_size(distributions)) as advance:
            self.layers.add(distributions, bytecode, advance)

    def _compile(self, modules: Sequence[Module]) -> Bytecode:
        if self.compiler is None or not modules:
            return {}
        self.console.info(f"byte-compiling {len(modules)} modules in {self.compiler.processes} processes")
        sources = [Source(os.path.relpath(module.source, self.work), module.path) for module in modules]
        return self.compiler.compile(sources, self.work)


def needed_room(plan: Plan) -> int:
    """Bytes of an environment's files while it is built."""
    return len(plan.environment.requirements) * _PACKAGE_SIZE


def split(requirements: Sequence[Requirement]) -> tuple[list[Requirement], list[Requirement]]:
    """What is known to be large, and all others; nothing counts as large where there is nothing else."""
    large = [one for one in requirements if one.name.startswith(KNOWN_LARGE)]
    others = [one for one in requirements if not one.name.startswith(KNOWN_LARGE)]
    return (large, others) if others else ([], large)


def _copy_serving(folder: Path, into: Path) -> list[Module]:
    """The serving package, where the compiler's sandbox can read it."""
    modules = []
    for path in serving_files(folder):
        copy = into / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / path, copy)
        modules.append(Module(str(copy), f"{SERVING}/serving/{path.as_posix()}"))
    return modules
