"""Specs and answers at random, many of them: `python -m tests.security --specs 20000`. Exit code 1 when any was not borne."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback

from tests.security import answers, driving, specs


def fuzz_specs(count: int, seed: str, first: int = 0) -> tuple[int, list[str]]:
    """How many of `count` specs were admitted, and what went wrong with which."""
    taken, wrong = 0, list[str]()
    for number in range(first, first + count):
        obj = {"metadata": {"name": "app", "namespace": "shop", "uid": "u", "generation": 1}, "spec": specs.spec(number, seed)}
        try:
            if driving.admitted(obj):
                taken += 1
                driving.drive(obj)
        except Exception:
            wrong.append(f"spec {number}:\n{traceback.format_exc(limit=-4)}")
    return taken, wrong


def fuzz_answers(count: int, seed: str) -> list[str]:
    """What went wrong with `count` answers of each kind."""
    wrong = []
    for kind, play in answers.KINDS.items():
        for number in range(count):
            try:
                play(random.Random(f"{seed}/{kind}/{number}"))
            except Exception:
                wrong.append(f"{kind} {number}:\n{traceback.format_exc(limit=-4)}")
    return wrong


def main(arguments: list[str]) -> int:
    """Carry it out and print figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    parser.add_argument("--specs", type=int, default=20_000)
    parser.add_argument("--answers", type=int, default=5_000, help="of each kind")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--only", type=int, help="one spec, by its number")
    options = parser.parse_args(arguments)
    if options.only is not None:
        print(specs.spec(options.only, options.seed))
        options.specs, options.answers = 1, 0
    began = time.monotonic()
    taken, wrong = fuzz_specs(options.specs, options.seed, options.only or 0)
    took = time.monotonic() - began
    print(f"{options.specs} specs, {taken} of them admitted and released, {len(wrong)} not borne, {took:.0f} s", flush=True)
    began = time.monotonic()
    more = fuzz_answers(options.answers, options.seed)
    print(f"{options.answers} answers of each of {len(answers.KINDS)} kinds, {len(more)} not borne, {time.monotonic() - began:.0f} s")
    for each in [*wrong, *more][:20]:
        print(each)
    return 1 if wrong or more else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
