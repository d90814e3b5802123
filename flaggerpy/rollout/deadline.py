"""The progress deadline: how long a workload may stay incomplete, counted so that flapping pods cannot stretch it.

The clock runs from the latest of: the last *new* maximum of available pods of the revision, the last *new* maximum of the desired
count in this run, the end of the last stretch of being complete for `settle` seconds. It runs only while the workload is incomplete: a
shorter complete spell pauses it and never resets it. Source: design, "Deadline"; the faults of Flagger that it answers are Q-7 and Q-8.
"""

from __future__ import annotations

from flaggerpy.api.status import DeadlineState


def observe(
    state: DeadlineState | None,
    *,
    available: int,
    desired: int,
    complete: bool,
    settle: float,
    now: float,
    stopped: bool,
) -> DeadlineState:
    """The memory after looking at the workload once more; `None` begins it. Times in epoch seconds, `settle` in seconds.

    `available` counts pods of this revision, `complete` tells that all that is wanted is there. `stopped` (suspend, Waiting, a closed
    gate) never stops the clock of an incomplete workload, and a complete one has its clock paused anyway: callers say it, and the rule
    stands here, so that no caller invents a pause of its own. A `now` that lies before what is stored is taken as no time passed.
    """
    pausing = complete  # not `complete or stopped`: behind a closed gate a workload may break, and must still expire
    if state is None:
        since = now if pausing else None
        return DeadlineState(
            max_available=available, max_desired=desired, advanced_at=now, complete_since=since, paused=0.0, paused_since=since
        )
    now = max(now, state.advanced_at, state.complete_since or 0.0, state.paused_since or 0.0)
    advanced_at, paused, paused_since, complete_since = state.advanced_at, state.paused, state.paused_since, state.complete_since

    if paused_since is not None and not pausing:
        paused += now - paused_since
        paused_since = None
    if complete_since is not None and not pausing:
        if now - complete_since >= settle:
            advanced_at, paused = now, 0.0
        complete_since = None
    if pausing and complete_since is None:
        complete_since = paused_since = now
    if available > state.max_available or desired > state.max_desired:
        advanced_at, paused = now, 0.0
        paused_since = now if pausing else None

    return DeadlineState(
        max_available=max(available, state.max_available),
        max_desired=max(desired, state.max_desired),
        advanced_at=advanced_at,
        complete_since=complete_since,
        paused=paused,
        paused_since=paused_since,
    )


def expires_at(state: DeadlineState | None, limit: float) -> float | None:
    """When the deadline of `limit` seconds runs out if nothing changes (epoch seconds); None while the workload is complete.

    Ask it of the state that `observe` gave for present facts: after an outage of the controller these are judged first.
    """
    if state is None or state.complete_since is not None:
        return None
    return state.advanced_at + state.paused + limit


def expired(state: DeadlineState | None, limit: float, now: float) -> bool:
    """True when the deadline of `limit` seconds has run out at `now`."""
    end = expires_at(state, limit)
    return end is not None and now >= end
