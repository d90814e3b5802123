"""Answers of servers at random, from good ones: bits turned, cut, repeated, nested, of other types; and what is read from them.

Whatever a server says is a reading, a yes or no, or a `Found`; nothing else may come of it, and no text without an end.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

from flaggerpy.alerts.payloads import Destination
from flaggerpy.alerts.sending import delivery
from flaggerpy.hooks.calling import answer as hook_answer
from flaggerpy.http import HttpError, HttpRequest, HttpResponse, TimedOut, Unreachable
from flaggerpy.images.conversation import conversation
from flaggerpy.images.credentials import BadSecret, Credential, of_secret
from flaggerpy.images.judging import Nodes, judge, wanted
from flaggerpy.images.platforms import Platform
from flaggerpy.images.reference import parse
from flaggerpy.metrics.prometheus import Prometheus

Obj = dict[str, Any]

PROMETHEUS = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1.5, "0.25"]}]}}
DIGEST = "sha256:" + "a" * 64
INDEX = {"schemaVersion": 2, "manifests": [{"digest": DIGEST, "platform": {"os": "linux", "architecture": "amd64"}}]}
MANIFEST = {"schemaVersion": 2, "config": {"digest": DIGEST}, "layers": []}
CONFIG = {"os": "linux", "architecture": "arm64", "variant": "v8"}
REFUSAL = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no"}]}
TOKEN = {"token": "abc", "expires_in": 60}
AUTHS = {"auths": {"registry.test": {"auth": "dTpw"}}}
STRANGE: tuple[Any, ...] = (
    None, True, -1, 1e400, 10**400, "", "x" * 5000, "\ud800", "\x1b[2J", [], {}, [[]], {"a": {}}, "NaN", "1e999", "-Inf", "0x10", "１",
    [None], 0.1,
)  # fmt: skip
STATUSES = (100, 200, 200, 200, 204, 301, 400, 401, 401, 403, 404, 404, 418, 429, 500, 503, 599, 999)
LONGEST_TEXT = 3000


def mutated(draw: random.Random, good: Any) -> bytes:
    """The bytes of a value that was good once."""
    for _ in range(draw.choice([0, 1, 1, 2, 4])):
        good = _replaced(draw, good)
    depth = draw.choice([0] * 9 + [3000])
    data = ("[" * depth + json.dumps(good) + "]" * depth).encode("utf-8", "surrogatepass")
    for _ in range(draw.choice([0, 0, 0, 1, 5])):
        if data:
            at = draw.randrange(len(data))
            data = draw.choice([data[:at], data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :], data + data[at:], data[at:]])
    return data


def _replaced(draw: random.Random, value: Any) -> Any:
    if draw.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return draw.choice(STRANGE)
    if isinstance(value, list):
        at = draw.randrange(len(value))
        return draw.choice([[*value[:at], _replaced(draw, value[at]), *value[at + 1 :]], value * draw.choice([0, 2, 200])])
    key = draw.choice(sorted(value, key=str))
    return {**value, key: _replaced(draw, value[key])}


def response(draw: random.Random, good: Any) -> HttpResponse:
    """A whole answer."""
    headers = {
        "Content-Type": draw.choice(["application/json", "text/html", ""]),
        "WWW-Authenticate": draw.choice([
            "", "Basic", 'Bearer realm="https://t.test/token",service="s",scope="a:b:pull"', 'Bearer realm="http://[::1"',
            'Bearer realm=""',
            "Bearer realm=" + "x" * 5000, 'Basic realm="' + "\\" * 999, ",,,=,", "Bearer " * 300, 'bearer realm="file:///etc/passwd"',
        ]),
        "Docker-Content-Digest": draw.choice(["", DIGEST, "sha256:../../x", "md5:" + "0" * 32, "x" * 9000]),
        "Retry-After": draw.choice(["", "5", "-1", "٣", "9" * 400, "soon"]),
        "RateLimit-Remaining": draw.choice(["", "0;w=1", "٣", "x"]),
    }  # fmt: skip
    return HttpResponse(draw.choice(STATUSES), headers, mutated(draw, good), truncated=draw.random() < 0.05)


def hook(draw: random.Random) -> None:
    """A webhook's answer."""
    said = hook_answer(HttpRequest("POST", "http://u:secret@gate.test/?k=v4lue"), response(draw, {"secret": "v4lue"}))
    assert len(said.text) <= LONGEST_TEXT
    assert "v4lue" not in said.text


def measurement(draw: random.Random) -> None:
    """A Prometheus's."""
    reading = Prometheus().parse(response(draw, PROMETHEUS))
    shown = HttpRequest("GET", "http://p.test/").quoted(reading.text, 1000)
    assert reading.kind in ("value", "no-data", "error", "unreachable")
    assert len(shown) <= LONGEST_TEXT
    Prometheus().online(response(draw, PROMETHEUS))


def chat(draw: random.Random) -> None:
    """A chat's."""
    delivery(Destination("slack", "http://s.test/"), response(draw, {"ok": False, "error": "x"}))


def registry(draw: random.Random) -> None:
    """A whole conversation with a registry, every answer at random."""
    talk = conversation(parse("registry.test/team/app:1"), (Credential("u", "p4ssword"),) if draw.random() < 0.7 else ())
    try:
        request = next(talk)
        for _ in range(50):
            outcome: HttpResponse | HttpError = response(draw, draw.choice([INDEX, MANIFEST, CONFIG, REFUSAL, TOKEN]))
            if draw.random() < 0.1:
                outcome = draw.choice([TimedOut("r: late"), Unreachable("r: TLS: no", cause="TLS")])
            _ = (request.place, request.secrets)
            request = talk.send(outcome)
    except StopIteration as end:
        found = end.value
        told = judge(wanted("registry.test/team/app:1", "Always"), found, Nodes((Platform("linux", "amd64"),)))
        assert len(told.detail) <= LONGEST_TEXT
        assert "p4ssword" not in told.detail
        return
    raise AssertionError("a conversation without an end")


def pull_secret(draw: random.Random) -> None:
    """A pull secret, which a tenant writes as well."""
    with contextlib.suppress(BadSecret):
        of_secret({".dockerconfigjson": mutated(draw, AUTHS).decode("utf-8", "replace")})


KINDS: dict[str, Callable[[random.Random], None]] = {
    "hook": hook, "measurement": measurement, "registry": registry, "chat": chat, "pull secret": pull_secret,
}  # fmt: skip
