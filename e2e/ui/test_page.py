"""The page in a browser while real releases run: live, true, reachable by keys, readable by machines, and by itself again after a fault."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest

from e2e.core.controllers import Controller
from e2e.core.stage import Stage
from e2e.kube import until
from e2e.ui.browser import Browser
from e2e.ui.conftest import ANALYSIS

UNSEEN = 15.0
"""Seconds: the words "not seen" need room in the picture, and a canary may have its 20 % four seconds after the run began."""
VALUES = "svg.picture .dot, svg.picture .cross"


def weights(browser: Browser) -> list[float]:
    """The weights that the picture's line shows, read from its path by the lines of its grid."""
    found = browser.run(
        """const svg = document.querySelector('svg.picture'), path = svg?.querySelector('path.weight');
        if (!path) return null;
        const [low, , high] = [...svg.querySelectorAll('line.grid')].map(l => Number(l.getAttribute('y1')));
        const points = [...path.getAttribute('d').matchAll(/[ML]([\\d.]+) ([\\d.]+)/g)].map(m => [Number(m[1]), Number(m[2])]);
        return points.map(([x, y]) => [x, (low - y) / (low - high) * 100]);"""
    )
    assert found is not None, "the page has no picture"
    assert all(one[0] <= two[0] + 0.2 for one, two in pairwise(found)), "the line goes back in time"
    steps = [round(weight, 1) for _, weight in found[1:]]
    return [weight for at, weight in enumerate(steps) if at == 0 or steps[at - 1] != weight]


def test_a_release_is_seen_live_from_list_to_picture_without_a_reload(app: Stage, browser: Browser, url: str) -> None:
    browser.open(url)
    row = f"tr[data-key='{app.namespace}/{app.name}']"
    browser.sees("Initialized", row)
    browser.run("window.stays = true")
    app.release("1.0.1")
    browser.sees("Progressing", row, 30)
    browser.click(f"{row} a")
    browser.sees("Canary’s share of the traffic", "svg.picture")
    browser.sees("40 %", "dl.facts", 40)
    browser.sees("success-rate", "svg.picture")
    assert "to come, if checks pass" in browser.text("svg.picture")
    browser.sees("Succeeded", "dl.facts", 60)
    browser.until("the whole run in the picture", lambda: weights(browser) == [0, 20, 40, 60, 0])
    browser.sees("Promotion completed!", "ol.events")
    entry = app.status()["history"][0]
    browser.sees(entry["revision"], "ol.history")
    assert browser.count(VALUES) >= len(entry["measured"]["steps"])
    assert browser.run("return window.stays") is True
    assert browser.hosts() == {httpx.URL(url).netloc.decode()}


def test_a_release_that_fails_says_why_and_marks_the_values_out_of_bounds(app: Stage, browser: Browser, url: str) -> None:
    browser.open(f"{url}#/c/{app.namespace}/{app.name}")
    browser.sees("Initialized", "dl.facts")
    app.change(containers=[{"name": "app", "env": [{"name": "FAIL_PERCENT", "value": "50"}]}])
    browser.sees("Progressing", "dl.facts", 30)
    browser.until("a value out of bounds", lambda: browser.count("svg.picture .cross"), 60)
    browser.sees("Failed", "dl.facts", 90)
    browser.sees("failed checks threshold reached", "ol.history", 20)
    assert "Failed" in browser.live()
    browser.click("ol.history summary")
    browser.sees("20%", "ol.history table")


def test_an_open_page_costs_the_api_server_nothing(app: Stage, browser: Browser, url: str, controller: Controller) -> None:
    def asked() -> dict[str, float]:
        lines = [line for line in controller.metrics().splitlines() if line.startswith("flagger_api_requests_total{")]
        # of namespaces that earlier tests left there may be writes; a page could only have something to read
        reads = [line for line in lines if "leases" not in line and ('verb="get"' in line or 'verb="list"' in line)]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in reads}

    browser.open(url)
    browser.sees(app.namespace)
    browser.open(f"{url}#/c/{app.namespace}/{app.name}")
    browser.sees("Initialized", "dl.facts")
    # what the bootstrap still had to say is said
    until(lambda: _still(asked), 60, "a controller at rest", asked)
    before = asked()
    with httpx.Client(trust_env=False) as http:
        for _ in range(10):
            with http.stream("GET", f"{url}api/stream") as answer:
                for line in answer.iter_lines():
                    if line.startswith("event: whole"):
                        break
    assert asked() == before


