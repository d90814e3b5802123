"""Secrets stay where they are: a token is planted in every secret that the controller reads or is told, everything that can fail fails,
and then logs at debug, API objects, events, metrics, traces, the web page, the command line and what others were sent are searched.

`Parrot` is the worst receiver there is: whatever it is asked, it says back what it was sent, in the way that its path names.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from aiohttp import web

from e2e.observe.otlp import Collector
from flaggerpy.alerts import sending
from flaggerpy.cli.main import main
from flaggerpy.cluster import kinds
from flaggerpy.http import Http
from flaggerpy.images.asking import ask
from flaggerpy.images.conversation import conversation
from flaggerpy.images.credentials import Credential
from flaggerpy.images.reference import parse
from flaggerpy.metrics import prometheus
from flaggerpy.telemetry import logs
from flaggerpy.telemetry.metrics import OPENMETRICS_TYPE
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, controller, new_image, status

Obj = dict[str, Any]
pytestmark = pytest.mark.usefixtures("short_drains", "living")

CERTIFICATE = Path(__file__).parent.parent / "data" / "self-signed.pem"
WAYS = ("401", "500", "200", "drip", "reset", "redirect", "tls", "refused", "closed", "bad")
"""What becomes of a request: statuses with the echo in their body, no end in time, a broken connection, a redirect that repeats the token,
an untrusted certificate, nobody there, an address that is closed, an address that is none."""
TOKENS = {
    name: f"t0ken-{name}-5ecret"
    for name in (
        "hookuser", "hookpass", "hookquery", "bearer", "basicpass", "header", "pullpass", "tracked", "eventpath", "serverpass",
        "serverquery", "slackpath", "slacktoken", "msteamspath", "discordpath", "rocketpath", "gchatpath", "gchatquery", "behindpath",
        "behindtoken", "flagpath", "flagtoken", "proxyofprovider", "proxyofflag", "proxyofenvironment", "person",
    )
}  # fmt: skip
CHATS = ("slack", "msteams", "discord", "rocket", "gchat")
UNSENT = ("tracked", "person", "serverquery")
"""Tokens that no receiver gets: of a Secret of pods, for the API server, and in a place where a query for Prometheus takes its turn."""


class Parrot:
    """Says back what it hears; keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.known: set[str] = set()
        self.port = self.tls = self.nobody = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.text()
        self.heard.append((request.path_qs, body))
        words = [request.path_qs, unquote(request.path_qs), *request.headers.values(), body[:100]]
        for value in request.headers.values():
            if value.startswith("Basic "):
                words += base64.b64decode(value[6:]).decode().split(":")
        self.known |= {name for name, token in TOKENS.items() if any(token in word for word in words)}
        if request.method == "CONNECT":
            return web.Response(status=407, reason=" ".join(reversed(words)))
        way = next((part for part in request.path.split("/") if part in WAYS), "401")
        if request.path.startswith("/v2/"):
            return self._registry(request, words)
        if way == "reset":
            assert request.transport is not None
            request.transport.abort()
        if way == "drip":
            response = web.StreamResponse(headers={"Content-Length": "100000"})
            await response.prepare(request)
            while True:
                await response.write(" ".join(words).encode()[:50])
                await asyncio.sleep(0.05)
        if way == "redirect":
            return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{self.nobody}/{words[-1]}?{request.query_string}"})
        said: Obj = {"status": "error", "error": " ".join(words), "ok": False, "data": {"result": [words]}}
        return web.json_response(said, status=int(way) if way.isdigit() else 200, headers={"X-Echo": words[0][:80]})

    def _registry(self, request: web.BaseRequest, words: list[str]) -> web.Response:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="parrot"'})
        # words of a registry go into events: codes, digests
        errors = [{"code": word, "message": word} for word in reversed(words)]
        return web.json_response({"errors": errors}, status=403, headers={"Docker-Content-Digest": words[-2][:60]})

    def url(self, way: str, rest: str = "", user: str = "") -> str:
        """An address at which that happens."""
        at = f"{user}@" if user else ""
        if way == "bad":
            return f"http://{at}[::1/{rest}"
        if way == "closed":
            return f"http://{at}169.254.169.254/{rest}"
        port = {"tls": self.tls, "refused": self.nobody}.get(way, self.port)
        return f"{'https' if way == 'tls' else 'http'}://{at}127.0.0.1:{port}/{way}/{rest}"

    def proxy(self, token: str) -> str:
        """Itself as a proxy that asks for credentials: it answers in the place of whoever is asked through it."""
        return f"http://me:{TOKENS[token]}@127.0.0.1:{self.port}"


