"""`flaggerpy handback`: the way back to Flagger 1.44. Idle Canaries are left such that Flagger finds nothing new in them.

Written of each: the config copies under Flagger's names, then the status with Flagger's fields only and its own hashes of the templates.
The primary is not touched: its pods go on with the copies that they name. A Canary whose release is under way is refused, or waited for.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flaggerpy.api.durations import parse_duration
from flaggerpy.api.names import COMMANDS, REVISION_LABEL, REVISION_OF, primary_name
from flaggerpy.api.status import HASHED, IDLE, UNSEEN, CanaryStatus, parse_status, timestamp
from flaggerpy.cli.linting import flagger as flaggers_rules
from flaggerpy.cli.manifests import Document
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit, Problem, no_such_canary
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Conflict
from flaggerpy.controller.configs import KINDS
from flaggerpy.targets import configs as tracking
from flaggerpy.targets.flaggerhash import flagger_hash
from flaggerpy.targets.templates import template_digest

Obj = dict[str, Any]

MANAGER = "flaggerpy-handback"
ASK_EVERY = 2.0
SCALE_TO_ZERO = "flagger.app/scale-to-zero"
"""Flagger's key in the nodeSelector of a DaemonSet that is to have no pods."""
TAKEN_BACK = 3.0
"""Seconds within which a flaggerpy that still runs would have taken a Canary up again."""
_KEPT_FIELDS = (
    "phase", "failedChecks", "canaryWeight", "iterations", "trackedConfigs", "sessionAffinityCookie", "primarySessionAffinityCookie",
    "previousSessionAffinityCookie",
)  # fmt: skip


class UnderWay(Exception):
    """A release is under way: its end may be waited for. The text says what is."""


class Refused(Exception):
    """The Canary cannot be handed back; the text says why, and what would help."""


@dataclass(frozen=True)
class Back:
    """What is written of one Canary. `status` is a merge patch; `copies` are configs by `configmap/x` and their checksums."""

    status: Obj
    copies: Mapping[str, str]
    commands: tuple[str, ...]
    """Annotations of commands that stand on the Canary, which Flagger does not know."""
    hashes: tuple[str, str]
    """Flagger's hashes of the applied and of the promoted template."""


def add_options(word: str, command: argparse.ArgumentParser) -> None:
    """The options of the word."""
    command.add_argument("names", nargs="*", metavar="NAME", help="these Canaries")
    command.add_argument("--all", action="store_true", help="all Canaries, of all namespaces or of the one given with -n")
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    wait = "for releases under way, at most this long (default: refuse them)"
    command.add_argument("--wait", metavar="TIME", type=_seconds, default=0.0, help=wait)


def way_back(obj: Obj, target: Obj | None, primary: Obj | None, kept: Mapping[str, Obj], now: float) -> Back | None:
    """What to write of a Canary so that Flagger takes it as its own; None for one that is Flagger's already.

    `kept` holds the data of its ControllerRevisions by revision, `now` is the API server's time (epoch seconds). Raises UnderWay, Refused.
    """
    try:
        status = parse_status(obj)
    except ValidationError as error:
        raise Refused(f"its status cannot be read: {error.errors()[0]['loc']}") from None
    if status.observed_generation in (None, UNSEEN):
        return None
    if obj["metadata"].get("deletionTimestamp"):
        raise Refused("it is being deleted")
    if status.phase not in IDLE or status.run is not None:
        waits = f", it waits for {status.progress.waiting_for}" if status.progress else ""
        raise UnderWay(f"it is {status.phase or 'new'} with {status.canary_weight}% of the traffic on the canary{waits}")
    if status.canary_weight:
        raise Refused(
            f"a promotion failed and left {status.canary_weight}% of the traffic on the canary: release what can be promoted first"
        )
    if not status.last_promoted_spec:
        raise Refused("it was never initialised: delete it, or mend it first")
    if target is None or primary is None:
        raise Refused(f"the {'target' if target is None else 'primary'} is not there: Flagger would make another one of what it finds")
    template = counted(target)
    applied, promoted = status.last_applied_spec, status.last_promoted_spec
    if applied in kept and template_digest(kept[applied].get("template") or {}) != template_digest(template):
        raise UnderWay("its target has changed, and the release of that is about to begin")
    try:
        hashes = _hash(status, applied, template), _hash(status, promoted, template if promoted == applied else _kept(kept, promoted))
    except ValueError as error:
        raise Refused(f"Flagger's hash cannot be told: {error}") from None
    annotations = obj["metadata"].get("annotations") or {}
    stored = obj.get("status") or {}
    written: Obj = dict.fromkeys(stored)  # a merge patch takes off what is None
    written |= {name: stored[name] for name in _KEPT_FIELDS if name in stored}
    written |= dict(zip(HASHED, hashes, strict=True))
    written["lastTransitionTime"] = timestamp(now)
    written["conditions"] = [
        {name: value for name, value in condition.items() if name != "observedGeneration"}
        for condition in stored.get("conditions") or ()
        if condition.get("type") == "Promoted"
    ]
    return Back(
        status=written,
        copies=(kept.get(promoted) or {}).get("configs") or {},
        commands=tuple(name for name in COMMANDS.values() if name in annotations),
        hashes=hashes,
    )


