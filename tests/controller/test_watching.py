"""kopf as the watch engine: every switch is off, handlers only hand over, and what was seen is not handed over again."""

from __future__ import annotations

import ast
import inspect
import itertools
import time
from typing import Any

import kopf
import pytest

from flaggerpy.cluster import kinds
from flaggerpy.cluster.following import EVERYWHERE
from flaggerpy.controller import watching
from flaggerpy.controller.watching import (
    FINALIZER,
    PLURALS,
    EndlessBackoffs,
    NoDiffBase,
    NoProgress,
    Watching,
    kopf_registry,
    kopf_settings,
)
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("posting.enabled", False),
        ("posting.loggers", False),
        ("peering.standalone", True),
        ("scanning.disabled", True),
        ("persistence.finalizer", FINALIZER),
        ("watching.server_timeout", 300),
        ("watching.client_timeout", 310),
        ("watching.connect_timeout", 10),
        ("watching.inactivity_timeout", 70),
        ("watching.chunk_size", 500),
        ("watching.initial_streaming", False),
        ("queueing.idle_timeout", 1),
        ("queueing.worker_limit", None),
        ("networking.connect_timeout", 10),
        ("networking.request_timeout", 60),
        ("process.ultimate_exiting_timeout", None),
    ],
)
def test_each_switch_of_kopf_stands_as_we_need_it(path: str, value: object) -> None:
    setting: Any = kopf_settings()
    for part in path.split("."):
        setting = getattr(setting, part)
    assert setting == value


def test_kopf_stores_nothing_and_its_backoff_never_ends() -> None:
    settings = kopf_settings()
    assert isinstance(settings.persistence.diffbase_storage, NoDiffBase)
    assert isinstance(settings.persistence.progress_storage, NoProgress)
    assert isinstance(settings.networking.error_backoffs, EndlessBackoffs)
    assert not hasattr(settings.networking.error_backoffs, "__len__")
    for _ in range(2):
        pauses = list(itertools.islice(iter(settings.networking.error_backoffs), 40))
        assert pauses[:5] == [1, 2, 4, 8, 15]
        assert max(pauses) == 15


def test_the_finalizer_that_kopf_would_remove_is_not_one_that_anybody_sets() -> None:
    assert kopf.OperatorSettings().persistence.finalizer != FINALIZER
    assert FINALIZER != "finalizer.flagger.app"


async def test_handlers_hand_over_and_return_nothing() -> None:
    seen: list[tuple[str, str, Any]] = []

    async def login(**_: Any) -> None: ...

    registry = kopf_registry(lambda plural, type_, obj: seen.append((plural, type_, obj)), login)
    handlers = registry._watching.get_all_handlers()
    assert [handler.id for handler in handlers] == list(PLURALS)
    assert not registry._spawning.get_all_handlers()
    assert not registry._changing.get_all_handlers()
    for handler in handlers:
        call: Any = handler.fn
        assert await call(event={"type": None, "object": {"a": 1}}, logger=None) is None
    assert seen == [(plural, "ADDED", {"a": 1}) for plural in PLURALS]


def test_no_decorator_of_kopf_but_event_and_login_is_used() -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(watching)))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "kopf.on"
    }
    assert used == {"event", "login"}


async def test_kopf_hands_over_what_happens_and_writes_nothing() -> None:
    """The wiring, against an API server on loopback: list, watch, delete, nothing seen twice, and a stop that is quick."""
    async with FakeApiServer() as server:
        server.add(canary("first"))
        seen: list[tuple[str, str, str]] = []

        def feed(plural: str, type_: str, obj: dict[str, Any]) -> None:
            seen.append((plural, type_, obj["metadata"]["name"]))

        kopf_thread = Watching(server.client().configuration, [EVERYWHERE], feed)
        kopf_thread.start()
        await eventually(lambda: ("canaries", "ADDED", "first") in seen)
        server.add(canary("second"))
        await eventually(lambda: ("canaries", "ADDED", "second") in seen)
        server.drop_watches()
        server.compact()
        server.patch(kinds.CANARY, "shop", "first", {"spec": {"suspend": True}})
        await eventually(lambda: ("canaries", "MODIFIED", "first") in seen or seen.count(("canaries", "ADDED", "first")) > 1)
        server.remove(kinds.CANARY, "shop", "second")
        await eventually(lambda: ("canaries", "DELETED", "second") in seen)
        assert [name for plural, _, name in seen if plural != "canaries"] == []
        began = time.monotonic()
        await kopf_thread.stop()
        assert time.monotonic() - began < 8
        assert not kopf_thread.alive
        assert server.writes == []


async def test_kopf_is_started_again_when_it_ends() -> None:
    async with FakeApiServer() as server:
        server.add(canary("first"))
        seen: list[str] = []
        kopf_thread = Watching(server.client().configuration, [EVERYWHERE], lambda plural, type_, obj: seen.append(obj["metadata"]["name"]))
        kopf_thread.start()
        await eventually(lambda: "first" in seen)
        await eventually(lambda: server.watches >= 3)
        server.watch_error(500)
        await eventually(lambda: kopf_thread.restarts == 1, within=20)
        server.add(canary("second"))
        await eventually(lambda: "second" in seen, within=20)
        await kopf_thread.stop()


async def test_kopf_follows_the_namespaces_that_are_named_and_begins_anew_when_they_change() -> None:
    async with FakeApiServer() as server:
        for namespace in ("shop", "bar", "else"):
            server.add(canary("podinfo", namespace))
        seen: list[str] = []
        scopes = ["shop"]
        kopf_thread = Watching(server.client().configuration, scopes, lambda plural, type_, obj: seen.append(obj["metadata"]["namespace"]))
        kopf_thread.start()
        await eventually(lambda: "shop" in seen, within=20)
        scopes.append("bar")
        kopf_thread.again()
        await eventually(lambda: "bar" in seen, within=20)
        assert kopf_thread.restarts == 0
        assert "else" not in seen
        await kopf_thread.stop()
