"""`flaggerpy version`."""

from __future__ import annotations

import argparse

from flaggerpy import __version__
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """It has none."""


def perform(options: argparse.Namespace, screen: Screen) -> int:
    """Print the version."""
    screen.show(f"flaggerpy {__version__}")
    return Exit.OK
