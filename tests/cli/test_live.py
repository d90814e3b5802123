"""The live view as a terminal shows it."""

from __future__ import annotations

import io
from textwrap import dedent

from rich.console import Console

from flaggerpy.cli.live import LiveView, Traffic
from flaggerpy.cli.views import canary_view
from tests.cli.objects import NOW, at, canary, pod, run


def drawn(view: LiveView) -> str:
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(view)
    return out.getvalue()


def test_a_release_under_way_with_its_traffic() -> None:
    obj = canary(
        "Progressing",
        canaryWeight=40,
        promotedImages=["reg/podinfo:1.0.0"],
        run=run("7f9c", "reg/podinfo:1.0.1"),
        progress={"waitingFor": "the analysis of step 2", "until": at(8), "then": "weight 60 %"},
    )
    view = canary_view(obj, NOW, primary_pods=[pod("p"), pod("p")], canary_pods=[pod("c"), pod("c", ready=False)])
    assert drawn(LiveView([view], [Traffic(99.98, 12.3, 3204, 1, 50)], "a) a good release", ["  Advance"])) == dedent("""\
        a) a good release
        ╭─ podinfo.test   gatewayapi:v1   canary   Progressing ────────────────────────────────────────────╮
        │ primary  ██████████████░░░░░░░░░░   60 %  pods 2/2  podinfo:1.0.0                                │
        │ canary   ██████████░░░░░░░░░░░░░░   40 %  pods 1/2  podinfo:1.0.1                                │
        │ success 99.98 %   p99 12 ms   50 requests/s   3,204 sent   1 lost                                │
        │ waiting: the analysis of step 2  (until 15:30:08Z (8s left), then: weight 60 %)                  │
        ╰──────────────────────────────────────────────────────────────────────────────────────────────────╯
          Advance
        """)


def test_a_failing_pod_and_a_cut_are_shown() -> None:
    obj = canary(
        "Progressing",
        canaryWeight=40,
        run=run("7f9c", "podinfo:1.0.1", cut=0, verdict="sidecar crashed 3 times"),
        podFailures=[
            {"pod": "podinfo-1", "container": "sidecar", "reason": "CrashLoopBackOff", "diagnosis": "It exits with 1: look at its log."},
            {"pod": "podinfo-2", "container": "sidecar", "reason": "CrashLoopBackOff", "diagnosis": "It exits with 1: look at its log."},
        ],
    )
    text = drawn(LiveView([canary_view(obj, NOW)]))
    assert "0 % of 40" in text
    assert "sidecar: CrashLoopBackOff on 2 pods: It exits with 1: look at its log." in text
    assert "pods ?" in text


def test_an_idle_canary_says_so() -> None:
    assert "idle" in drawn(LiveView([canary_view(canary("Succeeded", promotedImages=["podinfo:1"]), NOW)]))


def test_a_long_sentence_goes_on_in_the_next_line() -> None:
    sentence = "canary deployment podinfo.test not ready: " + "container podinfod runs and is not ready yet, " * 4 + "the end"
    out = io.StringIO()
    view = canary_view(canary("Progressing", progress={"waitingFor": sentence}), NOW)
    Console(file=out, width=60, color_system=None, soft_wrap=True).print(LiveView([view]))
    assert "the end" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) == 60
