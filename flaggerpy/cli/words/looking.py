"""`flaggerpy get`, `describe` and `history`: what there is. Their options; the work is in `cli/showing.py`, which takes longer to load."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flaggerpy.cli.access import Access
    from flaggerpy.cli.printing import Screen

SORTS = ("name", "phase", "age", "weight", "since")


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """The options of each word of this file."""
    match word:
        case "get":
            parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
            parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
            parser.add_argument("-l", "--selector", metavar="SELECTOR", default="", help="only those with these labels: app=web,tier!=test")
            parser.add_argument("-o", "--output", choices=("wide", "name", "json", "yaml"), help="more columns, names only, or the objects")
            parser.add_argument("-w", "--watch", action="store_true", help="go on with a line for each change")
            sort = "order: name (default), phase (what needs you first), age, weight, since"
            parser.add_argument("--sort-by", choices=SORTS, default="name", help=sort)
        case "describe":
            parser.add_argument("name", metavar="NAME")
            parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the object itself")
        case _:
            parser.add_argument("name", metavar="NAME")
            parser.add_argument("-o", "--output", choices=("wide", "json", "yaml"), help="with values and commands, or the entries as data")


async def perform(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    """Carry out a word of this file."""
    from flaggerpy.cli import showing

    return await {"get": showing.get, "describe": showing.describe, "history": showing.history}[options.word](options, access, screen)
