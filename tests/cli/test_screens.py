"""Whole screens, as a person sees them."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from flaggerpy.cli import screens
from flaggerpy.cli.glyphs import BLOCKS
from flaggerpy.cli.views import canary_view
from flaggerpy.cli.words import looking
from tests.cli.objects import NOW, Obj, at, canary, ended, pod, run


def page(text: str) -> str:
    return dedent(text).lstrip("\n")


def progressing() -> Obj:
    return canary(
        "Progressing",
        spec={
            "analysis": {
                "interval": "10s",
                "threshold": 5,
                "stepWeight": 20,
                "maxWeight": 60,
                "metrics": [
                    {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
                    {"name": "latency", "thresholdRange": {"min": 1.5, "max": 500}},
                    {"name": "old", "threshold": 3},
                ],
                "webhooks": [
                    {"name": "ask-ops", "type": "confirm-promotion", "url": "http://gate/"},
                    {"name": "start", "type": "confirm-rollout", "url": "http://gate/"},
                    {"name": "load", "type": "rollout", "url": "http://load/"},
                ],
            }
        },
        canaryWeight=40,
        failedChecks=1,
        lastTransitionTime=at(-20),
        lastAppliedSpec="7f9c",
        lastPromotedSpec="65d8",
        promotedImages=["ghcr.io/x/podinfo:1.0.0"],
        run=run("7f9c", "ghcr.io/x/podinfo:1.0.1"),
        progress={
            "waitingFor": "the analysis of step 2 of 3 at 40 %",
            "since": at(-12),
            "until": at(8),
            "then": "weight 60 %",
            "advice": "flaggerpy promote podinfo skips the rest of the analysis",
        },
        conditions=[
            {
                "type": "Promoted",
                "status": "Unknown",
                "reason": "Progressing",
                "message": "New revision detected.",
                "lastTransitionTime": at(-34),
            }
        ],
        history=[
            ended("11aa", "ghcr.io/x/podinfo:0.9", "Initialized", started=-90000, end=-86400),
            ended("65d8", "ghcr.io/x/podinfo:1.0.0", "Succeeded", started=-7300, end=-7200, forced=True),
        ],
    )


EVENTS: list[Obj] = [
    {"type": "Warning", "message": "Halt advancement success rate 93.20% < 99%", "count": 3, "lastTimestamp": at(-3)},
    {"type": "Normal", "message": "Advance podinfo.test canary weight 40", "series": {"count": 1, "lastObservedTime": at(-12)}},
]


def test_describe_tells_a_release_under_way() -> None:
    view = canary_view(
        progressing(), NOW, primary_pods=[pod("p"), pod("p"), pod("p", terminating=True)], canary_pods=[pod("c"), pod("c", ready=False)],
        events=EVENTS,
    )  # fmt: skip
    assert screens.describe(view).plain == page("""
        podinfo.test   Progressing   Deployment podinfo   gatewayapi:v1   canary
          revision   7f9c  podinfo:1.0.1  for 34s
          promoted   65d8  podinfo:1.0.0
          weight     canary  40 %  ████████░░░░░░░░░░░░  primary 60 %
          pods       canary 1/2 ready, primary 2/2 ready
          checks     1 failed (rollback at 5)

        Waiting for
          the analysis of step 2 of 3 at 40 %
          for 12s, until 15:30:08Z (8s left), then: weight 60 %

        What you can do
          flaggerpy promote podinfo skips the rest of the analysis
          flaggerpy skip podinfo -n test: take the next step now
          flaggerpy pause podinfo -n test: hold it here
          flaggerpy abort podinfo -n test: back to the primary

        Metrics
          request-success-rate  >= 99  over 1m
          latency  >= 1.5 and <= 500
          old  <= 3

        Gates
          NAME      TYPE                STATE
          ask-ops   confirm-promotion   asked before promotion
          start     confirm-rollout     passed

        Conditions
          TYPE       STATUS    REASON        AGE   MESSAGE
          Promoted   Unknown   Progressing   34s   New revision detected.

        Events
          AGE   TYPE      MESSAGE
          12s   Normal    Advance podinfo.test canary weight 40
          3s    Warning   Halt advancement success rate 93.20% < 99% (x3)

        History
          #   ENDED   OUTCOME              REVISION   IMAGES          TOOK   CAUSE
          1   2h      Succeeded (forced)   65d8       podinfo:1.0.0   100s
          2   24h     Initialized          11aa       podinfo:0.9     60m
        """)


def test_describe_holds_the_last_value_of_each_metric_against_its_bounds() -> None:
    measured = {
        "steps": ["20%", "40%"],
        "metrics": [
            {"name": "request-success-rate", "values": [99.98, 98.5]},
            {"name": "latency", "values": [210.0, 220.0]},
            {"name": "old", "values": [3.0, None]},
        ],
    }
    obj = progressing()
    obj["status"]["run"]["measured"] = measured
    text = screens.describe(canary_view(obj, NOW)).plain
    assert "  request-success-rate  >= 99  over 1m  last 98.5 at 40%, missed\n" in text
    assert "  latency  >= 1.5 and <= 500  last 220 at 40%\n" in text
    assert "  old  <= 3  last no value at 40%\n" in text


def test_the_wide_history_has_values_by_step_and_who_ordered_what() -> None:
    obj = canary(
        "Succeeded",
        promotedRevisions=["65d8"],
        history=[
            ended(
                "65d8", "ghcr.io/x/podinfo:1.0.0", "Succeeded", started=-7300, end=-7200, forced=True,
                measured={
                    "steps": ["20%", "40%"],
                    "metrics": [{"name": "m", "values": [99.98, None]}, {"name": "latency", "values": [1, 2]}],
                },
                orders=[{"command": "skip", "by": "flaggerpy-cli as ann", "at": at(-7250), "detail": "at step 20"}],
            ),
            ended("bad1", "podinfo:9.9", "Failed", started=-9000, end=-8990, cause="image podinfo:9.9 is not in the registry"),
        ],
    )  # fmt: skip
    view = canary_view(obj, NOW)
    assert screens.history_wide(view.history, NOW, view.promoted_revisions, BLOCKS).plain == page("""
        1  Succeeded (forced)  65d8  podinfo:1.0.0  2026-11-26 13:28:20Z  100s  template kept
             m         ▅    20% 99.98   40% -
             latency   ▁█   20% 1   40% 2
             2026-11-26 13:29:10Z  skip by flaggerpy-cli as ann, at step 20
        2  Failed  bad1  podinfo:9.9  2026-11-26 13:00:00Z  10s
             image podinfo:9.9 is not in the registry
        """)


def test_describe_names_pods_that_fail_once_and_counts_the_rest() -> None:
    failure = {
        "container": "app",
        "reason": "ErrImagePull",
        "message": "not found",
        "diagnosis": "The registry has no tag 9.9 of podinfo: push it, or correct the name.",
    }
    failed = canary(
        "Failed",
        lastAppliedSpec="bad1",
        lastPromotedSpec="65d8",
        appliedImages=["podinfo:9.9"],
        promotedImages=["podinfo:1.0.0"],
        podFailures=[{"pod": "podinfo-bad1-a", **failure}, {"pod": "podinfo-bad1-b", **failure}],
        history=[ended("bad1", "podinfo:9.9", "Failed", started=-20, end=-11, cause="image podinfo:9.9 is not in the registry")],
    )
    assert screens.describe(canary_view(failed, NOW)).plain == page("""
        podinfo.test   Failed   Deployment podinfo   gatewayapi:v1   canary
          revision   bad1  podinfo:9.9
          promoted   65d8  podinfo:1.0.0
          weight     canary   0 %  ░░░░░░░░░░░░░░░░░░░░  primary 100 %
          ended      Failed 11s ago: image podinfo:9.9 is not in the registry

        Pods that fail
          podinfo-bad1-a  container app: ErrImagePull  (and 1 more)
            The registry has no tag 9.9 of podinfo: push it, or correct the name.
            not found

        What you can do
          Change the target: another template is another release.
          flaggerpy retry podinfo -n test: run this revision once more

        History
          #   ENDED   OUTCOME   REVISION   IMAGES        TOOK   CAUSE
          1   11s     Failed    bad1       podinfo:9.9   9s     image podinfo:9.9 is not in the registry
        """)


def test_describe_shows_a_cut_a_verdict_and_a_pause() -> None:
    obj = canary(
        "Progressing",
        annotations={"flagger.app/pause": "7f9c", "flagger.app/abort": "7f9c"},
        canaryWeight=40,
        run=run("7f9c", "podinfo:1.0.1", cut=10, attempt=2, verdict="crashed three times"),
    )
    assert screens.describe(canary_view(obj, NOW)).plain == page("""
        podinfo.test   Progressing   Deployment podinfo   gatewayapi:v1   canary
          revision   7f9c  podinfo:1.0.1  attempt 2  for 34s
          weight     canary  10 %  ██░░░░░░░░░░░░░░░░░░  primary 90 %  (cut from 40 %: pods were lost)
          verdict    crashed three times
          command    abort, not taken up by the controller yet
          paused     no step is taken until: flaggerpy resume podinfo -n test
        """)


def test_describe_tells_what_people_ordered_in_this_run() -> None:
    order = {"command": "skip", "by": "flaggerpy-cli as ann", "at": at(-50), "detail": "at step 20"}
    reverting = {"revision": "65d8", "before": "7f9c", "at": at(0)}
    obj = canary("Progressing", run=run("7f9c", "podinfo:1.0.1", orders=[order]), reverting=reverting)
    text = screens.describe(canary_view(obj, NOW)).plain
    assert "  ordered    2026-11-26 15:29:10Z  skip by flaggerpy-cli as ann, at step 20\n" in text
    assert "  going back Deployment podinfo is given the template of revision 65d8 again\n" in text


def test_describe_shows_a_canary_that_cannot_be_read_all_the_same() -> None:
    obj = canary("Initialized", spec={"service": {"port": "eighty"}, "suspend": True})
    text = screens.describe(canary_view(obj, NOW)).plain
    assert "spec.service.port cannot be read" in text
    assert "suspended" in text
    assert text.startswith("podinfo.test   Initialized")


def test_get_is_a_table_with_kubectls_look_and_what_is_waited_for() -> None:
    other = canary("")
    other["metadata"] |= {"name": "a-new-one", "namespace": "prod"}
    views = [canary_view(other, NOW), canary_view(progressing(), NOW)]
    assert screens.canaries(views, all_namespaces=True).plain == page("""
        NAMESPACE   NAME        STATUS        WEIGHT   SINCE   WAITING FOR
        prod        a-new-one   (not seen)    0
        test        podinfo     Progressing   40       20s     the analysis of step 2 of 3 at 40 %
        """)


def test_get_wide_has_flaggers_wide_columns() -> None:
    assert screens.canaries([canary_view(progressing(), NOW)], wide=True).plain == page("""
        NAME      STATUS        WEIGHT   SUSPENDED   FAILEDCHECKS   INTERVAL   MIRROR   STEPWEIGHT   STEPWEIGHTS   MAXWEIGHT   LASTTRANSITIONTIME     AGE   WAITING FOR
        podinfo   Progressing   40                   1              10s                 20                         60          2026-11-26T15:29:40Z         the analysis of step 2 of 3 at 40 %
        """)  # noqa: E501


def test_a_failing_container_is_named_in_the_line_of_a_change_once() -> None:
    failure = {"pod": "p", "container": "app", "reason": "Error", "diagnosis": "it crashes: exit code 1. Read its log."}
    silent = canary("Failed", podFailures=[failure])
    assert screens.change_line(canary_view(silent, NOW)).endswith("Failed  canary 0 %  app: Error: it crashes: exit code 1")
    told = canary("Progressing", podFailures=[failure], progress={"waitingFor": "not ready: container app crashes"})
    assert screens.change_line(canary_view(told, NOW)).endswith("canary 0 %  not ready: container app crashes")


def test_a_change_is_one_line() -> None:
    view = canary_view(progressing(), NOW, primary_pods=[pod("p")], canary_pods=[])
    assert screens.change_line(view) == (
        "15:30:00Z  podinfo.test  Progressing  canary 40 %  pods 1/1 + 0/0  1 of 5 checks failed  the analysis of step 2 of 3 at 40 %"
    )


def test_on_a_terminal_long_lines_go_on_under_their_last_column() -> None:
    message = "no values found for metric request-success-rate of podinfo"
    text = screens.table(("AGE", "TYPE", "MESSAGE"), [("3s", "Warning", message)], "  ")
    assert screens.folded(text, 40).plain == (
        "  AGE   TYPE      MESSAGE\n"
        "  3s    Warning   no values found for\n"
        "                  metric\n"
        "                  request-success-rate\n"
        "                  of podinfo\n"
    )
    assert screens.folded(text, None).plain == text.plain
    assert screens.folded(Text("x" * 25 + "\n"), 10).plain == "xxxxxxxxxx\n  xxxxxxxx\n  xxxxxxx\n"


@given(st.text(alphabet="ab   \n", max_size=200), st.integers(8, 60))
def test_folding_loses_no_letter_and_fits(text: str, width: int) -> None:
    folded = screens.folded(Text(text + "\n"), width).plain
    assert max(map(len, folded.split("\n"))) <= width
    assert [c for c in folded if c in "ab"] == [c for c in text if c in "ab"]


def test_get_is_cut_to_a_terminal_and_nowhere_else() -> None:
    text = screens.canaries([canary_view(progressing(), NOW)])
    assert screens.fitted(text, 40, BLOCKS).plain.splitlines()[1] == "podinfo   Progressing   40       20s   …"[:39] + "…"
    assert screens.fitted(text, None, BLOCKS) is text


@pytest.mark.parametrize(
    ("by", "names"),
    [("name", "abc"), ("phase", "bac"), ("age", "cab"), ("weight", "acb"), ("since", "bca")],
)
def test_get_is_sorted(by: str, names: str) -> None:
    objects = []
    told = (("a", "Progressing", 40, -5, -20), ("b", "Failed", 0, -90, -10), ("c", "Succeeded", 5, -50, -99))
    for name, phase, weight, since, created in told:
        obj = canary(phase, canaryWeight=weight, lastTransitionTime=at(since))
        obj["metadata"] |= {"name": name, "creationTimestamp": at(created)}
        objects.append(canary_view(obj, NOW))
    assert "".join(view.name for view in screens.in_order(objects, by)) == names


def test_a_table_that_goes_on_keeps_its_columns_and_has_one_head() -> None:
    widths: list[int] = []
    first = screens.canaries([canary_view(progressing(), NOW)], widths=widths).plain
    again = screens.canaries([canary_view(canary("Failed"), NOW)], widths=widths).plain
    assert first.splitlines()[0].startswith("NAME      STATUS        WEIGHT")
    assert again == "podinfo   Failed        0\n"


def test_the_options_name_the_orders_that_there_are() -> None:
    assert tuple(screens.SORTS) == looking.SORTS
