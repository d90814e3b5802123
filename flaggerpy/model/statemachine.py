"""docs/state-machine.md: the transition table as a diagram and a page, generated from `rollout.phases.TABLE`.

As a program it writes the page; with --check it tells whether the page is as it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path

from flaggerpy.api.status import Phase
from flaggerpy.rollout.phases import TABLE, Move

PAGE = Path(__file__).parents[2] / "docs" / "state-machine.md"
HEAD = """\
# The state machine of a release

Generated from `flaggerpy/rollout/phases.py` by `python -m flaggerpy.model.statemachine`: do not edit.

A release changes its phase only by a row of the table below; a move that is not there is refused by the core as a bug of its own.
`make prove` explores the core exhaustively to a stated depth, and fails when a row is never taken: the table has no row too many, and
the code none that is not in it. A row whose phase stays the same is a turn within it: a rollback begins (its verdict is written before
the first step back), or the run goes back to its first step. Deletion is possible in every phase and is left out of the diagram.
"""
BETWEEN = """\

## Every row

*Waits for* is what the release waited for until the cause came; `flaggerpy describe` names it at any moment, with since when, until when,
and what happens then.

| in phase | because | goes to | until then it waits for |
|---|---|---|---|
"""
TAIL = """\

## What holds in every state

`flaggerpy/model/invariants.py` is the list: traffic goes only to ready pods of the run; nothing that is routed to is scaled down, and no
side that has the only ready pods; a side is drained first; only what passed is promoted, and only the run's own template; no weight rises
twice in an interval, whoever died when; the status is written before the route; what cannot be read is left alone; a held release is not
moved forward; the conditions never contradict each other; whoever waits names it, and sleeps until something can happen. From every state
that was reached there is a way to an end once all that is broken was mended.
"""


def name(phase: Phase) -> str:
    """The phase as people read it; the one before the first has no text of its own."""
    return str(phase) or "(new)"


def diagram(moves: tuple[Move, ...] = TABLE) -> str:
    """A mermaid state diagram: one arrow for each pair of phases, with the causes that the table has for it."""
    causes: dict[tuple[Phase, Phase], list[str]] = {}
    for move in moves:
        if move.before is not move.after and move.after not in (Phase.TERMINATING, Phase.NONE):
            causes.setdefault((move.before, move.after), []).append(_short(move))
    lines = ["stateDiagram-v2", "    [*] --> Initializing"]
    for (before, after), told in causes.items():
        if before is not Phase.NONE:
            lines.append(f"    {before} --> {after}: {' / '.join(told)}")
    return "\n".join(lines)


def _short(move: Move) -> str:
    return move.cause.name.lower().replace("_", " ")


def page() -> str:
    """The whole page."""
    rows = [f"| {name(move.before)} | {move.cause}{_turn(move)} | {name(move.after)} | {move.waits} |" for move in TABLE]
    return f"{HEAD}\n```mermaid\n{diagram()}\n```\n{BETWEEN}" + "\n".join(rows) + "\n" + TAIL


def _turn(move: Move) -> str:
    return " *(a turn)*" if move.before is move.after else ""


def main(arguments: list[str]) -> int:
    """Write the page, or with --check tell whether it is as it should be; exit code 1 when not."""
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == page():
            return 0
        print("docs/state-machine.md differs from the table: run python -m flaggerpy.model.statemachine")
        return 1
    PAGE.write_text(page())
    print("docs/state-machine.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