@pytest.fixture
async def parrot() -> AsyncIterator[Parrot]:
    made = Parrot()
    runner = web.ServerRunner(web.Server(made.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    made.port, made.tls = (address[1] for address in runner.addresses)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made.nobody = free.getsockname()[1]
    yield made
    await runner.cleanup()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where the controller's traces arrive."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The controller's log as it would be written, at debug."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.HUSHED}
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def secret(name: str, **data: str) -> Obj:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SHOP}, "data": encoded}


def ours(kind: str, name: str, **spec: Any) -> Obj:
    return {"apiVersion": "flagger.app/v1beta1", "kind": kind, "metadata": {"name": name, "namespace": SHOP}, "spec": spec}


def plant(server: FakeApiServer, parrot: Parrot, way: str) -> None:
    """A Canary whose hooks, metrics, alerts and images all go that way, each with tokens."""
    user, name = f"{TOKENS['hookuser']}:{TOKENS['hookpass']}", f"app-{way}"
    server.add(secret(f"bearer-{way}", token=TOKENS["bearer"] + "\n"))
    server.add(secret(f"basic-{way}", username="me", password=TOKENS["basicpass"]))
    for chat in CHATS:
        query = f"?key={TOKENS['gchatquery']}" if chat == "gchat" else ""
        server.add(secret(f"{chat}-{way}", address=parrot.url(way, TOKENS[f"{chat}path"]) + query, token=TOKENS["slacktoken"]))
        server.add(ours("AlertProvider", f"{chat}-{way}", type=chat, channel="c", secretRef={"name": f"{chat}-{way}"}))
    scheme = "https" if way == "tls" else "http"
    server.add(secret(f"behind-{way}", address=f"{scheme}://chat.invalid/{way}/{TOKENS['behindpath']}", token=TOKENS["behindtoken"]))
    behind = {"type": "slack", "channel": "c", "proxy": parrot.proxy("proxyofprovider"), "secretRef": {"name": f"behind-{way}"}}
    server.add(ours("AlertProvider", f"behind-{way}", **behind))
    metrics = {"type": "prometheus", "address": f"{scheme}://metrics.invalid/{way}"}
    server.add(ours("MetricTemplate", f"behind-{way}", provider=metrics, query="up"))
    for kind in ("bearer", "basic"):
        provider = {
            "type": "prometheus", "address": parrot.url(way), "secretRef": {"name": f"{kind}-{way}"},
            "headers": {"X-Api-Key": [TOKENS["header"]]},
        }  # fmt: skip
        server.add(ours("MetricTemplate", f"{kind}-{way}", provider=provider, query="up"))
    # others answer at once, or as soon as a busy machine lets them
    timeout = "300ms" if way == "drip" else "5s"
    hook = parrot.url(way, f"gate?key={TOKENS['hookquery']}", user)
    server_url = parrot.url(way, f"?key={TOKENS['serverquery']}", f"me:{TOKENS['serverpass']}")
    made = deployment(name, image=f"127.0.0.1:{parrot.port}/{name}:1")
    pod = made["spec"]["template"]["spec"]
    pod["imagePullSecrets"] = [{"name": "pull"}]
    pod["containers"][0]["envFrom"] = [{"secretRef": {"name": "tracked"}}]
    server.add(made)
    analysis: Obj = {
        "interval": "1s",
        "threshold": 1,
        "iterations": 1,
        "metrics": [
            {"name": "bearer", "interval": "1s", "thresholdRange": {"max": 1}, "templateRef": {"name": f"bearer-{way}"}},
            {"name": "basic", "interval": "1s", "thresholdRange": {"max": 1}, "templateRef": {"name": f"basic-{way}"}},
            {"name": "behind", "interval": "1s", "thresholdRange": {"max": 1}, "templateRef": {"name": f"behind-{way}"}},
            {"name": "request-success-rate", "interval": "1s", "thresholdRange": {"min": 1}},
        ],
        "webhooks": [
            {"name": "after", "type": "post-rollout", "url": hook, "timeout": timeout},
            {"name": "back", "type": "rollback", "url": hook.replace("/200/", "/401/"), "timeout": timeout},
            {"name": "check", "type": "rollout", "url": hook, "timeout": timeout},
        ],
        "alerts": [{"name": chat, "severity": "info", "providerRef": {"name": f"{chat}-{way}"}} for chat in (*CHATS, "behind")],
    }
    if way != "401":
        # the events of that one go to the operator's webhook
        analysis["webhooks"] = [{"name": "told", "type": "event", "url": hook, "timeout": timeout}, *analysis["webhooks"]]
    if way == "500":
        # the alerts of that one go to the operator's chat
        del analysis["alerts"]
    health = {"settle": "0s", "certainGrace": "0s", "imageCheck": "Warn"}
    server.add(canary(name, analysis=analysis, metricsServer=server_url, podHealth=health))


