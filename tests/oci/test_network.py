from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.oci.network import CertificatesUnreadable, proxy_for, trusted_certificates
from ml_containerize.oci.transport import InsecureAddress, Origin


def test_the_proxy_comes_from_the_environment_with_its_login_out_of_sight() -> None:
    proxy = proxy_for("ghcr.io", {"HTTPS_PROXY": "http://ada:p%40ss@proxy.example:3128"})
    assert proxy
    assert (proxy.host, proxy.port) == ("proxy.example", 3128)
    assert proxy.headers == {"Proxy-Authorization": "Basic YWRhOnBAc3M="}
    assert "YWRh" not in repr(proxy)


@pytest.mark.parametrize("exempt", ["ghcr.io", ".io", "a.example, GHCR.io", "*", "io"])
def test_no_proxy_exempts_a_host_and_what_lies_below_a_name(exempt: str) -> None:
    assert proxy_for("ghcr.io", {"https_proxy": "proxy:3128", "NO_PROXY": exempt}) is None


@pytest.mark.parametrize("exempt", ["hcr.io", "ghcr.io.example", ""])
def test_no_proxy_exempts_no_other_host(exempt: str) -> None:
    assert proxy_for("ghcr.io", {"https_proxy": "proxy:3128", "no_proxy": exempt})


def test_loopback_never_goes_through_a_proxy() -> None:
    assert proxy_for("localhost", {"https_proxy": "proxy:3128"}) is None


def test_certificates_that_cannot_be_read_name_the_variable(tmp_path: Path) -> None:
    environ = {"REQUESTS_CA_BUNDLE": str(tmp_path / "absent.pem")}
    with pytest.raises(CertificatesUnreadable, match=r"absent\.pem.*\n.*REQUESTS_CA_BUNDLE"):
        trusted_certificates(environ)


@pytest.mark.parametrize(
    "url", ["http://ghcr.io/v2/", "http://127.evil.example/", "ftp://localhost/", "//x/"]
)
def test_beyond_loopback_only_https_is_spoken(url: str) -> None:
    with pytest.raises(InsecureAddress):
        Origin.of(url)


@pytest.mark.parametrize(
    "url", ["http://localhost:5000/", "http://127.0.0.1/", "http://[::1]:5000/", "https://x/"]
)
def test_loopback_may_be_spoken_to_in_the_clear(url: str) -> None:
    assert Origin.of(url)


def test_an_origin_has_its_port_whether_written_or_not() -> None:
    assert Origin.of("https://ghcr.io/a") == Origin.of("https://GHCR.io:443/b")
    assert Origin.of("https://ghcr.io/a") != Origin.of("https://ghcr.io:444/a")
