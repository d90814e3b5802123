"""Which pods count as made anew when a namespace changes hands."""

from __future__ import annotations

from e2e.kube import Object
from e2e.takeover.fleet import _had

SINCE = 1_800_000_014.0


def pod(second: int) -> Object:
    return {"metadata": {"creationTimestamp": f"2027-01-15T08:00:{second:02}Z"}}


def test_a_pod_that_was_on_its_way_out_is_not_made_anew() -> None:
    assert [_had(pod(second), SINCE) for second in (13, 14, 15)] == [0, -1, -1]
