"""An old leader that wakes up late changes nothing: every place that writes is known, and what it sends is refused when it is too late.

Beside this, every test of this folder writes all that its controllers wrote once more at its end (`conftest.late_writes_change_nothing`).
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from flaggerpy.cluster import kinds
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.late import changed_by_late_writes, kind_of_write, without_precondition, writes
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, controller, new_image, phase

ROOT = Path(__file__).parents[2] / "flaggerpy"
VERBS = frozenset({"apply", "create", "delete", "json_patch", "merge_patch", "replace", "request"})
VERSION = "refused where the object has another resourceVersion (or uid) than was looked at"
ONCE = "only makes what is not there, under a name that says what is in it"
TRIED = "a dry run"
READS = "only reads"
TELLS = "an event: nobody decides by it"
LEASE = "the Lease itself: a PUT of what was read, or a creation"
PLACES = {
    "cluster/events.py EventRecorder._ask request": TELLS,
    "cluster/lease.py LeaderElection._ask request": LEASE,
    "controller/applying.py Applier._claim json_patch": VERSION,
    "controller/applying.py Applier.apply apply": VERSION,
    "controller/applying.py Applier.reclaim json_patch": VERSION,
    "controller/checks.py crd_problems request": READS,
    "controller/copies.py Copies._release delete": VERSION,
    "controller/copies.py Copies._set_owners merge_patch": VERSION,
    "controller/copies.py Copies.ensure create": ONCE,
    "controller/drift.py Drift._stays apply": TRIED,
    "controller/executor.py Executor._clear_command json_patch": VERSION,
    "controller/executor.py Executor._patch json_patch": VERSION,
    "controller/executor.py Executor._set_finalizers merge_patch": VERSION,
    "controller/keeping.py Keeping._delete delete": VERSION,
    "controller/keeping.py Keeping._from_zero json_patch": VERSION,
    "controller/keeping.py Keeping.keep create": ONCE,
    "controller/leaving.py Leaving._let_go json_patch": VERSION,
    "controller/status.py write_status merge_patch": VERSION,
    "controller/worker.py Worker._let_go merge_patch": VERSION,
    "controller/worker.py Worker._tell_in_status merge_patch": VERSION,
}
"""Every place of the controller that can write to the API server, and why its write does no harm when it arrives late. Who adds one says
here which it is, and has it written by a test of this folder: that writes it once more at its end."""


def places(file: Path) -> set[str]:
    """As `controller/status.py write_status merge_patch`."""
    found: set[str] = set()

    def walk(node: ast.AST, inside: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                walk(child, (*inside, child.name))
                continue
            called = child.func if isinstance(child, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in VERBS and ast.unparse(called.value).endswith("client"):
                found.add(f"{file.relative_to(ROOT).as_posix()} {'.'.join(inside[:2])} {called.attr}")
            walk(child, inside)

    walk(ast.parse(file.read_text()), ())
    return found


def test_every_place_that_writes_is_known_and_says_why_it_may_come_late() -> None:
    rooms = [room for room in ROOT.iterdir() if room.is_dir() and room.name != "cli"]
    files = [file for room in rooms for file in room.rglob("*.py") if file != ROOT / "cluster" / "client.py"]
    assert set().union(*(places(file) for file in files)) == set(PLACES)


@pytest.mark.usefixtures("short_drains", "living")
async def test_each_write_of_a_release_changes_something_but_for_its_precondition(server: FakeApiServer) -> None:
    """What is looked at in every test would find a write that has none: taken off, each kind of write does harm."""
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": SHOP}}
    target = deployment()
    source = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}
    target["spec"]["template"]["spec"]["containers"][0]["env"] = [source]
    server.add({**config, "data": {"a": "1"}})
    server.add(target)
    server.add(canary(provider="smi:v1alpha1", revertOnDeletion=True))
    async with controller(server):
        await phase(server, "Initialized")
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"data": {"a": "2"}})
        new_image(server, "podinfo:2")
        await phase(server, "Progressing")
        server.patch(kinds.CANARY, SHOP, "podinfo", {"metadata": {"annotations": {"flagger.app/promote": "*"}}})
        await phase(server, "Succeeded")
        # what a failed run kept goes with the next that fails
        for image in ("podinfo:3", "podinfo:4"):
            new_image(server, image)
            await phase(server, "Progressing")
            server.patch(kinds.CANARY, SHOP, "podinfo", {"metadata": {"annotations": {"flagger.app/abort": "*"}}})
            await phase(server, "Failed")
        await eventually(lambda: any(kind_of_write(request) == "delete controllerrevisions" for request in server.writes), 20)
    sent = writes(server)
    # the world has moved on: the same command once more, another finalizer, port and split, and namesakes of what was deleted
    wish = {"annotations": {"flagger.app/promote": "*"}, "finalizers": ["somebody.else/here"]}
    server.patch(kinds.CANARY, SHOP, "podinfo", {"metadata": wish})
    server.patch(kinds.SERVICE, SHOP, "podinfo-primary", {"spec": {"ports": []}})
    server.patch(kinds.TRAFFIC_SPLIT_V1ALPHA1, SHOP, "podinfo", {"spec": {"backends": []}})
    for request in sent:
        if request.verb == "delete" and request.kind and request.name and server.get(request.kind, SHOP, request.name) is None:
            metadata = {"name": request.name, "namespace": SHOP}
            server.add({"apiVersion": request.kind.api_version, "kind": request.kind.kind, "metadata": metadata})
    kinds_sent = {kind_of_write(request) for request in sent}
    assert changed_by_late_writes(server, sent) == []
    harmful = {kind for request in sent for kind in changed_by_late_writes(server, [without_precondition(request)])}
    assert kinds_sent - harmful <= {"create configmaps", "create controllerrevisions"}, "these would be noticed by nobody"
    assert {"patch canaries/status", "patch canaries", "json patch canaries", "json patch deployments"} <= harmful
    assert {"apply deployments", "apply services", "apply trafficsplits", "delete controllerrevisions"} <= harmful
