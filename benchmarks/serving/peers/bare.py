"""The front door alone: reads a body and answers at once. Whatever tail it has is the machine's own."""

from __future__ import annotations

from typing import Any

ANSWER = b'{"predictions":[[0.0]]}'


async def application(_scope: Any, protocol: Any) -> None:
    await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], ANSWER)
