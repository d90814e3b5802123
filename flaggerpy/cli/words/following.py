"""`flaggerpy watch`, `top` and `wait`: what happens from now on. What carries them out is loaded when it is needed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flaggerpy.cli.selecting import namespace_of, seconds

if TYPE_CHECKING:
    from flaggerpy.cli.access import Access
    from flaggerpy.cli.printing import Screen


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """The options of each word of this file."""
    match word:
        case "watch":
            parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all of the namespace)")
            parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
            text = "end with the release of the one NAME given; exit codes as those of wait"
            parser.add_argument("--until-done", action="store_true", help=text)
        case "top":
            parser.add_argument("-a", "--all", action="store_true", help="also those without a release")
            parser.add_argument("--once", action="store_true", help="print the table and end, as without a terminal")
        case _:
            parser.add_argument("name", metavar="NAME")
            which = parser.add_mutually_exclusive_group()
            which.add_argument("--image", metavar="IMAGE", help="the release of this image (whole name, or its end: app:1.2, :1.2)")
            which.add_argument("--revision", metavar="HASH", help="the release of this revision (pod-template-hash)")
            text = "the phase to wait for (default: Succeeded)"
            parser.add_argument("--for", dest="phase", metavar="PHASE", default="Succeeded", help=text)
            parser.add_argument("--timeout", metavar="TIME", default="10m", type=seconds, help="at most this long (default: 10m)")
            parser.add_argument("-q", "--quiet", action="store_true", help="print the verdict only")


async def perform(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    """Carry out a word of this file."""
    return await {"watch": _watch, "top": _top, "wait": _wait}[options.word](options, access, screen)


async def _watch(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    from flaggerpy.cli import watching
    from flaggerpy.cli.problems import Exit, Problem
    from flaggerpy.cli.waiting import Wanted

    if options.until_done and (len(options.names) != 1 or options.all_namespaces):
        raise Problem(Exit.USAGE, "--until-done needs exactly one NAME, and no --all-namespaces.")
    namespace = namespace_of(options, access)
    if len(options.names) == 1 and not options.all_namespaces:
        return await watching.watch_one(access, namespace, options.names[0], screen, Wanted() if options.until_done else None)
    everywhere = None if options.all_namespaces else namespace
    title = "all namespaces" if options.all_namespaces else f"namespace {namespace}"
    return await watching.watch_many(access, everywhere, options.names, screen, title=title, running_only=False)


async def _top(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    from flaggerpy.cli import watching

    title = f"namespace {options.namespace}" if options.namespace else "all namespaces"
    once = options.once or not screen.out.is_terminal
    return await watching.watch_many(access, options.namespace, (), screen, title=title, running_only=not options.all, once=once)


async def _wait(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    from flaggerpy.api.status import Phase
    from flaggerpy.cli import look
    from flaggerpy.cli.problems import Exit, Problem
    from flaggerpy.cli.waiting import Wanted

    if options.phase not in {str(phase) for phase in Phase if phase}:
        raise Problem(Exit.USAGE, f"--for {options.phase}: there is no such phase; Flagger's are {', '.join(filter(None, Phase))}.")
    wanted = Wanted(image=options.image or "", revision=options.revision or "", phase=options.phase)
    ended = await look.wait(
        access,
        namespace_of(options, access),
        options.name,
        wanted,
        patience=options.timeout,
        note=(lambda text: None) if options.quiet else screen.note,
    )
    screen.show(ended.sentence)
    return ended.code
