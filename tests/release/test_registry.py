"""The client of registries, on a real socket: what is pushed comes back the same or not at all."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator

import pytest

from release import oci
from release.registry import Registry, RegistryError, is_loopback, split
from release.tree import file, tarred
from tests.release.memory_registry import Memory, memory_registry


@pytest.fixture
def memory() -> Iterator[Memory]:
    with memory_registry() as found:
        yield found


def image(text: str = "x") -> oci.Image:
    plain = tarred({"a": file(text)}, 0)
    return oci.image([oci.Layer(gzip.compress(plain, mtime=0), oci.digest(plain), 1, "")], "amd64", {}, "2026-01-01T00:00:00Z")


def test_an_image_comes_back_by_its_digest_and_has_no_tag(memory: Memory) -> None:
    registry = Registry(f"{memory.address}/one/flaggerpy")
    assert registry.push_image(image()) == f"{memory.address}/one/flaggerpy@{image().digest}"
    back = registry.pull_image(image().digest)
    assert (back.manifest, back.config, back.layers[0].content) == (image().manifest, image().config, image().layers[0].content)
    assert memory.tags == []
    registry.tag("1.2.3", back)
    assert memory.tags == ["one/flaggerpy:1.2.3"]
    assert registry.digest_of("1.2.3") == image().digest


def test_what_is_not_there_has_no_digest(memory: Memory) -> None:
    assert Registry(f"{memory.address}/x/y").digest_of("1.2.3") == ""


def test_a_layer_that_is_there_is_not_sent_again(memory: Memory) -> None:
    registry = Registry(f"{memory.address}/x/y")
    registry.push_image(image())
    memory.asked.clear()
    registry.push_image(image())
    assert not [what for what in memory.asked if what.startswith("POST")]


@pytest.mark.parametrize("part", ["manifests", "blobs"])
def test_a_registry_that_gives_something_else_is_found_out(memory: Memory, part: str) -> None:
    registry = Registry(f"{memory.address}/x/y")
    registry.push_image(image())
    memory.swap = f"GET /v2/x/y/{part}"
    with pytest.raises(RegistryError, match="gave something else than sha256:"):
        registry.pull_image(image().digest)


def test_a_refusal_is_a_sentence(memory: Memory) -> None:
    memory.refuse = "PUT"
    with pytest.raises(RegistryError, match=r"PUT .*/blobs/uploads/1 at 127\.0\.0\.1:\d+ was answered by 500 out of order"):
        Registry(f"{memory.address}/x/y").push_image(image())


def test_a_registry_that_is_not_there_is_a_sentence(memory: Memory) -> None:
    with pytest.raises(RegistryError, match="cannot be reached"):
        Registry("127.0.0.1:9/x/y").push_image(image())


def test_a_token_is_asked_for_with_the_credentials_of_the_environment(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.token, memory.password = "t0k3n", base64.b64encode(b"me:secret").decode()
    monkeypatch.setenv("REGISTRY_USER", "me")
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    Registry(f"{memory.address}/x/y").push_image(image())
    assert memory.asked.count("GET /token") == 1
    monkeypatch.setenv("REGISTRY_PASSWORD", "wrong")
    with pytest.raises(RegistryError, match="gives no token for"):
        Registry(f"{memory.address}/x/y").push_image(image())


def test_a_token_that_ran_out_is_asked_for_again(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """They live for minutes, and between the push and the tag an image is started."""
    memory.token, memory.password = "t0k3n", base64.b64encode(b"me:secret").decode()
    monkeypatch.setenv("REGISTRY_USER", "me")
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    registry = Registry(f"{memory.address}/x/y")
    registry.push_image(image())
    memory.token = "another"
    registry.tag("1.2.3", image())
    assert memory.tags == ["x/y:1.2.3"]


def test_a_chart_comes_back(memory: Memory) -> None:
    registry = Registry(f"{memory.address}/charts/flaggerpy")
    registry.push_chart("1.2.3", b"tgz", {"name": "flaggerpy", "version": "1.2.3"})
    assert registry.pull_chart("1.2.3") == b"tgz"


def test_a_repository_without_a_registry_is_refused() -> None:
    assert split("ghcr.io/flaggerpy/flaggerpy") == ("ghcr.io", "flaggerpy/flaggerpy")
    assert split("localhost/x") == ("localhost", "x")
    for name in ("flaggerpy/flaggerpy", "flaggerpy", "ghcr.io"):
        with pytest.raises(ValueError, match="names no registry"):
            split(name)


@pytest.mark.parametrize(("host", "plain"), [("127.0.0.1:5000", True), ("localhost", True), ("10.0.0.1:5000", False), ("ghcr.io", False)])
def test_only_loopback_is_spoken_to_without_tls(host: str, plain: bool) -> None:
    assert is_loopback(host) is plain
