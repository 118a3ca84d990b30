"""The summary over many models: a verdict, a row a model, and of each failed one what a person asks next."""

from __future__ import annotations

from collections.abc import Iterator

from ml_containerize.console import human_seconds, human_size
from ml_containerize.report.collect import ModelOverview, Overview
from ml_containerize.report.markdown import code, escape, finding_rows, fitting, more, shortened, table
from ml_containerize.report.record import Result
from ml_containerize.results import Comparison, Outcome, ScanReport, SmokeReport

MAX_BYTES = 900_000  # GitHub drops a summary above 1024 kB whole
_TABLE_SHARE = 0.6  # of all bytes, so that there is room for why models failed
_NAME = 60  # characters
_CHANGES = 160
_LINE = 400  # characters of one problem
_PROBLEMS = 20  # lines a model
_ROWS = 10  # cases and findings a model

_MARKS = {
    Result.RELEASED: "✅ released",
    Result.PASSED: "✅ passed",
    Result.BUILT: "🧱 built",
    Result.REFUSED: "⛔ refused",
    Result.FAILED: "❌ failed",
}
_HEAD = ("model", "result", "image", "changes", "predictions", "vulnerabilities", "size", "time")
_ALIGN = "---|---|---|---|---|---|--:|--:"


def render_overview(overview: Overview, limit: int = MAX_BYTES) -> str:
    """Markdown of `limit` bytes at most; failed models come first, and what is cut away is said."""
    models = (*overview.failed, *(model for model in overview.models if model.passed))
    head = "\n".join(_verdict(overview, models))
    rows = [tuple(_row(model)) for model in models]
    lines = list(table(_HEAD, rows, align=_ALIGN)) if rows else []
    kept = fitting(lines, round(limit * _TABLE_SHARE) - len(head.encode()))
    cut = [f"\n… and {len(lines) - len(kept)} more models"] if len(kept) < len(lines) else []
    text = "\n".join((head, *kept, *cut)) + "\n"
    details = ["\n".join(_details(model)) + "\n" for model in overview.failed]
    told = fitting(details, limit - len(text.encode()) - 200)
    left = len(details) - len(told)
    said = f"\n_{left} more failed models are told in their own summaries_\n" if left else ""
    return text + "".join(told) + said


def _verdict(overview: Overview, models: tuple[ModelOverview, ...]) -> Iterator[str]:
    failed = overview.failed
    if not models:
        yield "## ✅ nothing to check: no model is concerned"
    elif failed:
        named = ", ".join(map(_name, failed[:5]))
        rest = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        yield f"## ❌ {len(failed)} of {_count(len(models))} failed: {named}{rest}"
    else:
        yield f"## ✅ {_count(len(models))} passed"
    yield ""
    if overview.reason:
        yield from (escape(shortened(overview.reason, _LINE)), "")


def _count(models: int) -> str:
    return "1 model" if models == 1 else f"{models} models"


def _name(model: ModelOverview) -> str:
    return escape(shortened(model.name, _NAME)) or "unknown"


def _row(model: ModelOverview) -> Iterator[str]:
    yield _name(model)
    yield _MARKS[model.result] if model.runs else "❌ no record"
    yield _image(model)
    yield _changes(model) or "—"
    yield _predictions(model) or "—"
    yield _vulnerabilities(model) or "—"
    yield human_size(size) if (size := max((run.size for run in model.runs), default=0)) else "—"
    yield human_seconds(seconds) if (seconds := sum(run.seconds for run in model.runs)) else "—"


def _image(model: ModelOverview) -> str:
    """Its tags, then its digest."""
    names = list(dict.fromkeys(tag.rpartition(":")[2] for tag in model.tags))
    tags = [code(shortened(name, _NAME)) for name in names[:4]]
    digests = [code(shortened(digest, 19)) for digest in model.digests[:2]]
    return " ".join((*tags, *(["…"] if len(names) > 4 else []), *digests)) or "—"


def _changes(model: ModelOverview) -> str:
    """What the image changes, in the one line of its comparison."""
    said = [run.comparison.headline for run in model.runs if run.comparison and run.comparison.headline]
    return escape(shortened(said[-1], _CHANGES)) if said else ""


def _predictions(model: ModelOverview) -> str:
    said = [_smoke_words(run.smoke) for run in model.runs if run.smoke]
    moved = [_moved_words(run.comparison) for run in model.runs if run.comparison]
    return ", ".join(dict.fromkeys(words for words in (*said, *moved) if words))


def _smoke_words(smoke: SmokeReport) -> str:
    if smoke.outcome is Outcome.SKIPPED:
        return "skipped"
    passed = sum(case.passed for case in smoke.cases)
    gpu = " on a GPU" if smoke.gpu not in {"", "none"} else ""
    return f"{passed} of {len(smoke.cases)}{gpu}"


def _moved_words(comparison: Comparison) -> str:
    return f"{len(comparison.moved)} moved" if comparison.moved else ""


def _vulnerabilities(model: ModelOverview) -> str:
    said = [_scan_words(run.scan) for run in model.runs if run.scan]
    return ", ".join(dict.fromkeys(said))


def _scan_words(scan: ScanReport) -> str:
    if scan.outcome is Outcome.SKIPPED:
        return "skipped"
    total = sum(scan.counts.values())
    return (
        f"{len(scan.refused)} refused of {total}" if scan.refused else f"{total} found" if total else "none"
    )


def _details(model: ModelOverview) -> Iterator[str]:
    yield f"\n### ❌ {_name(model)}\n"
    for line in model.problems[:_PROBLEMS]:
        yield f"- {escape(shortened(line, _LINE))}"
    if len(model.problems) > _PROBLEMS:
        yield f"- … and {len(model.problems) - _PROBLEMS} more lines"
    for run in model.failed:
        if run.failure and run.failure.fix:
            yield f"\n> {escape(shortened(run.failure.fix, _LINE))}"
        yield from _cases(run.smoke)
        yield from _findings(run.scan)


def _cases(smoke: SmokeReport | None) -> Iterator[str]:
    failed = [case for case in smoke.cases if not case.passed] if smoke else []
    if failed:
        yield ""
        rows = [
            (escape(shortened(case.name, _NAME)), escape(shortened(case.problem, _LINE)))
            for case in failed[:_ROWS]
        ]
        yield from table(("case", "answer"), rows)
        yield from more(len(failed), _ROWS)


def _findings(scan: ScanReport | None) -> Iterator[str]:
    if scan and scan.refused:
        yield ""
        head = ("refused", "package", "installed", "fixed in", "severity")
        yield from table(head, finding_rows(scan.refused, _ROWS))
        yield from more(len(scan.refused), _ROWS)
