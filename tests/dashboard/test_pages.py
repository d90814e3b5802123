"""The page over real HTTP: files and headers, streams and their limits, who may read and who may command."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from flaggerpy.cluster.errors import Forbidden
from flaggerpy.dashboard import pages as pages_module
from flaggerpy.dashboard import people as people_module
from flaggerpy.dashboard.feed import Feed, Key
from flaggerpy.dashboard.files import files
from flaggerpy.dashboard.pages import Pages
from flaggerpy.dashboard.people import People
from flaggerpy.telemetry.server import ProbeServer
from tests.dashboard.scene import Shelf, canary, run
from tests.dashboard.test_people import Api

JANE = {"Authorization": "Bearer good-token"}


class Stage:
    """A server with the page; `modes` are the flags of `Pages`."""

    def __init__(self, **modes: Any) -> None:
        self.shelf, self.api = Shelf(), Api()
        self.feed = self.shelf.feed = Feed(self.shelf)
        self.pages = Pages(self.feed, people=People(self.api) if any(modes.values()) else None, **modes)
        self.server = ProbeServer(0, "127.0.0.1", rooms={"/ui": self.pages})

    async def __aenter__(self) -> Stage:
        await self.server.start()
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.server.port}", trust_env=False, timeout=10)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.pages.stop()
        await self.server.stop()

    @asynccontextmanager
    async def stream(self, canary: str = "", **headers: str) -> AsyncIterator[AsyncIterator[tuple[str, Any, str]]]:
        address = "/ui/api/stream" + (f"?canary={canary}" if canary else "")
        async with self.http.stream("GET", address, headers={name.replace("_", "-"): text for name, text in headers.items()}) as answer:
            assert answer.status_code == 200, (await answer.aread()).decode()
            assert answer.headers["content-type"] == "text/event-stream"
            yield _events(answer)

    async def order(self, verb: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        wanted = {"namespace": "test", "name": "app", "verb": verb, "revision": "v2", "step": 20} | body
        return await self.http.post("/ui/api/orders", json=wanted, headers=JANE if headers is None else headers)


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any, str]]:
    name = identity = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("id: "):
            identity = line[4:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:]), identity


async def until(events: AsyncIterator[tuple[str, Any, str]], name: str) -> tuple[Any, str]:
    async with asyncio.timeout(10):
        async for found, data, identity in events:
            if found == name:
                return data, identity
    raise AssertionError(f"the stream ended without {name}")


async def whole(events: AsyncIterator[tuple[str, Any, str]]) -> tuple[dict[str, Any], str]:
    """All rows of a first answer by name, and the moment."""
    rows: dict[str, Any] = {}
    async with asyncio.timeout(10):
        async for name, data, identity in events:
            if name == "rows":
                rows |= {row["name"]: row for row in data["rows"]}
            if name == "whole":
                return rows, identity
    raise AssertionError("the stream ended")


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses of a stream are for people; here they would only be waited for."""
    monkeypatch.setattr(pages_module, "PACE_SECONDS", 0.01)
    monkeypatch.setattr(pages_module, "LIVE_SECONDS", 0.05)


# --- files


