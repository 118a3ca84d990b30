"""The command as users start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str
    output: Path

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.output / "result.json").read_text())
        return found


@dataclass(frozen=True, slots=True)
class Command:
    """`ml-containerize` with the flags that a closed network needs; flags of one's own come last and win."""

    output: Path
    cache: Path
    base: str

    def __call__(
        self,
        *argv: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        umask: int = 0o022,
        output: Path | None = None,
    ) -> Ran:
        done = subprocess.run(
            [BIN / "ml-containerize", *map(str, argv)],
            env=self.environ(output or self.output, env or {}),
            cwd=cwd,
            umask=umask,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return Ran(done.returncode, done.stdout, done.stderr, output or self.output)

    def environ(self, output: Path, more: Mapping[str, str]) -> dict[str, str]:
        """No variable of a workflow that may run these tests; closed-network settings as variables."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "ML_CONTAINERIZE_"))}
        ours = {
            "BASE_IMAGE": self.base,
            "TRIVY_PATH": str(BIN / "trivy"),
            "SKIP_DB_UPDATE": "true",
            "CACHE_DIR": str(self.cache),
            "OUTPUT": str(output),
        }
        return {**kept, **{f"ML_CONTAINERIZE_{name}": value for name, value in ours.items()}, **more}
