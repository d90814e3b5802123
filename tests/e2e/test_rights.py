"""The audit log is read as it is written, and compared with what is granted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.core import rights

USER = "system:serviceaccount:flagger-system:flaggerpy"
PODS = ("list", "", "pods")


def line(verb: str, resource: str, *, group: str = "", user: str = USER, allowed: bool = True, code: int = 200, **more: Any) -> str:
    name, _, below = resource.partition("/")
    entry = {
        "auditID": more.pop("id", f"{verb} {resource} {code} {more}"),
        "verb": verb,
        "user": {"username": user},
        "objectRef": {"resource": name, "apiGroup": group, **({"subresource": below} if below else {}), **more.pop("about", {})},
        "responseStatus": {"code": code},
        "annotations": {"authorization.k8s.io/decision": "allow" if allowed else "forbid"},
        **more,
    }
    return json.dumps({key: value for key, value in entry.items() if value is not None})


def test_requests_are_rights_each_told_once_and_only_this_users() -> None:
    lines = [
        line("list", "pods", id="1"), line("list", "pods", id="1"), line("list", "pods", user="system:admin", id="2"),
        line("patch", "canaries/status", group="flagger.app"), line("list", "pods", id="3")[:-9], line("get", "pods", allowed=False),
    ]  # fmt: skip
    log = rights.read(lines, USER)
    assert dict(log.used) == {PODS: 1, ("patch", "flagger.app", "canaries/status"): 1}
    assert dict(log.denied) == {("get", "", "pods"): 1}


def test_an_apply_that_creates_uses_create_too() -> None:
    assert ("create", "", "services") in rights.read([line("patch", "services", code=201)], USER).used
    assert ("create", "", "services") not in rights.read([line("patch", "services")], USER).used


def test_secrets_that_are_read_are_noted_by_name_and_lists_by_what_came() -> None:
    log = rights.read(
        [
            line("get", "secrets", about={"namespace": "shop", "name": "token"}),
            line("list", "secrets", responseObject={"kind": "SecretList"}),
        ],
        USER,
    )
    assert dict(log.secrets) == {("shop", "token"): 1}
    assert dict(log.listed) == {"SecretList": 1}


def test_a_right_in_vain_is_named_unless_it_is_excepted_and_an_exception_that_is_not_needed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    other, gone = ("patch", "traefik.io", "traefikservices"), ("delete", "", "nodes")
    rare = ("update", "flagger.app", "canaries/finalizers")
    monkeypatch.setattr(rights, "ELSEWHERE", {other: "there", gone: "gone"})
    monkeypatch.setattr(rights, "RARE", {rare: "rare"})
    log = rights.Log()
    log.used.update(rights.granted() - {PODS, other, rare})
    assert rights.unused(log) == {PODS}
    assert rights.excepted_in_vain(log) == {gone}
    log.used.update([other, rare])
    assert rights.excepted_in_vain(log) == {gone, other}


def test_every_exception_is_a_right_that_is_granted_and_says_why() -> None:
    assert {*rights.ELSEWHERE, *rights.RARE} <= rights.granted()
    assert all([*rights.ELSEWHERE.values(), *rights.RARE.values()])
    assert not set(rights.ELSEWHERE) & set(rights.RARE)
