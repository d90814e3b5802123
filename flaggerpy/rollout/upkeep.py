"""The primary between promotions: whatever somebody did to it, it stays what was promoted last (Q-18).

What a promotion writes is not looked at here: while one is under way the primary is written with every look.
"""

from __future__ import annotations

from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import EnsurePrimary


def mend_primary(d: Draft) -> None:
    """A primary of the promoted revision that is not as that wants it: edited, scaled to zero, or a config that it follows has changed."""
    promoted, primary, kept = d.status.last_promoted_spec, d.primary, d.facts.kept
    if primary is None or primary.source_revision != promoted or not isinstance(kept, frozenset) or promoted not in kept:
        return
    emptied = primary.replicas == 0 and d.canary.spec.autoscaler_ref is None
    if d.facts.primary_stale or emptied:
        # between runs nobody knows any more how many there were
        size = d.run.replicas if emptied and d.status.run is not None else None
        d.do(EnsurePrimary(promoted, primary.flagger_id or promoted, size))
