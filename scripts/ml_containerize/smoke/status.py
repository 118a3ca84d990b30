"""How processes ended, in words."""

from __future__ import annotations

import signal

_SIGNALS = {item.value: item.name for item in signal.Signals}


def describe_status(status: int) -> str:
    """An exit status; a signal is negative, or, as shells and engines report it, 128 and its number.

    >>> describe_status(1), describe_status(137), describe_status(-15)
    ('exited with status 1', 'was killed by SIGKILL', 'was killed by SIGTERM')
    """
    number = -status if status < 0 else status - 128
    return f"was killed by {_SIGNALS[number]}" if number in _SIGNALS else f"exited with status {status}"
