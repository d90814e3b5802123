"""Fights: somebody sets a field again and again that we set too. Named by who and by the rule that ends it; fought ever less often.

What others do once is put right and told, and no more. From the second time on within `WINDOW` it is a fight: the condition `Conflict`
names it, and where no requests hang on it the pauses before we put the field right grow. Kept in memory: who goes on is seen again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flaggerpy.controller.inbox import Key

WINDOW = 600.0
"""Seconds after which a fight is over."""
FIRST_REST, LONGEST_REST = 5.0, 300.0
URGENT_REST = 1.0
"""Seconds between two repairs of what requests hang on."""
MOST = 4
"""So many fights of one Canary are told at most."""


@dataclass(frozen=True)
class Thing:
    """A field of an object that we set: `kind` and `name` of the object, `field` as in `spec.replicas`."""

    kind: str
    name: str
    field: str

    def __str__(self) -> str:
        return f"{self.field} of {self.kind} {self.name}"


@dataclass
class Fight:
    """How often, and when first and last (epoch seconds), `manager` undid what we set."""

    thing: Thing
    manager: str
    first: float
    last: float
    count: int = 1
    urgent: bool = False
    """Requests hang on it."""
    lasting: bool = False
    """It stands as they want it: nothing is put right, and nothing harmed by it."""


class Conflicts:
    """One for the controller. `now` in epoch seconds of the API server's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._fights: dict[Key, dict[Thing, Fight]] = {}

    def undone(self, key: Key, thing: Thing, manager: str, *, urgent: bool = False) -> Fight:
        """Somebody undid what we had set, and it was put right."""
        fights, now = self._living(key), self._now()
        fight = fights.get(thing)
        if fight is None:
            fight = fights[thing] = Fight(thing, manager, now, now, urgent=urgent)
        else:
            fight.manager, fight.last, fight.count = manager, now, fight.count + 1
        self._fights[key] = fights
        return fight

    def stands(self, key: Key, thing: Thing, manager: str) -> None:
        """A field is as somebody else wants it and not as we would have it, and is left so."""
        self._fights.setdefault(key, {})[thing] = Fight(thing, manager, self._now(), self._now(), lasting=True)

    def over(self, key: Key, thing: Thing) -> None:
        """Nobody disputes this field any more."""
        fights = self._fights.get(key, {})
        fights.pop(thing, None)
        if not fights:
            self._fights.pop(key, None)

    def rest(self, key: Key, thing: Thing) -> float:
        """Seconds before the field is put right again; 0 for at once."""
        fight = self._living(key).get(thing)
        if fight is None or fight.count < 2:
            return 0.0
        pause = URGENT_REST if fight.urgent else min(LONGEST_REST, FIRST_REST * 2 ** (fight.count - 2))
        return max(0.0, fight.last + pause - self._now())

    def sentences(self, key: Key) -> tuple[str, ...]:
        """What is fought over, with the rule that ends it."""
        fights = [fight for fight in self._living(key).values() if fight.lasting or fight.count > 1]
        return tuple(told(fight) for fight in fights[:MOST])

    def next(self, key: Key) -> float | None:
        """Seconds until a pause or a fight is over."""
        waits = []
        for thing, fight in self._living(key).items():
            if not fight.lasting:
                waits.append(fight.last + WINDOW - self._now())
                rest = self.rest(key, thing)
                waits += [rest] if rest > 0 else []
        return min(waits, default=None)

    def forget(self, key: Key) -> None:
        self._fights.pop(key, None)

    def _living(self, key: Key) -> dict[Thing, Fight]:
        fights = self._fights.get(key)
        if not fights:
            return {}
        alive = {thing: fight for thing, fight in fights.items() if fight.lasting or self._now() < fight.last + WINDOW}
        self._fights[key] = alive
        return alive


def told(fight: Fight) -> str:
    """The sentence of a fight."""
    thing, end = fight.thing, f"to end it, {rule(fight.thing, fight.manager)}"
    if fight.lasting:
        return f"{fight.manager} sets {thing}, which is at 0 between releases, so that its pods stand idle: {end}"
    return f"{fight.manager} keeps setting {thing}, which flaggerpy sets: {end}"


def rule(thing: Thing, manager: str) -> str:
    """What a person changes so that this tool leaves the field alone."""
    pointer = "/" + thing.field.replace(".", "/").partition("[")[0]
    group = "apps" if thing.kind in ("Deployment", "DaemonSet") else ""
    tool = manager.lower()
    if "argocd" in tool:
        of_group = f"group: {group}, " if group else ""
        return (
            f"add to the Application's spec: ignoreDifferences [{{{of_group}kind: {thing.kind}, name: {thing.name}, "
            f"jsonPointers: [{pointer}]}}] and syncPolicy.syncOptions [RespectIgnoreDifferences=true]"
        )
    if "helm" in tool:
        which = f"paths: [{pointer}], target: {{kind: {thing.kind}, name: {thing.name}}}"
        return f"leave it out of the chart's template, or add to the HelmRelease: spec.driftDetection.ignore [{{{which}}}]"
    flux = "kustomize-controller" in tool
    if thing.field == "spec.replicas" or (thing.field == "spec.selector" and not flux):
        return f"leave {thing.field} out of {'Git' if flux else 'what it applies'}"
    if flux:
        return f"leave {thing.kind} {thing.name} out of Git, or annotate it there: kustomize.toolkit.fluxcd.io/reconcile: disabled"
    if thing.name.endswith(("-primary", "-canary")):
        return f"change the target and not {thing.name}, which is made from it"
    return f"leave {thing.kind} {thing.name} to flaggerpy"
