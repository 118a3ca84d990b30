"""Foreseeable failures: one base class per exit code, one subclass per cause, each saying what to do."""

from __future__ import annotations


class ContainerizeError(Exception):
    """A foreseeable failure: `what` happened (and where), and the `fix` that the reader can apply."""

    exit_code = 1
    title = "failed"

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n  {self.fix}" if self.fix else self.what


class UsageError(ContainerizeError):
    """Flags, configuration or environment variables are wrong."""

    exit_code = 2
    title = "usage"


class PlanError(ContainerizeError):
    """The model project cannot be planned."""

    exit_code = 3
    title = "plan"


class BuildError(ContainerizeError):
    """The image could not be built."""

    exit_code = 4
    title = "build"


class SmokeError(ContainerizeError):
    """The container did not answer its recorded cases."""

    exit_code = 5
    title = "smoke"


class ScanError(ContainerizeError):
    """The policy refuses what the scan found, or the scan itself broke."""

    exit_code = 6
    title = "scan"


class PushError(ContainerizeError):
    """The image could not be published."""

    exit_code = 7
    title = "push"


class EnvironmentMissing(ContainerizeError):
    """An engine, scanner, database, GPU or registry that the run needs is not there."""

    exit_code = 8
    title = "environment"