async def test_the_page_comes_with_a_strict_policy_and_can_be_kept() -> None:
    async with Stage() as stage:
        answer = await stage.http.get("/ui/")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers
        again = await stage.http.get("/ui/", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name, file in files().items():
            got = await stage.http.get(f"/ui/{name}")
            assert (got.status_code, got.content, got.headers["content-type"]) == (200, file.data, file.kind)
            assert got.headers["content-encoding"] == "gzip"


async def test_the_address_without_a_slash_leads_on_whatever_stands_before_it() -> None:
    async with Stage() as stage:
        answer = await stage.http.get("/ui")
        assert (answer.status_code, answer.headers["location"]) == (302, "ui/")


@pytest.mark.parametrize("path", ["/ui/nothing", "/ui/../secret", "/ui/static/app.js", "/ui/%2e%2e/x", "/ui/api/x", "/uix"])
async def test_other_addresses_are_not_found(path: str) -> None:
    async with Stage() as stage:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.server.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"404"
        writer.close()


async def test_only_the_methods_that_make_sense_are_answered() -> None:
    async with Stage(actions=True) as stage:
        assert (await stage.http.post("/ui/")).status_code == 405
        assert (await stage.http.options("/ui/api/orders")).status_code == 405
        assert (await stage.http.get("/ui/api/orders")).status_code == 405
        assert (await stage.http.head("/ui/app.js")).content == b""


def test_the_page_is_light_and_names_no_other_host() -> None:
    every = files()
    assert sum(len(file.data) for file in every.values()) < 100_000
    for name, file in every.items():
        text = file.data.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "innerHTML" not in text, name
    assert b" style=" not in every[""].data
    assert b"<script>" not in every[""].data


# --- streams


async def test_the_list_comes_whole_and_then_by_its_changes() -> None:
    async with Stage() as stage:
        for number in range(120):
            stage.shelf.put(canary(f"app-{number}"))
        async with stage.stream() as events:
            rows, _ = await whole(events)
            assert len(rows) == 120
            stage.shelf.put(canary("app-7", **run(40)))
            data, _ = await until(events, "rows")
            assert [row["weight"] for row in data["rows"]] == [40]
            stage.shelf.take(Key("test", "app-8"))
            data, _ = await until(events, "rows")
            assert data == {"rows": [], "gone": [["test", "app-8"]]}


async def test_a_page_that_comes_back_gets_what_changed_since() -> None:
    async with Stage() as stage:
        stage.shelf.put(canary("one"))
        stage.shelf.put(canary("two"))
        async with stage.stream() as events:
            _, moment = await whole(events)
        stage.shelf.put(canary("two", **run(20)))
        async with stage.stream(Last_Event_ID=moment) as events:
            hello, _ = await until(events, "hello")
            data, identity = await until(events, "rows")
        assert hello["resumes"] is True
        assert [row["name"] for row in data["rows"]] == ["two"]
        assert identity != moment


async def test_one_canary_is_told_when_it_changes_when_its_pods_do_and_when_it_is_gone() -> None:
    async with Stage() as stage:
        key = stage.shelf.put(canary("app", **run(20)))
        async with stage.stream("test/app") as events:
            assert (await until(events, "canary"))[0]["weight"] == 20
            stage.shelf.put(canary("app", **run(40)))
            assert (await until(events, "canary"))[0]["weight"] == 40
            stage.shelf.deployments[Key("test", "app")] = {"spec": {"replicas": 1}, "status": {"readyReplicas": 1}}
            assert (await until(events, "canary"))[0]["pods"] == {"canary": {"ready": 1, "wanted": 1}}
            stage.shelf.take(key)
            await until(events, "gone")


async def test_streams_are_bounded_and_a_place_is_free_again_when_a_page_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "STREAMS", 2)
    async with Stage() as stage:
        async with stage.stream() as one, stage.stream() as two:
            await until(one, "hello")
            await until(two, "hello")
            refused = await stage.http.get("/ui/api/stream")
            assert (refused.status_code, refused.json()["sentence"]) == (503, "Too many pages are open.")
            assert refused.headers["retry-after"] == "10"
        async with asyncio.timeout(5):
            while stage.feed.readers:  # noqa: ASYNC110 - the feed tells nobody
                await asyncio.sleep(0.01)
        async with stage.stream() as events:
            await until(events, "hello")


