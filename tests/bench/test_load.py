"""What the load program prints, and the requests of a stretch of time."""

from __future__ import annotations

from e2e.bench.load import Second, between, seconds


def test_the_total_is_no_second() -> None:
    lines = ['{"at": 10, "sent": 200, "lost": 3}', "", '{"at": 8, "total": true, "sent": 400, "lost": 3}']
    assert seconds(lines) == [Second(10, 200, 3)]


def test_seconds_that_are_touched_count() -> None:
    counted = [Second(at, 10, at % 2) for at in range(10, 16)]
    assert between(counted, 11.7, 14.2) == (40, 2)
    assert between(counted, 16, 20) == (0, 0)
