"""`make prove`, the part without a cluster: exploration to a stated depth, crash points, random histories; prints figures.

    python -m tests.model [--depth N] [--minutes 60] [--jobs 2] [--only STRATEGY ...] [--histories 1500] [--skip-deaths]

Every strategy is explored from a new Canary and from releases of each kind under way, to a depth of two outside events; those that differ
from another in one part only (`SHALLOW`) to one, unless --depth says otherwise. A strategy that does not get through within its share of
the minutes is named as cut off, and the run fails: its depth was not reached.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from flaggerpy.model.begins import BEGINS
from flaggerpy.model.deaths import STORIES, Death, try_all
from flaggerpy.model.events import EVENTS
from flaggerpy.model.explore import Explorer, Report, uncovered
from flaggerpy.model.invariants import AT_REST, CHECKS
from flaggerpy.model.statemachine import name as told
from flaggerpy.model.strategies import STRATEGIES
from flaggerpy.rollout.phases import TABLE

SHALLOW = frozenset({"weighted", "back in steps", "mirrored", "A/B", "adopting", "scaled", "scaled by KEDA"})
"""Strategies whose second event is tried in those that they share it with: "gated" has all events of "weighted", and its gates."""


GROWTH = 25
"""How many times the states, about, that one more outside event brings."""


def depth_of(strategy: str, asked: int | None) -> int:
    """How many outside events a history of the strategy has at most."""
    return asked if asked is not None else 1 if strategy in SHALLOW else 2


def explore(strategy: str, depth: int, seconds: float) -> tuple[Report, float, bool]:
    """One strategy: what was met, in how many seconds of computing, and whether time was over before the depth was reached."""
    began, cut = time.process_time(), False

    def over() -> bool:
        nonlocal cut
        cut = cut or time.process_time() - began > seconds
        return cut

    report = Explorer(STRATEGIES[strategy]).run(depth, over=over)
    return report, time.process_time() - began, cut


def die(strategy: str) -> dict[str, Death]:
    """All stories of a strategy, with a death at each write."""
    spec = STRATEGIES[strategy]
    return {name: try_all(spec, story) for name, story in STORIES.items() if story.applies(spec)}


def explored(pool: ProcessPoolExecutor, strategies: list[str], asked: int | None, seconds: float) -> tuple[Report, bool]:
    print(f"Exploration: every history with at most so many (depth) outside events, of {len(EVENTS)} kinds, at whatever moments, "
          f"after each of {len(BEGINS)} beginnings; "
          f"{len(CHECKS) + len(AT_REST)} invariants in every state, and a way to an end from each.\n")  # fmt: skip
    print(f"{'strategy':16} {'depth':>5} {'states':>8} {'steps':>8} {'merged':>8} {'proven':>7} {'ways':>8} {'longest':>8} {'seconds':>8}")
    total, sound = Report(), True
    deepest_first = sorted(strategies, key=lambda strategy: -depth_of(strategy, asked))
    shares = {strategy: GROWTH ** depth_of(strategy, asked) for strategy in strategies}
    running = {
        pool.submit(explore, strategy, depth_of(strategy, asked), seconds * shares[strategy] / sum(shares.values())): strategy
        for strategy in deepest_first
    }
    for future in as_completed(running):
        report, took, cut = future.result()
        line = f"{report.states:8} {report.steps:8} {report.merges:8} {report.proven:7} {report.ways:8} {report.longest:8} {took:8.0f}"
        print(f"{running[future]:16} {depth_of(running[future], asked):5} {line}{'  CUT OFF: time was over' if cut else ''}", flush=True)
        for sentence, way in report.faults.items():
            print(f"  FAULT {sentence}\n    after: {' > '.join(way)}", flush=True)
        sound = sound and not cut and not report.faults
        total.add(report)
    print(f"{'in all':16} {'':5} {total.states:8} {total.steps:8} {total.merges:8} {total.proven:7} {total.ways:8} {total.longest:8}\n")
    return total, sound


def covered(total: Report) -> bool:
    rows = [(move.before, move.cause, move.after) for move in TABLE]
    missing = uncovered(rows, total.moves)
    print(f"Transition table: {len(rows) - len(missing)} of {len(rows)} rows were taken.\n")
    print(f"{'times':>9}  row")
    for before, cause, after in rows:
        print(f"{total.moves[(before, cause, after)]:9}  {told(before)} > {told(after)}: {cause}")
    print()
    return not missing


def died(pool: ProcessPoolExecutor, strategies: list[str]) -> bool:
    print("Crash points: the controller dies before each write in turn, and after the last; the release ends the same.\n")
    print(f"{'strategy':16} {'story':20} {'writes':>7} {'deaths':>7} {'other ends':>11}")
    sound, deaths = True, 0
    for strategy, found in zip(strategies, pool.map(die, strategies), strict=True):
        for name, death in found.items():
            print(f"{strategy:16} {name:20} {death.writes:7} {death.deaths:7} {len(death.differ):11}", flush=True)
            for write, sentence in death.differ.items():
                print(f"  FAULT at write {write}: {sentence}")
            sound, deaths = sound and not death.differ, deaths + death.deaths
    print(f"in all {deaths} deaths\n")
    return sound


def random_histories(count: int) -> bool:
    """New ones in every run; a failure is printed with the shortest history that shows it."""
    from hypothesis import HealthCheck, settings

    from tests.model.test_histories import explore as play

    print(f"Random histories: {count} of up to 80 moves each.", flush=True)
    settings.register_profile("prove", deadline=None, database=None, suppress_health_check=list(HealthCheck))
    settings.load_profile("prove")
    try:
        play(max_examples=count, stateful_step_count=80)
    except Exception as error:
        print("\n".join([f"  FAULT {error!r}", *getattr(error, "__notes__", ())]))
        return False
    print("  all came to their end\n")
    return True


def main() -> int:
    """The whole proof; 0 when all holds."""
    options = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--depth", type=int)
    options.add_argument("--minutes", type=float, default=60.0, help="of computing in all, for the exploration")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--only", nargs="+", choices=list(STRATEGIES), default=list(STRATEGIES), metavar="STRATEGY")
    options.add_argument("--histories", type=int, default=1500)
    options.add_argument("--skip-deaths", action="store_true")
    chosen = options.parse_args()
    seconds = chosen.minutes * 60 * chosen.jobs
    with ProcessPoolExecutor(chosen.jobs) as pool:
        total, sound = explored(pool, chosen.only, chosen.depth, seconds)
        sound &= covered(total) or set(chosen.only) != set(STRATEGIES)
        sound &= chosen.skip_deaths or died(pool, chosen.only)
    sound &= chosen.histories == 0 or random_histories(chosen.histories)
    print("proven" if sound else "NOT proven")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
