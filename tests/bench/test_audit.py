"""The audit log's requests, counted by user."""

from __future__ import annotations

import json

from e2e.bench.audit import count, epoch, told

USER = "system:serviceaccount:a:flaggerpy-a"


def line(
    number: int, at: str, verb: str = "get", resource: str = "canaries", user: str = USER, stage: str = "ResponseComplete", path: str = "/x"
) -> str:
    entry = {"auditID": str(number), "user": {"username": user}, "verb": verb, "stage": stage, "requestReceivedTimestamp": at}
    return json.dumps({**entry, "requestURI": path, "objectRef": {"resource": resource, "namespace": "a"}}, separators=(",", ":"))


def at(second: int) -> str:
    return f"2026-01-02T03:04:{second:02d}.250000Z"


SINCE, UNTIL = epoch("2026-01-02T03:04:10Z"), epoch("2026-01-02T03:04:20Z")


def test_only_requests_of_the_user_within_the_time_count() -> None:
    lines = [line(1, at(9)), line(2, at(10)), line(3, at(19)), line(4, at(20)), line(5, at(15), user=USER + "2"), line(6, at(15), user="b")]
    assert count(lines, USER, SINCE, UNTIL).asked == 2


def test_leases_and_watches_stand_apart() -> None:
    lines = [line(1, at(11), "update", "leases"), line(2, at(12), "watch"), line(3, at(13), "watch", "leases"), line(4, at(14), "patch")]
    found = count(lines, USER, SINCE, UNTIL)
    assert (found.asked, found.lease, found.watches) == (1, 2, 1)
    assert found.kinds == {"patch canaries": 1}


def test_the_stages_of_one_request_are_one_request() -> None:
    stages = [line(1, at(11), "watch", stage="ResponseStarted"), line(1, at(11), "watch"), line(2, at(11)), line(2, at(11), stage="Panic")]
    found = count(stages, USER, SINCE, UNTIL)
    assert (found.watches, found.asked) == (1, 1)


def test_a_line_that_is_cut_off_is_passed_over() -> None:
    assert count([line(1, at(11))[:-10], line(2, at(12))], USER, SINCE, UNTIL).asked == 1


def test_a_request_that_is_about_no_object_counts_by_its_path() -> None:
    entry = json.loads(line(1, at(11)))
    del entry["objectRef"]
    found = count([json.dumps(entry, separators=(",", ":"))], USER, SINCE, UNTIL)
    assert told(found) == "get /x 1"


def test_what_is_about_everything_that_is_watched_is_not_about_a_canary() -> None:
    crd = json.loads(line(1, at(11)))
    del crd["objectRef"]["namespace"]
    lines = [json.dumps(crd, separators=(",", ":")), line(2, at(12), "list"), line(3, at(13), "list", path="/x?labelSelector=app%3Da")]
    found = count([*lines, line(4, at(14))], USER, SINCE, UNTIL)
    assert (found.asked, found.whole) == (2, 2)
    assert told(found) == "get canaries 2, list canaries 2"
