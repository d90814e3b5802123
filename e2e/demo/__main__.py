"""python -m e2e.demo: boots the sandbox (or takes the context that CONTEXT names), installs flaggerpy, plays six releases, prints a table.

Variables: PROVIDER=contour, gatewayapi:v1 (the default), traefik or kubernetes. CONTEXT=name plays on that context of the kubeconfig, and
on no other; it then needs a Gateway whose address can be reached from here, or URL=http://.., and GATEWAY=namespace/name where there are
several (contour and traefik: URL alone). PROMETHEUS=http://.. lets the controller measure; without it, story d is left out. Images are
public ones, or podinfo:1.0.0 to 1.0.2 and crasher:1.0.0 from REGISTRY=host:port. RATE is the number of requests per second (50).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from e2e.demo import chart, install, manifests, stage
from e2e.demo.hands import closed_gate, trial
from e2e.demo.load import Load
from e2e.demo.play import APP, PROVIDERS, prologue, public_images, sandbox_images, stories
from e2e.demo.table import Result, farewell, good, table
from e2e.sandbox import secure_registry
from e2e.sandbox.build import BuildError
from e2e.sandbox.checks import http_ok
from e2e.sandbox.cluster import Sandbox
from e2e.sandbox.console import step
from e2e.sandbox.layout import NODE_IP
from e2e.sandbox.processes import NotReady
from flaggerpy import __version__
from flaggerpy.cli.live import LiveView
from flaggerpy.cli.problems import Problem
from flaggerpy.cli.screens import change_line
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.kinds import Kind
from release import image, oci

SANDBOX = "demo"
HOST = "podinfo.example.com"
IMAGE = "FLAGGERPY_DEMO_IMAGE"
"""The variable by which the play, inside the sandbox's network, learns of the archive that was built outside."""
ROUTES = {"gatewayapi:v1": "httproutes", "contour": "httpproxies", "traefik": "traefikservices.traefik.io", "kubernetes": "services"}
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
LOG_LINES = 5
LOG_WIDTH = 160


def main() -> int:
    """Exit code 0 when every story ended as it should."""
    context = os.environ.get("CONTEXT", "")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_WIDTH)
    if sys.argv[1:] == ["down"]:
        return asyncio.run(_down(context)) if context else _sandbox_down()
    try:
        provider = _provider()
        if context:
            return asyncio.run(_on_context(context, provider, console))
        sandbox = Sandbox(SANDBOX)
        if os.environ.get("SANDBOX_NAME") != SANDBOX:
            with step("flaggerpy's image"):
                built = image.written(image.build(), install.ROOT / "build/image")
            sandbox.up(["helm", *([provider] if provider == "traefik" else [])])
            argv = sandbox.enter([sys.executable, "-m", "e2e.demo"])
            os.execvpe(argv[0], argv, {**sandbox.env(), IMAGE: str(built)})
        return asyncio.run(_in_sandbox(sandbox, provider, console))
    except KeyboardInterrupt:
        print("\nInterrupted. `make demo` plays from the beginning, `make demo-down` takes all of it away.", file=sys.stderr)
        return 130
    except (ApiError, Problem, BuildError, NotReady, TimeoutError, RuntimeError, OSError) as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        return 1


def _provider() -> str:
    chosen = os.environ.get("PROVIDER") or PROVIDERS[0]
    if chosen not in PROVIDERS:
        raise install.NotInstalled(f"PROVIDER={chosen}: the demo is played on {', '.join(PROVIDERS)}")
    return chosen


