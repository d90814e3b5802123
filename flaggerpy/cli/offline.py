"""The words of the `flaggerpy` command that need no cluster: their options, and one short function per word."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import Console

from flaggerpy.cli import manifests
from flaggerpy.cli.example import EXAMPLE
from flaggerpy.cli.manifests import Document, Unreadable
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cli.selecting import seconds
from flaggerpy.model.faults import KINDS, Fault, UnknownFault, parse_fault

LINT_UNREADABLE = 2
"""Exit code of lint: a file cannot be read. (Of the other words 2 is a time-out, and lint has none.)"""


class Screen(Protocol):
    """Where results and notes go: see `main.Screen`."""

    out: Console

    def show(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """The options of each word of this file."""
    match word:
        case "lint":
            parser.add_argument("paths", nargs="+", metavar="FILE", help="YAML or JSON file, or directory; - is stdin")
            parser.add_argument(
                "-o", "--output", choices=("text", "json", "sarif"), default="text", help="form of the findings (default: text)"
            )
            parser.add_argument("-n", "--namespace", metavar="NS", default="", help="namespace of objects that name none")
            parser.add_argument("--mesh-provider", metavar="NAME", default="", help="the provider of Canaries that name none")
            parser.add_argument("--for-flagger", action="store_true", help="also tell what Flagger 1.44 would not understand")
            parser.add_argument("--strict", action="store_true", help="warnings end with exit code 1 too")
        case "plan":
            _files(parser)
            parser.add_argument("-o", "--output", choices=("json",), help="the forecast as data")
        case "convert":
            around = "Services, AnalysisTemplates, routes, autoscalers"
            told = f"YAML file or directory with Rollouts and what is around them: {around}; - is stdin"
            parser.add_argument("-f", "--file", metavar="FILE", action="append", default=[], dest="files", required=True, help=told)
            parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="form of the result (default: yaml)")
            parser.add_argument("--strict", action="store_true", help="exit code 1 where something could not be carried over")
        case _:
            _files(parser)
            faults = "what goes wrong; may be given several times"
            parser.add_argument("--fault", metavar="FAULT", action="append", default=[], type=_fault, help=faults)
            image = "the image that is released (default: that of the file)"
            parser.add_argument("--image", metavar="IMAGE", default="", help=image)
            parser.add_argument("--seed", metavar="N", type=int, default=0, help="vary start-up times and measurements (default: 0)")
            speed = "seconds of the release per second; 0: the end at once (default: what eyes can follow)"
            parser.add_argument("--speed", metavar="N", type=_speed, help=speed)
            parser.add_argument("--timeout", metavar="TIME", type=seconds, default="24h", help="of the release's own time (default: 24h)")
            parser.add_argument("-o", "--output", choices=("json",), help="the play as data, without a film")
            parser.add_argument("--faults", action="store_true", help="list the faults and end")
            parser.add_argument("--example", action="store_true", help="print the example that is played without -f, and end")


def _files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-f", "--file", metavar="FILE", action="append", default=[], dest="files", help="YAML file or directory with the Canary; - is stdin"
    )
    command.add_argument("--canary", metavar="NAME", default="", help="which Canary, where the files hold several")
    command.add_argument("--mesh-provider", metavar="NAME", default="", help="the provider of a Canary that names none")


def perform(options: argparse.Namespace, screen: Screen) -> int:
    """Carry out a word of this file. Raises Problem."""
    return HANDLERS[options.word](options, screen)


def _lint(options: argparse.Namespace, screen: Screen) -> int:
    """0 clean, 1 errors (with --strict also warnings), 2 a file that cannot be read."""
    from flaggerpy.cli.linting import output
    from flaggerpy.cli.linting.findings import Severity
    from flaggerpy.cli.linting.run import lint

    try:
        documents = manifests.read(options.paths)
    except Unreadable as error:
        screen.note(f"Cannot be read: {error}")
        return LINT_UNREADABLE
    findings = lint(documents, provider=options.mesh_provider, namespace=options.namespace, for_flagger=options.for_flagger)
    match options.output:
        case "json":
            screen.show(output.as_json(findings))
        case "sarif":
            screen.show(output.as_sarif(findings))
        case _:
            screen.out.print(output.as_text(findings), end="", markup=False)
    screen.note(output.summary(findings, len(documents)))
    worst = max((finding.severity for finding in findings), default=Severity.NOTE)
    return Exit.FAILED if worst >= (Severity.WARNING if options.strict else Severity.ERROR) else Exit.OK


def _plan(options: argparse.Namespace, screen: Screen) -> int:
    from flaggerpy.cli import planning

    canary, target = chosen(options.files, options.canary)
    workload = target.obj if target else None
    typed, provider, told = planning.planned(canary.obj, workload, options.mesh_provider)
    if options.output == "json":
        screen.show(json.dumps(planning.as_data(typed, provider, told), indent=2, ensure_ascii=False))
    else:
        screen.out.print(planning.page(typed, provider, told, workload), end="")
    return Exit.OK


def _simulate(options: argparse.Namespace, screen: Screen) -> int:
    if options.faults:
        for kind in KINDS.values():
            screen.show(f"{kind.name + ('=PERCENT' if kind.takes == 'percent' else '[=SECONDS]'):<28}{kind.about}")
        return Exit.OK
    if options.example:
        screen.out.print(EXAMPLE, end="", markup=False)
        return Exit.OK
    # what it needs is heavy, and no other word needs it
    from flaggerpy.cli import simulating

    canary, target = chosen(options.files, options.canary)
    shown = simulating.play(
        canary.obj,
        target.obj if target else None,
        faults=options.fault,
        seed=options.seed,
        image=options.image,
        provider=options.mesh_provider,
        limit=options.timeout,
    )
    if options.output == "json":
        screen.show(json.dumps(simulating.as_data(shown), indent=2, ensure_ascii=False))
        return shown.ended.code
    faults = ", ".join(fault.text for fault in options.fault)
    headline = f"simulation, no cluster is touched{f'   fault: {faults}' if faults else ''}"
    if screen.out.is_terminal:
        simulating.film(shown, screen.out, headline, options.speed)
    else:
        screen.note(headline)
        simulating.print_lines(shown, screen.out)
    simulating.print_end(shown, screen.out)
    return shown.ended.code


def _convert(options: argparse.Namespace, screen: Screen) -> int:
    from flaggerpy.cli.converting import output
    from flaggerpy.cli.converting.rollout import convert
    from flaggerpy.cli.converting.source import Weight

    try:
        documents = manifests.read(options.files)
    except Unreadable as error:
        raise Problem(Exit.USAGE, f"Cannot be read: {error}") from None
    found = convert(each.obj for each in documents)
    if not found.rollouts:
        raise Problem(Exit.USAGE, f"There is no Rollout (argoproj.io) in {', '.join(options.files)}.")
    text = output.as_json(found) + "\n" if options.output == "json" else output.as_yaml(found)
    screen.out.print(text, end="", markup=False, highlight=False, soft_wrap=True)
    screen.note(output.summary(found))
    lost = any(each.weight is Weight.LOST for each in found.remarks)
    return Exit.FAILED if options.strict and lost else Exit.OK


HANDLERS: dict[str, Callable[[argparse.Namespace, Screen], int]] = {
    "lint": _lint,
    "plan": _plan,
    "simulate": _simulate,
    "convert": _convert,
}


def chosen(files: Sequence[str], name: str) -> tuple[Document, Document | None]:
    """The Canary that is meant and its target, None where the files hold none; without files the example. Raises Problem."""
    try:
        documents = manifests.read(files) if files else manifests.parse(EXAMPLE, "example")
    except Unreadable as error:
        raise Problem(Exit.USAGE, str(error)) from None
    canaries = [each for each in documents if each.kind == "Canary" and each.group == "flagger.app"]
    if name:
        canaries = [each for each in canaries if each.name == name]
    if not canaries:
        raise Problem(Exit.USAGE, f"There is no Canary {name + ' ' if name else ''}in {', '.join(files)}.")
    if len(canaries) > 1:
        raise Problem(Exit.USAGE, f"The files hold several Canaries; name one with --canary: {', '.join(each.name for each in canaries)}")
    canary = canaries[0]
    reference = (canary.obj.get("spec") or {}).get("targetRef")
    wanted = (reference.get("kind"), reference.get("name")) if isinstance(reference, dict) else None
    for each in documents:
        if (each.kind, each.name) == wanted and each.namespace in ("", canary.namespace):
            wrong = manifests.misshapen(each.obj)
            if wrong:
                raise Problem(Exit.USAGE, f"{each.file}: {wrong} of {each.kind} {each.name} is missing or cannot be read.")
            return canary, each
    return canary, None


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except UnknownFault as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value
