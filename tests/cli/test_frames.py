"""The full view as terminals of all sizes show it."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cli.frames import Scene, frame
from flaggerpy.cli.glyphs import ASCII, BLOCKS, Glyphs
from tests.cli.objects import NOW, at, canary, ended
from tests.cli.showcase import CANARY, EVENTS, release, shown


def drawn(scene: Scene, width: int, height: int, glyphs: Glyphs = BLOCKS) -> str:
    lines = frame(scene, width, height, glyphs)
    assert len(lines) <= height
    assert max(line.cell_len for line in lines) <= width
    return "\n".join(line.plain.rstrip() for line in lines) + "\n"


def page(text: str) -> str:
    return dedent(text).lstrip("\n")


def test_what_matters_most_is_there_in_60_by_15() -> None:
    assert drawn(shown(), 60, 15) == page("""
        podinfo.test  Progressing                          15:30:00Z
        podinfo:1.0.0 → podinfo:1.0.1                     ~35s to go
        primary ███████████████████░░░░░░░░░░░░  60 %  ●●  2/2 ready
        canary  ████████████░░░░░░░░░░░░░░░░░░░  40 %  ●✗  1/2 ready
        ✓ 1 done 4s   ✓ settle 10s   ✓ 20 % 17s   ▶ 40 % 8s left
        · 60 % ~17s   · gate ask-ops asked   · 2 more ~10s
        Waiting for the canary at weight 40%
          for 2s, 8s left, then the next check of the analysis
          1 of 5 checks failed, the last one rolls back
          flaggerpy skip podinfo takes the next step now
        request-success-rate     99.98  ≥ 99   ███
        latency                    210  ≤ 500  ▁▁▁
        ✗ canary   …info-7f9c-ddddd  CrashLoopBackOff  0/1     34s
          … 3 more
                                                             q quits
        """)


def test_a_middling_terminal_shows_everything_in_one_column() -> None:
    assert drawn(shown(), 100, 30) == page("""
        podinfo.test  Progressing                                         gatewayapi:v1 · canary · 15:30:00Z
        podinfo:1.0.0 → podinfo:1.0.1                                  34s so far, ~35s to go (at 15:30:35Z)
        primary ███████████████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░  60 %  ●●  2/2 ready
        canary  ████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  40 %  ●✗  1/2 ready
        ✓ pods start 4s   ✓ settle 10s   ✓ 20 % 17s   ▶ 40 % 8s left   · 60 % ~17s   · gate ask-ops asked
        · promotion ~4s   · traffic back ~6s
        Waiting for the canary at weight 40%
          for 2s, 8s left, then the next check of the analysis
          1 of 5 checks failed, the last one rolls back
          flaggerpy skip podinfo takes the next step now

        METRICS
        request-success-rate     99.98  ≥ 99   ███  2 % of its room used
        latency                    210  ≤ 500  ▁▁▁  42 % of its room used

        PODS
        ✗ canary   podinfo-7f9c-ddddd          CrashLoopBackOff  0/1     34s  2 restarts  node-1
        ● canary   podinfo-7f9c-ccccc          Running           1/1     34s  node-1
        ● primary  podinfo-primary-65d8-aaaaa  Running           1/1    116m  node-1
        ● primary  podinfo-primary-65d8-bbbbb  Running           1/1    116m  node-1

        GATES
        · ask-ops (confirm-promotion): asked before promotion

        EVENTS
           34s  New revision detected! Scaling up podinfo.test
           20s  Advance podinfo.test canary weight 20
            8s  Halt podinfo.test advancement latency 620 > 500 (x2)
            3s  Advance podinfo.test canary weight 40
                                                                                                     q quits
        """)


def test_a_large_terminal_has_the_stages_in_a_column_of_their_own() -> None:
    assert drawn(shown(), 120, 32) == page("""
        podinfo.test  Progressing                                                             gatewayapi:v1 · canary · 15:30:00Z
        podinfo:1.0.0 → podinfo:1.0.1                                                      34s so far, ~35s to go (at 15:30:35Z)
        primary ████████████████████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  60 %  ●●  2/2 ready
        canary  ████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  40 %  ●✗  1/2 ready
                                           │
        RELEASE                            │ Waiting for the canary at weight 40%
        ✓ pods start                    4s │   for 2s, 8s left, then the next check of the analysis
        ✓ settle                       10s │   1 of 5 checks failed, the last one rolls back
        ✓ 20 %                         17s │   flaggerpy skip podinfo takes the next step now
        ▶ 40 %                     8s left │
        · 60 %                        ~17s │ METRICS
        · gate ask-ops               asked │ request-success-rate     99.98  ≥ 99   ███  2 % of its room used
        · promotion                    ~4s │ latency                    210  ≤ 500  ▁▁▁  42 % of its room used
        · traffic back                 ~6s │
                                           │ PODS
                                           │ ✗ canary   podinfo-7f9c-ddddd          CrashLoopBackOff  0/1     34s  2 restarts
                                           │ ● canary   podinfo-7f9c-ccccc          Running           1/1     34s  node-1
                                           │ ● primary  podinfo-primary-65d8-aaaaa  Running           1/1    116m  node-1
                                           │ ● primary  podinfo-primary-65d8-bbbbb  Running           1/1    116m  node-1
                                           │
                                           │ GATES
                                           │ · ask-ops (confirm-promotion): asked before promotion
                                           │
                                           │ EVENTS
                                           │    34s  New revision detected! Scaling up podinfo.test
                                           │    20s  Advance podinfo.test canary weight 20
                                           │     8s  Halt podinfo.test advancement latency 620 > 500 (x2)
                                           │     3s  Advance podinfo.test canary weight 40



                                                                                                                         q quits
        """)


def test_without_block_characters_it_is_ascii() -> None:
    text = drawn(shown(), 100, 30, ASCII)
    assert text.isascii()
    assert "canary  ############################......" in text
    assert "> 40 % 8s left" in text


def test_a_closed_gate_says_who_is_waited_for() -> None:
    obj = release(run={"closedGate": "confirm-promotion gate ask-ops"}, progress={"waitingFor": "gate ask-ops", "since": at(-60)})
    obj["status"] |= {"phase": "WaitingPromotion", "canaryWeight": 60}
    text = drawn(shown(obj), 100, 30)
    assert "~10s after gate ask-ops opens" in text
    assert "▶ gate ask-ops for 60s" in text
    assert "▶ ask-ops (confirm-promotion): closed: waited for" in text


def test_a_rollback_says_why_and_that_it_goes_back() -> None:
    failing = {"pod": "podinfo-7f9c-ddddd", "container": "app", "reason": "CrashLoopBackOff", "diagnosis": "It exits with 1."}
    obj = release(run={"verdict": "container app crashed 3 times", "drainSince": NOW - 2}, podFailures=[failing], canaryWeight=0)
    text = drawn(shown(obj), 60, 20)
    assert "rolled back in ~4s" in text
    assert "Rolled back: container app crashed 3 times" in text
    assert "✗ app: CrashLoopBackOff (podinfo-7f9c-ddddd)" in text
    assert "  It exits with 1." in text


def test_between_releases_the_last_one_and_the_promoted_image_are_shown() -> None:
    obj = canary(
        "Succeeded", promotedImages=["r/podinfo:1.0.1"], lastAppliedSpec="7f9c",
        history=[ended("7f9c", "r/podinfo:1.0.1", "Succeeded", started=-100, end=-40)],
    )  # fmt: skip
    text = drawn(shown(obj, canary_pods=[]), 100, 20)
    assert "podinfo:1.0.1" in text.splitlines()[1]
    assert text.splitlines()[1].endswith("Succeeded 40s ago, it took 60s")
    assert "no pods" in text.splitlines()[3]
    assert "Nothing is under way" in text


def test_what_may_not_be_read_leaves_no_hole() -> None:
    text = drawn(shown(primary_pods=None, canary_pods=None, events=[]), 100, 30)
    assert "PODS" not in text
    assert "EVENTS" not in text
    assert "pods ?" in text


def test_a_canary_that_cannot_be_read_says_so() -> None:
    obj = canary("Progressing", spec={"analysis": {"interval": 5}})
    assert "cannot be read" in drawn(shown(obj), 80, 24)


def test_an_api_server_that_is_away_is_told_at_the_bottom() -> None:
    text = drawn(shown(problem="This picture may be old: the API server does not answer (refused)"), 80, 24)
    assert text.splitlines()[-1] == "This picture may be old: the API server does not answer (refused)"


def test_many_steps_are_counted_where_they_do_not_fit() -> None:
    obj = release()
    obj["spec"]["analysis"] |= {"stepWeight": 2, "maxWeight": 80}
    text = drawn(shown(obj), 60, 15)
    assert "done" in text
    assert "more ~" in text
    column = drawn(shown(obj), 120, 30)
    assert "▶ 40 %" in column
    assert "more" in column


@given(
    st.integers(20, 220), st.integers(4, 70), st.sampled_from([BLOCKS, ASCII]), st.integers(1, 50), st.integers(0, 30),
    st.text(max_size=300),
)  # fmt: skip
def test_no_size_and_no_text_makes_a_frame_that_does_not_fit(
    width: int, height: int, glyphs: Glyphs, step: int, pods: int, sentence: str
) -> None:  # fmt: skip
    obj = release(progress={"waitingFor": sentence or "it", "advice": sentence})
    obj["spec"]["analysis"] |= {"stepWeight": step}
    scene = shown(obj, canary_pods=[CANARY[i % 2] for i in range(pods)], events=EVENTS * 3)
    lines = frame(scene, width, height, glyphs)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width


@pytest.mark.parametrize("size", [(60, 15), (200, 60)])
def test_the_present_step_and_what_is_waited_for_are_in_sight(size: tuple[int, int]) -> None:
    text = drawn(shown(), *size)
    assert "▶ 40 %" in text
    assert "Waiting for the canary at weight 40%" in text


def test_the_title_of_a_column_gives_its_style_to_nobody() -> None:
    line = next(line for line in frame(shown(), 120, 32, BLOCKS) if line.plain.startswith("RELEASE"))
    assert line.style == ""
    assert [str(span.style) for span in line.spans if line.plain[span.start : span.end].startswith("Waiting")] == ["bold"]
