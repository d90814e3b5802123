"""The progress deadline: what starts, pauses and resets it; published failures first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.status import DeadlineState
from flaggerpy.rollout.deadline import expired, expires_at, observe

SETTLE = 10.0


@dataclass(frozen=True)
class Look:
    after: float
    available: int
    desired: int = 2
    stopped: bool = False
    complete: bool | None = None

    @property
    def whole(self) -> bool:
        return self.available >= self.desired if self.complete is None else self.complete


def run(looks: Sequence[Look], state: DeadlineState | None = None, start: float = 1000.0) -> tuple[DeadlineState, float]:
    now = start
    for look in looks:
        now += look.after
        state = observe(
            state, available=look.available, desired=look.desired, complete=look.whole, settle=SETTLE, now=now, stopped=look.stopped
        )
    assert state is not None
    return state, now


@pytest.mark.fault("Q-7")
def test_two_pods_whose_fourth_container_crash_loops_expire_after_180_seconds_though_they_flap_ready() -> None:
    # published: 3 of 4 containers ready, the fourth in CrashLoopBackOff, "Progressing" for two hours despite 180 s
    looks = [Look(0, 0), Look(2, 2), Look(3, 0)]  # ready once, for 3 s
    flaps = [Look(20, 1), Look(2, 0), Look(40, 2), Look(3, 0), Look(80, 1), Look(2, 0)]
    state, now = run(looks + flaps)
    last_maximum = 1000 + 2
    assert expires_at(state, 180) == last_maximum + 180 + 3 + 3  # only the two whole spells were no loss of time
    assert not expired(state, 180, now)
    assert expired(state, 180, last_maximum + 186)
    later, then = run([Look(20, 1), Look(2, 0)] * 2, state, now)
    assert expires_at(later, 180) == expires_at(state, 180)
    assert expired(later, 180, then)


def test_a_pod_that_is_lost_and_comes_back_does_not_reset_it() -> None:
    state, now = run([Look(0, 0, 4), Look(5, 3, 4), Look(50, 2, 4), Look(50, 3, 4)])
    assert expires_at(state, 180) == 1005 + 180
    assert now < 1185


def test_a_new_maximum_of_available_pods_resets_it() -> None:
    state, _ = run([Look(0, 0, 4), Look(5, 1, 4), Look(60, 2, 4)])
    assert expires_at(state, 180) == 1065 + 180


def test_a_new_maximum_of_the_desired_count_resets_it_but_a_return_to_it_does_not() -> None:
    state, _ = run([Look(0, 1, 2), Look(30, 1, 4)])
    assert expires_at(state, 100) == 1030 + 100
    state, _ = run([Look(10, 1, 2), Look(10, 1, 4)], state, 1030)
    assert expires_at(state, 100) == 1030 + 100


def test_it_does_not_run_while_complete_and_starts_anew_after_a_settled_stretch() -> None:
    state, now = run([Look(0, 0), Look(5, 2)])
    assert expires_at(state, 60) is None
    assert not expired(state, 60, now + 10_000)
    state, now = run([Look(SETTLE, 1)], state, now)
    assert expires_at(state, 60) == now + 60


def test_a_shorter_complete_spell_pauses_for_its_length() -> None:
    state, _ = run([Look(0, 0), Look(1, 2), Look(1, 0), Look(20, 2), Look(9, 1)])
    assert expires_at(state, 60) == 1001 + 60 + 1 + 9


@pytest.mark.parametrize("stopped", [False, True])
def test_a_stop_does_not_pause_an_incomplete_workload(stopped: bool) -> None:
    state, _ = run([Look(0, 1), Look(30, 1, stopped=stopped), Look(30, 0, stopped=stopped)])
    assert expires_at(state, 60) == 1060


def test_a_stop_pauses_a_complete_workload() -> None:
    state, _ = run([Look(0, 2, stopped=True), Look(3600, 2, stopped=True)])
    assert expires_at(state, 60) is None


def test_after_an_outage_present_facts_come_first() -> None:
    state, now = run([Look(0, 0)])
    whole, _ = run([Look(3600, 2)], state, now)
    assert expires_at(whole, 60) is None
    further, then = run([Look(3600, 1)], state, now)
    assert expires_at(further, 60) == then + 60
    same, then = run([Look(3600, 0)], state, now)
    assert expired(same, 60, then)


def test_a_clock_that_steps_back_counts_as_no_time() -> None:
    state, _ = run([Look(0, 0), Look(20, 2), Look(-500, 0)])
    assert state.advanced_at == 1020
    assert expires_at(state, 60) == 1080


def test_without_memory_nothing_expires() -> None:
    assert expires_at(None, 1) is None
    assert not expired(None, 1, 1e12)


looks = st.lists(
    st.builds(
        Look,
        after=st.integers(0, 50).map(float),
        available=st.integers(0, 4),
        desired=st.integers(1, 4),
        stopped=st.booleans(),
        complete=st.one_of(st.none(), st.booleans()),
    ),
    min_size=1,
    max_size=40,
)


@given(looks)
def test_the_memory_only_moves_forward(story: list[Look]) -> None:
    state, now = run(story[:1])
    for look in story[1:]:
        after, now = run([look], state, now)
        assert after.advanced_at >= state.advanced_at
        assert after.max_available >= state.max_available
        assert after.max_desired >= state.max_desired
        assert after.advanced_at == state.advanced_at or after.paused == 0
        state = after


@given(looks, st.integers(1, 300))
def test_it_is_exactly_the_incomplete_time_since_the_last_reason_to_start_anew(story: list[Look], limit: int) -> None:
    """A model written the other way round: replay the seconds and add up the incomplete ones."""
    state, end = run(story)
    now, incomplete, best, most, whole_since = 1000.0, 0.0, -1, -1, None
    was_whole = False
    for look in story:
        now += look.after
        if not was_whole:
            incomplete += look.after
        if look.whole and not was_whole:
            whole_since = now
        if was_whole and not look.whole:
            assert whole_since is not None
            if now - whole_since >= SETTLE:
                incomplete = 0.0
        if look.available > best or look.desired > most:
            incomplete = 0.0
        best, most, was_whole = max(best, look.available), max(most, look.desired), look.whole
    if was_whole:
        assert expires_at(state, limit) is None
    else:
        assert expires_at(state, limit) == pytest.approx(end + limit - incomplete)


@given(looks)
def test_a_stop_changes_nothing_by_itself(story: list[Look]) -> None:
    def told(stopped: bool) -> DeadlineState:
        return run([Look(look.after, look.available, look.desired, stopped, look.whole) for look in story])[0]

    assert told(True) == told(False)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 60)), max_size=30))
def test_flapping_never_gives_more_incomplete_time_than_the_limit(spells: list[tuple[int, int]]) -> None:
    state, now = run([Look(0, 0), Look(1, 2), Look(1, 0)])
    top, lost = 1001.0, 0.0
    whole = 1.0
    for ready, unready in spells:
        state, now = run([Look(unready, 2), Look(ready, 0)], state, now)
        lost, whole = lost + unready, whole + ready
        assert expires_at(state, 180) == pytest.approx(top + 180 + whole)
        assert expired(state, 180, now) == (lost >= 180)
