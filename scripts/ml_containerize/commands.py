"""What each subcommand does; heavy parts are imported by the command that needs them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from ml_containerize.errors import ContainerizeError
from ml_containerize.lockfile import FolderInUse, locked
from ml_containerize.plan.settings.reading import shown
from ml_containerize.plan.settings.settings import Settings, load_settings
from ml_containerize.tools import Tools
from ml_containerize.trail import Trail


def run(arguments: argparse.Namespace, tools: Tools) -> int:
    """The whole job."""
    from ml_containerize.pipeline import run_pipeline

    return _recorded(arguments, tools, run_pipeline)


def build(arguments: argparse.Namespace, tools: Tools) -> int:
    from ml_containerize.stages import build_image

    return _recorded(arguments, tools, build_image)


def smoke(arguments: argparse.Namespace, tools: Tools) -> int:
    from ml_containerize.stages import smoke_image

    return _recorded(arguments, tools, smoke_image)


def scan(arguments: argparse.Namespace, tools: Tools) -> int:
    from ml_containerize.stages import scan_image

    return _recorded(arguments, tools, scan_image)


def push(arguments: argparse.Namespace, tools: Tools) -> int:
    from ml_containerize.stages import push_image

    return _recorded(arguments, tools, push_image)


def plan(arguments: argparse.Namespace, tools: Tools) -> int:
    """Print the plan: for people, or as JSON."""
    from ml_containerize.pipeline import make_plan
    from ml_containerize.plan.show import plan_as_json, render_plan

    settings = _settings(arguments, tools)
    made = make_plan(settings, tools, tools.connect(settings), Trail(tools.console))
    _print(_dumped(plan_as_json(made)) if arguments.json else render_plan(made))
    return 0


def models(arguments: argparse.Namespace, tools: Tools) -> int:
    """Print the model projects that were asked for, one path a line, or a matrix as JSON."""
    from ml_containerize.plan.monorepo.selection import load_wanted, select
    from ml_containerize.plan.settings.views import flags_of
    from ml_containerize.report.github import write_outputs

    root = _project(arguments, tools)
    wanted = load_wanted(root, flags_of(arguments), arguments.tag or "", tools.environ)
    selection = select(wanted, run=tools.run, environ=tools.environ)
    tools.console.info(selection.reason)
    write_outputs(selection.outputs(), tools.environ)
    _print(_dumped(selection.as_json()) if arguments.json else "\n".join(map(_harmless, selection.paths)))
    return 0


def report(arguments: argparse.Namespace, tools: Tools) -> int:
    """Sum up many records; the exit code is the first failure's."""
    from ml_containerize.plan.settings.views import flags_of
    from ml_containerize.report.collect import collect, overview_as_json
    from ml_containerize.report.github import append_summary, overview_outputs, write_outputs
    from ml_containerize.report.notes import write_notes
    from ml_containerize.report.overview import render_overview
    from ml_containerize.report.wanted import load_wanted

    wanted = load_wanted(arguments.paths, arguments.expect or (), flags_of(arguments), tools.environ)
    overview = collect(wanted.places, wanted.expected, wanted.reason)
    text = render_overview(overview)
    if wanted.summary:
        append_summary(text, tools.environ)
    write_outputs(overview_outputs(overview), tools.environ)
    if wanted.output:
        write_notes(overview, wanted.output, tools.console)
    _print(_dumped(overview_as_json(overview)) if arguments.json else text)
    if wanted.comment:
        from ml_containerize.report.comment import MAX_BYTES, comment

        comment(render_overview(overview, MAX_BYTES), tools.environ, tools.console)
    if overview.failed:
        tools.console.error("report", "\n".join(overview.problems))
    return overview.exit_code


def notes(arguments: argparse.Namespace, tools: Tools) -> int:
    """Print release notes."""
    from ml_containerize.report.collect import collect
    from ml_containerize.report.notes import render_notes

    overview = collect([path.absolute() for path in arguments.paths], None)
    _print(render_notes(overview))
    if overview.failed:
        tools.console.error("notes", "\n".join(overview.problems))
    return overview.exit_code


def diff(arguments: argparse.Namespace, tools: Tools) -> int:
    """Print what changed from one image to another: for people, or as JSON."""
    from ml_containerize.compare.words import as_text
    from ml_containerize.comparing import compare_images
    from ml_containerize.report.gates import plain

    settings = _settings(arguments, tools)
    connect = tools.connect(settings)
    found = compare_images(arguments.before, arguments.after, settings.platform, connect)
    _print(_dumped(plain(found)) if arguments.json else as_text(found))
    return 0


def serve(arguments: argparse.Namespace, tools: Tools) -> int:
    """Run an image until Ctrl-C."""
    from ml_containerize.smoke.serve import serve as serve_image

    settings = _settings(arguments, tools)
    serve_image(
        arguments.reference,
        settings,
        port=arguments.port,
        connect=tools.connect(settings),
        console=tools.console,
        environ=tools.environ,
    )
    return 0


