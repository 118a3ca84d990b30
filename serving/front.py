"""The server's front: takes requests off the network and answers them, prediction routes without detour.

An event loop reads requests, so that a slow client holds no thread. Operations of the route table are
answered here: parse, queue for the model, write. All other paths go through the Flask application in a few
threads. Both do the same with a request: the functions are the table's.
"""

from __future__ import annotations

import asyncio
import logging
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
from serving.errors import BadRequest, Busy, Refused, TooLarge, Unauthorized
from serving.http import Answer, Request
from serving.journal import Journal, Visit
from serving.sending import SendingTime
from serving.state import State

log = logging.getLogger("serving")

LARGE = 128 * 2**10  # bytes; parsing more than this would hold up other requests, so a thread does it
THREADS = 4
UNSEEN = frozenset({"/metrics"})  # monitoring asks all the time: no journal has it, as with probes
Result = TypeVar("Result")

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take of the server."""

    body: int  # bytes of one request
    bodies: int  # bytes of all requests under way
    body_seconds: float  # until a body is here


class Front:
    """An RSGI application (Granian's specification, docs/spec/RSGI.md)."""

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
        on_start: Callable[[asyncio.AbstractEventLoop], None],
        on_stop: Callable[[], None],
    ) -> None:
        """`application` makes the WSGI application when it is first needed; `on_start` is called with the
        worker's event loop, `on_stop` after its last answer.
        """
        self._state = state
        self._routes = routes
        self._application = application
        self._limits = limits
        self._journal = journal
        self._keys = keys
        self._probes = probes
        self._on_start = on_start
        self._on_stop = on_stop
        self._threads = ThreadPoolExecutor(THREADS, "front")
        self._held = 0  # bytes of bodies under way
        self._sending = SendingTime(limits.body_seconds)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sending.watch(loop)
        self._on_start(loop)

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        self._on_stop()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        probe = self._probes.get(scope.path)
        if probe is not None and scope.method in ("GET", "HEAD"):
            _send(protocol, probe(), ())
            return
        if scope.path in UNSEEN:
            request = Request(scope.method, scope.path, scope.headers, query=scope.query_string)
            _send(protocol, await self._in_thread(self._through_flask, request), ())
            return
        started = time.perf_counter()
        route = self._routes.get((scope.method, scope.path))
        visit = self._journal.enter(scope, route)
        body, size = b"", 0
        try:
            size = self._admit(scope)
            body = await self._body(scope, protocol, size)
            answer = await self._answer(scope, route, body, visit)
        except _HungUp:
            self._journal.abandon(visit, time.perf_counter() - started)
            return
        except Exception as error:
            answer = answer_error(error, visit.trace.request_id)
        finally:
            self._held -= size
        _send(protocol, answer, visit.headers)
        self._journal.leave(visit, answer, size or len(body), time.perf_counter() - started)

    async def _answer(self, scope: Any, route: Route | None, body: bytes, visit: Visit) -> Answer:
        request = Request(scope.method, scope.path, scope.headers, body, scope.query_string)
        if route is None:
            return await self._in_thread(self._through_flask, request)
        if self._keys is not None and not self._keys.allows(scope.headers):
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
            task = await self._in_thread(read, ready.served, request)
        future: asyncio.Future[Outputs] = self._loop.create_future()
        submitted = time.perf_counter()
        ready.batcher.submit(task, partial(_settle, future))
        outputs = await future
        self._journal.predicted(visit, task, outputs, submitted, time.perf_counter())
        if sum(array.nbytes for array in outputs.values()) < LARGE:
            return task.write(outputs)
        return await self._in_thread(task.write, outputs)

    def _through_flask(self, request: Request) -> Answer:
        return through_wsgi(self._application(), request)

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await self._loop.run_in_executor(self._threads, function, *arguments)

    def _admit(self, scope: Any) -> int:
        """The length that the client announces, counted against the limits; raises Refused."""
        written = scope.headers.get("content-length")
        if written is None:
            return 0
        if not (written.isascii() and written.isdigit()):
            raise BadRequest("is not a number of bytes", "content-length")
        length = int(written)
        if length > self._limits.body:
            raise TooLarge(f"the body has {length} bytes, at most {self._limits.body} are taken")
        if self._held + length > self._limits.bodies:
            raise Busy("other requests fill the memory that is set aside for bodies")
        self._held += length
        return length

    async def _body(self, scope: Any, protocol: Any, announced: int) -> bytes:
        if not announced and scope.method in _BODILESS:
            return b""
        with self._sending:
            try:
                if announced:
                    whole: bytes = await protocol()
                    return whole
                return await self._chunks(protocol)
            except (Refused, asyncio.CancelledError):
                raise
            except Exception as error:  # the client closed the connection in the middle of its request
                raise _HungUp from error

    async def _chunks(self, protocol: Any) -> bytes:
        """A body of unannounced length (RFC 9112, section 7.1)."""
        body = bytearray()
        async for chunk in protocol:
            body += chunk
            if len(body) > self._limits.body:
                raise TooLarge(f"the body has more than {self._limits.body} bytes")
        return bytes(body)


class _HungUp(Exception):
    """The client is gone; nobody waits for an answer."""


def _settle(future: asyncio.Future[Outputs], result: Outputs | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _send(protocol: Any, answer: Answer, more: tuple[tuple[str, str], ...]) -> None:
    headers = [("content-type", answer.content_type), *answer.headers, *more]
    try:
        protocol.response_bytes(answer.status, headers, answer.body)
    except Exception as error:  # the client went away meanwhile
        log.debug("an answer found nobody: %s", error)
