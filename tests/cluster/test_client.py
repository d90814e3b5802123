"""The client's contract, verb by verb: what goes over the wire, what comes back, what is repeated."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from flaggerpy.cluster import errors
from flaggerpy.cluster.client import Client, describe
from flaggerpy.cluster.configured import environment_proxy
from flaggerpy.cluster.kinds import CANARY, CONFIG_MAP, DEPLOYMENT, HTTP_PROXY, HTTP_ROUTE, LEASE, NODE, POD, SECRET, kind_of
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually


def config_map(name: str = "settings", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "test"}, "data": data}


def deployment(name: str = "podinfo", replicas: int = 1, **more: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "app", "image": "podinfo:1", "ports": [{"containerPort": 9898}]}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"replicas": replicas, "template": template, **more},
    }


async def test_an_object_is_created_and_read_back_as_a_dict(server: FakeApiServer, client: Client) -> None:
    made = await client.create(config_map(a="1"))
    assert made["metadata"]["uid"]
    assert await client.get(CONFIG_MAP, "test", "settings") == made
    assert server.requests[0].query["fieldManager"] == "flaggerpy"


@pytest.mark.fault("Q-31")
async def test_unknown_fields_survive_reading_and_writing(server: FakeApiServer, client: Client) -> None:
    server.add({**deployment(), "spec": {"replicas": 1, "ofTomorrow": {"x": [1, None, 2.5]}}})
    read = await client.get(DEPLOYMENT, "test", "podinfo")
    written = await client.replace({**read, "spec": {**read["spec"], "replicas": 2}})
    assert written["spec"] == {"replicas": 2, "ofTomorrow": {"x": [1, None, 2.5]}}


async def test_what_is_not_there_is_not_found_or_none(client: Client) -> None:
    with pytest.raises(errors.NotFound) as caught:
        await client.get(POD, "test", "ghost")
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    assert await client.find(POD, "test", "ghost") is None


async def test_a_second_create_already_exists(client: Client) -> None:
    await client.create(config_map())
    with pytest.raises(errors.AlreadyExists):
        await client.create(config_map())


async def test_a_list_is_read_page_by_page_and_its_items_have_their_type(server: FakeApiServer, client: Client) -> None:
    for number in range(1203):
        server.add(config_map(f"c{number:04}"))
    items = await client.list(CONFIG_MAP, "test")
    assert [item["metadata"]["name"] for item in items] == [f"c{number:04}" for number in range(1203)]
    assert {(item["apiVersion"], item["kind"]) for item in items} == {("v1", "ConfigMap")}
    assert len(server.requests) == 3


async def test_a_list_whose_snapshot_is_gone_begins_again(server: FakeApiServer, client: Client) -> None:
    for number in range(700):
        server.add(config_map(f"c{number:04}"))

    def compact_before_the_second_page(request: Request) -> None:
        if "continue" in request.query:
            server.compact()

    server.fault = compact_before_the_second_page
    assert len(await client.list(CONFIG_MAP)) == 700
    # once more by pages, and then in one piece: with a history that is too short it would never end
    assert ["limit" in request.query for request in server.requests] == [True, True, True, True, False]


async def test_lists_are_narrowed_by_selectors_and_namespace(server: FakeApiServer, client: Client) -> None:
    for name, app, phase, namespace in (("a", "x", "Running", "test"), ("b", "x", "Pending", "test"), ("c", "y", "Running", "other")):
        server.add(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
                "status": {"phase": phase},
            }
        )

    async def names(namespace: str | None, **selectors: str) -> list[str]:
        return [item["metadata"]["name"] for item in await client.list(POD, namespace, **selectors)]  # type: ignore[arg-type]

    assert await names(None) == ["c", "a", "b"]
    assert await names("test") == ["a", "b"]
    assert await names(None, label_selector="app in (x),app!=y") == ["a", "b"]
    assert await names(None, field_selector="status.phase=Running") == ["c", "a"]


async def test_metadata_only_lists_carry_no_secret(server: FakeApiServer, client: Client) -> None:
    server.add(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "test"}, "data": {"password": "aHVudGVyMg=="}}
    )
    (item,) = await client.list(SECRET, metadata_only=True)
    assert item["metadata"]["name"] == "s"
    assert "data" not in item
    assert "data" not in await client.get(SECRET, "test", "s", metadata_only=True)


async def test_apply_creates_then_changes_only_what_it_names(server: FakeApiServer, client: Client) -> None:
    await client.apply(deployment(replicas=1))
    server.patch(DEPLOYMENT, "test", "podinfo", {"metadata": {"annotations": {"other": "tool"}}})
    applied = await client.apply(deployment(replicas=3))
    assert applied["spec"]["replicas"] == 3
    assert applied["metadata"]["annotations"] == {"other": "tool"}
    assert server.requests[0].content_type == "application/apply-patch+yaml"
    assert server.requests[0].query == {"fieldManager": "flaggerpy", "force": "true"}


async def test_apply_takes_back_what_it_no_longer_names(client: Client) -> None:
    await client.apply(deployment(paused=True))
    assert "paused" not in (await client.apply(deployment()))["spec"]


async def test_an_apply_that_changes_nothing_keeps_the_version(client: Client) -> None:
    first = await client.apply(deployment())
    assert (await client.apply(deployment()))["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_apply_without_force_meets_the_owner_of_a_field(client: Client) -> None:
    await client.create(deployment(replicas=1), manager="kubectl")
    with pytest.raises(errors.Conflict) as caught:
        await client.apply(deployment(replicas=2), force=False)
    assert [cause.field for cause in caught.value.causes] == [".spec.replicas"]
    assert (await client.apply(deployment(replicas=2)))["spec"]["replicas"] == 2


async def test_apply_with_an_old_version_is_a_conflict(client: Client) -> None:
    first = await client.apply(deployment())
    await client.apply(deployment(replicas=2))
    stale = deployment(replicas=3)
    stale["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    with pytest.raises(errors.Conflict):
        await client.apply(stale)


async def test_a_dry_run_changes_nothing(server: FakeApiServer, client: Client) -> None:
    assert (await client.apply(deployment(replicas=5), dry_run=True))["spec"]["replicas"] == 5
    await client.create(config_map(), dry_run=True)
    assert server.get(DEPLOYMENT, "test", "podinfo") is None
    assert server.get(CONFIG_MAP, "test", "settings") is None


async def test_a_merge_patch_of_the_status_leaves_the_spec(server: FakeApiServer, client: Client) -> None:
    server.add({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "c", "namespace": "test"}, "spec": {"a": 1}})
    patched = await client.merge_patch(
        CANARY, "test", "c", {"spec": {"a": 2}, "status": {"phase": "Progressing", "none": None}}, subresource="status"
    )
    assert patched["spec"] == {"a": 1}
    assert patched["status"] == {"phase": "Progressing"}
    assert patched["metadata"]["generation"] == 1
    assert server.requests[-1].path.endswith("/canaries/c/status")
    assert server.requests[-1].content_type == "application/merge-patch+json"


async def test_a_patch_of_the_spec_leaves_the_status_and_raises_the_generation(server: FakeApiServer, client: Client) -> None:
    server.add({**deployment(), "status": {"readyReplicas": 1}})
    patched = await client.merge_patch(DEPLOYMENT, "test", "podinfo", {"spec": {"replicas": 0}, "status": {"readyReplicas": 9}})
    assert patched["status"] == {"readyReplicas": 1}
    assert patched["metadata"]["generation"] == 2


async def test_a_merge_patch_with_an_old_version_is_a_conflict(client: Client) -> None:
    first = await client.create(config_map(a="1"))
    body = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"a": "2"}}
    await client.merge_patch(CONFIG_MAP, "test", "settings", body)
    with pytest.raises(errors.Conflict):
        await client.merge_patch(CONFIG_MAP, "test", "settings", {**body, "data": {"a": "3"}})


async def test_a_json_patch_goes_through_only_when_its_test_holds(server: FakeApiServer, client: Client) -> None:
    made = await client.create(deployment())
    lock = {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]}
    change = {"op": "replace", "path": "/spec/replicas", "value": 0}
    assert (await client.json_patch(DEPLOYMENT, "test", "podinfo", [lock, change]))["spec"]["replicas"] == 0
    with pytest.raises(errors.Invalid):
        await client.json_patch(DEPLOYMENT, "test", "podinfo", [lock, change])
    assert server.requests[-1].content_type == "application/json-patch+json"


async def test_a_replace_with_an_old_version_is_a_conflict(client: Client) -> None:
    made = await client.create(config_map(a="1"))
    await client.replace({**made, "data": {"a": "2"}})
    with pytest.raises(errors.Conflict):
        await client.replace({**made, "data": {"a": "3"}})


async def test_a_deletion_spares_a_namesake(server: FakeApiServer, client: Client) -> None:
    old = await client.create(config_map())
    server.remove(CONFIG_MAP, "test", "settings")
    new = await client.create(config_map())
    with pytest.raises(errors.Conflict):
        await client.delete(CONFIG_MAP, "test", "settings", uid=old["metadata"]["uid"])
    uid, version = new["metadata"]["uid"], new["metadata"]["resourceVersion"]
    await client.delete(CONFIG_MAP, "test", "settings", uid=uid, resource_version=version, propagation="Orphan")
    with pytest.raises(errors.NotFound):
        await client.delete(CONFIG_MAP, "test", "settings")


async def test_refusals_by_validation_name_the_fields(server: FakeApiServer, client: Client) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "test"}})
    assert [cause.field for cause in caught.value.causes] == ["metadata.name"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (410, errors.Gone),
        (422, errors.Invalid),
        (418, errors.ApiError),
        (501, errors.ServerError),
    ],
)
async def test_a_refusal_is_typed_and_not_repeated(server: FakeApiServer, client: Client, status: int, kind: type[errors.ApiError]) -> None:
    server.fault = lambda request: status
    with pytest.raises(kind) as caught:
        await client.get(POD, "test", "p")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert len(server.requests) == 1


async def times(count: int, fault: Any) -> Any:
    left = iter([fault] * count)
    return lambda request: next(left, None)


@pytest.mark.parametrize("fault", [429, 500, 503, 504, (503, {"Retry-After": "1"}), ConnectionResetError()])
async def test_a_read_outlives_passing_trouble(server: FakeApiServer, client: Client, fault: Any) -> None:
    server.add(config_map())
    server.fault = await times(2, fault)
    assert await client.get(CONFIG_MAP, "test", "settings")


@pytest.mark.parametrize(("fault", "tries"), [(429, 4), ((503, {"Retry-After": "1"}), 4), (500, 1), (ConnectionResetError(), 1)])
async def test_a_create_is_repeated_only_where_it_was_certainly_not_begun(
    server: FakeApiServer, client: Client, fault: Any, tries: int
) -> None:
    server.fault = lambda request: fault
    with pytest.raises(errors.ApiError):
        await client.create(config_map())
    assert len(server.requests) == tries


async def test_a_lost_answer_to_an_apply_is_asked_for_again(server: FakeApiServer, client: Client) -> None:
    server.lose_answer = lambda request: len(server.requests) == 1
    applied = await client.apply(deployment())
    assert [request.verb for request in server.requests] == ["patch", "patch"]
    assert applied == server.get(DEPLOYMENT, "test", "podinfo")


async def test_retry_after_is_waited_for(server: FakeApiServer) -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    client = server.client(sleep=note)
    server.fault = await times(1, (429, {"Retry-After": "7"}))
    await client.version()
    assert len(waited) == 1
    assert 7 <= waited[0] < 7.2


async def test_what_has_taken_too_long_is_not_begun_anew(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flaggerpy.cluster.client.RETRY_SECONDS", 0.2)
    client = server.client(within=0.3)
    server.delay = 5
    with pytest.raises(errors.Unreachable):
        await client.version()
    assert len(server.requests) == 1


async def test_a_server_that_is_away_is_unreachable_and_nothing_was_sent(server: FakeApiServer, client: Client) -> None:
    await server.stop()
    with pytest.raises(errors.Unreachable) as caught:
        await client.create(config_map())
    assert not caught.value.sent


async def test_a_create_outlives_a_restart_of_the_server_that_refuses_connections(server: FakeApiServer) -> None:
    async def restart(seconds: float) -> None:
        await server.start()

    client = server.client(sleep=restart)
    await server.stop()
    assert await client.create(config_map())
    assert len(server.requests) == 1


async def test_a_server_that_does_not_answer_in_time_is_unreachable_but_may_have_acted(server: FakeApiServer) -> None:
    client = server.client(within=0.05)
    server.delay = 5
    with pytest.raises(errors.Unreachable, match=r"no answer within 0\.05 s") as caught:
        await client.create(config_map())
    assert caught.value.sent


async def test_an_answer_that_is_no_json_is_an_error_not_a_crash(server: FakeApiServer, client: Client) -> None:
    error = errors.error_from(502, b"<html>Bad Gateway</html>", {})
    assert isinstance(error, errors.ServerError)
    assert str(error) == "502: <html>Bad Gateway</html>"


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (errors.Unreachable("x", sent=True), True),
        (errors.Conflict("x"), True),
        (errors.TooManyRequests("x"), True),
        (errors.ServerError("x", status=500), True),
        (TimeoutError(), True),
        (errors.Forbidden("x"), False),
        (errors.Invalid("x"), False),
        (errors.NotFound("x"), False),
        (KeyError("x"), False),
    ],
)
def test_transient_means_that_fresh_facts_may_help(error: BaseException, passing: bool) -> None:
    assert errors.transient(error) is passing


async def test_discovery_tells_what_is_served_and_forgets_a_no_when_told(server: FakeApiServer, client: Client) -> None:
    server.unserve(HTTP_PROXY)
    assert await client.serves(HTTP_ROUTE)
    assert not await client.serves(HTTP_PROXY)
    server.serve(HTTP_PROXY)
    assert not await client.serves(HTTP_PROXY)
    client.forget_discovery()
    assert await client.serves(HTTP_PROXY)


async def test_own_access_is_asked_with_all_attributes(server: FakeApiServer, client: Client) -> None:
    everywhere = {"verb": "patch", "group": "flagger.app", "resource": "canaries", "subresource": "status"}
    server.allowed = lambda attributes: attributes == everywhere
    assert await client.can_i("patch", "flagger.app", "canaries", None, "status")
    assert not await client.can_i("patch", "flagger.app", "canaries", "test", "status")


async def test_each_attempt_is_observed_with_verb_resource_and_code(server: FakeApiServer) -> None:
    seen: list[tuple[str, str, str]] = []

    async def no_wait(seconds: float) -> None:
        return None

    client = server.client(on_request=lambda verb, resource, code, seconds: seen.append((verb, resource, code)), sleep=no_wait)
    server.fault = await times(1, 503)
    await client.list(DEPLOYMENT)
    await client.apply(deployment())
    assert seen == [("list", "deployments", "503"), ("list", "deployments", "200"), ("patch", "deployments", "201")]


@pytest.mark.parametrize(
    ("method", "path", "verb", "resource"),
    [
        ("GET", "/api/v1/nodes", "list", "nodes"),
        ("GET", "/api/v1/namespaces/test", "get", "namespaces"),
        ("GET", "/api/v1/namespaces/test/pods/p", "get", "pods"),
        ("PATCH", "/apis/flagger.app/v1beta1/namespaces/t/canaries/c/status", "patch", "canaries/status"),
        ("GET", "/apis/apps/v1", "get", "discovery"),
        ("GET", "/version", "get", "discovery"),
        ("DELETE", "/api/v1/namespaces/t/pods/p", "delete", "pods"),
    ],
)
def test_requests_are_described_in_the_words_of_kubernetes(method: str, path: str, verb: str, resource: str) -> None:
    assert describe(method, path) == (verb, resource)


async def test_requests_are_throttled_to_the_given_rate(server: FakeApiServer) -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    client = server.client(qps=0.001, burst=2, sleep=note)
    for _ in range(4):
        await client.version()
    await client.request("GET", "/version", throttled=False)
    assert waited == pytest.approx([1000, 2000], rel=0.1)


async def test_the_servers_time_is_learned_from_its_answers(server: FakeApiServer, client: Client) -> None:
    server.clock = lambda: 1_700_000_000.0
    await client.version()
    assert 1_699_999_999 <= client.now() <= 1_700_000_002


async def test_a_kubeconfig_gives_host_token_and_namespace(server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config", namespace="mine")))
    async with await Client.connect() as client:
        await client.version()
        assert client.namespace == "mine"
    assert server.requests[0].headers["Authorization"] == "Bearer secret-token"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://10.0.0.1:443", {}, None),
        ("https://10.0.0.1:443", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://10.0.0.1:443", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://10.0.0.1:8080", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("https://10.0.0.1:443", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com,10.0.0.1"}, None),
        ("https://api.example.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example.com"}, None),
    ],
)
def test_the_environments_proxy_is_used(url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.delenv(spelled, raising=False)
        if name in environment:
            monkeypatch.setenv(name.lower(), environment[name])
    assert environment_proxy(url) == proxy


async def test_requests_go_through_the_environments_proxy(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = Client(Configuration(host="http://kubernetes.example"))
    await client.version()
    await client.close()
    assert server.requests[0].headers["Host"] == "kubernetes.example"


async def test_a_kubeconfig_that_is_missing_or_lacks_the_context_is_told_as_such(server: FakeApiServer, tmp_path: Path) -> None:
    with pytest.raises(errors.NotConfigured):
        await Client.connect(str(tmp_path / "none"))
    path = server.kubeconfig(tmp_path / "config")
    with pytest.raises(errors.NotConfigured):
        await Client.connect(str(path), "elsewhere")


async def test_a_cancelled_request_is_cancelled_not_repeated(server: FakeApiServer, client: Client) -> None:
    server.delay = 5
    task = asyncio.create_task(client.version())
    await eventually(lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(server.requests) == 1


def test_paths_follow_the_api_conventions() -> None:
    assert POD.path("ns", "p") == "/api/v1/namespaces/ns/pods/p"
    assert DEPLOYMENT.path("ns") == "/apis/apps/v1/namespaces/ns/deployments"
    assert DEPLOYMENT.path() == "/apis/apps/v1/deployments"
    assert NODE.path(None, "n") == "/api/v1/nodes/n"
    assert CANARY.path("ns", "c", "status") == "/apis/flagger.app/v1beta1/namespaces/ns/canaries/c/status"
    with pytest.raises(ValueError, match="needs a namespace"):
        LEASE.path(None, "l")


@pytest.mark.parametrize(
    ("api_version", "kind", "plural"),
    [
        ("apps/v1", "Deployment", "deployments"),
        ("gateway.networking.k8s.io/v1beta1", "HTTPRoute", "httproutes"),
        ("serving.knative.dev/v1", "Service", "services"),
        ("example.com/v1", "Proxy", "proxies"),
        ("example.com/v1", "Gateway", "gateways"),
        ("example.com/v1", "Mesh", "meshes"),
    ],
)
def test_the_kind_of_an_object_has_its_own_version(api_version: str, kind: str, plural: str) -> None:
    found = kind_of({"apiVersion": api_version, "kind": kind})
    assert (found.api_version, found.kind, found.plural) == (api_version, kind, plural)