def init(arguments: argparse.Namespace, tools: Tools) -> int:
    """Write what a repository lacks; what is there stays as it is."""
    from ml_containerize.build.local import locked_python
    from ml_containerize.init.begin import Stages, begin
    from ml_containerize.plan.lock import lock as lock_requirements
    from ml_containerize.plan.settings.views import flags_of
    from ml_containerize.smoke.record import record_first

    def lock_project(settings: Settings) -> Path:
        return lock_requirements(settings.project, run=tools.run, requirements=settings.requirements)

    def record_project(settings: Settings) -> tuple[Path, ...]:
        python = locked_python(settings, arguments.python, tools.environ, tools.run, tools.console)
        return record_first(settings, python=python, run=tools.run, console=tools.console)

    written = begin(
        _project(arguments, tools),
        flags_of(arguments),
        Stages(lock_project, record_project),
        dry_run=arguments.dry_run,
        run=tools.run,
        environ=tools.environ,
        console=tools.console,
    )
    if written:
        _print("\n".join(map(str, written)))
    return 0


def record(arguments: argparse.Namespace, tools: Tools) -> int:
    """Write smoke cases with the answers that the model itself gives."""
    from ml_containerize.build.local import locked_python
    from ml_containerize.smoke.record import record as record_cases

    settings = _settings(arguments, tools)
    written = record_cases(
        settings,
        arguments.requests,
        python=locked_python(settings, arguments.python, tools.environ, tools.run, tools.console),
        rtol=arguments.rtol,
        atol=arguments.atol,
        force=arguments.force,
        run=tools.run,
        console=tools.console,
    )
    _print("\n".join(map(str, written)))
    return 0


def lock(arguments: argparse.Namespace, tools: Tools) -> int:
    """Lock the project's requirements with hashes."""
    from ml_containerize.plan.lock import lock as lock_requirements

    _print(str(lock_requirements(_project(arguments, tools), run=tools.run, upgrade=arguments.upgrade)))
    return 0


def schema(_arguments: argparse.Namespace, _tools: Tools) -> int:
    """Print the config file's JSON Schema."""
    from ml_containerize.plan.settings.views import schema_text

    _print(schema_text())
    return 0


Work = Callable[[Settings, Tools, Trail], None]


def _recorded(arguments: argparse.Namespace, tools: Tools, work: Work) -> int:
    """Do the work, alone in the output folder, and write down how it ended, however it ended."""
    trail = Trail(tools.console, shown(_project(arguments, tools), Path.cwd()))
    folder, summary, ours = _default_output(tools), True, True
    try:
        settings = _settings(arguments, tools)
        folder, summary = settings.output, settings.summary
        with locked(folder):
            work(settings, tools, trail)
    except FolderInUse:
        ours = False  # the record there is the other run's
        raise
    except ContainerizeError as error:
        trail.error = error
        raise
    except Exception as error:
        trail.error = ContainerizeError(f"this should not have happened: {error!r}", "Please report it.")
        raise
    except (KeyboardInterrupt, SystemExit):
        trail.error = Interrupted("the run was stopped before its end; nothing was tagged")
        raise
    finally:
        if ours:
            _report(trail, tools, folder, summary)
    _print(_dumped(trail.record().as_json()) if arguments.json else trail.record().reference)
    return 0


def _default_output(tools: Tools) -> Path:
    """Where a run is recorded whose settings cannot be read."""
    return Path(tools.environ.get("ML_CONTAINERIZE_OUTPUT") or ".ml-containerize").absolute()


class Interrupted(ContainerizeError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130
    title = "interrupted"


def _report(trail: Trail, tools: Tools, folder: Path, summary: bool) -> None:
    from ml_containerize.report.github import outputs, write_outputs, write_summary

    record = trail.record()
    try:
        record.write(folder)
    except OSError as error:
        tools.console.warn(f"{folder} cannot hold the record of this run: {error.strerror}")
    write_outputs(outputs(record, folder), tools.environ)
    if summary:
        write_summary(record, tools.environ)
    tools.console.line(f"{record.result}: {folder / 'result.json'}")


def _settings(arguments: argparse.Namespace, tools: Tools) -> Settings:
    from ml_containerize.plan.settings.views import flags_of

    return load_settings(_project(arguments, tools), flags_of(arguments), tools.environ)


def _project(arguments: argparse.Namespace, tools: Tools) -> Path:
    named = getattr(arguments, "path", None) or tools.environ.get("ML_CONTAINERIZE_PATH") or "."
    return Path(named).absolute()


def _harmless(path: str) -> str:
    """The path as GitHub's runner takes it for no command: those begin with `::` or `##[`."""
    return f"./{path}" if path.startswith(("::", "##[")) else path


def _dumped(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, default=str)


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()