async def _in_sandbox(sandbox: Sandbox, provider: str, console: Console) -> int:
    place = manifests.Place(
        gateway_namespace="projectcontour",
        gateway="contour",
        url=sandbox.traefik_url if provider == "traefik" else sandbox.gateway_url,
        host=HOST,
        prometheus=sandbox.prometheus_url_of_pods,
        images=sandbox_images(secure_registry.opened(sandbox)),
        envoy_metrics=True,
        provider=provider,
        hands=NODE_IP,
    )
    archive = Path(os.environ[IMAGE])
    async with await Client.connect(str(sandbox.kubeconfig)) as client:
        with step("an empty namespace"):
            await chart.uninstall()
            await install.fresh_namespace(client)
            await client.apply(manifests.namespace(manifests.SYSTEM), manager=install.MANAGER)
        with step("image into the registry"):
            repository = sandbox.load_image(f"{image.NAME}:{__version__}", archive).rpartition(":")[0]
        with step("helm upgrade --install flagger charts/flaggerpy"):
            # it outlives the demo, so that there is something to look around in; `make demo-down` ends it with the rest
            chosen = chart.values(place, repository, oci.opened(archive).digest)
            await chart.install(client, chosen, secure_registry.authority(sandbox).read_text(), sandbox.layout.conf)
        results = await _perform(client, place, console)
    run = f"{_shown(sys.executable)} -m e2e.sandbox exec --name {SANDBOX} --"
    beside = Path(sys.executable).with_name("flaggerpy")
    tool = _shown(str(beside)) if beside.exists() else f"{_shown(sys.executable)} -m flaggerpy.cli.main"
    looks = [
        (f"{run} {tool} describe {APP} -n {manifests.NAMESPACE}", "what happened to the last release, and why"),
        (f"{run} {tool} history {APP} -n {manifests.NAMESPACE}", "all releases"),
        (f"{run} kubectl get canaries,{ROUTES[provider]},deployments,pods -n {manifests.NAMESPACE}", "what is there"),
        (f"{run} kubectl logs deployment/{chart.RELEASE} -n {manifests.SYSTEM}", "what the controller says"),
    ]
    return _end(console, place, results, looks)


async def _on_context(context: str, provider: str, console: Console) -> int:
    kubeconfig = _kubeconfig()
    async with await Client.connect(str(kubeconfig), context) as client:
        with step(f"CRDs, RBAC, an empty namespace on {context}"):
            place = await _place_of(client, provider)
            await install.crds(client)
            await install.fresh_namespace(client)
            content = await install.account(client, _text(kubeconfig), context, provider)
        with tempfile.TemporaryDirectory() as folder:
            account = install.write_private(Path(folder) / "kubeconfig", content)
            argv = install.controller_command(account, place.prometheus, port := install.free_port(), provider)
            async with _local_controller(argv, port):
                results = await _perform(client, place, console)
    looks = [
        (f"flaggerpy describe {APP} -n {manifests.NAMESPACE} --context {context}", "what happened to the last release, and why"),
        (f"flaggerpy history {APP} -n {manifests.NAMESPACE} --context {context}", "all releases"),
        (f"kubectl --context {context} get canaries,{ROUTES[provider]},deployments,pods -n {manifests.NAMESPACE}", "what is there"),
    ]
    return _end(console, place, results, looks)


async def _place_of(client: Client, provider: str) -> manifests.Place:
    """The way into a cluster that is not ours: URL, or the Gateway that is named or the only one programmed. Raises NotInstalled."""
    images, prometheus = public_images(os.environ.get("REGISTRY", "")), os.environ.get("PROMETHEUS", "")
    if provider in ("contour", "traefik"):
        url = os.environ.get("URL", "")
        if not url:
            raise install.NotInstalled(f"say where requests reach {provider}: URL=http://..")
        return manifests.Place("", "", url, HOST, prometheus, images, provider=provider)
    wanted = os.environ.get("GATEWAY", "")
    found: list[dict[str, Any]] = await client.list(GATEWAY)
    chosen = [
        obj
        for obj in found
        if (not wanted or f"{obj['metadata']['namespace']}/{obj['metadata']['name']}" == wanted)
        and any(c["type"] == "Programmed" and c["status"] == "True" for c in (obj.get("status") or {}).get("conditions") or ())
    ]
    if len(chosen) != 1:
        raise install.NotInstalled(f"{len(chosen)} programmed Gateways found: name one by GATEWAY=namespace/name")
    addresses = (chosen[0].get("status") or {}).get("addresses") or [{}]
    url = os.environ.get("URL") or (f"http://{addresses[0]['value']}/" if addresses[0].get("value") else "")
    if not url:
        raise install.NotInstalled("the Gateway has no address: forward a port to it and pass URL=http://127.0.0.1:PORT")
    metadata = chosen[0]["metadata"]
    return manifests.Place(metadata["namespace"], metadata["name"], url, HOST, prometheus, images, provider=provider)


@asynccontextmanager
async def _local_controller(argv: tuple[str, ...], port: int) -> AsyncIterator[None]:
    """The controller beside us, ended with us."""
    with tempfile.NamedTemporaryFile("w+", prefix="flaggerpy-", suffix=".log", delete=False) as log:
        environment = {**os.environ, "PYTHONPATH": str(install.ROOT)}
        child = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=subprocess.STDOUT, env=environment)
        serving = _serving(port)
        try:
            with step(f"controller (log: {log.name})"):
                for _ in range(300):
                    if child.returncode is not None:
                        raise install.NotInstalled(f"the controller ended with {child.returncode}; its log is {log.name}")
                    with suppress(OSError):
                        if serving():
                            break
                    await asyncio.sleep(0.1)
                else:
                    raise install.NotInstalled(f"the controller is not ready after 30 s; its log is {log.name}")
            yield
        finally:
            child.terminate()
            await child.wait()