def counted(target: Obj) -> Obj:
    """The pod template of a target as Flagger counts it: of a DaemonSet without what scales it to zero."""
    template: Obj = target["spec"].get("template") or {}
    if target.get("kind") != "DaemonSet":
        return template
    spec = template.get("spec") or {}
    nodes = {name: value for name, value in (spec.get("nodeSelector") or {}).items() if name != SCALE_TO_ZERO}
    return {**template, "spec": {**spec, "nodeSelector": nodes}}


def _hash(status: CanaryStatus, revision: str, template: Mapping[str, Any]) -> str:
    """The hash that Flagger itself gave, where the Canary was taken over at this revision; else what Flagger 1.44 will give."""
    for known in (status.flagger_applied, status.flagger_promoted):
        if known is not None and known.revision == revision:
            return known.hash
    return flagger_hash(template)


def _kept(kept: Mapping[str, Obj], revision: str) -> Mapping[str, Any]:
    if revision not in kept:
        raise ValueError(f"the template of the promoted revision {revision} is not kept")
    template: Mapping[str, Any] = kept[revision].get("template") or {}
    return template


def config_copy(versioned: Obj, name: str) -> Obj:
    """The copy of a config under Flagger's name, from ours. Without our label: it is not ours to remove any more."""
    meta = versioned["metadata"]
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != REVISION_OF}
    made: Obj = {
        "apiVersion": "v1",
        "kind": "Secret" if tracking.kind_of(versioned) == "secret" else "ConfigMap",
        "metadata": {
            "name": primary_name(name),
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [{**owner, "controller": index == 0} for index, owner in enumerate(meta.get("ownerReferences") or ())],
        },
    }
    return made | {field: versioned[field] for field in ("type", "data") if versioned.get(field) is not None}


async def hand_back(options: argparse.Namespace, client: Client, screen: Screen) -> int:
    """0 when all that was named is Flagger's now, 1 when some was refused (each with its reason)."""
    if options.all == bool(options.names):
        raise Problem(Exit.USAGE, "Name Canaries, or give --all.")
    deadline = client.now() + options.wait
    wanted = await _selected(options, client)
    refused, done = 0, []
    for namespace, name in wanted:
        try:
            told = await _one(client, namespace, name, deadline, screen, dry_run=options.dry_run)
        except (UnderWay, Refused) as reason:
            refused += 1
            hint = "; wait for its end (--wait 10m), or end it: flaggerpy abort" if isinstance(reason, UnderWay) else ""
            screen.show(f"{name}.{namespace}: refused: {reason}{hint}")
            continue
        done += [(namespace, name)] if told else []
        screen.show(f"{name}.{namespace}: {told or 'is as Flagger left it, nothing is to be done'}")
    if done and not options.dry_run:
        await asyncio.sleep(TAKEN_BACK)
        back = [f"{name}.{namespace}" for namespace, name in done if await _taken_back(client, namespace, name)]
        if back:
            raise Problem(Exit.FAILED, f"flaggerpy still runs and has taken up again: {', '.join(back)}. Stop it first, then hand back.")
    verb = "can be" if options.dry_run else "are"
    screen.note(f"{len(wanted) - refused} of {len(wanted)} {verb} Flagger's.")
    return Exit.FAILED if refused else Exit.OK


