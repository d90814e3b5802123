"""The weights that a canary goes through, in percent 0-100.

Rules (Flagger 2.2): with stepWeight the weight rises by it until it has reached maxWeight, so 20 up to 50 runs 20, 40, 60; with
stepWeights it takes each of them in turn, and maxWeight is ignored. A weight that is not of the plan (it was edited) goes on with
the next higher one, never with a jump to 100 (Q-22).
"""

from __future__ import annotations

from flaggerpy.api.canary import Analysis

FULL = 100
DEFAULT_ITERATIONS = 10
"""Iterations of a blue/green by Services whose spec gives weights instead (Flagger's fallback for provider kubernetes)."""


def plan(analysis: Analysis) -> tuple[int, ...]:
    """All weights of a run, rising, each within 1-100. Empty when no steps are asked for."""
    if analysis.step_weights:
        rising: list[int] = []
        for weight in (min(weight, FULL) for weight in analysis.step_weights):
            if weight > (rising[-1] if rising else 0):
                rising.append(weight)
        return tuple(rising)
    step, top = analysis.step_weight or 0, min(analysis.max_weight or FULL, FULL)
    if step <= 0:
        return ()
    weights = list(range(step, top, step))
    last = weights[-1] if weights else 0
    return (*weights, min(last + step, FULL))


def next_weight(analysis: Analysis, current: int) -> int | None:
    """The weight after `current`, or None when the plan is through and promotion is next."""
    return next((weight for weight in plan(analysis) if weight > current), None)


def promotion_weight(analysis: Analysis, current: int) -> int:
    """The canary's weight after one step of the way back to the primary: 0 at once without stepWeightPromotion."""
    step = analysis.step_weight_promotion
    return max(current - step, 0) if step else 0


def iterations(analysis: Analysis, supports_weights: bool) -> int:
    """How many iterations a blue/green or A/B run has; 0 for a weighted canary."""
    return (analysis.iterations or 0) or (0 if supports_weights else DEFAULT_ITERATIONS)


def safe_weight(weight: int, ready: int, ready_at_start: int) -> int:
    """The share that the pods still there can carry: floor(weight x ready / ready when the step began), 0 with none ready."""
    return min(weight, weight * max(ready, 0) // max(ready_at_start, 1))
