"""The `flaggerpy` command: its words and options, and one short function per word. The texts are in docs/cli.md.

`main` reads the arguments, connects to the cluster of the named or current context (never another one), and turns every error of the API
into a sentence and an exit code (`cli/problems.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from flaggerpy import __version__
from flaggerpy.api.durations import parse_duration
from flaggerpy.api.status import Phase
from flaggerpy.cli import commands, crds, handback, images, look, offline, screens
from flaggerpy.cli.access import Access, ClusterAccess, Obj
from flaggerpy.cli.gitops import keeper_of
from flaggerpy.cli.printing import Screen as Screen
from flaggerpy.cli.printing import dump
from flaggerpy.cli.problems import Exit, Problem, no_such_canary, problem_of
from flaggerpy.cli.waiting import Wanted
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError

VERBS = {
    "abort": "end the release under way: traffic to the primary, phase Failed",
    "retry": "run the revision that failed once more",
    "promote": "skip the rest of the analysis; readiness, capacity and the proof of the route are never skipped",
    "skip": "take the next step now: the rest of the wait and a closed gate are waived, checks and readiness are not",
    "rollback-to": "release an earlier template again, through an analysis like any other",
    "pause": "hold the release at its present step",
    "resume": "go on after a pause",
}


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line is exit code 64: 2 means a time-out here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def parser() -> Parser:
    """The whole command line. `run` is listed for the help alone: its flags are Flagger's and are parsed by the controller."""
    cluster = Parser(add_help=False)
    group = cluster.add_argument_group("cluster")
    group.add_argument("-n", "--namespace", metavar="NS", help="namespace (default: that of the context)")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig file (default: $KUBECONFIG, the pod's account, ~/.kube/config)")

    top = Parser(prog="flaggerpy", description="Progressive delivery for Kubernetes: look at releases, wait for them, steer them.")
    words = top.add_subparsers(dest="word", metavar="COMMAND", required=True, parser_class=Parser)

    def word(name: str, text: str, *, parents: Sequence[Parser] = (cluster,)) -> argparse.ArgumentParser:
        return words.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=list(parents))

    words.add_parser("run", help="run the controller; takes Flagger's flags (flaggerpy run -h)", add_help=False)

    get = word("get", "list Canaries with their phase, weight and what they wait for")
    get.add_argument("names", nargs="*", metavar="NAME", help="only these")
    get.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    get.add_argument("-o", "--output", choices=("wide", "name", "json", "yaml"), help="more columns, names only, or the objects")

    describe = word("describe", "tell everything about one Canary: what it waits for, pods that fail and why, gates, events, history")
    describe.add_argument("name", metavar="NAME")
    describe.add_argument("-o", "--output", choices=("json", "yaml"), help="the object itself")

    watch = word("watch", "show releases live; without a terminal one line per change")
    watch.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all of the namespace)")
    watch.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    watch.add_argument("--until-done", action="store_true", help="end with the release of the one NAME given; exit codes as those of wait")

    wait = word("wait", "wait for the end of a release, for pipelines: 0 promoted, 1 failed, 2 timed out, 3 superseded")
    wait.add_argument("name", metavar="NAME")
    which = wait.add_mutually_exclusive_group()
    which.add_argument("--image", metavar="IMAGE", help="the release of this image (whole name, or its end: app:1.2, :1.2)")
    which.add_argument("--revision", metavar="HASH", help="the release of this revision (pod-template-hash)")
    wait.add_argument("--for", dest="phase", metavar="PHASE", default="Succeeded", help="the phase to wait for (default: Succeeded)")
    wait.add_argument("--timeout", metavar="TIME", default="10m", type=_seconds, help="at most this long (default: 10m)")
    wait.add_argument("-q", "--quiet", action="store_true", help="print the verdict only")

    for verb, text in VERBS.items():
        command = word(verb, text)
        command.add_argument("name", metavar="NAME")
        if verb == "rollback-to":
            command.add_argument("to", metavar="REVISION|NUMBER", help="a revision, or its number in `flaggerpy history`")
        command.add_argument("--timeout", metavar="TIME", default="30s", type=_seconds, help="for the controller's answer (default: 30s)")

    past = word("history", "list the last releases of a Canary: revision, images, outcome, cause, what was measured")
    past.add_argument("name", metavar="NAME")
    past.add_argument("-o", "--output", choices=("wide", "json", "yaml"), help="with values and commands, or the entries as data")

    images.add_word(word("check-image", images.HELP))
    handback.add_word(word("handback", handback.HELP))
    crds.add_word(word("crds", crds.HELP))
    offline.add_words(lambda name, text: word(name, text, parents=()))
    word("version", "print the version of this program", parents=())
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; answers the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:
        # the controller's imports are heavy, and no other word needs them
        from flaggerpy.controller.run import main as run

        return run(arguments[1:])
    options = parser().parse_args(arguments)
    if options.word == "version":
        print(f"flaggerpy {__version__}")
        return Exit.OK
    try:
        if options.word in offline.HANDLERS:
            return _without_cluster(options)
        return asyncio.run(_with_cluster(options))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # `flaggerpy get | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _without_cluster(options: argparse.Namespace) -> int:
    try:
        return offline.perform(options, Screen())
    except Problem as problem:
        print(problem.sentence, file=sys.stderr)
        return problem.code


