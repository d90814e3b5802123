"""Pull secrets open what the kubelet would open with them, in its order."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from flaggerpy.images.credentials import BadSecret, Credential, matching, of_config, of_secret
from flaggerpy.images.reference import parse


def auth(user: str, password: str = "p") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def users(config: dict[str, Any], image: str) -> list[str]:
    return [found.user for found in matching(of_config({"auths": config}), parse(image))]


def test_both_types_of_secrets_are_read_and_others_hold_nothing() -> None:
    table = {"r.example": {"username": "u", "password": "p", "email": "e"}}
    assert of_secret({".dockerconfigjson": json.dumps({"auths": table})}) == (("r.example", Credential("u", "p")),)
    assert of_secret({".dockercfg": json.dumps(table)}) == (("r.example", Credential("u", "p")),)
    assert of_secret({"password": "x"}) == ()


def test_a_password_may_hold_colons_and_lack_its_padding() -> None:
    encoded = base64.b64encode(b"u:a:b").decode().rstrip("=")
    assert of_config({"auths": {"r.example": {"auth": encoded}}}) == (("r.example", Credential("u", "a:b")),)


@pytest.mark.parametrize(
    "data",
    [
        {".dockerconfigjson": "no json"},
        {".dockerconfigjson": '{"auths": [1]}'},
        {".dockerconfigjson": '{"auths": {"r.example": {"auth": "%%%"}}}'},
        {".dockerconfigjson": '{"auths": {"r.example": {"auth": "bm9jb2xvbg=="}}}'},
        {".dockercfg": "[]x"},
    ],
)
def test_a_secret_that_cannot_be_read_is_named_without_its_content(data: dict[str, str]) -> None:
    with pytest.raises(BadSecret) as raised:
        of_secret(data)
    assert "nocolon" not in str(raised.value)


def test_neither_the_repr_of_a_credential_nor_its_text_shows_the_password() -> None:
    assert "geheim" not in repr(Credential("u", "geheim"))


@pytest.mark.parametrize(
    ("key", "image", "opens"),
    [
        ("r.example", "r.example/app", True),
        ("https://r.example", "r.example/app", True),
        ("http://r.example/v2/", "r.example/app", True),
        ("r.example", "r.example:5000/app", False),
        ("r.example:5000", "r.example:5000/app", True),
        ("r.example:5000", "r.example/app", False),
        ("r.example/team", "r.example/team/app", True),
        ("r.example/team", "r.example/teammates/app", True),  # a prefix of the text, as the kubelet has it
        ("r.example/team", "r.example/other/app", False),
        ("r.example/v1/team", "r.example/team/app", True),
        ("*.example", "r.example/app", True),
        ("*.example", "a.r.example/app", False),
        ("*.*.example", "a.r.example/app", True),
        ("re*.example", "registry.example/app", True),
        ("r?.example", "r1.example/app", False),
        ("example", "r.example/app", False),
        ("docker.io", "nginx", True),
        ("https://index.docker.io/v1/", "nginx", True),
        ("https://index.docker.io/v1/", "docker.io/org/app", True),
        ("https://index.docker.io/v1/", "r.example/app", False),
        ("registry-1.docker.io", "nginx", False),
    ],
)
def test_a_key_opens_what_it_opens_for_the_kubelet(key: str, image: str, opens: bool) -> None:
    assert users({key: auth("u")}, image) == (["u"] if opens else [])


def test_all_that_match_are_tried_the_longest_key_first() -> None:
    config = {"r.example": auth("host"), "r.example/team": auth("team"), "*.example": auth("any"), "other.example": auth("no")}
    assert users(config, "r.example/team/app") == ["team", "host", "any"]


def test_equal_credentials_are_tried_once() -> None:
    assert users({"r.example": auth("u"), "https://r.example/v2/": auth("u")}, "r.example/app") == ["u"]
