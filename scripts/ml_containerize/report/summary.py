"""The job summary: verdict first, then what a person asks next, in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ml_containerize.console import human_seconds, human_size, printable
from ml_containerize.report.changed import changed
from ml_containerize.report.markdown import MAX_ROWS, code, escape, finding_rows, more, quoted, table
from ml_containerize.report.record import Record, Result
from ml_containerize.report.words import measured, scan_words, smoke_words
from ml_containerize.results import CaseResult, Outcome, ScanReport, SmokeReport, StageTime

MAX_BYTES = 900_000  # GitHub drops a summary above 1024 kB whole

_VERDICTS = {
    Result.RELEASED: ("✅", "released"),
    Result.PASSED: ("✅", "passed every gate"),
    Result.BUILT: ("🧱", "built, not proved yet"),
    Result.REFUSED: ("⛔", "refused, nothing was tagged"),
    Result.FAILED: ("❌", "failed"),
}
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")


def render_summary(record: Record) -> str:
    """The whole summary, cut at GitHub's limit with a word that it was."""
    text = "\n".join(_sections(record)).rstrip() + "\n"
    encoded = text.encode()
    if len(encoded) <= MAX_BYTES:
        return text
    return encoded[:MAX_BYTES].decode(errors="ignore") + "\n\n_cut here: the whole is in `result.json`_\n"


def _sections(record: Record) -> Iterator[str]:
    yield from _verdict(record)
    yield from _tags(record)
    if record.comparison:
        yield from changed(record.comparison)
    if record.smoke:
        yield from _smoke(record.smoke)
    if record.scan:
        yield from _scan(record.scan)
    if record.image:
        yield from _layers(record)
    yield from _times(record.stages)


def _verdict(record: Record) -> Iterator[str]:
    mark, words = _VERDICTS[record.result]
    name = record.plan.name if record.plan else PurePosixPath(record.project).name
    yield f"## {mark} {escape(name) or 'ml-containerize'}: {words}"
    yield ""
    if record.failure:
        yield f"> **{escape(record.failure.title)}**: {quoted(record.failure.what)}"
        if record.failure.fix:
            yield f"> {quoted(record.failure.fix)}"
        yield ""
    for reason in record.decision.reasons if record.decision else ():
        yield f"- {escape(reason)}"
    if record.reference:
        yield from ("", code(record.reference), "")


def _tags(record: Record) -> Iterator[str]:
    if record.plan is None:
        return
    plan = record.plan
    rows = [
        ("tags", " ".join(code(tag.rpartition(":")[2]) for tag in record.tags) or "none"),
        ("commit", code(str(plan.source.sha)) if plan.source.sha else "not in git"),
        (
            "model",
            f"{escape(plan.model.format)}, {human_size(plan.model.size)}, {code(str(plan.model.hash))}",
        ),
        ("environment", code(str(plan.environment.key))),
        ("base", code(plan.environment.base.name)),
    ]
    yield from table(("", ""), rows)


def _smoke(smoke: SmokeReport) -> Iterator[str]:
    yield from ("", f"### Predictions: {smoke_words(smoke)}", "")
    for problem in smoke.problems:
        yield f"- {escape(problem)}"
    if smoke.cases:
        yield ""
        yield from table(
            ("", "case", "answer", "ms"),
            [_case_row(case) for case in smoke.cases[:MAX_ROWS]],
            align=":-:|---|---|--:",
        )
        yield from more(len(smoke.cases))
    figures = measured(smoke)
    if figures:
        yield from ("", figures)
    yield from _notices(smoke.notices)
    if smoke.outcome is Outcome.FAILED and smoke.log_tail:
        fenced = printable(smoke.log_tail).replace("```", "'''")
        yield from (
            "",
            "<details><summary>container log</summary>",
            "",
            "```text",
            fenced,
            "```",
            "",
            "</details>",
        )


def _case_row(case: CaseResult) -> tuple[str, ...]:
    answer = escape(case.problem) if case.problem else code(case.prediction)
    return ("✅" if case.passed else "❌", escape(case.name), answer, f"{case.milliseconds:.1f}")


def _scan(scan: ScanReport) -> Iterator[str]:
    yield from ("", f"### Vulnerabilities: {scan_words(scan)}", "")
    for problem in scan.problems:
        yield f"- {escape(problem)}"
    if scan.outcome is not Outcome.SKIPPED:
        counts = tuple(str(scan.counts.get(severity, 0)) for severity in _SEVERITIES)
        yield ""
        yield from table([s.capitalize() for s in _SEVERITIES], [counts], align="--:|--:|--:|--:|--:")
    if scan.refused:
        yield ""
        yield from table(
            ("refused", "package", "installed", "fixed in", "severity"), finding_rows(scan.refused)
        )
        yield from more(len(scan.refused))
    if scan.ignored:
        yield from ("", f"<details><summary>{len(scan.ignored)} accepted by a rule</summary>", "")
        found = zip(finding_rows(scan.ignored), scan.ignored, strict=False)
        rows = [(*row[:3], code(finding.ignored_by)) for row, finding in found]
        yield from table(("id", "package", "installed", "rule"), rows)
        yield from (*more(len(scan.ignored)), "", "</details>")
    if scan.scanner:
        date = f", database of {escape(scan.database_updated)}" if scan.database_updated else ""
        yield from ("", f"{escape(scan.scanner)}{date}")
    yield from _notices(scan.notices)


def _layers(record: Record) -> Iterator[str]:
    layers = record.layers
    total = sum(layer.size for layer in layers)
    moved = f", {human_size(record.bytes_uploaded)} uploaded" if record.releases else ""
    yield from ("", f"### What moved: {human_size(total)} in {len(layers)} layers{moved}", "")
    words = {None: "built", True: "reused", False: "**moved**"}
    rows = [
        (
            escape(layer.kind),
            escape(layer.title) or code(layer.digest.hex[:12]),
            human_size(layer.size),
            words[layer.reused],
        )
        for layer in layers[:MAX_ROWS]
    ]
    yield from table(("layer", "what", "size", ""), rows, align="---|---|--:|---")
    yield from more(len(layers))


def _times(stages: Sequence[StageTime]) -> Iterator[str]:
    """A Gantt chart in Mermaid, which GitHub renders (docs: "Creating diagrams")."""
    if not stages:
        return
    total = sum(stage.seconds for stage in stages)
    yield from ("", f"### Time: {human_seconds(total)}", "", "```mermaid", "gantt", "    dateFormat x")
    yield from ("    axisFormat %M:%S", "    section stages")
    start = 0
    for stage in stages:
        end = start + max(1, round(stage.seconds * 1000))
        yield f"    {stage.stage} {human_seconds(stage.seconds)} :{start}, {end}"
        start = end
    yield "```"


def _notices(notices: Sequence[str]) -> Iterator[str]:
    """One block that stands back from the facts."""
    if notices:
        yield ""
    for notice in notices:
        yield f"> - {escape(notice)}"
