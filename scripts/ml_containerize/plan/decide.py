"""Every decision, made before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_containerize.command import Run
from ml_containerize.console import Console
from ml_containerize.errors import PlanError
from ml_containerize.plan.chosen import choose_model
from ml_containerize.plan.environment.environment import Environment, ResolveBase, find_base, plan_environment
from ml_containerize.plan.environment.locked import requirement_files
from ml_containerize.plan.git.source import Source, read_source
from ml_containerize.plan.labels import METRICS_NAME, created, labels, read_metrics
from ml_containerize.plan.model.files import list_files
from ml_containerize.plan.model.hashing import hash_model
from ml_containerize.plan.model.model import Model
from ml_containerize.plan.previous import Previous, choose_previous
from ml_containerize.plan.settings.settings import Settings
from ml_containerize.plan.tags import identity_tag, moving_tags, releases_another
from ml_containerize.results import Json


class DirtyTree(PlanError):
    """The image would be published under a commit that does not contain what is in it."""

    def __init__(self, project: Path) -> None:
        super().__init__(
            f"{project} has changes that are not committed, so no commit tells what would be published",
            "Commit them, or set `allow-dirty: true` to publish under a tag that ends in -dirty.",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be built, proved and published."""

    settings: Settings
    name: str
    model: Model
    environment: Environment
    source: Source
    identity: str  # the tag that never moves
    tags: tuple[str, ...]  # the tags that move
    created: str  # RFC 3339, UTC
    labels: Mapping[str, str]
    cases: tuple[Path, ...]  # recorded smoke cases, sorted
    metrics: Json | None = None
    previous: Previous | None = None  # the image in use, to compare with

    @property
    def version(self) -> str:
        """The most telling name: the release's, branch's or pull request's, otherwise the identity."""
        return self.tags[0] if self.tags else self.identity


def decide(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    run: Run,
    resolve_base: ResolveBase,
    console: Console,
) -> Plan:
    """Look at the project, decide everything, change nothing. Hashing comes last: it alone takes long."""
    project = settings.project
    chosen = choose_model(settings)
    files = list_files(chosen.root, project)
    metrics = read_metrics(project)
    cases = tuple(sorted(path for path in project.glob(settings.smoke_cases) if path.is_file()))
    source = read_source(
        project,
        [chosen.root, *_inputs(settings), *cases],
        settings.output,
        settings.name,
        run=run,
        environ=environ,
    )
    if settings.push and source.dirty and not settings.allow_dirty:
        raise DirtyTree(project)
    if releases_another(source, settings.name):
        console.warn(
            f"the tag {source.tag!r} releases another model than {settings.name!r}: it gives no version"
        )
    tags = moving_tags(source, settings.tags, settings.tag_latest, settings.name)
    base = find_base(settings.base_image, settings.platform, resolve_base)
    environment = plan_environment(project, settings.requirements, base, settings.platform, chosen.runtime)
    with console.progress("hashing the model", sum(file.size for file in files)) as advance:
        model = hash_model(chosen.root, chosen.format, files, advance)
    identity = identity_tag(source, model.hash)
    return Plan(
        settings=settings,
        name=settings.name,
        model=model,
        environment=environment,
        source=source,
        identity=identity,
        tags=tags,
        created=created(source),
        labels=labels(settings.name, identity, model, environment, source, metrics, settings.labels),
        cases=cases,
        metrics=metrics,
        previous=choose_previous(settings, source),
    )


def _inputs(settings: Settings) -> list[Path]:
    """The files of the project, but for its model, that decide what the image is."""
    named = [settings.config] if settings.config else []
    return [
        *named,
        *requirement_files(settings.project, settings.requirements),
        settings.project / METRICS_NAME,
    ]
