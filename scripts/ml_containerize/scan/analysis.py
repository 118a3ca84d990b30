"""Running trivy: with a closed environment, in an empty folder, so that only this run's settings count.

Trivy reads `TRIVY_*` variables, `trivy.yaml`, `.trivyignore` and `trivy-secret.yaml` in the current folder,
and modules and plug-ins in the home folder. None of these may change a verdict unseen, so it gets none.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ml_containerize.command import Completed, Run
from ml_containerize.errors import EnvironmentMissing, ScanError
from ml_containerize.scan.database import DatabaseUnreachable
from ml_containerize.scan.trivy import NoSuchScanner, Trivy

_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_PASSED = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", *_NETWORK, *map(str.lower, _NETWORK))
_LOGIN = ("HOME", "DOCKER_CONFIG", "TRIVY_USERNAME", "TRIVY_PASSWORD", "TRIVY_REGISTRY_TOKEN")

# Trivy does not search `usr/local/lib/python*` for secrets: what is there was published before it was
# installed. The same holds for the image's virtual environment, where searching would take most of the time.
_NOT_SEARCHED = r"""
allow-rules:
  - id: virtual-environment
    path: ^/?opt/venv/lib/python[0-9.]+/site-packages/
"""

_QUIET = ("--no-progress", "--skip-version-check", "--disable-telemetry")
_GRACE = 60  # seconds beyond trivy's own limit until it is stopped from outside
_LAST_LINES = 5
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_STAMP = re.compile(r"^\S+Z\s+(INFO|WARN|ERROR|FATAL)\s+")


class TrivyFailed(ScanError):
    """Trivy ended with an error instead of a report."""

    def __init__(self, done: Completed) -> None:
        super().__init__(
            f"trivy ended with status {done.status}: {last_lines(done.stderr)}",
            "The image was not judged. The lines above are trivy's own.",
        )


class ScanTimedOut(ScanError):
    """Trivy did not finish in time."""

    def __init__(self, timeout: str) -> None:
        super().__init__(
            f"trivy did not finish within {timeout}",
            "Raise `timeout`, or leave `secret` out of `scanners`, which is the slow part.",
        )


class NoJavaDatabase(EnvironmentMissing):
    """The image holds Java archives, which trivy can only name with a second database."""

    def __init__(self, done: Completed) -> None:
        super().__init__(
            f"The image holds Java archives, and trivy has no Java database: {last_lines(done.stderr)}",
            "Run once with a network and without skip-db-update, or remove the archives from the image.",
        )


class DamagedDatabase(EnvironmentMissing):
    """Trivy cannot use its vulnerability database."""

    def __init__(self, done: Completed) -> None:
        super().__init__(
            f"Trivy cannot use its vulnerability database: {last_lines(done.stderr)}",
            "Delete the folder `trivy/db` in the cache folder, and run again with a network.",
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask trivy about an image; `timeout` is a Go duration, `update` lets it fetch Java's."""

    scanners: Sequence[str]
    timeout: str
    skip_files: Sequence[str] = ()
    update: bool = True


@dataclass(frozen=True, slots=True)
class Scanner:
    """Trivy with its cache folder and the caller's environment, of which it sees little."""

    trivy: Trivy
    cache: Path
    run: Run
    environ: Mapping[str, str] = field(repr=False)

    @property
    def unread_variables(self) -> tuple[str, ...]:
        """The caller's settings for trivy that count for nothing here."""
        return tuple(sorted(n for n in self.environ if n.startswith("TRIVY_") and n not in _LOGIN))

    def update_database(self, repositories: Sequence[str], timeout: str) -> None:
        """Fetch the vulnerability database if there is a newer one; raises DatabaseUnreachable."""
        places = [f"--db-repository={place}" for place in repositories]
        with _workplace() as folder:
            try:
                done = self._start(["--download-db-only", *places], folder, timeout, login=True)
            except TimeoutError as error:
                raise DatabaseUnreachable(f"no answer within {timeout}") from error
        if not done.ok:
            raise DatabaseUnreachable(last_lines(done.stderr))

    def analyse(self, layout: Path, question: Question) -> bytes:
        """Trivy's JSON report on a layout; raises TrivyFailed, ScanTimedOut or what it lacks."""
        with _workplace() as folder:
            report, secret_rules = folder / "report.json", folder / "secrets.yaml"
            secret_rules.write_text(_NOT_SEARCHED, encoding="utf-8")
            files = ["--secret-config", secret_rules, "--input", layout, "--output", report]
            arguments = [*_question(question), *map(str, files)]
            try:
                done = self._start(arguments, folder, question.timeout)
            except TimeoutError as error:
                raise ScanTimedOut(question.timeout) from error
            if not done.ok:
                raise _cause(done, question)
            return report.read_bytes()

    def _start(self, arguments: list[str], folder: Path, timeout: str, *, login: bool = False) -> Completed:
        argv = [str(self.trivy.path), "image", "--cache-dir", str(self.cache), "--timeout", timeout]
        env = {name: self.environ[name] for name in _PASSED if name in self.environ}
        env |= {"HOME": str(folder), "TMPDIR": str(folder)}
        env |= {name: self.environ[name] for name in _LOGIN if login and name in self.environ}
        empty = folder / "empty"
        empty.mkdir()
        try:
            limit = seconds(timeout) + _GRACE
            return self.run([*argv, *_QUIET, *arguments], cwd=empty, env=env, timeout=limit)
        except TimeoutError:  # an OSError, too
            raise
        except OSError as error:
            raise NoSuchScanner(self.trivy.path, f"cannot be started: {error.strerror or error}") from error


def _question(question: Question) -> list[str]:
    skip = [f"--skip-files={path}" for path in question.skip_files]
    java = [] if question.update else ["--skip-java-db-update"]
    fixed = ["--format", "json", "--skip-db-update", "--offline-scan"]
    return [*fixed, "--scanners", ",".join(question.scanners), *skip, *java]


def _cause(done: Completed, question: Question) -> ScanError | EnvironmentMissing:
    if "context deadline exceeded" in done.stderr:
        return ScanTimedOut(question.timeout)
    if "init error: DB error" in done.stderr:
        return DamagedDatabase(done)
    return NoJavaDatabase(done) if "Java DB" in done.stderr else TrivyFailed(done)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A folder for one start of trivy; whatever it leaves goes with it, also when it is killed."""
    with tempfile.TemporaryDirectory(prefix="ml-containerize-scan-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def seconds(duration: str) -> float:
    """A Go duration such as 1h30m, in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def last_lines(log: str) -> str:
    """The end of trivy's log without its time stamps; its errors if there are any."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    start = next((n for n, line in enumerate(lines) if re.search(r"\s(ERROR|FATAL)\s", line)), 0)
    return "\n".join(_STAMP.sub("", line) for line in lines[start:][-_LAST_LINES:])
