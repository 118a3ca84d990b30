from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from ml_containerize.smoke.engine import StartFailed
from ml_containerize.smoke.readiness import LostPort, wait_until_ready


@dataclass
class FakeServer:
    """A server whose clock ticks a second at each look."""

    states: list[tuple[str, str]]  # why it is not ready, how it ended
    others_listen: bool = False
    url: str = "http://127.0.0.1:1"
    gpu: str = "none"
    started: float = 100.0
    looks: int = field(default=0)

    def unready(self, patience: float) -> str:
        assert patience > 0
        self.looks += 1
        return self._state()[0]

    def ended(self) -> str:
        return self._state()[1]

    def lost_port(self) -> bool:
        return self.others_listen

    def log(self) -> str:
        return "its log"

    def follow(self) -> Iterator[str]:
        return iter(())

    def memory(self) -> int | None:
        return None

    def _state(self) -> tuple[str, str]:
        return self.states[min(self.looks, len(self.states)) - 1]

    def clock(self) -> float:
        return self.started + self.looks


def wait(server: FakeServer, timeout: float = 10, sleep: Callable[[float], None] = lambda _: None) -> float:
    return wait_until_ready(server, server.unready, timeout, clock=server.clock, sleep=sleep)


def test_the_seconds_until_readiness_are_told() -> None:
    assert wait(FakeServer([("nothing answers", ""), ("answers 503", ""), ("", "")])) == 3.0


def test_a_server_that_ended_is_not_waited_for() -> None:
    with pytest.raises(StartFailed) as caught:
        wait(FakeServer([("nothing answers", "exited with status 1")]))
    assert caught.value.what == "the container exited with status 1 after 1.0 s, before it was ready"
    assert caught.value.log == "its log"


def test_a_server_that_never_gets_ready_is_given_up_with_the_last_reason() -> None:
    with pytest.raises(StartFailed, match=r"not ready within 4 s: GET /readyz answers 503"):
        wait(FakeServer([("nothing answers", ""), ("GET /readyz answers 503", "")]), timeout=4)


@pytest.mark.parametrize("state", [("", ""), ("nothing answers", "exited with status 1")])
def test_another_programs_answer_is_not_taken_for_the_containers(state: tuple[str, str]) -> None:
    with pytest.raises(LostPort):
        wait(FakeServer([state], others_listen=True))
