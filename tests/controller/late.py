"""Late writes: what the controller has written is written again when all is over, as by a leader that is none any more.

The successor has done meanwhile what there was to do, so that each of these writes must be refused, or change nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

from flaggerpy.cluster.client import APPLY_PATCH, JSON_PATCH, MANAGER
from tests.cluster.fake_apiserver import FakeApiServer, Request

WITHOUT_STATE = frozenset({"events", "leases"})
"""Events tell, and nobody decides by them; the Lease is its own precondition (tests/cluster/test_lease.py)."""


def kind_of_write(request: Request) -> str:
    """As `apply deployments`, `patch canaries/status` or `delete configmaps`."""
    words = {APPLY_PATCH: "apply", JSON_PATCH: "json patch"}
    return f"{words.get(request.content_type, request.verb)} {request.resource}"


def writes(server: FakeApiServer) -> list[Request]:
    """Those of the controller that hold state, in order."""
    return [
        request
        for request in server.writes
        if request.resource not in WITHOUT_STATE
        and not request.query.get("dryRun")
        and (request.verb == "delete" or request.query.get("fieldManager") == MANAGER)
    ]


def creates_what_is_gone(server: FakeApiServer, request: Request) -> bool:
    """It only makes what is not there: nothing is changed by it, and what nobody needs or owns goes again."""
    creating = request.verb == "create" or request.content_type == APPLY_PATCH
    assert request.kind
    name = request.name or request.body["metadata"]["name"]
    return creating and server.get(request.kind, request.ns, name) is None


def changed_by_late_writes(server: FakeApiServer, requests: Iterable[Request]) -> list[str]:
    """The kinds of those that change something when they arrive now."""
    late = (request for request in requests if not creates_what_is_gone(server, request))
    return [kind_of_write(request) for request in late if server.carry_out_again(request)]


def without_precondition(request: Request) -> Request:
    """The same write as it would be if it did not say what it had looked at."""
    body = copy.deepcopy(request.body)
    if isinstance(body, list):
        body = [step for step in body if step["op"] != "test"]
    elif isinstance(body, dict):
        body.pop("preconditions", None)
        for field in ("resourceVersion", "uid"):
            (body.get("metadata") or {}).pop(field, None)
    return replace(request, body=body)


def nothing_changes(server: FakeApiServer) -> None:
    """Asked of the server of every test of the controller, at its end."""
    changed = changed_by_late_writes(server, writes(server))
    assert not changed, f"these writes, arriving late, change what the successor has made of it: {changed}"
