"""`flaggerpy check-image`, asked of a real registry over real sockets."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from e2e.registry import Basic, FaultyRegistry, faults
from flaggerpy.cli import images, main
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit, Problem
from tests.cluster.fake_apiserver import FakeApiServer

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app, namespace: shop}}
spec:
  template:
    spec:
      imagePullSecrets: [{{name: pull}}]
      initContainers:
      - {{name: migrate, image: "{host}/team/migrate:1"}}
      containers:
      - {{name: app, image: "{host}/team/app:1.0.0"}}
      - {{name: local, image: "local:1", imagePullPolicy: Never}}
---
apiVersion: v1
kind: Service
metadata: {{name: app}}
spec: {{ports: []}}
"""


@pytest.fixture(autouse=True)
def _nobody_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as opened:
        opened.store.add("team/app", "1.0.0", platforms=("linux/amd64", "linux/arm64"))
        opened.store.add("team/migrate", "1")
        yield opened


def manifest(folder: Path, registry: FaultyRegistry) -> str:
    file = folder / "app.yaml"
    file.write_text(DEPLOYMENT.format(host=registry.host))
    return str(file)


async def check(*words: str, server: FakeApiServer | None = None) -> tuple[int, str]:
    out = io.StringIO()
    screen = Screen(Console(file=out, soft_wrap=True, highlight=False))
    options = main.parser().parse_args(["check-image", *words])
    client = server.client() if server else None
    try:
        return await images.check(options, client, screen), out.getvalue()
    finally:
        if client:
            await client.close()


async def test_an_image_that_is_there_is_exit_code_0_with_its_platforms(registry: FaultyRegistry) -> None:
    code, out = await check(registry.image("team/app"))
    assert (code, out) == (Exit.OK, f"exists     {registry.image('team/app')}  linux/amd64, linux/arm64\n")


async def test_an_image_that_is_not_there_is_exit_code_1_with_what_to_do(registry: FaultyRegistry) -> None:
    code, out = await check(registry.image("team/app"), registry.image("team/app", "2"))
    assert code == Exit.FAILED
    assert f"image {registry.image('team/app', '2')} does not exist (it answers 404 (MANIFEST_UNKNOWN))" in out
    assert "Push the image" in out
    assert "container" not in out


async def test_a_doubt_is_an_exit_code_of_its_own_and_a_certain_no_outweighs_it(registry: FaultyRegistry) -> None:
    with registry.faulty(faults.failing(503)):
        code, out = await check(registry.image("team/app"))
        assert code == Exit.UNTOLD
        assert "untold" in out
        assert (await check(registry.image("team/app"), "No:1"))[0] == Exit.FAILED


@pytest.mark.parametrize(
    ("platforms", "code"), [(["linux/arm64"], 0), (["arm64", "linux/amd64"], 0), (["linux/s390x"], 1), (["linux/amd64", "linux/s390x"], 1)]
)
async def test_every_platform_that_is_demanded_must_be_there(registry: FaultyRegistry, platforms: list[str], code: int) -> None:
    words = [word for each in platforms for word in ("--platform", each)]
    found, out = await check(registry.image("team/app"), *words)
    assert found == code
    assert code == 0 or "not for linux/s390x" in out


async def test_an_image_without_an_index_is_held_to_the_platform_too(registry: FaultyRegistry) -> None:
    assert (await check(registry.image("team/migrate", "1"), "--platform", "linux/arm64"))[0] == Exit.FAILED


async def test_the_images_of_a_manifest_are_told_with_their_containers(registry: FaultyRegistry, tmp_path: Path) -> None:
    code, out = await check("--manifest", manifest(tmp_path, registry), "-o", "json")
    told = json.loads(out)
    assert (code, told["verdict"]) == (Exit.OK, "exists")
    assert [(each["container"], each["answer"], each["from"]) for each in told["images"]] == [
        ("migrate", "exists", "Deployment/app"),
        ("app", "exists", "Deployment/app"),
        ("local", "unchecked", "Deployment/app"),
    ]


