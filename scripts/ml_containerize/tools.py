"""Everything outside the process that a run may touch, handed in at the rim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from ml_containerize.command import Run, run
from ml_containerize.console import Console
from ml_containerize.oci.credentials import Credentials
from ml_containerize.oci.registry import Connect, connector
from ml_containerize.plan.settings.settings import Settings


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Tools:
    """The environment's variables, the console, other programs, the clock, and registries."""

    environ: Mapping[str, str]
    console: Console
    run: Run = run
    now: Callable[[], datetime] = _now

    def connect(self, settings: Settings) -> Connect:
        """Registry clients that know the user's logins; unfinished uploads are noted in the cache."""
        registry = settings.registry or (settings.images[0].registry if settings.images else "")
        credentials = Credentials.gather(
            registry, settings.username, settings.password.value, environ=self.environ, run=self.run
        )
        return connector(credentials, journal=settings.cache / "uploads")
