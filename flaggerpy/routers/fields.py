"""Fields of `spec.service` and the analysis that a provider does not honour: what changes where requests go is refused, the rest warned of.

Flagger passes over all of them in silence. A time-out that no proxy applies is worth a warning; a match, a rewrite or a mirror that is
not there is another release than the one that was asked for.
"""

from __future__ import annotations

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Supports

REFUSED = ("match", "rewrite", "headers", "mirror")
WARNED = (
    "timeout",
    "backendTimeout",
    "retries",
    "corsPolicy",
    "trafficPolicy",
    "hosts",
    "gateways",
    "gatewayRefs",
    "delegation",
    "meshName",
    "backends",
)


def refused(canary: Canary, supports: Supports, honours: frozenset[str], provider: str) -> list[str]:
    """One sentence per field that changes where requests go and that this provider cannot honour (Q-10, Q-11)."""
    if canary.spec.service is None:
        return [f"spec.service: is missing; provider {provider} needs it"]
    unheard = [name for name in _given(canary) if name in REFUSED and name not in honours]
    found = [f"spec.service.{name}: is not supported by provider {provider}" for name in unheard]
    plan, at = canary.spec.plan, analysis_path(canary)
    if plan.match and not supports.match:
        found.append(f"{at}.match: is not supported by provider {provider}; all traffic would go to the canary")
    if plan.mirror and not supports.mirror:
        found.append(f"{at}.mirror: is not supported by provider {provider}")
    if plan.session_affinity and not supports.affinity:
        found.append(f"{at}.sessionAffinity: is not supported by provider {provider}")
    return found


def warned(canary: Canary, honours: frozenset[str], provider: str) -> list[str]:
    """One sentence per field that has no effect with this provider."""
    unheard = [name for name in _given(canary) if name in WARNED and name not in honours]
    return [f"spec.service.{name}: has no effect with provider {provider}" for name in unheard]


def analysis_path(canary: Canary) -> str:
    """Where the analysis in force is written: `spec.analysis`, or its deprecated name."""
    return "spec.canaryAnalysis" if canary.spec.analysis is None and canary.spec.canary_analysis is not None else "spec.analysis"


def _given(canary: Canary) -> list[str]:
    if canary.spec.service is None:
        return []
    given = canary.spec.service.model_dump(by_alias=True, exclude_defaults=True)
    return sorted(name for name, value in given.items() if value)