async def test_without_a_cluster_no_node_can_hold_an_image_and_a_no_is_a_no(registry: FaultyRegistry, tmp_path: Path) -> None:
    file = manifest(tmp_path, registry)
    registry.store.manifests.clear()
    assert (await check("--manifest", file))[0] == Exit.FAILED


async def test_what_docker_login_left_is_used(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.auth = Basic({"alice": "hunter2"})
    assert (await check(registry.image("team/app")))[0] == Exit.UNTOLD
    auth = base64.b64encode(b"alice:hunter2").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    assert (await check(registry.image("team/app")))[0] == Exit.OK


@pytest.mark.parametrize("words", [[], ["--manifest", "/no/such/file"], ["app:1", "--platform", "a b"]])
async def test_a_command_line_that_names_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(Problem) as raised:
        await check(*words)
    assert raised.value.code == Exit.USAGE


async def test_a_manifest_without_pods_or_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    for text in ("kind: Service\nspec: {ports: []}\n", "a: [", "just words", ""):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(Problem):
            await check("--manifest", str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nspec: {containers: [{name: c, image: 'app:1'}]}",
        "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: 'app:1'}]}}}}}",
        "kind: List\nitems: [{kind: Job, spec: {template: {spec: {containers: [{name: c, image: 'app:1'}]}}}}]",
    ],
)
def test_pods_are_found_wherever_workloads_keep_them(text: str) -> None:
    ((_, namespace, spec),) = images.pods(text, "here")
    assert (namespace, spec["containers"][0]["image"]) == ("here", "app:1")


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["app:1"], False),
        (["app:1", "--cluster"], True),
        (["app:1", "--pull-secret", "shop/pull"], True),
        (["app:1", "-n", "shop"], True),
        (["app:1", "--context", "kind"], True),
    ],
)
def test_a_cluster_is_asked_only_where_the_command_line_speaks_of_one(words: list[str], needed: bool) -> None:
    assert images.needs_cluster(main.parser().parse_args(["check-image", *words])) is needed


# ---- with a cluster


def node(name: str, arch: str, *images: str) -> dict[str, object]:
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": arch}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "status": {"images": [{"names": list(images)}]},
    }  # fmt: skip


def pull_secret(host: str) -> dict[str, object]:
    config = json.dumps({"auths": {host: {"username": "alice", "password": "hunter2"}}})
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": "pull"},
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }  # fmt: skip


async def test_a_pull_secret_of_the_cluster_opens_the_registry(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.auth = Basic({"alice": "hunter2"})
    async with FakeApiServer() as server:
        server.add(pull_secret(registry.host))
        assert (await check(registry.image("team/app"), "--pull-secret", "shop/pull", server=server))[0] == Exit.OK
        assert (await check("--manifest", manifest(tmp_path, registry), "--cluster", server=server))[0] == Exit.OK
        assert (await check(registry.image("team/app"), "--cluster", server=server))[0] == Exit.UNTOLD
        with pytest.raises(Problem, match="There is no Secret none in namespace shop"):
            await check(registry.image("team/app"), "--pull-secret", "shop/none", server=server)


async def test_the_nodes_say_for_which_platforms_it_must_be_there(registry: FaultyRegistry) -> None:
    async with FakeApiServer() as server:
        server.add(node("a", "s390x"))
        code, out = await check(registry.image("team/app"), "--cluster", server=server)
        assert code == Exit.FAILED
        assert "it is there for linux/amd64, linux/arm64, not for linux/s390x" in out
        server.add(node("b", "arm64"))
        assert (await check(registry.image("team/app"), "--cluster", server=server))[0] == Exit.UNTOLD


async def test_an_image_that_a_node_holds_is_there_for_a_pod_that_pulls_only_what_is_not(registry: FaultyRegistry, tmp_path: Path) -> None:
    file = manifest(tmp_path, registry)
    registry.store.manifests.clear()
    async with FakeApiServer() as server:
        server.add(node("a", "amd64", registry.image("team/app"), registry.image("team/migrate", "1")))
        code, out = await check("--manifest", file, "--cluster", server=server)
        assert code == Exit.OK
        assert "a node holds it already" in out
        # asked by name, and not for a pod, the registry alone counts
        assert (await check(registry.image("team/app"), "--cluster", server=server))[0] == Exit.FAILED
