"""`flaggerpy version`, and with `--check` whether all that is installed fits together."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flaggerpy import __version__
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit

if TYPE_CHECKING:
    from flaggerpy.cluster.client import Client


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """Its one option."""
    parser.add_argument("--check", action="store_true", help="tell what of program, CRDs, controller and chart does not fit together")


def needs_cluster(options: argparse.Namespace) -> bool:
    """Only to check."""
    return bool(options.check)


async def perform(options: argparse.Namespace, client: Client | None, screen: Screen) -> int:
    """Print the version; with a cluster also what is found there: exit code 0 where all fits, 1 where something does not, 15 where not all
    could be seen. Raises ApiError."""
    screen.show(f"flaggerpy {__version__}")
    if client is None:
        return Exit.OK
    from flaggerpy.cli import installed

    found = await installed.look(client, __version__, options.namespace)
    for mark, sentences in (("✓", found.well), ("✗", found.wrong), ("?", found.untold)):
        for sentence in sentences:
            screen.show(f"{mark} {sentence}")
    return Exit.FAILED if found.wrong else Exit.UNTOLD if found.untold else Exit.OK
