"""Which proxy the environment gives for which URL."""

from __future__ import annotations

import pytest

from flaggerpy.egress.proxies import Proxies


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_without_an_environment_there_is_none() -> None:
    assert Proxies().of("http://hooks.example/") is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://hooks.example/", "http://plain:3128"),
        ("https://hooks.example/", "http://secure:3128"),
        ("https://loadtester.shop.svc/gate", None),
        ("http://user:pass@prometheus.local:9090/", None),
        ("http://10.1.2.3:9090", None),
        ("http://10.1.2.3.example:9090", "http://plain:3128"),
        ("http://11.1.2.3:9090", "http://plain:3128"),
        ("http://[fd12::1]:9090", None),
        ("http://localhost:8080/", None),
        ("http://127.0.0.9:8080/", None),
        ("http://[::1]/", None),
    ],
)
def test_the_proxy_of_a_url(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    monkeypatch.setenv("HTTP_PROXY", "plain:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:3128")
    monkeypatch.setenv("NO_PROXY", ".svc,prometheus.local,10.0.0.0/8,fd12::/16,not/a/network")
    assert Proxies().of(url) == proxy


def test_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:3128")
    assert Proxies().of("https://hooks.example/") == "http://all:3128"