def _still(asked: Callable[[], dict[str, float]]) -> bool:
    first = asked()
    time.sleep(2.5)
    return asked() == first


def test_everything_can_be_reached_and_done_by_keys(app: Stage, browser: Browser, url: str) -> None:
    app.release("1.0.2")
    app.phase("Progressing", seconds=30)
    browser.open(url)
    browser.sees(app.namespace)
    keys = browser.keys
    browser.press(keys.TAB)
    assert browser.focused() == "A Skip to content"
    browser.press(keys.ENTER)
    assert browser.focused().startswith("MAIN")
    browser.press(keys.TAB)
    assert browser.focused() == "INPUT q"
    browser.press(app.namespace)
    browser.until("one row", lambda: browser.count("table.list tbody tr") == 1)
    assert browser.focused() == "INPUT q"
    browser.until("the result told to a screen reader", lambda: browser.live().startswith("1 "))
    for _ in range(30):
        browser.press(keys.TAB)
        if browser.focused() == f"A {app.name}":
            break
    assert browser.focused() == f"A {app.name}"
    browser.press(keys.ENTER)
    browser.until("the heading with the focus", lambda: browser.focused().startswith(f"H1 {app.name}"))
    browser.sees("Progressing", "dl.facts")
    browser.until("some moments", lambda: int(browser.run("return document.getElementById('moment')?.dataset.last ?? 0")) >= 2, 30)
    browser.run("document.getElementById('moment').focus()")
    browser.press(keys.HOME)
    first = browser.text("#readout")
    browser.press(keys.ARROW_RIGHT)
    browser.until("another moment", lambda: browser.text("#readout") != first)
    assert browser.focused() == "INPUT moment"
    assert browser.run("return document.getElementById('moment').getAttribute('aria-valuetext')").split(": ")[0] in browser.text("#readout")
    browser.run("history.back()")
    browser.until("the list as it was filtered", lambda: browser.count("table.list tbody tr") == 1)
    assert browser.run("return document.getElementById('q').value") == app.namespace


def test_axe_finds_nothing_and_nothing_sticks_out_light_and_dark_wide_and_narrow(app: Stage, browser: Browser, url: str) -> None:
    app.release("1.0.3")
    app.phase("Progressing", seconds=30)
    for scheme, width in itertools.product(("light", "dark"), (1200, 360)):
        browser.size(width, 900)
        browser.prefers(scheme)
        browser.open("about:blank")
        browser.open(url)
        browser.sees(app.name, "table.list")
        assert browser.axe() == []
        browser.open(f"{url}#/c/{app.namespace}/{app.name}")
        browser.until("a measured value", lambda: browser.count(VALUES), 40)
        browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert browser.axe() == []
        assert browser.run("return document.documentElement.scrollWidth") <= width
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")


@pytest.mark.alone
def test_the_page_is_live_again_after_the_controller_was_started_anew_and_says_what_it_did_not_see(
    app: Stage, browser: Browser, url: str, controller: Controller
) -> None:
    app.kube.apply(app.canary(analysis=ANALYSIS | {"interval": "15s"}))
    app.release("1.0.5")
    browser.open(f"{url}#/c/{app.namespace}/{app.name}")
    browser.sees("20 %", "dl.facts", 60)
    browser.run("window.stays = true")
    controller.stop()
    browser.sees("Connection lost", "#link")
    began = app.kube.get("Canary", app.name, app.namespace)["status"]["run"]["startedAt"]
    until(lambda: time.time() - began > UNSEEN, 30, "a part of the run that can be written upon in the picture")
    controller.start()
    browser.sees("Live", "#link", 30)
    browser.sees("This controller began to watch at", "#main", 20)
    browser.sees("not seen", "svg.picture")
    browser.sees("40 %", "dl.facts", 60)
    assert browser.run("return window.stays") is True
    browser.click("nav a", "All releases")
    browser.sees(app.namespace, "table.list")
