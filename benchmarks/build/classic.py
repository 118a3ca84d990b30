"""The do-it-yourself side: an engine that was started for this one build."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.build.stand import Stand, Timed, packages, timed
from benchmarks.machine import call, running, say

HERE = Path(__file__).parent
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


class Classic:
    """`docker build` and `docker push`."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand

    def fresh(self, model: Path) -> Timed:
        context = self.stand.folder / "classic"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        os.link(model, context / "model.keras")
        shutil.copy(HERE / "app.py", context)
        (context / "requirements.txt").write_text(packages())
        image = f"{self.stand.registry}/classic:{model.stem}"
        with self._engine() as env:
            before = self.stand.stored()
            ca = os.environ.get("SSL_CERT_FILE", os.devnull)
            build = [
                "docker", "build", "--network", "host", "--provenance=false", "--secret", f"id=ca,src={ca}",
                "--build-arg", f"BASE={self.stand.base}", "-f", HERE / "classic.Dockerfile", "-t", image, ".",
            ]  # fmt: skip
            seconds, _ = timed(build, context, env)
            pushed, _ = timed(["docker", "push", image], context, env)
        say(f"  classic {model.stem}: build {seconds:.1f} s, push {pushed:.1f} s")
        return Timed(seconds + pushed, self.stand.stored() - before, self._size(model.stem))

    def hashing(self, model: Path) -> float:
        return min(timed(["sha256sum", model], self.stand.folder, dict(os.environ))[0] for _ in range(3))

    @contextmanager
    def _engine(self) -> Iterator[dict[str, str]]:
        """A dockerd of its own, with nothing in its store; the machine's own engine is left alone."""
        with tempfile.TemporaryDirectory(prefix="engine-", dir=self.stand.folder) as name:
            folder = Path(name)
            host = f"unix://{folder}/docker.sock"
            argv = [
                "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--host", host,
                "--pidfile", f"{folder}/pid", "--bridge", "none", "--iptables=false", "--ip6tables=false",
            ]  # fmt: skip
            env = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": f"{folder}/config"}
            with running(argv, folder.parent / "dockerd.log"):
                self._wait(env)
                yield env

    def _wait(self, env: dict[str, str]) -> None:
        for _ in range(100):
            try:
                call("docker", "version", env=env)
            except SystemExit:
                time.sleep(0.2)
            else:
                return
        raise SystemExit("the private engine does not answer; `make bench-build` needs root and dockerd")

    def _size(self, tag: str) -> int:
        return manifest_size(self.stand.registry, "classic", tag)


def manifest_size(registry: str, repository: str, reference: str) -> int:
    """Bytes of the layers as stored, read from the manifest in the registry."""
    url = f"http://{registry}/v2/{repository}/manifests/{reference}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": ACCEPT})) as answer:
        manifest = json.load(answer)
    return sum(layer["size"] for layer in manifest["layers"])
