"""Our side: the command, with every cache in a folder that did not exist before."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.build.classic import manifest_size
from benchmarks.build.stand import Stand, Timed, project, timed
from benchmarks.machine import call, say

COMMAND = [sys.executable, "-I", "-m", "ml_containerize"]


class Ours:
    """`ml-containerize run --push`, and `plan` for hashing."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand

    def fresh(self, model: Path) -> Timed:
        folder = project(self.stand.folder / "project", model)
        image = f"{self.stand.registry}/ours"
        argv = [
            *COMMAND, "run", folder, "--images", image, "--push", "--allow-dirty", "--no-smoke", "--no-scan",
            "--base-image", self.stand.base,
        ]  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="machine-", dir=self.stand.folder) as machine:
            before = self.stand.stored()
            output = ["--output", f"{machine}/out", "--json"]
            seconds, peak = timed([*argv, *output], folder, self._machine(machine))
            uploaded = self.stand.stored() - before
            digest = call(
                "sed", "-n", 's/^  "digest": "\\(.*\\)",/\\1/p', f"{machine}/out/result.json"
            ).strip()
        say(f"  ours {model.stem}: {seconds:.2f} s, {uploaded} bytes")
        return Timed(seconds, uploaded, manifest_size(self.stand.registry, "ours", digest), peak)

    def hashing(self, model: Path) -> float:
        """Seconds of the whole `plan` command, which hashes the model and digests its layer."""
        folder = project(self.stand.folder / "project", model)
        argv = [*COMMAND, "plan", folder, "--base-image", self.stand.base]
        env = self._machine(str(self.stand.folder / "machine"))
        return min(timed(argv, folder, env)[0] for _ in range(3))

    def _machine(self, folder: str) -> dict[str, str]:
        """A CI runner's environment, on which nothing was ever cached."""
        kept = {name: value for name, value in os.environ.items() if name != "UV_CACHE_DIR"}
        caches = {"XDG_CACHE_HOME": f"{folder}/cache", "ML_CONTAINERIZE_CACHE_DIR": f"{folder}/mlc"}
        return {**kept, **caches, "CI": "true"}