async def test_a_reader_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(pages_module, "SOCKET_BYTES", 4096)
    async with Stage() as stage:
        for number in range(600):
            stage.shelf.put(canary(f"app-{number}", progress={"waitingFor": "x" * 240}))
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", stage.server.port))
        await asyncio.get_running_loop().sock_sendall(sock, b"GET /ui/api/stream HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(20):
            while not stage.feed.readers:  # noqa: ASYNC110 - the feed tells nobody
                await asyncio.sleep(0.01)
            while stage.feed.readers:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        sock.close()


async def test_probes_are_prompt_whatever_is_read() -> None:
    async with Stage() as stage:
        for number in range(1500):
            stage.shelf.put(canary(f"app-{number}"))

        async def read() -> int:
            async with stage.stream() as events:
                return len((await whole(events))[0])

        readers = [asyncio.create_task(read()) for _ in range(3)]
        worst, deadline = 0.0, asyncio.get_running_loop().time() + 30
        while not all(task.done() for task in readers) and asyncio.get_running_loop().time() < deadline:
            # this loop's own work (parsing what it reads) would be measured too: only the processor time that one turn takes counts
            began = time.process_time()
            assert (await stage.http.get("/healthz")).status_code == 200
            worst = max(worst, time.process_time() - began)
        assert [await task for task in readers] == [1500] * 3
        assert worst < 0.5


async def test_another_sites_page_cannot_use_up_the_streams() -> None:
    async with Stage() as stage:
        answer = await stage.http.get("/ui/api/stream", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/ui/", "/ui/api/me", "/ui/api/stream", "/ui/api/stream?canary=test/app"])
async def test_a_site_that_lets_its_name_lead_here_reads_nothing(path: str) -> None:
    rebound = {"Host": "evil.example:8080", "Sec-Fetch-Site": "same-origin"}
    async with Stage() as stage:
        refused = await stage.http.get(path, headers=rebound)
        assert refused.status_code == 421
        assert "-ui-hosts" in refused.json()["sentence"]
        assert stage.feed.readers == 0
    async with Stage(hosts={"evil.example"}) as stage, stage.http.stream("GET", path, headers=rebound) as answer:
        assert answer.status_code == 200
    async with Stage(auth=True) as stage:
        assert (await stage.http.get(path, headers=rebound)).status_code in (200, 401)


async def test_streams_end_with_the_controller() -> None:
    async with Stage() as stage, stage.stream() as events:
        await until(events, "hello")
        await stage.pages.stop()
        with pytest.raises((httpx.HTTPError, AssertionError)):
            await until(events, "never")


@pytest.mark.parametrize("wanted", ["app", "/app", "test/", "a/b/c", f"{'n' * 64}/app", f"test/{'n' * 254}"])
async def test_a_canary_that_is_no_name_is_refused(wanted: str) -> None:
    async with Stage() as stage:
        assert (await stage.http.get(f"/ui/api/stream?canary={wanted}")).status_code == 400


# --- reading with a token


async def test_with_auth_nothing_but_the_files_is_read_without_a_token() -> None:
    async with Stage(auth=True) as stage:
        stage.shelf.put(canary("app"))
        assert (await stage.http.get("/ui/")).status_code == 200
        for address in ("/ui/api/stream", "/ui/api/stream?canary=test/app"):
            answer = await stage.http.get(address)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert (await stage.http.get("/ui/api/stream", headers={"Authorization": "Bearer bad"})).status_code == 401
        assert (await stage.http.get("/ui/api/me")).json() == {"auth": True, "actions": False, "version": "0.1.0", "name": ""}


async def test_with_auth_a_tenant_reads_their_namespaces_only() -> None:
    async with Stage(auth=True) as stage:
        stage.shelf.put(canary("mine", "a"))
        stage.shelf.put(canary("theirs", "b"))
        stage.api.rights |= {("jane", "list", "a", None), ("jane", "get", "a", "mine")}
        async with stage.stream(**JANE) as events:
            assert list((await whole(events))[0]) == ["mine"]
            stage.shelf.put(canary("theirs", "b", **run(20)))
            stage.shelf.take(Key("b", "theirs"))
            stage.shelf.put(canary("mine", "a", **run(20)))
            data, _ = await until(events, "rows")
            while not data["rows"] and not data["gone"]:
                data, _ = await until(events, "rows")
            assert ([row["name"] for row in data["rows"]], data["gone"]) == (["mine"], [])
        async with stage.stream("a/mine", **JANE) as events:
            await until(events, "canary")
        refused = await stage.http.get("/ui/api/stream?canary=b/theirs", headers=JANE)
        assert (refused.status_code, refused.json()["sentence"]) == (403, "jane may not get the Canary theirs in b.")


async def test_who_may_see_more_than_before_gets_all_of_it_and_not_only_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_module, "BELIEVED_SECONDS", 0.0)
    async with Stage(auth=True) as stage:
        stage.shelf.put(canary("mine", "a"))
        stage.shelf.put(canary("new", "b"))
        stage.api.rights.add(("jane", "list", "a", None))
        async with stage.stream(**JANE) as events:
            _, moment = await whole(events)
        stage.api.rights.add(("jane", "list", "b", None))
        async with stage.stream(**JANE, Last_Event_ID=moment) as events:
            assert (await until(events, "hello"))[0]["resumes"] is False
            rows, moment = await whole(events)
            assert sorted(rows) == ["mine", "new"]
        async with stage.stream(**JANE, Last_Event_ID=moment) as events:
            assert (await until(events, "hello"))[0]["resumes"] is True


async def test_a_token_that_ends_within_a_stream_ends_it_without_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pages_module, people_module):
        monkeypatch.setattr(module, "BELIEVED_SECONDS", 0.05)
    async with Stage(auth=True) as stage:
        stage.shelf.put(canary("app"))
        stage.api.rights |= {("jane", "get", "test", "app")}
        async with stage.http.stream("GET", "/ui/api/stream?canary=test/app", headers=JANE) as answer:
            stage.api.users.clear()
            async with asyncio.timeout(10):
                assert "HTTP/1.1" not in (await answer.aread()).decode()
        assert (await stage.http.get("/ui/api/stream?canary=test/app", headers=JANE)).status_code == 401


