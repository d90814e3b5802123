"""The `flaggerpy` command: reads the arguments, connects to the cluster, and hands over to the module of the word (`cli/words`).

It talks to the cluster of the named or current context, never another one, and turns every error of the API into a sentence and an exit
code (`cli/problems.py`). The texts are in docs/cli.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from flaggerpy.cli.kubeconfigs import contexts, kubeconfigs
from flaggerpy.cli.printing import Screen as Screen
from flaggerpy.cli.problems import Exit, Problem, problem_of
from flaggerpy.cli.words import WORDS, Word

if TYPE_CHECKING:
    from flaggerpy.cli.access import Access


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line is exit code 64: 2 means a time-out here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def parser(only: str | None = None) -> Parser:
    """The command line, with the options of all words or (quicker) of one.

    `run` is listed for the help alone: its flags are Flagger's and are parsed by the controller.
    """
    cluster = Parser(add_help=False)
    group = cluster.add_argument_group("cluster")
    group.add_argument("-n", "--namespace", metavar="NS", help="namespace (default: that of the context)")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig file (default: $KUBECONFIG, the pod's account, ~/.kube/config)")

    top = Parser(prog="flaggerpy", description="Progressive delivery for Kubernetes: look at releases, wait for them, steer them.")
    words = top.add_subparsers(dest="word", metavar="COMMAND", required=True, parser_class=Parser)
    words.add_parser("run", help="run the controller; takes Flagger's flags (flaggerpy run -h)", add_help=False)
    for word in WORDS.values():
        about = word.help[0].upper() + word.help[1:] + "."
        command = words.add_parser(word.name, help=word.help, description=about, parents=[] if word.needs == "nothing" else [cluster])
        if only in (None, word.name):
            word.load().add_options(word.name, command)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; answers the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:
        # the controller's imports are heavy, and no other word needs them
        from flaggerpy.controller.run import main as run

        return run(arguments[1:])
    if arguments[:1] == ["__complete"]:
        from flaggerpy.cli.words.completing import complete

        return complete(arguments[1:])
    options = parser(arguments[0] if arguments else "").parse_args(arguments)
    try:
        if WORDS[options.word].needs == "nothing":
            return _without_cluster(options)
        import asyncio

        return asyncio.run(_with_cluster(options))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # `flaggerpy get | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _without_cluster(options: argparse.Namespace) -> int:
    try:
        return int(WORDS[options.word].load().perform(options, Screen()))
    except Problem as problem:
        print(problem.sentence, file=sys.stderr)
        return problem.code


async def _with_cluster(options: argparse.Namespace) -> int:
    word = WORDS[options.word]
    try:
        if word.needs == "perhaps" and not word.load().needs_cluster(options):
            return await _perform(options, None)
        return await _connected(options, word)
    except Problem as problem:
        print(problem.sentence, file=sys.stderr)
        return problem.code


async def _connected(options: argparse.Namespace, word: Word) -> int:
    """Carry out a word with the cluster. Raises Problem."""
    from flaggerpy.cli.access import ClusterAccess
    from flaggerpy.cluster.client import Client
    from flaggerpy.cluster.errors import ApiError

    # what libraries log is no sentence for a person, and would tear holes into a live view
    logging.getLogger().addHandler(logging.NullHandler())
    host = ""
    try:
        _need_context(options.kubeconfig, options.context)
        async with await Client.connect(options.kubeconfig, options.context) as client:
            host = client.host
            return await _perform(options, ClusterAccess(client) if word.needs == "access" else client)
    except ApiError as error:
        raise problem_of(error, host) from error


def _need_context(given: str | None, context: str | None) -> None:
    """The library takes a file that is missing for an empty one, and names no contexts when the one that is asked for is not there."""
    paths = kubeconfigs(given)
    if not paths:
        return
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        raise Problem(Exit.NO_CLUSTER, f"There is no kubeconfig {os.pathsep.join(paths)}.")
    if context:
        try:
            known = contexts(there)
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            return  # the library tells what is wrong with the file
        if context not in known:
            others = f"there are {', '.join(known)}" if known else "there are none"
            raise Problem(Exit.NO_CLUSTER, f"There is no context {context} in {os.pathsep.join(there)}; {others}.")


async def perform(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    """Carry out a parsed command line whose word needs no more of a cluster than `Access`. Raises Problem and ApiError."""
    return await _perform(options, access, screen)


async def _perform(options: argparse.Namespace, cluster: Any, screen: Screen | None = None) -> int:
    return int(await WORDS[options.word].load().perform(options, cluster, screen or Screen()))


if __name__ == "__main__":
    sys.exit(main())
