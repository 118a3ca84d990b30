"""Release notes: what a model's release is, what was proved of it, and what it changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ml_containerize.console import Console, human_size, human_value
from ml_containerize.plan.labels import METRICS
from ml_containerize.report.changed import changed
from ml_containerize.report.collect import ModelOverview, Overview
from ml_containerize.report.markdown import code, escape, finding_rows, fitting, more, shortened, table
from ml_containerize.report.record import Result
from ml_containerize.report.told import Told
from ml_containerize.report.words import measured, scan_words, smoke_words
from ml_containerize.results import Outcome, ScanReport

MARKER = "<!-- ml-containerize -->"  # the first line, to know our part of a release by
FILE_NAME = "notes.md"
MAX_BYTES = 100_000  # GitHub accepts 125,000 characters
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_NAME = 100  # characters
_TAGS = 20


def render_notes(overview: Overview, limit: int = MAX_BYTES) -> str:
    """Markdown of `limit` bytes at most, a part for each model; what is cut away is said."""
    parts = ["\n".join(_model(model)) + "\n" for model in overview.models]
    kept = fitting(parts, limit - 200)
    left = len(parts) - len(kept)
    said = [f"_{left} more models are told in their own records_\n"] if left else []
    return "\n".join((MARKER, *kept, *said))


def write_notes(overview: Overview, folder: Path, console: Console) -> None:
    """Write `notes.md` into the folder, or say why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_NAME).write_text(render_notes(overview), encoding="utf-8")
    except OSError as error:
        console.warn(f"{folder} cannot hold {FILE_NAME}: {error.strerror}")


def _model(model: ModelOverview) -> Iterator[str]:
    name, version = escape(shortened(model.name, _NAME)) or "unknown", _version(model)
    yield f"## {name}{f' {version}' if version else ''}\n"
    if not model.passed:
        yield "**Not released:**\n"
        yield from (f"- {escape(shortened(line, 400))}" for line in model.problems[:20])
        return
    if model.result is not Result.RELEASED:
        yield "**Not released:** it was not to be pushed.\n"
    yield f"{code(model.image)}\n"
    rows = [(what, value) for what, value in _facts(model) if value]
    yield from table(("", ""), rows)
    run = model.main
    yield from _accepted(run.scan)
    if run.comparison and run.comparison.outcome is not Outcome.SKIPPED:
        yield from changed(run.comparison)


def _version(model: ModelOverview) -> str:
    """The tag that tells most: `1.2.3` where there is one like it, else the first but the identity."""
    names = [tag.rpartition(":")[2] for tag in model.tags]
    own = {run.identity for run in model.runs}
    return escape(next((name for name in names if name not in own), ""))


def _facts(model: ModelOverview) -> Iterator[tuple[str, str]]:
    run = model.main
    names = dict.fromkeys(tag.rpartition(":")[2] for tag in model.tags)
    yield "tags", " ".join(code(shortened(name, _NAME)) for name in list(names)[:_TAGS])
    yield "commit", code(run.git_sha)
    told = (escape(run.model.format), human_size(run.model.size), code(run.model.hash))
    yield "model", ", ".join(told) if run.model.hash else ""
    yield "metrics", _metrics(run)
    if run.smoke:
        yield "predictions", " · ".join(filter(None, (smoke_words(run.smoke), measured(run.smoke))))
    if run.scan:
        yield "vulnerabilities", _vulnerabilities(run.scan)
    yield "base", code(run.base.get("name", ""))
    yield "platform", escape(run.platform)
    yield "size", human_size(run.size) if run.size else ""


def _metrics(run: Told) -> str:
    """The numbers that the model was trained with, from its label."""
    try:
        metrics = json.loads(run.labels.get(METRICS, "{}"))
    except (ValueError, RecursionError):
        return ""
    pairs = metrics.items() if isinstance(metrics, dict) else ()
    simple = [(key, value) for key, value in pairs if isinstance(value, str | int | float)]
    return ", ".join(
        f"{escape(shortened(key, 60))} **{escape(human_value(value))}**" for key, value in simple[:20]
    )


def _vulnerabilities(scan: ScanReport) -> str:
    counts = ", ".join(f"{scan.counts[one]} {one.lower()}" for one in _SEVERITIES if scan.counts.get(one))
    with_date = (
        f"{scan.scanner}, database of {scan.database_updated}" if scan.database_updated else scan.scanner
    )
    return " · ".join(filter(None, (scan_words(scan), counts, escape(with_date))))


def _accepted(scan: ScanReport | None) -> Iterable[str]:
    """The findings that would have refused it but for a rule."""
    if scan is None or not scan.ignored:
        return
    yield f"\n<details><summary>{len(scan.ignored)} findings accepted by a rule</summary>\n"
    found = zip(finding_rows(scan.ignored), scan.ignored, strict=False)
    yield from table(
        ("id", "package", "installed", "severity", "rule"),
        [(row[0], row[1], row[2], row[4], code(finding.ignored_by)) for row, finding in found],
    )
    yield from (*more(len(scan.ignored)), "\n</details>")
