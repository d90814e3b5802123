"""The last page: what is shown, and what counts as a fault."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

from rich.console import Console

from e2e.demo.play import sandbox_images, stories
from e2e.demo.table import Result, farewell, good, table

A, B, C, D, E, F = stories(sandbox_images("127.0.0.1:5000"))
GOOD = Result(A, "Succeeded", 21.4, None, 1070, 0, 100, "")
MISSING = Result(B, "Failed", 6.9, 5.6, 340, 0, 0, "image 127.0.0.1:5000/podinfo:1.0.9 is not in the registry")


def text(*results: Result) -> str:
    out = io.StringIO()
    Console(file=out, width=140).print(table(results))
    return out.getvalue()


def test_the_table_has_release_outcome_time_requests_and_cause() -> None:
    page = text(GOOD, MISSING)
    for head in ("release", "outcome", "time to verdict", "sent", "lost", "cause named"):
        assert head in page
    first = next(line for line in page.splitlines() if "a good release" in line)
    assert ("promoted" in first, "21.4 s" in first, "1,070" in first) == (True, True, True)
    assert "Failed at 0 %" in page
    assert "5.6 s from report" in page
    assert "Not as the play says" not in page


def test_what_is_not_as_the_play_says_is_named() -> None:
    assert replace(GOOD, lost=3, how=Counter({"HTTP 503": 3})).faults() == ("lost 3 requests (3 x HTTP 503)",)
    assert replace(GOOD, outcome="Failed").faults() == ("ended Failed, not Succeeded",)
    assert replace(MISSING, highest_weight=20).faults() == ("carried 20 %, more than 0 %",)
    assert replace(MISSING, seconds=31.0).faults() == ("took 31.0 s, more than 30 s",)
    assert replace(MISSING, cause="it failed").faults() == ("its cause does not name '127.0.0.1:5000/podinfo:1.0.9'",)
    assert "a) lost 3 requests" in text(replace(GOOD, lost=3, how=Counter({"HTTP 503": 3})))


def test_a_version_that_answers_500_may_lose_requests_but_not_carry_more_than_40_percent() -> None:
    caught = Result(D, "Failed", 20.0, None, 900, 25, 40, "success-rate 61.2 < 95")
    assert caught.faults() == ()
    assert replace(caught, highest_weight=60).faults() == ("carried 60 %, more than 40 %",)


def test_a_promotion_by_hand_names_the_hand() -> None:
    by_hand = Result(E, "Succeeded", 20.0, None, 900, 0, 60, "promote by flaggerpy-cli as ann, at step 60")
    assert by_hand.faults() == ()
    assert replace(by_hand, cause="").faults() == ("its cause does not name 'promote by flaggerpy-cli'",)
    assert "promote by flaggerpy-cli as ann" in text(by_hand)


def test_a_release_that_is_refused_by_its_image_makes_no_pod() -> None:
    refused = Result(F, "Failed", 1.2, None, 150, 0, 0, "image 127.0.0.1:5000/podinfo:1.0.9 of container podinfo does not exist")
    assert refused.faults() == ()
    assert "no pod was made" in text(refused)
    assert replace(refused, pods=2).faults() == ("made 2 pods for an image that is not there",)


def test_all_stories_must_be_played() -> None:
    assert good([GOOD], 1)
    assert not good([GOOD], 2)
    assert not good([replace(GOOD, lost=1)], 1)


def test_the_farewell_is_commands_to_copy() -> None:
    out = io.StringIO()
    Console(file=out, width=140).print(farewell([("flaggerpy history podinfo", "all releases")]))
    assert "  # all releases\n  flaggerpy history podinfo\n" in out.getvalue()
