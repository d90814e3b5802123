"""`flaggerpy check-image`: the image check of a release for a pipeline, before anything is released. See docs/images.md.

Without a cluster the registries are asked as anybody would, with what `docker login` left; with one, also with its pull secrets, for the
platforms of its nodes, and with what its nodes hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from flaggerpy.api.durations import parse_duration
from flaggerpy.api.images import ImageAnswer
from flaggerpy.cli.printing import Screen, dump
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cluster.client import Client
from flaggerpy.controller.imagecheck import ApiCluster, ImageCheck
from flaggerpy.http import Http, Send
from flaggerpy.images.credentials import BadSecret, Entries, of_config, of_secret
from flaggerpy.images.judging import Wanted, of_pod, wanted
from flaggerpy.images.platforms import Platform, platform
from flaggerpy.rollout.imagecheck import explained

Obj = dict[str, Any]

VERDICTS = {"exists": Exit.OK, "missing": Exit.FAILED, "untold": Exit.UNTOLD}
WORDS = {"exists": "exists", "missing": "missing", "doubt": "untold", "unchecked": "unchecked"}


@dataclass(frozen=True)
class Group:
    """Images that are asked for together: those of the command line, or those of one pod template."""

    origin: str
    namespace: str
    spec: Mapping[str, Any]
    items: tuple[Wanted, ...]


def add_options(word: str, command: argparse.ArgumentParser) -> None:
    """The options of the word."""
    command.add_argument("images", nargs="*", metavar="IMAGE")
    command.add_argument("--manifest", metavar="FILE", action="append", default=[], help="also the images of the pods in FILE (-: stdin)")
    command.add_argument("--platform", metavar="OS/ARCH", action="append", default=[], help="it must be there for it; repeatable")
    command.add_argument("--pull-secret", metavar="NS/NAME", action="append", default=[], help="a pull secret of the cluster; repeatable")
    command.add_argument("--cluster", action="store_true", help="look at the cluster's nodes and the manifest's pull secrets as well")
    command.add_argument("--timeout", metavar="TIME", default="10s", type=_seconds, help="for all answers (default: 10s)")
    command.add_argument("-o", "--output", choices=("json", "yaml"), help="the answers as data")


def needs_cluster(options: argparse.Namespace) -> bool:
    """Whether the command line speaks of a cluster; without a word of it none is looked for."""
    return bool(options.cluster or options.pull_secret or options.context or options.kubeconfig or options.namespace)


async def check(options: argparse.Namespace, client: Client | None, screen: Screen, *, send: Send | None = None) -> int:
    """Carry out the command; answers its exit code. Raises Problem and ApiError. `send` stands for the network."""
    demanded = tuple(_platform(text) for text in options.platform)
    namespace = options.namespace or (client.namespace if client else "default")
    groups = _groups(options, namespace, as_written=client is not None)
    own = _docker_config() + (await _pull_secrets(options, client, namespace) if client else ())
    async with Http() as http:
        checker = ImageCheck(ApiCluster(client) if client else None, send or http.send, seconds=options.timeout)
        found = [(group, answer) for group in groups for answer in await _answers(checker, group, own, demanded, options.timeout)]
    verdict = _verdict([answer for _, answer in found])
    if options.output:
        data = {"verdict": verdict, "images": [_data(group, answer) for group, answer in found]}
        dump(screen, data, options.output)
    else:
        for group, answer in found:
            screen.show(_lines(group, answer))
    return VERDICTS[verdict]


def _verdict(answers: list[ImageAnswer]) -> str:
    """Of all images together."""
    if any(answer.kind == "missing" for answer in answers):
        return "missing"
    return "untold" if any(answer.kind == "doubt" or _kept_from_asking(answer) for answer in answers) else "exists"


def _kept_from_asking(answer: ImageAnswer) -> bool:
    return answer.kind == "unchecked" and bool(answer.cause)


async def _answers(
    checker: ImageCheck, group: Group, own: Entries, demanded: tuple[Platform, ...], seconds: float
) -> tuple[ImageAnswer, ...]:
    until = asyncio.get_running_loop().time() + seconds
    entries, gap = await checker.entries(group.namespace, group.spec, until) if group.spec else ((), "")
    return await checker.answers(group.items, own + entries, until=until, pod_spec=group.spec, demanded=demanded, gap=gap)


# --- what is asked for


def _groups(options: argparse.Namespace, namespace: str, *, as_written: bool) -> list[Group]:
    """`as_written`: with the pull policies of the manifests. Without a cluster there are no nodes that could hold an image already."""
    groups = []
    if options.images:
        groups.append(Group("", namespace, {}, tuple(wanted(image, "Always") for image in options.images)))
    for name in options.manifest:
        for origin, where, spec in pods(_text(name), namespace):
            items = of_pod(spec) if as_written else [_always(item) for item in of_pod(spec)]
            groups.append(Group(origin, where, spec, tuple(items)))
    if not groups:
        raise Problem(Exit.USAGE, "No image is named: give an IMAGE, or a --manifest that has pods in it.")
    return groups


def _always(item: Wanted) -> Wanted:
    return item if item.policy == "Never" else wanted(item.image, "Always", container=item.container, role=item.role)


def pods(text: str, namespace: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The pod templates of a YAML stream: name of the object, its namespace, the pod's spec. Raises Problem."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise Problem(Exit.USAGE, f"The manifest is not YAML: {str(error).splitlines()[0]}.") from None
    for obj in (item for document in documents for item in _objects(document)):
        spec = _pod_spec(obj)
        if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
            metadata = obj.get("metadata") or {}
            yield f"{obj.get('kind')}/{metadata.get('name')}", str(metadata.get("namespace") or namespace), spec


def _objects(document: Any) -> Iterator[Obj]:
    if isinstance(document, dict):
        if isinstance(document.get("items"), list):
            for item in document["items"]:
                yield from _objects(item)
        else:
            yield document


def _pod_spec(obj: Obj) -> Any:
    spec = obj.get("spec")
    if obj.get("kind") == "Pod" or not isinstance(spec, dict):
        return spec
    if obj.get("kind") == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    return (spec.get("template") or {}).get("spec")


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(Exit.USAGE, f"The manifest {name} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from None


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _platform(text: str) -> Platform:
    try:
        return platform(text)
    except ValueError as error:
        raise Problem(Exit.USAGE, f"--platform {error}.") from None


# --- what it is asked with


def _docker_config() -> Entries:
    """What `docker login` left in the file; programs that it names for keeping passwords are not run."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    try:
        return of_config(json.loads(Path(folder, "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        # it is not ours: whoever cannot use it says so
        return ()


async def _pull_secrets(options: argparse.Namespace, client: Client, namespace: str) -> Entries:
    entries: Entries = ()
    for named in options.pull_secret:
        where, _, name = named.rpartition("/")
        data = await ApiCluster(client).secret(where or namespace, name)
        if data is None:
            raise Problem(Exit.NO_SUCH_CANARY, f"There is no Secret {name} in namespace {where or namespace}.")
        try:
            found = of_secret(data)
        except BadSecret as error:
            raise Problem(Exit.USAGE, f"The Secret {named} cannot be used: {error}.") from None
        if not found:
            raise Problem(Exit.USAGE, f"The Secret {named} is no pull secret (kubernetes.io/dockerconfigjson).")
        entries += found
    return entries


# --- what is printed


def _lines(group: Group, answer: ImageAnswer) -> str:
    word = WORDS[answer.kind]
    where = f"  ({group.origin}, container {answer.container})" if group.origin else ""
    first = f"{word:<10} {answer.image}{where}"
    if answer.kind == "exists":
        return "  ".join(filter(None, (first, ", ".join(answer.platforms), answer.detail)))
    if answer.kind == "unchecked" and not _kept_from_asking(answer):
        return f"{first}  {answer.detail}"
    told = explained(answer)
    return "\n".join([first, *(f"{'':<10} {line}" for line in (told.text, told.advice))])


def _data(group: Group, answer: ImageAnswer) -> Obj:
    found: Obj = {**asdict(answer), "answer": WORDS[answer.kind], "platforms": list(answer.platforms), "from": group.origin}
    del found["kind"]
    if answer.kind in ("missing", "doubt") or _kept_from_asking(answer):
        told = explained(answer)
        found |= {"what": told.what, "means": told.means, "advice": told.advice}
    return {name: value for name, value in found.items() if value not in ("", [])}


perform = check
