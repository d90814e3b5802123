"""Orders: who commanded what and when, remembered in the run and told in its events; and whether a person holds the run.

Who it was is what the API server tells: the field manager that wrote the annotation, and the second of that write.
"""

from __future__ import annotations

from typing import Literal

from flaggerpy.api.names import COMMANDS
from flaggerpy.api.status import CanaryStatus, Order, timestamp
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import ClearCommand

ANY = frozenset({"*", "", "true"})
"""Values that mean whichever revision is there."""
REMEMBERED = 8
Command = Literal["abort", "retry", "promote", "skip", "rollback-to", "pause", "resume"]


def order(d: Draft, command: Command, detail: str = "") -> Order:
    """The order as it is remembered."""
    giver = d.facts.givers.get(command)
    return Order(command=command, by=giver.by if giver else "", at=timestamp(giver.at if giver else d.now), detail=detail)


def remember(d: Draft, command: Command, detail: str = "") -> None:
    """Put an order that was carried out into the run, and so into the history."""
    d.set_run(orders=[*d.run.orders, order(d, command, detail)][-REMEMBERED:])


def repeated(d: Draft, command: Command) -> bool:
    """True when this very annotation was taken up already, and only taking it off failed."""
    run = d.status.run
    if run is None or command not in d.facts.givers:
        return False
    given = order(d, command)
    return any((known.command, known.by, known.at) == (given.command, given.by, given.at) for known in run.orders)


def giver(d: Draft, command: Command) -> str:
    """`a person`, with the field manager and the time of day where they are known."""
    known = d.facts.givers.get(command)
    return f"a person ({known.by} at {timestamp(known.at)[11:]})" if known else "a person"


def step_of(status: CanaryStatus) -> int:
    """The step of a run as `skip` names it: the iteration, or else the canary's weight in percent."""
    return status.iterations or status.canary_weight


def skipping(d: Draft) -> bool:
    """True when the present step's waits are waived. Not before the annotation is off: the same order must not skip the next one."""
    return d.run.skip and "skip" not in d.facts.commands


def refuse_all(d: Draft, why: str) -> None:
    """Nothing can be ordered now: take the commands off and say why. A pause stands, as it asks for nothing else."""
    for command in d.facts.commands:
        if command in COMMANDS and command != "pause":
            d.do(ClearCommand(command))
            d.event("Warning", f"Refused to {command} {d.canary.key}: {why}")


def held(d: Draft) -> bool:
    """True while a person pauses the run; told when it begins and when it ends. A pause of another revision is refused."""
    value = d.facts.commands.get("pause")
    if value is not None and value not in ANY and value != d.run.revision:
        d.do(ClearCommand("pause"))
        d.event("Warning", f"Refused to pause {d.canary.key}: asked for revision {value}, this one is {d.run.revision}")
        value = None
    paused = value is not None
    if paused and not d.run.paused:
        d.event("Normal", f"Advancement of {d.canary.key} paused by {giver(d, 'pause')}")
        remember(d, "pause", f"at step {step_of(d.status)}")
    elif d.run.paused and not paused:
        d.event("Normal", f"Advancement of {d.canary.key} resumed")
        remember(d, "resume")
    if paused != d.run.paused:
        d.set_run(paused=paused)
    return paused
