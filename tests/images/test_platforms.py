"""Platforms are written as people write them, and matched as containerd matches them."""

from __future__ import annotations

import pytest

from flaggerpy.images.platforms import Platform, of_descriptor, platform


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("linux/amd64", "linux/amd64"),
        ("arm64", "linux/arm64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_a_platform_is_read_in_the_words_of_docker_and_of_uname(text: str, read: str) -> None:
    assert str(platform(text)) == read


@pytest.mark.parametrize("text", ["", "linux/", "/amd64", "a/b/c/d", "linux amd64", "linux/amd64,linux/arm64"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="linux/arm64"):
        platform(text)


@pytest.mark.parametrize(
    ("node", "image", "runs"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/386", True),
        ("linux/386", "linux/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64", "linux/arm/v7", True),
        ("linux/arm64", "linux/amd64", False),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/amd64", "windows/amd64", False),
    ],
)
def test_a_node_takes_what_containerd_would_take(node: str, image: str, runs: bool) -> None:
    assert platform(node).runs(platform(image)) is runs


def test_an_entry_of_an_index_may_name_no_platform() -> None:
    assert of_descriptor({"os": "linux", "architecture": "arm", "variant": "v7"}) == Platform("linux", "arm", "v7")
    assert of_descriptor({}) is None
    assert of_descriptor(None) is None
    assert of_descriptor("linux/arm64") is None, "found by `make fuzz`"
    assert of_descriptor({"os": "linux", "architecture": None}) is None
