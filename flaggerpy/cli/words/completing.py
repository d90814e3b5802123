"""`flaggerpy completion SHELL`, and `__complete`, which the scripts ask at every TAB.

The answer has the form that cobra's programs have made common, so that kubectl can ask too (its plugin `kubectl_complete-flaggerpy`): a
candidate a line, its explanation behind a tab, and a last line of a colon and a number of flags (`Hint`). Names come from the cluster,
within `PATIENCE`; whatever goes wrong there, nothing is proposed and nothing is said.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import TYPE_CHECKING

from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit

if TYPE_CHECKING:
    from flaggerpy.cluster.client import Client

PATIENCE = 2.0
"""Seconds that a TAB waits for the cluster, where $FLAGGERPY_COMPLETE_TIMEOUT says nothing else."""
SHELLS = {"bash": "bash.sh", "zsh": "zsh.sh", "fish": "fish.sh"}
SCRIPTS = Path(__file__).with_name("completions")


class Hint(IntFlag):
    """What the shell is to do with the candidates (cobra's numbers)."""

    FILES = 0
    """Complete file names where there are no candidates."""
    NO_SPACE = 2
    """The word goes on behind the candidate."""
    NO_FILES = 4


@dataclass(frozen=True)
class Answer:
    """Candidates with their explanations, and the hint."""

    candidates: tuple[tuple[str, str], ...] = ()
    hint: Hint = Hint.NO_FILES

    def __str__(self) -> str:
        lines = [f"{word}\t{about}" if about else word for word, about in self.candidates]
        return "\n".join([*lines, f":{int(self.hint)}"])


@dataclass(frozen=True)
class Place:
    """Where the cursor stands: which option or argument a value is wanted for, in a command line with these options."""

    word: str
    action: argparse.Action
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    everywhere: bool = False
    given: tuple[str, ...] = ()
    """Positional arguments before the cursor."""


Ask = Callable[["Client", Place], Awaitable[Sequence[tuple[str, str]]]]
Values = Callable[[Place], "Sequence[tuple[str, str]] | None"]
"""Candidates for a value; None: names of files."""


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """The options of each word of this file."""
    if word == "completion":
        parser.add_argument("shell", metavar="SHELL", choices=tuple(SHELLS), help="bash, zsh or fish")


def perform(options: argparse.Namespace, screen: Screen) -> int:
    """Print the script."""
    sys.stdout.write((SCRIPTS / SHELLS[options.shell]).read_text())
    return Exit.OK


def complete(arguments: Sequence[str]) -> int:
    """Answer a TAB: `arguments` are the words behind the program's name, the last one that at the cursor ("" for a new one)."""
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        answer = answer_for(arguments, values_of)
    except (Exception, SystemExit):  # a shell that waits for candidates is no place for an error
        answer = Answer()
    print(answer)
    return Exit.OK


def kubectl_complete() -> int:
    """The program `kubectl_complete-flaggerpy`."""
    return complete(sys.argv[1:])


def answer_for(arguments: Sequence[str], values: Values) -> Answer:
    """The answer for a command line; `values` gives candidates for a value."""
    from flaggerpy.cli.main import parser
    from flaggerpy.cli.words import WORDS

    *before, here = arguments or [""]
    if not before:
        words = [("run", "run the controller"), *((word.name, word.help) for word in WORDS.values() if word.help)]
        options = [("-h", ""), ("--help", "show this help message and exit")] if here.startswith("-") else []
        return _beginning(here, [*words, *options])
    word = before[0]
    if word not in WORDS:
        return Answer(hint=Hint.FILES)
    subparsers = next(action for action in parser(word)._actions if action.dest == "word")
    assert isinstance(subparsers.choices, dict)
    command: argparse.ArgumentParser = subparsers.choices[word]
    by_option = {option: action for action in command._actions for option in action.option_strings}
    positional = [action for action in command._actions if not action.option_strings]
    given, used, waiting = _read(before[1:], by_option)
    place = _place(word, used, given)
    if waiting is not None:
        return _value(here, waiting, place, values)
    name, equals, rest = here.partition("=")
    if equals and name.startswith("--") and name in by_option:
        answer = _value(rest, by_option[name], place, values)
        return Answer(tuple((f"{name}={candidate}", about) for candidate, about in answer.candidates), answer.hint)
    if here.startswith("-") and "--" not in before:
        return _beginning(here, _options(command, used))
    return _value(here, _at(positional, len(given)), place, values)


def _read(
    words: Sequence[str], by_option: dict[str, argparse.Action]
) -> tuple[list[str], dict[str, tuple[argparse.Action, str]], argparse.Action | None]:
    """Positional words, options by destination with their values, and the option whose value comes next."""
    given: list[str] = []
    used: dict[str, tuple[argparse.Action, str]] = {}
    waiting: argparse.Action | None = None
    for word in words:
        if waiting is not None:
            used[waiting.dest] = (waiting, word)
            waiting = None
            continue
        name, equals, value = word.partition("=")
        action = by_option.get(name if equals and name.startswith("--") else word)
        if action is None and word[:2] in by_option and word[:1] == "-" and word[:2] != "--":
            action, equals, value = by_option[word[:2]], "=", word[2:]  # -ntest
        if action is None:
            given += [word] if not word.startswith("-") else []
        elif equals or action.nargs == 0:
            used[action.dest] = (action, value)
        else:
            waiting = action
    return given, used, waiting


def _place(word: str, used: dict[str, tuple[argparse.Action, str]], given: list[str]) -> Place:
    def value(dest: str) -> str | None:
        return used[dest][1] or None if dest in used else None

    none = argparse.Action([], "")
    return Place(
        word, none, value("namespace"), value("context"), value("kubeconfig"), everywhere="all_namespaces" in used, given=tuple(given)
    )  # fmt: skip


def _at(positional: Sequence[argparse.Action], number: int) -> argparse.Action | None:
    """The positional argument of this number; one that takes many takes all that follow."""
    for i, action in enumerate(positional):
        if i == number or action.nargs in ("*", "+"):
            return action
    return None


def _options(command: argparse.ArgumentParser, used: dict[str, tuple[argparse.Action, str]]) -> list[tuple[str, str]]:
    """Options that may still be given; an option that appends may be given again. Their long names, as these explain themselves."""
    excluded = {
        other.dest for group in command._mutually_exclusive_groups for other in group._group_actions
        if any(member.dest in used for member in group._group_actions)
    }  # fmt: skip
    found = []
    for action in command._actions:
        repeated = isinstance(action, argparse._AppendAction)
        if action.option_strings and action.help != argparse.SUPPRESS and (repeated or action.dest not in {*used, *excluded}):
            found.append((max(action.option_strings, key=len), action.help or ""))
    # what everybody knows comes last
    return sorted(found, key=lambda option: option[0] == "--help")


def _value(here: str, action: argparse.Action | None, place: Place, values: Values) -> Answer:
    if action is None:
        return Answer()
    if action.choices is not None:
        return _beginning(here, [(str(choice), "") for choice in action.choices])
    found = values(
        Place(place.word, action, place.namespace, place.context, place.kubeconfig, place.everywhere, place.given)
    )  # fmt: skip
    if found is None:
        return Answer(hint=Hint.FILES)
    # a list may be given: what was named is not proposed again
    return _beginning(here, [pair for pair in found if action.nargs not in ("*", "+") or pair[0] not in place.given])


def _beginning(here: str, candidates: Sequence[tuple[str, str]]) -> Answer:
    return Answer(tuple((word, about) for word, about in candidates if word.startswith(here)))


def values_of(place: Place) -> Sequence[tuple[str, str]] | None:
    """Candidates from the cluster, the kubeconfig and the API's own lists."""
    match place.action.metavar:
        case "NAME" if place.action.dest in ("name", "names"):
            return _asked(_canaries, place)
        case "NAME" if place.action.dest == "context":
            from flaggerpy.cli.kubeconfigs import contexts, kubeconfigs

            return [(name, "") for name in contexts(filter(os.path.exists, kubeconfigs(place.kubeconfig)))]
        case "NS":
            return _asked(_namespaces, place)
        case "REVISION|NUMBER" if place.given:
            return _asked(_revisions, place)
        case "PHASE":
            from flaggerpy.api.status import Phase

            return [(str(phase), "") for phase in Phase if phase]
        case "FILE" | "IMAGE":
            return None if place.action.metavar == "FILE" else []
        case "FAULT":
            from flaggerpy.model.faults import KINDS

            return [(kind.name, kind.about) for kind in KINDS.values()]
        case _ if place.action.dest == "mesh_provider":
            from flaggerpy.routers.registry import known_providers

            return [(name, "") for name in known_providers()]
        case _:
            return []


def _asked(ask: Ask, place: Place) -> Sequence[tuple[str, str]]:
    """What the cluster answers in time. Loading the client is no part of that time: it would be the machine's fault."""
    from flaggerpy.cluster.client import Client

    seconds = float(os.environ.get("FLAGGERPY_COMPLETE_TIMEOUT") or PATIENCE)

    async def within() -> Sequence[tuple[str, str]]:
        async with await Client.connect(place.kubeconfig, place.context, within=seconds) as client:
            return await ask(client, place)

    async def bounded() -> Sequence[tuple[str, str]]:
        return await asyncio.wait_for(within(), seconds)

    return asyncio.run(bounded())


async def _canaries(client: Client, place: Place) -> Sequence[tuple[str, str]]:
    from flaggerpy.cluster import kinds

    found = await client.list(kinds.CANARY, None if place.everywhere else place.namespace or client.namespace)
    names = {str(obj["metadata"]["name"]): str((obj.get("status") or {}).get("phase") or "") for obj in found}
    return sorted(names.items())


async def _namespaces(client: Client, place: Place) -> Sequence[tuple[str, str]]:
    from flaggerpy.cluster import kinds
    from flaggerpy.cluster.errors import Forbidden

    try:
        return sorted((str(obj["metadata"]["name"]), "") for obj in await client.list(kinds.NAMESPACE, metadata_only=True))
    except Forbidden:
        # who may not list namespaces may still list Canaries
        found = await client.list(kinds.CANARY, None, metadata_only=True)
        return sorted({(str(obj["metadata"]["namespace"]), "") for obj in found})


async def _revisions(client: Client, place: Place) -> Sequence[tuple[str, str]]:
    from flaggerpy.cli.views import canary_view, short_images
    from flaggerpy.cluster import kinds

    obj = await client.get(kinds.CANARY, place.namespace or client.namespace, place.given[0])
    view = canary_view(obj, client.now())
    told = {line.revision: short_images(line.images) for line in view.history}
    return [(revision, told.get(revision, "")) for revision in view.promoted_revisions]
