"""`flaggerpy abort`, `retry`, `promote`, `skip`, `rollback-to`, `pause`, `resume`: what a person orders."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flaggerpy.cli.selecting import namespace_of, one, seconds

if TYPE_CHECKING:
    from flaggerpy.cli.access import Access
    from flaggerpy.cli.printing import Screen


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """The options of each word of this file."""
    parser.add_argument("name", metavar="NAME")
    if word == "rollback-to":
        parser.add_argument("to", metavar="REVISION|NUMBER", help="a revision, or its number in `flaggerpy history`")
    parser.add_argument("--timeout", metavar="TIME", default="30s", type=seconds, help="for the controller's answer (default: 30s)")


async def perform(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    """Write the annotation and tell what came of it."""
    from flaggerpy.cli import commands, look
    from flaggerpy.cli.closer import Closer
    from flaggerpy.cli.gitops import keeper_of

    closer = Closer(access)
    namespace = namespace_of(options, access)
    before = await closer.view(await one(options, access))
    given = commands.order(options.word, before, getattr(options, "to", ""))
    keeper = keeper_of(await access.workload(before.kind, namespace, before.target)) if options.word == "rollback-to" else ""
    if keeper:
        screen.note(f"{before.kind} {before.target} belongs to {keeper}, which will put its own template back: change it there as well.")
    await access.annotate(namespace, options.name, {given.annotation: given.value})
    patience = commands.patience(given, options.timeout)
    after, answered = await look.acknowledgement(closer, namespace, options.name, given, patience=patience)
    if after and answered:
        code, sentence = commands.outcome(given, before, after)
    else:
        code, sentence = commands.unanswered(given, after or before, patience)
    screen.show(sentence)
    return code
