"""The table of differences: what may differ between the two, and why. A difference that no rule explains is a defect.

Each rule names a fault of Flagger (`Q-12`, see docs/flagger-faults.md) that the difference comes from, or says that it is more than
Flagger does. A rule is as narrow as the difference it explains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from e2e.beside.compare import Difference

MORE = "more than Flagger"


@dataclass(frozen=True)
class Rule:
    """`where`, `theirs` and `ours` are regular expressions that must fit the whole of the difference's; `scenarios` the names it is for."""

    number: str
    why: str
    where: str
    theirs: str = r".*"
    ours: str = r".*"
    scenarios: str = r".*"

    def explains(self, found: Difference) -> bool:
        pairs = ((self.where, found.where), (self.theirs, found.theirs), (self.ours, found.ours), (self.scenarios, found.scenario))
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs)


RULES: tuple[Rule, ...] = ()


def rule_for(found: Difference, rules: tuple[Rule, ...] = RULES) -> Rule | None:
    """The first rule that explains a difference; None for an unexplained one."""
    return next((rule for rule in rules if rule.explains(found)), None)
