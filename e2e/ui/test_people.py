"""Who may read and who may command: real ServiceAccounts, and RBAC that decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from e2e.core.controllers import Controller
from e2e.core.stage import Stage
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.ui.browser import Browser
from flaggerpy.cluster.bearer import Bearer
from flaggerpy.cluster.client import Client

Token = Callable[..., str]


def sign_in(browser: Browser, token: str) -> None:
    browser.click("#sign", "Sign in")
    browser.run("document.getElementById('token').value = arguments[0]", token)
    browser.click("#sign-form button[type=submit]")


def test_who_may_patch_the_canary_commands_it_and_the_history_names_them(app: Stage, browser: Browser, url: str, token: Token) -> None:
    pilot = f"system:serviceaccount:{app.namespace}:pilot"
    app.release("1.0.1")
    browser.open(f"{url}#/c/{app.namespace}/{app.name}")
    browser.sees("20 %", "dl.facts", 60)
    sign_in(browser, token("pilot", "get", "patch"))
    browser.sees(f"Sign out {pilot}", "header")
    browser.click(".toolbar button", "Pause")
    browser.sees("The release holds at its present step", "dialog")
    browser.click("dialog button[type=submit]")
    browser.sees("paused", "dl.facts", 20)
    assert app.get()["metadata"]["annotations"]["flagger.app/pause"] == app.status()["run"]["revision"]
    browser.click(".toolbar button", "Resume")
    browser.click("dialog button[type=submit]")
    browser.until("no pause any more", lambda: "paused" not in browser.text("dl.facts"), 20)
    browser.click(".toolbar button", "Abort")
    browser.click("dialog button[type=submit]")
    app.phase("Failed", seconds=60)
    entry = app.status()["history"][0]
    assert entry["outcome"] == "Aborted"
    assert {order["by"] for order in entry["orders"] if order["command"] != "resume"} == {f"flaggerpy-ui as {pilot}"}
    browser.sees("Aborted", "ol.history", 20)
    assert browser.axe() == []


def test_the_api_servers_own_audit_names_the_person_not_the_controller(app: Stage, sandbox: Sandbox, url: str, token: Token) -> None:
    held = token("held", "get", "patch")
    wanted = {"namespace": app.namespace, "name": app.name, "verb": "pause", "revision": "x", "step": 0}
    answer = httpx.post(f"{url}api/orders", json=wanted, headers={"Authorization": f"Bearer {held}"}, trust_env=False)
    assert answer.status_code == 200, answer.text
    path = f"/apis/flagger.app/v1beta1/namespaces/{app.namespace}/canaries/{app.name}?fieldManager=flaggerpy-ui"

    def audited() -> bool:
        lines = [line for line in sandbox.audit_log.read_text().splitlines() if path in line]
        return bool(lines) and all(f"system:serviceaccount:{app.namespace}:held" in line for line in lines)

    until(audited, 20, "the patch in the audit log, under the person's name")


def test_who_may_not_patch_it_is_told_so_and_nothing_is_written(app: Stage, browser: Browser, url: str, token: Token) -> None:
    reader = token("reader", "get", "list")
    browser.open(f"{url}#/c/{app.namespace}/{app.name}")
    browser.sees("Initialized", "dl.facts")
    sign_in(browser, reader)
    browser.sees("may not command here", ".toolbar")
    wanted = {"namespace": app.namespace, "name": app.name, "verb": "pause", "revision": "", "step": 0}
    for headers, status in ((f"Bearer {reader}", 403), ("Bearer nonsense", 401), ("", 401)):
        answer = httpx.post(f"{url}api/orders", json=wanted, headers={"Authorization": headers} if headers else {}, trust_env=False)
        assert answer.status_code == status, answer.text
    assert "flagger.app/pause" not in app.get()["metadata"].get("annotations", {})


def test_a_wrong_token_is_refused_in_the_dialog(app: Stage, browser: Browser, url: str) -> None:
    browser.open(url)
    browser.sees(app.namespace)
    sign_in(browser, "nonsense")
    browser.sees("The API server does not accept this token.", "dialog")
    assert browser.axe() == []
    browser.press(browser.keys.ESCAPE)
    assert browser.run("return sessionStorage.getItem('token')") is None


async def test_a_client_certificate_of_the_controller_never_goes_along(sandbox: Sandbox, token: Token, namespace: str) -> None:
    # the administrator's kubeconfig has one, and the API server would let it count before the token
    async with await Client.connect(str(sandbox.kubeconfig)) as client:
        assert client.configuration.cert_file
        bearer = Bearer(client.configuration)
        assert await bearer.who(token("somebody")) == f"system:serviceaccount:{namespace}:somebody"
        assert await bearer.who("nonsense") is None
        assert await bearer.may(token("somebody"), "patch", namespace, "app") is False
        await bearer.close()


@pytest.fixture
def standby(kube: Kube, sandbox: Sandbox, controller: Controller, tmp_path: Path) -> Iterator[str]:
    """A second replica, which does not lead, and of which reading takes a token; its address."""
    made = Controller(kube, tmp_path, sandbox.prometheus_url, ["-ui", "-ui-auth"]).start()
    yield f"http://127.0.0.1:{made.port}/ui/"
    made.end()


def test_with_auth_a_reader_sees_their_namespaces_only_on_a_stand_by_too(
    app: Stage, browser: Browser, standby: str, token: Token, kube: Kube
) -> None:
    elsewhere = f"{app.namespace}-other"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}})
    kube.apply({**app.canary(), "metadata": {"name": "hidden", "namespace": elsewhere}})
    browser.open(standby)
    browser.sees("Sign in with a token first.", "main")
    assert browser.axe() == []
    sign_in(browser, token("tenant", "get", "list"))
    browser.sees(app.namespace, "table.list", 20)
    assert "hidden" not in browser.text("table.list")
    browser.open(f"{standby}#/c/{app.namespace}/{app.name}")
    browser.sees("Initialized", "dl.facts")
    app.release("1.0.2")
    browser.sees("20 %", "dl.facts", 60)
    browser.sees("waits for", "ol.events", 20)
    browser.open(f"{standby}#/c/{elsewhere}/hidden")
    browser.sees("may not get the Canary hidden", "main")
    kube.delete("Namespace", elsewhere)
