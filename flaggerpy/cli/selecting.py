"""Which Canaries a command line means."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from flaggerpy.api.durations import parse_duration

if TYPE_CHECKING:
    from flaggerpy.cli.access import Access, Obj


def namespace_of(options: argparse.Namespace, access: Access) -> str:
    """The namespace that was given, else that of the context."""
    return str(options.namespace or access.namespace)


async def one(options: argparse.Namespace, access: Access) -> Obj:
    """The Canary NAME. Raises Problem when there is none."""
    namespace = namespace_of(options, access)
    obj = await access.canary(namespace, options.name)
    if obj is None:
        raise _missing(namespace, options.name)
    return obj


async def selected(options: argparse.Namespace, access: Access, labels: str = "") -> list[Obj]:
    """The Canaries that a list command means, in order of namespace and name. Raises Problem when one that is named is not there."""
    found = await access.canaries(None if options.all_namespaces else namespace_of(options, access), labels)
    have = {obj["metadata"]["name"] for obj in found}
    for name in options.names:
        if name not in have:
            raise _missing("" if options.all_namespaces else namespace_of(options, access), name)
    return sorted(chosen(found, options.names), key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))


def _missing(namespace: str, name: str) -> Exception:
    from flaggerpy.cli.problems import no_such_canary

    return no_such_canary(namespace, name)


def chosen(objects: Iterable[Obj], names: Collection[str]) -> list[Obj]:
    """Those of these names; all of them where none is given."""
    return [obj for obj in objects if not names or obj["metadata"]["name"] in names]


def seconds(text: str) -> float:
    """An option's length of time, for argparse."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
