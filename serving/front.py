"""Answers requests, prediction routes without detour.

Operations of the route table are answered in the event loop: parse, queue for the model, write. All other
paths go through the Flask application in a few threads. Both do the same with a request: the functions are
the table's. What reads requests off the network is `serving.server`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from serving.answers import answer_error
from serving.auth import KeyRing
from serving.bridge import through_wsgi
from serving.doors import Outputs, Predict, Route
from serving.errors import BadRequest, Busy, TooLarge, Unauthorized
from serving.http import Answer, Head, Request
from serving.journal import Journal, Visit
from serving.state import State

LARGE = 128 * 2**10  # bytes; parsing more than this would hold up other requests, so a thread does it
THREADS = 4
UNSEEN = frozenset({"/metrics"})  # monitoring asks all the time: no journal has it, as with probes
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of the server."""

    body: int  # bytes of one request
    bodies: int  # bytes of all requests under way


@dataclass(slots=True)
class Exchange:
    """A request whose head is here; `answer` is there as soon as it is known, which may need no body."""

    head: Head
    route: Route | None = None
    visit: Visit | None = None  # None where no journal is to have it
    started: float = 0.0  # time.perf_counter()
    held: int = 0  # bytes of the body that count against the limits
    answer: Answer | None = None
    refused: bool = False

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What the answer carries beside its own."""
        return () if self.visit is None else self.visit.headers


class Front:
    """Every request passes `enter`, `work` with its body, and `leave` with what was sent.

    All methods are the event loop's; `hold` is for bodies of unannounced length, `refuse` for faults of the
    client, `abandon` instead of the rest where it goes away before its request is whole.
    """

    def __init__(
        self,
        state: State,
        routes: Mapping[tuple[str, str], Route],
        application: Callable[[], Any],
        *,
        limits: Limits,
        journal: Journal,
        keys: KeyRing | None = None,
        probes: Mapping[str, Callable[[], Answer]],
    ) -> None:
        """`application` makes the WSGI application when it is first needed."""
        self._state = state
        self._routes = routes
        self._application = application
        self._limits = limits
        self._journal = journal
        self._keys = keys
        self._probes = probes
        self._threads = ThreadPoolExecutor(THREADS, "front")
        self._held = 0  # bytes of bodies under way

    def enter(self, head: Head) -> Exchange:
        """A request begins; it has its answer already where it is a probe, or will not be taken."""
        probe = self._probes.get(head.path)
        if probe is not None and head.method in ("GET", "HEAD"):
            return Exchange(head, answer=probe())
        if head.path in UNSEEN:
            exchange = Exchange(head)
        else:
            started = time.perf_counter()
            route = self._routes.get((head.method, head.path))
            exchange = Exchange(head, route, self._journal.enter(head, route), started)
        try:
            self._admit(exchange, head.headers.get("content-length"))
        except Exception as error:
            self.refuse(exchange, error)
        return exchange

    def hold(self, exchange: Exchange, size: int) -> None:
        """So many bytes of the body came unannounced; raises Refused where they are too many."""
        if exchange.held + size > self._limits.body:
            raise TooLarge(f"the body has more than {self._limits.body} bytes")
        self._take(exchange, size)

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        exchange.refused = True
        exchange.answer = answer_error(
            error, "" if exchange.visit is None else exchange.visit.trace.request_id
        )

    async def work(self, exchange: Exchange, body: bytes) -> Answer:
        """The answer to a whole request; raises nothing."""
        if exchange.answer is None:
            try:
                exchange.answer = await self._answer(exchange, body)
            except Exception as error:
                self.refuse(exchange, error)
        assert exchange.answer is not None  # noqa: S101 - refused otherwise
        return exchange.answer

    def leave(self, exchange: Exchange, answer: Answer, size: int) -> None:
        """The answer was sent, to a request whose body had `size` bytes."""
        self._release(exchange)
        if exchange.visit is not None:
            self._journal.leave(exchange.visit, answer, size, time.perf_counter() - exchange.started)

    def abandon(self, exchange: Exchange) -> None:
        self._release(exchange)
        if exchange.visit is not None:
            self._journal.abandon(exchange.visit, time.perf_counter() - exchange.started)

    async def _answer(self, exchange: Exchange, body: bytes) -> Answer:
        head, route, visit = exchange.head, exchange.route, exchange.visit
        request = Request(head.method, head.path, head.headers, body, head.query)
        if route is None or visit is None:
            return await _in_thread(self._threads, self._through_flask, request)
        if self._keys is not None and not self._keys.allows(head.headers):
            raise Unauthorized("the request lacks a valid API key")
        if route.predict is not None:
            return await self._predict(route.predict, request, visit)
        assert route.inform is not None  # noqa: S101 - a route does one or the other
        return route.inform(self._state.require().served, request)

    async def _predict(self, read: Predict, request: Request, visit: Visit) -> Answer:
        ready = self._state.require()
        if len(request.body) < LARGE:
            task = read(ready.served, request)
        else:
            task = await _in_thread(self._threads, read, ready.served, request)
        future: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        submitted = time.perf_counter()
        ready.batcher.submit(task, partial(_settle, future))
        outputs = await future
        self._journal.predicted(visit, task, outputs, submitted, time.perf_counter())
        if sum(array.nbytes for array in outputs.values()) < LARGE:
            return task.write(outputs)
        return await _in_thread(self._threads, task.write, outputs)

    def _through_flask(self, request: Request) -> Answer:
        return through_wsgi(self._application(), request)

    def _admit(self, exchange: Exchange, announced: str | None) -> None:
        """Count the length that the client announces against the limits; raises Refused."""
        if announced is None:
            return
        if not (announced.isascii() and announced.isdigit()):
            raise BadRequest("is not a number of bytes", "content-length")
        length = int(announced)
        if length > self._limits.body:
            raise TooLarge(f"the body has {length} bytes, at most {self._limits.body} are taken")
        self._take(exchange, length)

    def _take(self, exchange: Exchange, size: int) -> None:
        if self._held + size > self._limits.bodies:
            raise Busy("other requests fill the memory that is set aside for bodies")
        exchange.held += size
        self._held += size

    def _release(self, exchange: Exchange) -> None:
        self._held -= exchange.held
        exchange.held = 0


async def _in_thread(threads: ThreadPoolExecutor, function: Callable[..., Result], *arguments: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, function, *arguments)


def _settle(future: asyncio.Future[Outputs], result: Outputs | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
