"""`flaggerpy crds`: the CRDs of this version, applied, checked or printed. The chart's hook applies them before every upgrade.

Helm creates what lies in a chart's `crds/` and never touches it again, so a newer controller would meet an older schema, which prunes what
it writes. A schema that holds more than ours is a newer one's: it serves us as well and is left as it is, so that a rollback of the
controller takes nothing away from stored objects. One that holds more and lacks something is neither: that is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flaggerpy.api import crds
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import AlreadyExists, Conflict, Invalid, NotFound

Obj = dict[str, Any]

MANAGER = "flaggerpy-crds"
ATTEMPTS = 5
ASK_EVERY = 0.5
ESTABLISHED_SECONDS = 60.0
NAMED = 5
"""How many fields a sentence names."""
_OPEN = "x-kubernetes-preserve-unknown-fields"


@dataclass(frozen=True)
class Verdict:
    """A CRD of the cluster beside ours: `more` are the fields, versions and listed values that only it has, `lacks` those of ours only."""

    more: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    same: bool = False

    @property
    def newer(self) -> bool:
        return bool(self.more) and not self.lacks

    @property
    def foreign(self) -> bool:
        return bool(self.more) and bool(self.lacks)


def ours() -> list[Obj]:
    """The CRDs of this version, as crds/ holds them."""
    return [crds.canary_crd(), crds.metric_template_crd(), crds.alert_provider_crd()]


def compare(live: Obj, own: Obj) -> Verdict:
    """Compare what two CRDs admit: names of versions, fields, and listed values."""
    have, want = _versions(live), _versions(own)
    more = [f"version {name}" for name in have if name not in want]
    lacks = [f"version {name}" for name in want if name not in have]
    for name in want:
        if name in have:
            more += _beyond(have[name], want[name], "")
            lacks += _beyond(want[name], have[name], "")
    return Verdict(tuple(more), tuple(lacks), same=_covers(live.get("spec") or {}, own["spec"]))


def _versions(crd: Obj) -> dict[str, Obj]:
    found: list[Obj] = (crd.get("spec") or {}).get("versions") or []
    return {version["name"]: (version.get("schema") or {}).get("openAPIV3Schema") or {} for version in found if version.get("served")}


def _beyond(left: Obj, right: Obj, at: str) -> Iterator[str]:
    """The fields and listed values of the left schema that the right one does not admit."""
    if right.get(_OPEN) and not right.get("properties"):
        return
    if right.get("enum") is not None:
        yield from (f"{at or '.'}={value}" for value in left.get("enum") or () if value not in right["enum"])
    theirs = right.get("properties") or {}
    for name, child in (left.get("properties") or {}).items():
        path = f"{at}.{name}" if at else name
        if name in theirs:
            yield from _beyond(child, theirs[name], path)
        elif not right.get(_OPEN) and not right.get("additionalProperties"):
            yield path
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        child, their = left.get(keyword), right.get(keyword)
        if isinstance(child, dict) and isinstance(their, dict):
            yield from _beyond(child, their, at + mark)


def _covers(live: Any, own: Any) -> bool:
    """Whether `live` is `own`, but for what the API server adds by default outside of the schemas."""
    if isinstance(own, dict):
        return isinstance(live, dict) and all(
            key in live and (live[key] == value if key == "openAPIV3Schema" else _covers(live[key], value)) for key, value in own.items()
        )
    if isinstance(own, list):
        return isinstance(live, list) and len(live) == len(own) and all(map(_covers, live, own))
    return bool(live == own)


def add_options(word: str, parser: argparse.ArgumentParser) -> None:
    """The options of `crds`."""
    parser.add_argument("do", choices=("apply", "check", "print"), help="apply: create or replace what is older; check: only look")
    text = "replace a newer or foreign schema as well: fields that only it has are pruned"
    parser.add_argument("--force", action="store_true", help=text)


def needs_cluster(options: argparse.Namespace) -> bool:
    """`print` does not."""
    return bool(options.do != "print")


def show(screen: Screen) -> int:
    """`crds print`: a YAML stream for kubectl."""
    screen.show("---\n".join(crds.files().values()).rstrip())
    return Exit.OK


async def run(options: argparse.Namespace, client: Client, screen: Screen) -> int:
    """`crds apply` and `crds check`. Raises Problem and ApiError."""
    for crd in ours():
        if options.do == "check":
            await _check(client, crd, screen)
        else:
            await _apply(client, crd, screen, force=options.force)
    if options.do == "apply":
        await established(client)
    return Exit.OK


async def _check(client: Client, crd: Obj, screen: Screen) -> None:
    name = crd["metadata"]["name"]
    live = await client.find(kinds.CUSTOM_RESOURCE_DEFINITION, None, name)
    if live is None:
        raise Problem(Exit.NOT_INSTALLED, f"The CRD {name} is not installed: flaggerpy crds apply")
    verdict = compare(live, crd)
    if verdict.lacks:
        raise Problem(Exit.NOT_INSTALLED, f"The CRD {name} is older, it lacks {some(verdict.lacks)}: flaggerpy crds apply")
    screen.show(f"{name}: {_newer(verdict) if verdict.newer else 'up to date' if verdict.same else 'has all fields, rules differ'}")


async def _apply(client: Client, crd: Obj, screen: Screen, *, force: bool) -> None:
    name = crd["metadata"]["name"]
    for _ in range(ATTEMPTS):
        live = await client.find(kinds.CUSTOM_RESOURCE_DEFINITION, None, name)
        try:
            if live is None:
                await client.create(crd, manager=MANAGER)
                return screen.show(f"{name}: created")
            verdict = compare(live, crd)
            if verdict.same and not verdict.more:
                return screen.show(f"{name}: up to date")
            if verdict.newer and not force:
                return screen.show(f"{name}: left as it is, {_newer(verdict)}")
            if verdict.foreign and not force:
                raise Problem(
                    Exit.NOT_INSTALLED,
                    f"The CRD {name} is no older one of ours or Flagger's: it has {some(verdict.more)}, and lacks {some(verdict.lacks)}. "
                    "Replacing it would take that away from stored objects; --force does it.",
                )
            await client.json_patch(kinds.CUSTOM_RESOURCE_DEFINITION, None, name, _replacement(live, crd), manager=MANAGER)
            return screen.show(f"{name}: replaced")
        except (AlreadyExists, Conflict, NotFound):
            continue
        except Invalid as error:
            # a failed test of the resourceVersion is Invalid too
            if "test" not in str(error).lower():
                raise
    raise Problem(Exit.REFUSED, f"The CRD {name} is changed by somebody else all the time; {ATTEMPTS} attempts failed.")


def _replacement(live: Obj, crd: Obj) -> list[Obj]:
    """The whole spec: by server-side apply, rules that another manager once applied would stay."""
    kept = {**(live["metadata"].get("annotations") or {}), **crd["metadata"]["annotations"]}
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "add", "path": "/metadata/annotations", "value": kept},
        {"op": "replace", "path": "/spec", "value": crd["spec"]},
    ]


async def established(client: Client, within: float = ESTABLISHED_SECONDS, *, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Return when all of them are served. Raises Problem after `within` seconds."""
    until = monotonic() + within
    for crd in ours():
        name = crd["metadata"]["name"]
        while True:
            live = await client.get(kinds.CUSTOM_RESOURCE_DEFINITION, None, name)
            told = {condition["type"]: condition for condition in (live.get("status") or {}).get("conditions") or ()}
            if told.get("Established", {}).get("status") == "True":
                break
            if monotonic() > until:
                refused = told.get("NamesAccepted", {})
                why = f": {refused['message']}" if refused.get("status") == "False" else ""
                raise Problem(Exit.TIMED_OUT, f"The CRD {name} is not established after {within:g} s{why}.")
            await asyncio.sleep(ASK_EVERY)


def _newer(verdict: Verdict) -> str:
    return f"newer than this version (it has {some(verdict.more)})"


def some(found: tuple[str, ...]) -> str:
    """The first of them, and how many more there are."""
    rest = len(found) - NAMED
    return ", ".join(found[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


async def perform(options: argparse.Namespace, client: Client | None, screen: Screen) -> int:
    """Carry out the word."""
    return show(screen) if client is None else await run(options, client, screen)