async def _selected(options: argparse.Namespace, client: Client) -> list[tuple[str, str]]:
    namespace = options.namespace or client.namespace
    found = await client.list(kinds.CANARY, options.namespace if options.all else namespace)
    have = [(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in found]
    for name in options.names:
        if (namespace, name) not in have:
            raise no_such_canary(namespace, name)
    return sorted(at for at in have if options.all or at[1] in options.names)


async def _one(client: Client, namespace: str, name: str, deadline: float, screen: Screen, *, dry_run: bool) -> str:
    """What was done, "" for nothing. Waits for a release under way until `deadline`."""
    while True:
        try:
            return await _try(client, namespace, name, screen, dry_run=dry_run)
        except (UnderWay, Conflict) as reason:
            if client.now() >= deadline:
                raise UnderWay(str(reason)) from None
            await asyncio.sleep(ASK_EVERY)


async def _try(client: Client, namespace: str, name: str, screen: Screen, *, dry_run: bool) -> str:
    obj = await client.find(kinds.CANARY, namespace, name)
    if obj is None:
        raise Refused("it is gone")
    reference = (obj.get("spec") or {}).get("targetRef") or {}
    kind = {"Deployment": kinds.DEPLOYMENT, "DaemonSet": kinds.DAEMON_SET}.get(str(reference.get("kind")))
    if kind is None:
        raise Refused(f"its target is a {reference.get('kind')}")
    target, primary = [await client.find(kind, namespace, each) for each in (reference["name"], primary_name(reference["name"]))]
    back = way_back(obj, target, primary, await _revisions(client, obj), client.now())
    for finding in flaggers_rules.lint(Document(obj, f"{name}.{namespace}")):
        screen.note(f"{name}.{namespace}: {finding.severity.word}: {finding.message} [{finding.rule.id}]")
    if back is None:
        return ""
    copies = await _copies(client, namespace, back, dry_run=dry_run)
    told = f"{'would be' if dry_run else 'is'} Flagger's: {back.status['phase']}, hashes {' and '.join(dict.fromkeys(back.hashes))}"
    told += f", {copies} config cop{'y' if copies == 1 else 'ies'}" if copies else ""
    if dry_run:
        return told
    if back.commands:
        body = {"metadata": {"annotations": dict.fromkeys(back.commands)}}
        obj = await client.merge_patch(kinds.CANARY, namespace, name, body, manager=MANAGER)
    body = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": back.status}
    await client.merge_patch(kinds.CANARY, namespace, name, body, subresource="status", manager=MANAGER)
    return told


async def _revisions(client: Client, canary: Obj) -> dict[str, Obj]:
    """The data of what is kept of a Canary, by revision."""
    found = await client.list(kinds.CONTROLLER_REVISION, canary["metadata"]["namespace"], label_selector=REVISION_OF)
    uid = canary["metadata"]["uid"]
    own = [each for each in found if any(owner.get("uid") == uid for owner in each["metadata"].get("ownerReferences") or ())]
    return {str((each["metadata"].get("labels") or {}).get(REVISION_LABEL)): each.get("data") or {} for each in own}


async def _copies(client: Client, namespace: str, back: Back, *, dry_run: bool) -> int:
    """Make the promoted configs' copies under Flagger's names; how many were lacking."""
    made = 0
    for key, checksum in back.copies.items():
        kind, _, name = key.partition("/")
        present = await client.find(KINDS[kind], namespace, primary_name(name))
        if present is not None and tracking.checksum(present) == checksum:
            continue
        versioned = await client.find(KINDS[kind], namespace, tracking.copy_name(name, checksum))
        if versioned is None:
            raise Refused(f"the copy of {key} that its primary runs with is gone")
        made += 1
        if not dry_run:
            await client.apply(config_copy(versioned, name), manager=MANAGER)
    return made


async def _taken_back(client: Client, namespace: str, name: str) -> bool:
    obj = await client.find(kinds.CANARY, namespace, name)
    return obj is not None and "observedGeneration" in (obj.get("status") or {})


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


perform = hand_back
