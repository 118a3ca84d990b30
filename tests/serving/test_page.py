"""The page shows what the model is, keeps its secrets and its style to itself, and predicts on a click."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.programs import program

from serving.page import CONTENT_SECURITY_POLICY, page
from serving.served import Served
from serving.signature import Signature, TensorSpec
from tests.serving.browser import Tab, browsing
from tests.serving.conftest import PAIRS_DOUBLED, Doubler
from tests.serving.process import starting

ROOT = Path(__file__).parents[2]
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
TWO_SIGNATURES = {
    "serving_default": PAIRS_DOUBLED,
    "embed": Signature(
        (TensorSpec("text", "string", (None,)), TensorSpec("sizes", "int64", (None, None))),
        (TensorSpec("vector", "float32", (None, 8)),),
    ),
}


def html(served: Served, *, secured: bool = False) -> str:
    return page(served, secured=secured).decode()


def served(name: str = "pairs", **about: str) -> Served:
    return Served(name, "3", Doubler(), 8, about)


class Reader(HTMLParser):
    """Every element with its attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_tells_what_the_model_is() -> None:
    text = html(served(format="onnx", model_hash="sha256:abc", git_sha="def"))
    for told in (
        "pairs",
        "version 3",
        "onnx",
        "sha256:abc",
        "def",
        "cpu",
        "numbers",
        "float32",
        "rows \N{MULTIPLICATION SIGN} 2",
    ):
        assert told in text


def test_the_example_is_a_request_for_the_smallest_row() -> None:
    assert "{&#34;instances&#34;: [\n  [0.0, 0.0]\n]}</textarea>" in html(served())


def test_each_signature_has_an_example_that_names_it() -> None:
    page_of_two = Reader(html(Served("pairs", "3", Doubler(TWO_SIGNATURES), 8)))
    assert page_of_two.all("form")[0]["action"] == "v1/models/pairs:predict"
    examples = [option["data-example"] for option in page_of_two.all("option")]
    assert examples == [
        '{"signature_name": "serving_default", "instances": [\n  [0.0, 0.0]\n]}',
        '{"signature_name": "embed", "instances": [\n  {"text": "text", "sizes": [0]}\n]}',
    ]


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ served }}"]
)
def test_whatever_the_model_is_called_stays_text(text: str) -> None:
    signature = Signature((TensorSpec(text, "float32", (None, 2)),), (TensorSpec(text, "string", (None,)),))
    hostile = Served(text, text, Doubler({text: signature, "b": signature}, device=text), 8, {text: text})
    harmless = Served("x", "x", Doubler({"x": signature, "b": signature}), 8, {"x": "x"})
    read = Reader(html(hostile))
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in Reader(html(harmless)).elements]
    assert text in read.texts


def test_a_field_for_the_key_is_there_only_where_the_server_asks_for_one() -> None:
    assert 'type="password"' in html(served(), secured=True)
    assert 'type="password"' not in html(served())


def test_the_page_needs_nothing_from_elsewhere() -> None:
    read = Reader(html(served()))
    addresses = [each.get(name) or "" for _, each in read.elements for name in ("src", "href", "action")]
    assert not [address for address in addresses if re.match(r"\w+:|//", address) and address[:5] != "data:"]


@pytest.mark.parametrize("element", ["script", "style"])
def test_the_policy_allows_this_script_and_style_only(element: str) -> None:
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", html(served()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert f"{element}-src 'sha256-{digest}';" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")


def test_every_field_has_a_label() -> None:
    read = Reader(html(Served("pairs", "3", Doubler(TWO_SIGNATURES), 8), secured=True))
    fields = [each["id"] for tag in ("textarea", "input", "select") for each in read.all(tag)]
    assert fields == ["body", "key", "signature"]
    assert set(fields) == {each["for"] for each in read.all("label")}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the real server serves the digits."""
    with starting(tmp_path_factory.mktemp("server")) as start:
        server = start(ROOT / "examples" / "digits" / "model.keras", MODEL_NAME="digits", GIT_SHA="abc")
        server.wait_until_ready()
        yield f"http://127.0.0.1:{server.port}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(program("chromium"), tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab, address: str) -> Iterator[Tab]:
    """The page as a reader has just opened it; at the end it may have complained of nothing."""
    browser.open(address)
    yield browser
    assert not browser.complaints


def predict(tab: Tab) -> str:
    """Click the button; the line that tells how it went."""
    tab.click("button")
    tab.wait_for(
        "document.querySelector('#status').textContent && !document.querySelector('button').disabled"
    )
    return tab.text("#status")


@pytest.mark.e2e
def test_a_click_predicts_and_draws_a_bar_for_each_digit(tab: Tab) -> None:
    assert tab.text("h1") == "digits"
    assert re.fullmatch(r"200( OK)? · [\d.]+ ms", predict(tab))
    probabilities = json.loads(tab.text("#answer"))["predictions"][0]
    bars = tab.evaluate(
        "[...document.querySelectorAll('rect')].map((bar) => bar.getBoundingClientRect().width)"
    )
    assert len(bars) == len(probabilities) == 10
    assert bars.index(max(bars)) == probabilities.index(max(probabilities))
    assert tab.evaluate("document.querySelectorAll('rect.largest').length") == 1


@pytest.mark.e2e
def test_a_refusal_is_shown_with_its_field_and_without_bars(tab: Tab) -> None:
    tab.evaluate("document.querySelector('#body').value = ''")
    tab.click("#body")
    tab.type('{"instances": [["<b>"]]}')
    assert predict(tab).startswith("400")
    assert json.loads(tab.text("#answer"))["field"] == "instances[0]"
    assert tab.evaluate("document.querySelector('#chart').hidden")
    tab.complaints.clear()  # the browser logs every answer of 400


@pytest.mark.e2e
def test_a_server_that_cannot_be_reached_is_told_of(tab: Tab) -> None:
    tab.call("Network.enable")
    tab.call("Network.setBlockedURLs", urls=["*/predict"])
    assert predict(tab).startswith("No answer")
    tab.call("Network.disable")
    tab.complaints.clear()  # the browser logs what it could not reach


@pytest.mark.e2e
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_in_both_schemes(tab: Tab, scheme: str) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", **PHONE)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        predict(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        red, green, blue = map(
            int, re.findall(r"\d+", tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        )
        assert (min(red, green, blue) > 200) == (scheme == "light")
    finally:
        tab.call("Emulation.clearDeviceMetricsOverride")
        tab.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.e2e
def test_the_page_is_reached_and_used_with_the_keyboard_alone(tab: Tab) -> None:
    stops = []
    for _ in range(3):
        tab.press("Tab")
        stops.append(tab.evaluate("document.activeElement.tagName"))
    assert stops[:2] == ["TEXTAREA", "BUTTON"]
    assert stops[2] == "A"


@pytest.mark.e2e
def test_no_script_but_its_own_runs_in_the_page(tab: Tab) -> None:
    script = "Object.assign(document.createElement('script'), {textContent: 'window.intruder = 1'})"
    tab.evaluate(f"document.body.append({script})")
    assert tab.evaluate("window.intruder") is None
    assert any("Content Security Policy" in complaint for complaint in tab.complaints)
    tab.complaints.clear()