def _serving(port: int) -> Callable[[], bool]:
    """Whether the controller's HTTP server says that it is ready."""
    return lambda: http_ok(port, "/readyz")


async def _perform(client: Client, place: manifests.Place, console: Console) -> list[Result]:
    """All stories, under one load."""
    await client.apply(manifests.first_release(place.images), manager=install.MANAGER)
    await client.apply(manifests.canary(place), manager=install.MANAGER)
    for obj in manifests.entrance(place):
        await client.apply(obj, manager=install.MANAGER)
    load = Load(place.url, place.host, rate=float(os.environ.get("RATE", "50")))
    results: list[Result] = []
    for sentence in prologue(place.provider):
        console.print(sentence, markup=False)
    with _screen(console, load) as screen:
        screen.act("The first release: flaggerpy sets up the primary, the Services and the route")
        await stage.until_initialized(client, screen.show)
        async with load, closed_gate(place.hands) as gate, trial(client, place.hands) as tried:
            for story in stories(place.images, place.provider):
                if story.needs_metrics and not place.prometheus:
                    screen.say(f"{story.key}) {story.title}: left out, as PROMETHEUS is not given")
                    continue
                screen.act(f"{story.key}) {story.title}")
                wanted = manifests.canary(place, gate if story.by_hand else "", trial=tried, check_images=story.checks_images)
                await client.apply(wanted, manager=install.MANAGER)
                result = await stage.play(client, story, load, screen.show)
                results.append(result)
                screen.say(_in_a_line(result))
    return results


def _in_a_line(result: Result) -> str:
    mark = "✗" if result.faults() else "✓"
    cause = f": {result.cause}" if result.cause else ""
    return (
        f"{mark} {result.story.key}) {result.outcome} after {result.seconds:.1f} s, "
        f"{result.sent:,} requests sent, {result.lost:,} lost{cause}"
    )


class Screen:
    """What the audience sees: bars that move on a terminal, otherwise one line per change."""

    def __init__(self, console: Console, load: Load, live: Live | None) -> None:
        self._console = console
        self._load = load
        self._live = live
        self._headline = ""
        self._since = time.monotonic()
        self._told = ""
        self._events: deque[str] = deque(maxlen=LOG_LINES)
        self._known: set[tuple[str, float]] = set()

    def act(self, headline: str) -> None:
        self._headline, self._since = headline, time.monotonic()
        self._events.clear()
        if not self._live:
            self.say(headline)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def show(self, scene: stage.Scene) -> None:
        view = scene.view
        for event in view.events:
            if (event.message, event.at) not in self._known:
                self._known.add((event.message, event.at))
                self._events.append(f"{'!' if event.type == 'Warning' else ' '} {event.message}")
                if not self._live:
                    self.say(f"    {event.type}: {event.message}")
        if self._live:
            headline = f"{self._headline}   {time.monotonic() - self._since:.0f} s"
            self._live.update(LiveView([view], [self._load.traffic()], headline, list(self._events)), refresh=True)
            return
        line = change_line(view)
        if line[10:] != self._told:
            self._told = line[10:]
            self.say(f"  {line}")


@contextmanager
def _screen(console: Console, load: Load) -> Iterator[Screen]:
    if not console.is_terminal:
        console.soft_wrap = True
        yield Screen(console, load, None)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield Screen(console, load, live)


def _end(console: Console, place: manifests.Place, results: list[Result], looks: list[tuple[str, str]]) -> int:
    console.print()
    console.print(table(results), soft_wrap=False)
    console.print(farewell(looks), soft_wrap=True)
    played = [story for story in stories(place.images, place.provider) if place.prometheus or not story.needs_metrics]
    return 0 if good(results, len(played)) else 1


def _sandbox_down() -> int:
    Sandbox(SANDBOX).down()
    return 0


async def _down(context: str) -> int:
    async with await Client.connect(str(_kubeconfig()), context) as client:
        await install.remove(client)
    print(f"The demo's namespaces and roles are gone from {context}. The CRDs stay: other Canaries may live there.")
    return 0


def _kubeconfig() -> Path:
    return Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")


def _text(file: Path) -> str:
    return file.read_text()


def _shown(path: str) -> str:
    """A path as one would type it here."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except ValueError:
        return path


if __name__ == "__main__":
    sys.exit(main())
