"""A headless Chromium, driven through a pipe with the Chrome DevTools Protocol.

https://chromedevtools.github.io/devtools-protocol/: JSON messages go in at file descriptor
3 and come out at 4, each ended by a zero byte.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PATIENCE = 60_000  # milliseconds
KEYS = {"Tab": 9}  # key codes of Windows, which Chromium acts on


@dataclass(slots=True)
class Tab:
    """One page of the browser, and what it complained of."""

    requests: IO[bytes]
    answers: IO[bytes]
    session: str = ""
    number: int = 0
    complaints: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> Any:
        """One command's result; what the page logs and throws in the meantime joins `complaints`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.requests.write(json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self.number:
            self._listen(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        message = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser ended"
            message += byte
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _listen(self, event: dict[str, Any]) -> None:
        if event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(event["params"]))

    def open(self, url: str) -> None:
        """Load the page with its scripts."""
        self.call("Page.navigate", url=url)
        self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression, awaited where it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, timeout=PATIENCE
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        for _ in range(PATIENCE // 20):
            if self.evaluate(condition):
                return
            self.evaluate("new Promise(done => setTimeout(done, 20))")
        raise AssertionError(f"never true: {condition}")

    def text(self, selector: str) -> str:
        """What a reader sees of an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Press and release the mouse at the middle of an element."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"{element}.getBoundingClientRect().toJSON()")
        middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **middle, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press and release a key, named as in the UI Events specification."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def type(self, text: str) -> None:
        """Type into the element that has the focus."""
        self.call("Input.insertText", text=text)


@contextmanager
def browsing(chromium: str, folder: Path) -> Iterator[Tab]:
    """Start the program with an empty profile in `folder`, and end it."""
    (read_here, write_there), (read_there, write_here) = os.pipe(), os.pipe()
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    )
    start = f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}'
    profile = f"--user-data-dir={folder / 'profile'}"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", start, chromium, *options, "--remote-debugging-pipe", profile, "about:blank"],
            pass_fds=(read_there, write_there),
            stdout=log,
            stderr=log,
        )
    os.close(read_there)
    os.close(write_there)
    with os.fdopen(write_here, "wb", buffering=0) as requests, os.fdopen(read_here, "rb") as answers:
        tab = Tab(requests, answers)
        try:
            yield _attached(tab)
            tab.session = ""
            tab.call("Browser.close")
        finally:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _attached(tab: Tab) -> Tab:
    """The tab with its first page's session, and its complaints on."""
    pages = [each for each in tab.call("Target.getTargets")["targetInfos"] if each["type"] == "page"]
    attached = tab.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
    tab.session = attached["sessionId"]
    for domain in ("Page", "Runtime", "Log"):
        tab.call(f"{domain}.enable")
    return tab
