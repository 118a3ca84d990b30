"""Arguments in, one exit code out: data goes to stdout, words for people to stderr."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from ml_containerize import __version__
from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError
from ml_containerize.plan.settings.options import OPTIONS
from ml_containerize.plan.settings.views import add_flags
from ml_containerize.tools import Tools

Command = Callable[[argparse.Namespace, Tools], int]

_EXIT_CODES = """\
exit codes: 0 ok · 2 usage or configuration · 3 plan · 4 build · 5 smoke failed · 6 scan refused ·
7 push · 8 environment missing (engine, scanner, registry unreachable)"""

_PYTHON_HELP = "a Python that loads the model (default: one with the locked packages)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a foreseeable failure is an exit code and advice, never a traceback."""
    arguments = parser().parse_args(argv)
    environ = dict(os.environ)
    console = Console(github=environ.get("GITHUB_ACTIONS") == "true", quiet=arguments.quiet)
    _end_in_order()
    try:
        command: Command = arguments.perform
        return command(arguments, Tools(environ, console))
    except ContainerizeError as error:
        console.error(error.title, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted", "stopped before the end; nothing was tagged")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _end_in_order() -> None:
    """Let SIGTERM and a closed terminal unwind like Ctrl-C does: containers and half-written files go."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it, and so it stays
        signal.signal(signal.SIGHUP, end)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="ml-containerize",
        description="A model in git becomes a serving image: built once, proved once, published.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"ml-containerize {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _pipeline_commands(commands)
    _helper_commands(commands)
    return top


def _pipeline_commands(commands: Any) -> None:
    from ml_containerize import commands as perform

    alone = (
        ("run", perform.run, "the whole job: plan, build, smoke, scan, push, report"),
        ("plan", perform.plan, "print every decision, made before any work"),
        ("build", perform.build, "build the image into the layout in --output"),
    )
    of_an_image = (
        ("smoke", perform.smoke, "run the recorded predictions in a container of the image"),
        ("scan", perform.scan, "scan the image and judge what was found"),
        ("push", perform.push, "publish and tag the image that every gate passed"),
    )
    for name, function, about in (*alone, *of_an_image):
        command = _add(commands, name, function, about)
        if (name, function, about) in alone:
            command.add_argument("path", nargs="?", metavar="PATH", help="the model project (default: .)")
        else:
            _add_places(command)
        command.add_argument("--json", action="store_true", help="print the record as JSON on stdout")
        add_flags(command)


def _helper_commands(commands: Any) -> None:
    from ml_containerize import commands as perform

    models = _add(commands, "models", perform.models, "list the model projects of a repository")
    models.add_argument("path", nargs="?", metavar="ROOT", help="the folder to search (default: .)")
    models.add_argument(
        "--tag", metavar="TAG", help="only those that this git tag releases (default: the event's)"
    )
    models.add_argument("--json", action="store_true", help="print a matrix for GitHub as JSON on stdout")
    add_flags(models, only_for="models")

    report = _add(commands, "report", perform.report, "sum up the records of many models")
    report.add_argument("paths", nargs="*", metavar="RESULT.json | FOLDER", type=Path, help="default: .")
    report.add_argument(
        "--expect", action="append", metavar="NAME", help="a model that must have a record; may be repeated"
    )
    report.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    add_flags(report, only_for="report")

    notes = _add(commands, "notes", perform.notes, "print release notes of what was released")
    notes.add_argument("paths", nargs="+", metavar="RESULT.json | FOLDER", type=Path, help="the records")

    diff = _add(commands, "diff", perform.diff, "tell what changed from one image to another")
    for name in ("before", "after"):
        diff.add_argument(name, metavar="IMAGE", help="a registry reference or a layout folder")
    diff.add_argument("--json", action="store_true", help="print the comparison as JSON on stdout")
    add_flags(diff, leave_out=_all_but("platforms", "registry", "username", "cache-dir"))

    serve = _add(commands, "serve", perform.serve, "run an image for a person until Ctrl-C")
    serve.add_argument("reference", metavar="IMAGE", help="a registry reference or a layout folder")
    serve.add_argument("--port", type=int, default=0, help="loopback port (default: a free one)")
    add_flags(serve, leave_out=_all_but("engine", "gpus", "startup-timeout", "platforms", "cache-dir"))

    init = _add(commands, "init", perform.init, "write what a repository lacks to check and release models")
    init.add_argument("path", nargs="?", metavar="PATH", help="a repository, or a folder in it (default: .)")
    init.add_argument("--dry-run", action="store_true", help="only say what would be written")
    init.add_argument("--python", type=Path, help=_PYTHON_HELP)
    add_flags(init, leave_out=_all_but("images", "backend", "allow-pickle", "cache-dir"))

    record = _add(commands, "record", perform.record, "write smoke cases by asking the model itself")
    record.add_argument("path", metavar="PATH", help="the model project")
    record.add_argument("requests", nargs="+", metavar="REQUEST.json", type=Path, help="one request each")
    record.add_argument("--rtol", type=float, default=1e-4, help="relative tolerance (default: 1e-4)")
    record.add_argument("--atol", type=float, default=1e-6, help="absolute tolerance (default: 1e-6)")
    record.add_argument("--python", type=Path, help=_PYTHON_HELP)
    record.add_argument("--force", action="store_true", help="replace cases of the same name")
    add_flags(record, leave_out=_all_but("config", "model", "cache-dir"))

    lock = _add(commands, "lock", perform.lock, "lock requirements.txt with hashes into requirements.lock")
    lock.add_argument("path", nargs="?", metavar="PATH", help="the model project (default: .)")
    lock.add_argument("--upgrade", action="store_true", help="take newer versions than the lock holds")

    _add(commands, "schema", perform.schema, "print the JSON Schema of ml-containerize.yaml")


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "path",
        nargs="*",
        action=_Places,
        metavar="PATH | IMAGE@DIGEST",
        help="the model project (default: .), and an image in a registry (default: the one in --output)",
    )


class _Places(argparse.Action):
    """A project and an image in either order: a text with `@sha256:` is the image."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        _option: str | None = None,
    ) -> None:
        images = [text for text in values or () if "@sha256:" in text]
        paths = [text for text in values or () if "@sha256:" not in text]
        if len(images) > 1 or len(paths) > 1:
            parser.error("one project and one image at most")
        namespace.path = next(iter(paths), None)
        namespace.image = next(iter(images), None)


def _all_but(*names: str) -> set[str]:
    return {option.name for option in OPTIONS} - set(names)


def _add(commands: Any, name: str, perform: Command, about: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--quiet", action="store_true", help="print data and errors only")
    command.set_defaults(perform=perform)
    return command