def shown(server: FakeApiServer) -> str:
    """All objects, but for what their owners wrote into them: the data of Secrets, and the specs of our kinds."""
    _, shelves = server.saved()
    kept = []
    for shelf in shelves.values():
        for obj in shelf.values():
            hidden = {"Secret": ("data", "stringData"), "Canary": ("spec",), "MetricTemplate": ("spec",), "AlertProvider": ("spec",)}
            kept.append({key: value for key, value in obj.items() if key not in hidden.get(obj["kind"], ())})
    return json.dumps(kept)


async def command(kubeconfig: Path, *words: str) -> str:
    """What a word of the command line prints."""
    out = io.StringIO()

    def run() -> None:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
            main([*words, "--kubeconfig", str(kubeconfig), "-n", SHOP])

    await asyncio.to_thread(run)
    return out.getvalue()


def leaks(text: str) -> list[str]:
    """The tokens that are in a text, in whatever case, also in base64."""
    found = list[str]()
    for name, token in TOKENS.items():
        packed = [base64.b64encode(value.encode()).decode()[:-3] for value in (token, f"me:{token}")]
        if any(form.lower() in text.lower() for form in (token, *packed)):
            found.append(name)
    return found


def through_proxies(monkeypatch: pytest.MonkeyPatch, parrot: Parrot) -> None:
    """The environment has a proxy for all but this machine."""
    for name in ("ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, parrot.proxy("proxyofenvironment"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


async def streamed(asking: httpx.AsyncClient, path: str, last: str) -> str:
    """What a stream of the page says up to the first event of that name."""
    said = ""
    async with asyncio.timeout(30), asking.stream("GET", path) as answer:
        async for line in answer.aiter_lines():
            said += f"{line}\n"
            if not line and f"event: {last}\n" in said:
                return said
    raise AssertionError(said)


async def test_no_planted_token_is_seen_anywhere(
    server: FakeApiServer, parrot: Parrot, collector: Collector, log: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT", 1.0)
    monkeypatch.setattr(sending, "TIMEOUT", 1.0)
    auths = {f"127.0.0.1:{parrot.port}": {"username": "me", "password": TOKENS["pullpass"]}}
    pull = secret("pull", **{".dockerconfigjson": json.dumps({"auths": auths})})
    server.add({**pull, "type": "kubernetes.io/dockerconfigjson"})
    server.add(secret("tracked", PASSWORD=TOKENS["tracked"]))
    for way in WAYS:
        plant(server, parrot, way)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told: dict[str, str] = {}
    through_proxies(monkeypatch, parrot)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    flags = {
        "event_webhook": parrot.url("500", TOKENS["eventpath"]), "slack_url": f"http://chat.invalid/401/{TOKENS['flagpath']}",
        "slack_token": TOKENS["flagtoken"], "slack_channel": "c", "slack_proxy_url": parrot.proxy("proxyofflag"),
    }  # fmt: skip
    async with controller(server, port=port, log_level="debug", ui=True, ui_actions=True, **flags):
        await every(lambda way: _stands(server, way), server, 200)
        for way in WAYS:
            new_image(server, f"127.0.0.1:{parrot.port}/app-{way}:2", f"app-{way}")
        # each has failed its check, or waits for a server that cannot be reached
        await every(lambda way: _has_failed(server, way), server, 200)
        await eventually(lambda: parrot.known == TOKENS.keys() - UNSENT, 60)
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as asking:
            told["metrics"] = (await asking.get("/metrics")).text
            told["exemplars"] = (await asking.get("/metrics", headers={"Accept": OPENMETRICS_TYPE})).text
            told["page's person"] = (await asking.get("/ui/api/me", headers={"Authorization": f"Bearer {TOKENS['person']}"})).text
            told["page's list"] = await streamed(asking, "/ui/api/stream", "whole")
            told["page's details"] = "".join([await streamed(asking, f"/ui/api/stream?canary={SHOP}/app-{way}", "canary") for way in WAYS])
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig", SHOP)
        for words in (["get"], ["get", "-o", "name"], ["describe", "app-500"], ["describe", "app-401"], ["history", "app-500"]):
            told[" ".join(words)] = await command(kubeconfig, *words)
    told["log"] = log.getvalue()
    told["objects"] = shown(server)
    told["sent to others"] = "\n".join(body for _, body in parrot.heard)
    told["traces"] = "\n".join(map(str, collector.spans))
    assert {where: leaks(text) for where, text in told.items() if leaks(text)} == {}
    # the test is worth something: all of it was asked with its tokens, and what was said is told
    assert "check failed" in told["objects"]
    assert all("***" in told[where] for where in ("objects", "log", "traces", "page's details"))
    assert {"hook", "metric", "alert", "images"} <= {span.name.split()[0] for span in collector.spans}
    assert "app-500" in told["get"]
    assert '"app-500"' in told["page's list"]
    assert "flagger_canary" in told["metrics"]
    assert "closed by the egress rule 169.254.0.0/16" in told["objects"]


async def every(fulfilled: Callable[[str], bool], server: FakeApiServer, within: float) -> None:
    try:
        await eventually(lambda: all(fulfilled(way) for way in WAYS), within)
    except TimeoutError:
        late = {way: status(server, f"app-{way}") for way in WAYS if not fulfilled(way)}
        raise AssertionError(json.dumps(late)) from None


def _stands(server: FakeApiServer, way: str) -> bool:
    # what the API server would have refused is refused by us
    now = status(server, f"app-{way}")
    return now.get("phase") == "Initialized" or (way == "bad" and "url must be a URL" in json.dumps(now))


def _has_failed(server: FakeApiServer, way: str) -> bool:
    now = status(server, f"app-{way}")
    return way == "bad" or now.get("phase") == "Failed" or "cannot be reached" in json.dumps(now.get("progress"))


async def test_what_a_registry_says_back_of_a_pull_secret_is_not_told(parrot: Parrot) -> None:
    async with Http() as http:
        talk = conversation(parse(f"127.0.0.1:{parrot.port}/app:1"), [Credential("me", TOKENS["pullpass"])])
        found = await ask(http.send, talk)
    assert found.cause == "pull-credentials"
    assert leaks(f"{found.detail} {found.digest}") == []


@pytest.mark.parametrize("kind", ["webhook", "metrics", "alert"])
def test_the_search_finds_what_it_looks_for(kind: str) -> None:
    assert leaks(f"{kind} said T0KEN-HOOKPASS-5ECRET") == ["hookpass"]
    assert leaks(base64.b64encode(f"me:{TOKENS['basicpass']}".encode()).decode()) == ["basicpass"]
    assert leaks(kinds.SECRET.kind) == []
