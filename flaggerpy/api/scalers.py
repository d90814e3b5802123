"""What an autoscaler and its twin on the primary say, as values: read out by `targets.scalers`, looked at by `rollout.handover`.

They stand here, below both rooms, as workloads do (`api.workloads`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScalerFacts:
    """The autoscaler that `autoscalerRef` names, and the primary's twin of it. Sizes in pods."""

    name: str
    """Kind and name, for sentences."""
    problem: str = ""
    """Why it cannot be followed, as a sentence: it is not there, or it scales something else; "" when it can."""
    least: int = 1
    """Its lower bound, at least 1: what a canary begins with."""
    most: int | None = None
    """Its upper bound; None where that is not known."""
    primary_most: int | None = None
    """The upper bound that the twin has, or will have once it follows."""
    paused: bool | None = None
    """Whether it is held at zero pods (KEDA); None for a kind that leaves a target with zero pods alone (HPA)."""
    twin: bool = False
    """The primary's autoscaler is there."""
    sound: bool = True
    """It scales the primary, is owned by the Canary and is not paused."""
    follows: bool = True
    """It is a copy of the target's autoscaler as that stands now, its floor apart."""
    floor: int | None = None
    """The size that it keeps the primary at, at least, for the sake of a release; None when only its own bounds hold."""
