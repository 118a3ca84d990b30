"""Byte-compile files; runs in the base image's own Python (3.8 or newer), with its standard library alone.

Standard input: triples of NUL-ended texts, the source's path, the bytecode's path, and the path that the
source has in the image. The first argument is the number of processes.

Every chunk of files is compiled in a process that is forked from the same state, and chunks are cut by the
list alone: so the bytes that `marshal` writes, which depend on what is referenced from elsewhere in the
interpreter, are the same whatever the number of processes.
"""

# ruff: noqa: PTH103, PTH120, PTH123 (pathlib would cost more than some files do)

from __future__ import annotations

import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER, source_hash

CHUNK = 64  # files
UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552: never compared with the source again


def main() -> int:
    fields = sys.stdin.buffer.read().split(b"\0")[:-1]
    jobs = list(zip(fields[0::3], fields[1::3], fields[2::3]))  # noqa: B905 (Python 3.8 and 3.9 have no strict=)
    failed = compile_all(jobs, int(sys.argv[1]))
    print(f"compiled in {failed} failing processes" if failed else "compiled")
    return 1 if failed else 0


def compile_all(jobs: list[tuple[bytes, bytes, bytes]], processes: int) -> int:
    """Compile every chunk in a process of its own; how many of these failed."""
    running = failed = 0
    for start in range(0, len(jobs), CHUNK):
        if running == processes:
            failed += _ended()
            running -= 1
        if os.fork() == 0:
            _compile_chunk(jobs[start : start + CHUNK])
        running += 1
    return failed + sum(_ended() for _ in range(running))


def _ended() -> int:
    return 1 if os.wait()[1] else 0


def _compile_chunk(jobs: list[tuple[bytes, bytes, bytes]]) -> None:
    status = 1
    try:
        for source, target, name in jobs:
            compile_file(source, target, os.fsdecode(name))
        status = 0
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def compile_file(source: bytes, target: bytes, name: str) -> None:
    """Write one file's bytecode; none for what does not compile: templates, code for another Python."""
    with open(source, "rb") as file:
        text = file.read()
    try:
        code = compile(text, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, OverflowError, RecursionError):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(MAGIC_NUMBER + UNCHECKED_HASH + source_hash(text) + marshal.dumps(code))


if __name__ == "__main__":
    sys.exit(main())