async def _with_cluster(options: argparse.Namespace) -> int:
    host = ""
    try:
        if options.word == "check-image" and not images.needs_cluster(options):
            return await images.check(options, None, Screen())
        if options.word == "crds" and not crds.needs_cluster(options):
            return crds.show(Screen())
        _need_file(options.kubeconfig)
        async with await Client.connect(options.kubeconfig, options.context) as client:
            host = client.host
            if options.word == "check-image":
                return await images.check(options, client, Screen())
            if options.word == "handback":
                return await handback.hand_back(options, client, Screen())
            if options.word == "crds":
                return await crds.run(options, client, Screen())
            return await perform(options, ClusterAccess(client), Screen())
    except ApiError as error:
        problem = problem_of(error, host)
    except Problem as raised:
        problem = raised
    print(problem.sentence, file=sys.stderr)
    return problem.code


def _need_file(given: str | None) -> None:
    """The library takes a file that is missing for an empty one, and would then complain about a context."""
    paths = given or os.environ.get("KUBECONFIG") or ""
    if not paths and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        paths = os.path.expanduser("~/.kube/config")
    if paths and not any(os.path.exists(path) for path in paths.split(os.pathsep)):
        raise Problem(Exit.NO_CLUSTER, f"There is no kubeconfig {paths}.")


async def perform(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    """Carry out a parsed command line (all words but run and version). Raises Problem and ApiError."""
    return await HANDLERS[options.word](options, access, screen)


async def _get(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    found = await _selected(options, access)
    if options.output in ("json", "yaml"):
        one = len(options.names) == 1
        dump(screen, found[0] if one else {"apiVersion": "v1", "kind": "List", "items": found}, options.output)
    elif options.output == "name":
        for obj in found:
            screen.show(f"canary.flagger.app/{obj['metadata']['name']}")
    elif found:
        views = [look.plain(access, obj) for obj in found]
        screen.show(screens.canaries(views, all_namespaces=options.all_namespaces, wide=options.output == "wide"))
    else:
        screen.note("No Canaries found" + ("." if options.all_namespaces else f" in namespace {_namespace(options, access)}."))
    return Exit.OK


async def _describe(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    obj = await _one(options, access)
    if options.output:
        dump(screen, obj, options.output)
    else:
        screen.show(screens.describe(await look.Closer(access).view(obj, events=True)))
    return Exit.OK


async def _watch(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    if options.until_done and len(options.names) != 1:
        raise Problem(Exit.USAGE, "--until-done needs exactly one NAME.")

    async def select() -> list[Obj]:
        return await _selected(options, access)

    wanted = Wanted() if options.until_done else None
    return await look.watch(access, select, screen.out, wanted)


async def _wait(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    if options.phase not in {str(phase) for phase in Phase if phase}:
        raise Problem(Exit.USAGE, f"--for {options.phase}: there is no such phase; Flagger's are {', '.join(filter(None, Phase))}.")
    wanted = Wanted(image=options.image or "", revision=options.revision or "", phase=options.phase)
    ended = await look.wait(
        access,
        _namespace(options, access),
        options.name,
        wanted,
        patience=options.timeout,
        note=(lambda text: None) if options.quiet else screen.note,
    )
    screen.show(ended.sentence)
    return ended.code


async def _command(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    closer = look.Closer(access)
    namespace = _namespace(options, access)
    before = await closer.view(await _one(options, access), events=True)
    given = commands.order(options.word, before, getattr(options, "to", ""))
    keeper = keeper_of(await access.workload(before.kind, namespace, before.target)) if options.word == "rollback-to" else ""
    if keeper:
        screen.note(f"{before.kind} {before.target} belongs to {keeper}, which will put its own template back: change it there as well.")
    await access.annotate(namespace, options.name, {given.annotation: given.value})
    seconds = commands.patience(given, options.timeout)
    after, answered = await look.acknowledgement(closer, namespace, options.name, given, patience=seconds)
    if after and answered:
        code, sentence = commands.outcome(given, before, after)
    else:
        code, sentence = commands.unanswered(given, after or before, seconds)
    screen.show(sentence)
    return code


async def _history(options: argparse.Namespace, access: Access, screen: Screen) -> int:
    obj = await _one(options, access)
    if options.output in ("json", "yaml"):
        dump(screen, (obj.get("status") or {}).get("history") or [], options.output)
        return Exit.OK
    view = look.plain(access, obj)
    if view.history and options.output == "wide":
        screen.show(screens.history_wide(view.history, view.now, view.promoted_revisions))
    elif view.history:
        screen.show(screens.history(view.history, view.now))
    else:
        screen.note(f"No release of {view.name} has ended yet.")
    return Exit.OK


HANDLERS: dict[str, Callable[[argparse.Namespace, Access, Screen], Awaitable[int]]] = {
    "get": _get,
    "describe": _describe,
    "watch": _watch,
    "wait": _wait,
    "history": _history,
    **dict.fromkeys(VERBS, _command),
}


def _namespace(options: argparse.Namespace, access: Access) -> str:
    return str(options.namespace or access.namespace)


async def _one(options: argparse.Namespace, access: Access) -> Obj:
    namespace = _namespace(options, access)
    obj = await access.canary(namespace, options.name)
    if obj is None:
        raise no_such_canary(namespace, options.name)
    return obj


async def _selected(options: argparse.Namespace, access: Access) -> list[Obj]:
    """The Canaries that a list command means, in order of namespace and name."""
    found = await access.canaries(None if options.all_namespaces else _namespace(options, access))
    have = {obj["metadata"]["name"] for obj in found}
    for name in options.names:
        if name not in have:
            raise no_such_canary(_namespace(options, access), name)
    chosen = [obj for obj in found if not options.names or obj["metadata"]["name"] in options.names]
    return sorted(chosen, key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
