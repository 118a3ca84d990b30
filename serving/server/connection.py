"""One connection of a client: HTTP/1.1 requests one after the other (RFC 9112), read by llhttp as in Node.js.

Bytes become requests, requests go to the front, and its answers go back in their order. A client that is
refused before its request is whole hears why: the server stops listening, and hangs up only after the client
did or some seconds passed, since bytes that nobody reads would reset the connection and the answer with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from serving.answers import refusal
from serving.errors import BadRequest, Busy, HeadTooLarge, Refused, TooSlow
from serving.front import Exchange, Front
from serving.http import Answer, Head
from serving.server.wire import CONTINUE, as_bytes

HEAD_BYTES = 64 * 2**10  # nginx and Node.js stop at 16 to 32 KiB, and proxies add to what they are sent
HEAD_SECONDS = 10.0
IDLE_SECONDS = 620.0  # more than the 600 of Google Cloud's load balancers, which reuse what they keep open
LINGER_SECONDS = 2.0
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Whole:
    """A request whose body is here, or which is answered without; after a `last` one nothing is read."""

    exchange: Exchange
    body: bytes
    last: bool


class Keeper(Protocol):
    """What a connection asks of the worker that keeps it."""

    front: Front
    loop: asyncio.AbstractEventLoop
    body_seconds: float
    draining: bool

    def opened(self, connection: Connection) -> bool:
        """False where there are too many."""

    def closed(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """`due` is when the client will have taken too long for what it is at, by the event loop's clock."""

    def __init__(self, keeper: Keeper) -> None:
        self.due = keeper.loop.time() + HEAD_SECONDS
        self._keeper = keeper
        self._front = keeper.front
        self._loop = keeper.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._in_head = False
        self._exchange: Exchange | None = None  # whose body is being read
        self._chunks: list[bytes] = []
        self._whole: deque[Whole] = deque()  # pipelined requests that wait for those before them
        self._working: Whole | None = None
        self._task: asyncio.Task[None] | None = None  # an event loop holds tasks weakly
        self._full = False  # the client does not read what it is sent
        self._unsent = 0  # bytes, when that was last looked at
        self._deaf = False  # nothing that comes counts any more
        self._ended = False  # nothing will come any more

    # Called by the event loop.

    def connection_made(self, stream: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", stream)
        self._transport = transport
        address = transport.get_extra_info("peername")
        self._client = f"{address[0]}:{address[1]}" if address else ""
        if not self._keeper.opened(self):
            self._turn_away(Busy("too many connections"))

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._turn_away(BadRequest(f"the request is not HTTP/1.1: {_reason(error)}"))
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._turn_away(HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes"))

    def eof_received(self) -> bool:
        """A client that has sent all may still wait for its answers."""
        self._deaf = self._ended = True
        return self._working is not None or bool(self._whole)

    def connection_lost(self, _: Exception | None) -> None:
        self._keeper.closed(self)
        self._transport = None
        if self._exchange is not None:
            self._front.abandon(self._exchange)
            self._exchange = None
        while self._whole:
            self._front.abandon(self._whole.popleft().exchange)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._working is None:
            self._go_on()

    # Called by the worker.

    def overdue(self) -> None:
        """The client took too long."""
        if self._transport is None:
            return
        if self._exchange is not None:
            seconds = self._keeper.body_seconds
            self._refuse(self._exchange, TooSlow(f"the body was not here after {seconds:g} seconds"))
        elif self._in_head:
            self._turn_away(TooSlow(f"the headers were not here after {HEAD_SECONDS:g} seconds"))
        elif self._working is None and not self._sends(self._transport):
            self._transport.abort()

    def _sends(self, transport: asyncio.Transport) -> bool:
        """Whether the client took some of its answer since this was last asked; then it has as long again."""
        before, self._unsent = self._unsent, transport.get_write_buffer_size()
        sends = 0 < self._unsent < before
        if sends:
            self.due = self._loop.time() + self._keeper.body_seconds
        return sends

    def drain(self) -> None:
        """The server stops: a connection without a request closes, others after their answers."""
        if self._transport is not None and self._is_idle():
            self._transport.close()

    # Called by the parser, in this order.

    def on_message_begin(self) -> None:
        if self._deaf:
            return
        self._url, self._headers, self._chunks = b"", {}, []
        self._head_bytes, self._in_head = 0, True
        if self._working is None:
            self.due = self._loop.time() + HEAD_SECONDS

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, which nothing here asks for (RFC 9110, section 6.5.1)
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._deaf or self._parser.should_upgrade():
            return
        path, query = _target(self._url)
        method = self._parser.get_method().decode("latin-1")
        exchange = self._front.enter(Head(method, path, query, self._headers, self._client))
        self._exchange = exchange
        if exchange.refused:
            self._answer_early(exchange)
            return
        self.due = self._loop.time() + self._keeper.body_seconds
        if "expect" in self._headers:
            self._encourage()

    def on_body(self, part: bytes) -> None:
        exchange = self._exchange
        if exchange is None or exchange.answer is not None:
            return
        if "content-length" not in self._headers:
            try:
                self._front.hold(exchange, len(part))
            except Refused as error:
                self._refuse(exchange, error)
                return
        self._chunks.append(part)

    def on_message_complete(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._take(Whole(exchange, body, last=not self._may_stay()))

    def _encourage(self) -> None:
        """Tell a client that asks first to go on, unless answers are still due that come before this one."""
        expected = self._headers["expect"].lower() == "100-continue"
        if expected and self._working is None and not self._whole and self._transport is not None:
            self._transport.write(CONTINUE)

    def _stay(self, rest: bytes) -> None:
        """There is no other protocol to change to, so read the request as if it had not asked for one.

        The parser stops after the head of such a request (RFC 9110, section 7.8).
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._turn_away(BadRequest("this server is no proxy"))
            return
        lines = [f"{name}: {value}\r\n" for name, value in self._headers.items() if name != "upgrade"]
        head = method + b" " + self._url + b" HTTP/1.1\r\n" + "".join(lines).encode("latin-1") + b"\r\n"
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    # Requests and their answers.

    def _take(self, whole: Whole) -> None:
        if whole.last:
            self._deaf = True
        if self._working is None and not self._full:
            self._start(whole)
            return
        self._whole.append(whole)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _start(self, whole: Whole) -> None:
        self._working = whole
        self.due = NEVER
        if whole.exchange.answer is not None:
            self._reply(whole, whole.exchange.answer)
        else:
            self._task = self._loop.create_task(self._work(whole))

    async def _work(self, whole: Whole) -> None:
        self._reply(whole, await self._front.work(whole.exchange, whole.body))

    def _reply(self, whole: Whole, answer: Answer) -> None:
        exchange = whole.exchange
        transport = self._transport
        close = whole.last or (not self._whole and (self._deaf or self._keeper.draining))
        if transport is not None:
            with_body = exchange.head.method != "HEAD"
            transport.write(as_bytes(answer, exchange.headers, close=close, body=with_body))
        self._front.leave(exchange, answer, len(whole.body))
        self._working = self._task = None
        if transport is None or transport.is_closing():
            return
        if self._full:
            self._unsent = transport.get_write_buffer_size()
            self.due = self._loop.time() + self._keeper.body_seconds
            self._deaf = self._deaf or close
        elif close:
            self._hang_up(transport)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """The next request, where it is here already; in a turn of its own, as others have theirs."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._whole:
            self._working = self._whole.popleft()
            if not self._whole:
                transport.resume_reading()
            self._loop.call_soon(self._start, self._working)
        elif self._deaf:
            self._hang_up(transport)
        else:
            self.due = self._loop.time() + self._patience()

    def _patience(self) -> float:
        """Seconds that the client has for what comes next."""
        if self._exchange is not None:
            return self._keeper.body_seconds
        return HEAD_SECONDS if self._in_head else IDLE_SECONDS

    def _refuse(self, exchange: Exchange, error: Exception) -> None:
        self._front.refuse(exchange, error)
        self._answer_early(exchange)

    def _answer_early(self, exchange: Exchange) -> None:
        """Answer without the rest of the request, and read no more."""
        self._exchange, self._chunks = None, []
        self._take(Whole(exchange, b"", last=True))

    def _turn_away(self, error: Refused) -> None:
        """What came is no request, so that no front needs to know."""
        if self._exchange is not None:
            self._front.abandon(self._exchange)
            self._exchange = None
        self._in_head, self._deaf = False, True
        if self._transport is not None and self._working is None and not self._whole:
            self._transport.write(as_bytes(refusal(error), close=True))
            self._hang_up(self._transport)

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """Send all that is written, then close, after the client where it can have more on its way."""
        self._deaf, self._in_head = True, False
        self.due = self._loop.time() + LINGER_SECONDS
        self._unsent = transport.get_write_buffer_size()
        if self._ended:
            transport.close()
        else:
            transport.write_eof()

    def _may_stay(self) -> bool:
        """Whether the client may send another request; HTTP/1.0 would need a header for that."""
        return self._parser.should_keep_alive() and self._parser.get_http_version() != "1.0"

    def _is_idle(self) -> bool:
        return self._working is None and self._exchange is None and not self._in_head and not self._full


def _target(url: bytes) -> tuple[str, str]:
    """Path and query as they were sent (RFC 9112, section 3.2)."""
    if url == b"*":
        return "*", ""
    parsed = httptools.parse_url(url)
    return (parsed.path or b"/").decode("latin-1"), (parsed.query or b"").decode("latin-1")


def _reason(error: Exception) -> str:
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    return " ".join(str(cause or error).split())[:200]
