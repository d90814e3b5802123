"""Under which names the page answers: those that no other site can let lead to it."""

from __future__ import annotations

import pytest

from flaggerpy.dashboard.hosts import may_open, name_of


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost", "localhost:8080", "LOCALHOST:8080", "app.localhost", "127.0.0.1:8080", "10.1.2.3", "[::1]:8080", "[fd00::1]",
        "flagger", "flagger:8080", "flagger.flagger-system.svc", "flagger.flagger-system.svc.cluster.local:8080",
        "releases.example.com:443", "Releases.Example.com", "releases.example.com.",
    ],
)  # fmt: skip
def test_the_clusters_own_names_and_those_that_are_listed_are_well(host: str) -> None:
    assert may_open(host, {"releases.example.com"})


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "releases.example.com.evil.example", "localhost.evil.example", "127.0.0.1.nip.io",
        "svc.evil.example", "1.2.3.4.5", "flagger.dev", "xsvc.com:80", "evil.example.",
    ],
)  # fmt: skip
def test_names_that_somebody_else_may_own_are_not(host: str) -> None:
    assert not may_open(host, {"releases.example.com"})


@pytest.mark.parametrize(("host", "name"), [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("::1", "::1"), ("[::1", "::1"), (" x ", "x")])
def test_a_name_is_read_without_its_port(host: str, name: str) -> None:
    assert name_of(host) == name