async def test_a_stream_ends_when_the_right_to_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pages_module, people_module):
        monkeypatch.setattr(module, "BELIEVED_SECONDS", 0.05)
    async with Stage(auth=True) as stage:
        stage.shelf.put(canary("app"))
        stage.api.rights |= {("jane", "get", "test", "app")}
        async with stage.stream("test/app", **JANE) as events:
            await until(events, "canary")
            stage.api.rights.clear()
            stage.shelf.put(canary("app", **run(40)))
            await asyncio.sleep(0.1)
            stage.shelf.put(canary("app", **run(60)))
            with pytest.raises(AssertionError, match="the stream ended"):
                await until(events, "never")


# --- commands


async def test_a_command_is_written_as_the_person_for_the_revision_that_they_saw() -> None:
    async with Stage(actions=True) as stage:
        stage.shelf.put(canary("app", **run(20)))
        stage.api.rights.add(("jane", "patch", "test", "app"))
        answer = await stage.order("abort")
        assert (answer.status_code, answer.json()) == (200, {"sentence": "Abort is written, signed by jane."})
        assert stage.api.written == [("good-token", "test", "app", {"flagger.app/abort": "v2"}, "flaggerpy-ui as jane")]


async def test_without_the_right_nothing_is_written_and_nothing_is_told_of_the_canary() -> None:
    async with Stage(actions=True) as stage:
        stage.shelf.put(canary("app", **run(20)))
        answers = [await stage.order("abort"), await stage.order("abort", name="nowhere")]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert answers[0].json()["sentence"] == "jane may not patch the Canary app in test."
        assert (await stage.order("abort", {"Authorization": "Bearer bad"})).status_code == 401
        assert (await stage.order("abort", {})).status_code == 401
        assert (await stage.order("abort", {"Cookie": "token=good-token"})).status_code == 401
        assert stage.api.written == []


async def test_what_makes_no_sense_is_told_and_not_written() -> None:
    async with Stage(actions=True) as stage:
        stage.shelf.put(canary("app"))
        stage.api.rights |= {("jane", "patch", "test", "app"), ("jane", "patch", "test", "nowhere")}
        answer = await stage.order("abort")
        assert (answer.status_code, answer.json()["sentence"]) == (409, "No release is under way.")
        assert (await stage.order("abort", name="nowhere")).status_code == 404
        assert (await stage.order("rollback-to")).status_code == 400
        assert (await stage.order("abort", step="x")).status_code == 400
        assert (await stage.http.post("/ui/api/orders", content="verb=abort", headers=JANE)).status_code == 415
        as_json = JANE | {"Content-Type": "application/json"}
        assert (await stage.http.post("/ui/api/orders", content="[1]", headers=as_json)).status_code == 400
        large = {"x": "y" * 5000}
        assert (await stage.http.post("/ui/api/orders", json=large, headers=JANE)).status_code == 400
        assert stage.api.written == []


async def test_without_the_flag_no_command_is_taken() -> None:
    async with Stage(auth=True) as stage:
        stage.shelf.put(canary("app", **run(20)))
        stage.api.rights.add(("jane", "patch", "test", "app"))
        assert (await stage.order("abort")).status_code == 404
        assert stage.api.written == []


async def test_what_the_api_server_refuses_at_the_write_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Stage(actions=True) as stage:
        stage.shelf.put(canary("app", **run(20)))
        stage.api.rights.add(("jane", "patch", "test", "app"))

        async def refuse(*_: object) -> None:
            raise Forbidden("an admission policy says no", status=403)

        monkeypatch.setattr(stage.api, "annotate", refuse)
        answer = await stage.order("promote")
        assert answer.status_code == 403
        assert "an admission policy says no" in answer.json()["sentence"]


async def test_who_somebody_is_and_whether_they_may_command_is_told() -> None:
    async with Stage(actions=True) as stage:
        stage.api.rights.add(("jane", "patch", "test", "app"))
        for name, may in (("app", True), ("other", False)):
            told = (await stage.http.get(f"/ui/api/me?canary=test/{name}", headers=JANE)).json()
            assert (told["name"], told["may"]) == ("jane", may)
