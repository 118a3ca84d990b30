"""What the server knows of itself: is the model loaded, may clients come; and what the probes say of it.

Kubernetes tells three probes apart
(https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/): live while the process
answers, started once the model is loaded, ready while requests are welcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from serving.answers import json_answer, refusal
from serving.batching import Batcher
from serving.errors import Busy
from serving.http import Answer
from serving.served import Served


@dataclass(frozen=True, slots=True)
class Ready:
    """A warm model and the queue before it."""

    served: Served
    batcher: Batcher


def _never() -> bool:
    return False


@dataclass(slots=True)
class State:
    """`ready` is None until the model is warm; `draining` says whether the server was told to stop."""

    ready: Ready | None = None
    draining: Callable[[], bool] = field(default=_never)

    def require(self) -> Ready:
        """Raises Busy while there is no model."""
        if self.ready is None:
            raise Busy("the model is not loaded yet", kind="not_ready")
        return self.ready

    def live(self) -> Answer:
        return json_answer({"status": "alive", "live": True})

    def started(self) -> Answer:
        return json_answer({"status": "started"}) if self.ready else self._not_yet()

    def readiness(self) -> Answer:
        if self.draining():
            return refusal(Busy("the server is stopping", 5, "stopping"))
        return json_answer({"status": "ready", "ready": True}) if self.ready else self._not_yet()

    def _not_yet(self) -> Answer:
        return refusal(Busy("the model is not loaded yet", kind="not_ready"))

    def probes(self, health_route: str = "") -> Mapping[str, Callable[[], Answer]]:
        """By path: this server's own, the Open Inference Protocol's, SageMaker's, and Vertex AI's route."""
        return {
            "/healthz": self.live,
            "/startupz": self.started,
            "/readyz": self.readiness,
            "/v2/health/live": self.live,
            "/v2/health/ready": self.readiness,
            "/ping": self.readiness,
            **({health_route: self.readiness} if health_route else {}),
        }
