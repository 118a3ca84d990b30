"""Protocol Buffers' wire format, read without a schema: https://protobuf.dev/programming-guides/encoding/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_LONGEST_VARINT = 10  # bytes


class NotProtobuf(ValueError):
    """The bytes are no message, or the message was cut off."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, or any other field of bytes: the part of a stream from `start` to `end`."""

    stream: BinaryIO
    start: int
    end: int

    @classmethod
    def whole(cls, stream: BinaryIO) -> Message:
        """The stream's whole content."""
        return cls(stream, 0, stream.seek(0, 2))

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """Each field's number and value; fixed-width numbers are given as 0. Raises NotProtobuf."""
        position = self.start
        while position < self.end:
            self.stream.seek(position)
            key = self._varint()
            value, position = self._value(key & 7)
            if position > self.end or not key >> 3:
                raise NotProtobuf("it was cut off" if key >> 3 else "a field has the number 0")
            yield key >> 3, value

    def messages(self, number: int) -> Iterator[Message]:
        """The fields of bytes that have this number."""
        for found, value in self.fields():
            if found == number and isinstance(value, Message):
                yield value

    def text(self, number: int) -> str:
        """The text in the field of this number, "" where there is none."""
        return next((one.read().decode("utf-8", "replace") for one in self.messages(number)), "")

    def read(self) -> bytes:
        self.stream.seek(self.start)
        return self.stream.read(self.end - self.start)

    def _value(self, wire_type: int) -> tuple[int | Message, int]:
        """The value of a field that begins here, and where the next field begins."""
        match wire_type:
            case 0:
                return self._varint(), self.stream.tell()
            case 1:
                return 0, self.stream.tell() + 8
            case 2:
                size = self._varint()
                start = self.stream.tell()
                return Message(self.stream, start, start + size), start + size
            case 5:
                return 0, self.stream.tell() + 4
        raise NotProtobuf(f"no field has the wire type {wire_type}")

    def _varint(self) -> int:
        value = 0
        for place in range(_LONGEST_VARINT):
            byte = self.stream.read(1)
            if not byte:
                raise NotProtobuf("it was cut off")
            value |= (byte[0] & 0x7F) << 7 * place
            if byte[0] < 0x80:
                return value
        raise NotProtobuf("a number is longer than 10 bytes")
