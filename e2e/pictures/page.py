"""The act `page`: the web page in a browser (docs/dashboard.md).

Four applications under load: one in the middle of its analysis after a bad moment, one whose gate is closed, one whose image is not there,
and one that was released without trouble.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import Kube, until
from e2e.pictures.theatre import Theatre
from e2e.sandbox import Sandbox
from e2e.ui.browser import Browser
from e2e.ui.measures import latency, success_rate

ANALYSIS = {"interval": "6s", "threshold": 5, "stepWeight": 20, "maxWeight": 80, "metrics": [success_rate(99), latency(250)]}
SPACES = ("shop", "accounts")


def play(theatre: Theatre, folder: Path) -> None:
    """Play the four releases, and take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        browser = Browser()
        stack.callback(browser.close)
        url = f"http://127.0.0.1:{theatre.controller.port}/ui/"
        _take(folder, url, browser, _stages(theatre.kube, theatre.sandbox), theatre.receiver, stack)


def _stages(kube: Kube, sandbox: Sandbox) -> dict[str, Stage]:
    for name in SPACES:
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        until(lambda name=name: kube.find("ServiceAccount", "default", name), 15, f"the account of {name}")  # type: ignore[misc]
    found = {}
    for name, space in (("checkout", "shop"), ("cart", "shop"), ("search", "shop"), ("profile", "accounts")):
        found[name] = Stage(kube, sandbox, space, name)
        found[name].host = f"{name}.example.com"
    return found


def _take(folder: Path, url: str, browser: Browser, stages: dict[str, Stage], receiver: Receiver, stack: ExitStack) -> None:
    gate = [{"name": "approve", "type": "confirm-promotion", "url": f"{receiver.url}/closed"}]
    quick = {"interval": "2s", "threshold": 2, "stepWeight": 50, "maxWeight": 50}
    analyses: dict[str, Any] = {"checkout": ANALYSIS, "cart": {**quick, "webhooks": gate}, "search": quick, "profile": quick}
    receiver.answers["/closed"] = 403
    for name, stage in stages.items():
        stage.kube.apply(stage.deployment(replicas=1 if name != "checkout" else 2), stage.canary(analysis=analyses[name]))
    for stage in stages.values():
        stage.phase("Initialized", seconds=60)
        stack.enter_context(stage.load(rate=20))
    for name, tag in (("profile", "1.0.1"), ("cart", "1.0.2"), ("search", "9.9.9")):
        stages[name].release(tag)
    stages["profile"].phase("Succeeded", seconds=90)
    stages["search"].phase("Failed", seconds=90)
    stages["cart"].phase("WaitingPromotion", seconds=90)
    checkout = stages["checkout"]
    browser.open(f"{url}#/c/shop/checkout")
    checkout.release("1.0.3")
    checkout.until_status(lambda status: status.get("canaryWeight") == 40, 90, "40 %")
    _everywhere(checkout, "/fail?percent=20")
    checkout.until_status(lambda status: status.get("failedChecks", 0) >= 1, 60, "a failed check")
    _everywhere(checkout, "/fail?percent=0")
    checkout.until_status(lambda status: status.get("canaryWeight") == 60, 90, "60 %")
    browser.until("some values", lambda: browser.count("svg.picture .dot") > 8, 60)
    _shoot(browser, folder / "dashboard-release.png", 1100, "light", full=True)
    _shoot(browser, folder / "dashboard-release-dark.png", 1100, "dark", full=True)
    _shoot(browser, folder / "dashboard-release-narrow.png", 360, "light", full=True)
    browser.open(url)
    browser.sees("search", "table.list")
    _shoot(browser, folder / "dashboard-list.png", 1100, "light", height=620)
    _shoot(browser, folder / "dashboard-list-narrow.png", 360, "dark", full=True)
    browser.open(f"{url}#/c/shop/search")
    browser.sees("History", "main")
    _shoot(browser, folder / "dashboard-failed.png", 1100, "light", full=True)


def _everywhere(stage: Stage, path: str) -> None:
    """Tell every pod of the canary something."""
    for pod in stage.kube.items("Pod", stage.namespace, f"app={stage.name}"):
        if address := pod["status"].get("podIP"):
            httpx.post(f"http://{address}:9898{path}", trust_env=False, timeout=5)


def _shoot(browser: Browser, path: Path, width: int, scheme: str, *, height: int = 900, full: bool = False) -> None:
    browser.prefers(scheme)
    browser.size(width, height)
    if full:
        # the page draws itself anew for a new width, and is then as long as it is
        browser.until("a page of this width", lambda: browser.run("return innerWidth") == width)
        browser.run("return new Promise(done => setTimeout(done, 700))")
        browser.size(width, int(browser.run("return document.querySelector('main').getBoundingClientRect().bottom + scrollY")))
    browser.run("return new Promise(done => setTimeout(done, 700))")
    browser.picture(path)
    if shutil.which("pngquant"):
        # a third of the bytes; it leaves alone what it would spoil (exit codes 98 and 99)
        subprocess.run(["pngquant", "--force", "--skip-if-larger", "--quality", "60-95", "--output", path, path], check=False)

