"""The plan for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from ml_containerize.console import human_size
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.git.source import Source
from ml_containerize.plan.settings.secret import Secret
from ml_containerize.plan.settings.settings import Budgets, Settings
from ml_containerize.results import Json


def render_plan(plan: Plan) -> str:
    """A few aligned lines."""
    rows = list(_rows(plan))
    width = max(len(name) for name, _ in rows)
    return "\n".join([plan.name, *(f"  {name:<{width}}  {text}" for name, text in rows)])


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    settings, model, environment = plan.settings, plan.model, plan.environment
    count = "1 file" if len(model.files) == 1 else f"{len(model.files)} files"
    yield "model", f"{_relative(model.root, settings)} · {model.format} · {count} · {human_size(model.size)}"
    yield "model hash", str(model.hash)
    yield "base", f"{environment.base.name} · {environment.platform}"
    packages = f"{len(environment.requirements)} packages from {_relative(environment.lock, settings)}"
    yield "environment", f"{environment.key.short} · {packages}"
    yield "commit", _commit(plan.source)
    yield "identity", plan.identity
    yield "tags", ", ".join(plan.tags) or "none"
    names = ", ".join(map(str, settings.images)) or "none"
    yield "images", f"{names} · {'pushed if every gate passes' if settings.push else 'not pushed'}"
    yield "smoke", _smoke(plan) if settings.smoke else "skipped"
    yield "scan", _scan(settings) if settings.scan else "skipped"
    if plan.previous:
        yield "compare", f"with {plan.previous.where}" if plan.previous.where else plan.previous.unknown


def _smoke(plan: Plan) -> str:
    cases = "1 case" if len(plan.cases) == 1 else f"{len(plan.cases)} cases"
    return f"{cases} · engine {plan.settings.engine} · gpus {plan.settings.gpus}"


def _scan(settings: Settings) -> str:
    scanners = ", ".join(settings.scanners)
    if not settings.exit_code:
        return f"{scanners} · reports only"
    fixed = " that have a fix" if settings.ignore_unfixed else ""
    return f"{scanners} · refuses {', '.join(sorted(settings.severity))}{fixed}"


def _commit(source: Source) -> str:
    if source.sha is None:
        return "not in git"
    pull = f"pull request {source.pull_request}" if source.pull_request is not None else ""
    dirty = "with uncommitted changes" if source.dirty else ""
    return " · ".join(part for part in (str(source.sha), pull or source.tag or source.branch, dirty) if part)


def _relative(path: Path, settings: Settings) -> str:
    return str(path.relative_to(settings.project)) if path.is_relative_to(settings.project) else path.name


def plan_as_json(plan: Plan) -> Json:
    """Everything that was decided; secrets are left out."""
    return {
        "name": plan.name,
        "identity": plan.identity,
        "tags": list(plan.tags),
        "version": plan.version,
        "created": plan.created,
        "model": _model(plan),
        "environment": _environment(plan),
        "source": _source(plan.source),
        "labels": dict(plan.labels),
        "cases": [str(case) for case in plan.cases],
        "metrics": plan.metrics,
        "compare_with": plan.previous.where if plan.previous else "",
        "settings": settings_as_json(plan.settings),
    }


def _model(plan: Plan) -> Json:
    model = plan.model
    files = [
        {
            "path": str(file.path),
            "size": file.size,
            "sha256": file.sha256.hex,
            "layer": str(file.layer) if file.layer else None,
        }
        for file in model.files
    ]
    root = str(model.root)
    return {"root": root, "format": model.format, "hash": str(model.hash), "size": model.size, "files": files}


def _environment(plan: Plan) -> Json:
    environment = plan.environment
    return {
        "key": str(environment.key),
        "tag": environment.key.tag,
        "base": {"name": environment.base.name, "digest": str(environment.base.digest)},
        "platform": str(environment.platform),
        "lock": str(environment.lock),
        "packages": [f"{one.name}=={one.version}" for one in environment.requirements],
    }


def _source(source: Source) -> Json:
    return {
        "sha": str(source.sha) if source.sha else None,
        "branch": source.branch,
        "pull_request": source.pull_request,
        "base_branch": source.base_branch,
        "tag": source.tag,
        "dirty": source.dirty,
        "epoch": source.epoch,
        "url": source.url,
    }


def settings_as_json(settings: Settings) -> Json:
    """Every setting but secrets, by the name of its field."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: _plain(value) for name, value in values.items() if not isinstance(value, Secret)}


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return dict(value)
        case frozenset():
            return sorted(value)
        case tuple():
            return [_plain(item) for item in value]
        case Budgets():
            return {budget.name: getattr(value, budget.name) for budget in fields(value)}
    return str(value)
