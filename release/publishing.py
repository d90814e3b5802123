"""A release, step by step: the chart and the manifests are made last, and only of an image that was pulled back and started.

So no chart of ours can point at an image that is not there. Whatever fails before leaves nothing in the output folder, and no tag.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from release import compiling, debian, image, oci, packaging, starting, version, wheels
from release.registry import Registry, RegistryError
from release.tree import write

Say = Callable[[str], None]
Start = Callable[[str, oci.Image, str], None]
"""Starts an image: reference by digest, the image as it was pulled back, the version that it must say."""


class Refused(RuntimeError):
    """The release was stopped; the text says at what, and what is left behind."""


@dataclass(frozen=True)
class Plan:
    """What is released, and where to: `repository` of the image and `charts` of the chart, both with their host; `pinned` refuses a base
    that differs from its pins."""

    root: Path
    version: str
    repository: str
    charts: str
    out: Path
    pinned: bool = True


def start_here(reference: str, found: oci.Image, wanted: str) -> None:
    starting.here(found, wanted)


def publish(plan: Plan, start: Start, say: Say) -> Path:
    """Carries the release out; answers the folder with its files. Raises Refused, and then that folder is not there."""
    if plan.out.exists():
        raise Refused(f"{plan.out} is there already: a release is made once")
    room = plan.out.with_name(f".{plan.out.name}.making")
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    try:
        _carried_out(plan, room, start, say)
    except (
        RegistryError, packaging.NotPackaged, starting.DoesNotStart, wheels.NoWheel, debian.NotToBeHad, compiling.NotCompiled,
    ) as trouble:  # fmt: skip
        raise Refused(str(trouble)) from trouble
    else:
        room.rename(plan.out)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return plan.out


def _carried_out(plan: Plan, room: Path, start: Start, say: Say) -> None:
    texts = version.texts(plan.root)
    if said := version.problems(texts, plan.version):
        raise Refused("\n".join(said))
    say(f"the tree is {plan.version} everywhere, and the changelog tells of it")
    epoch = image.source(plan.root).epoch
    made = wheels.built(plan.root, room / ".sources", room / "python", epoch, ("wheel", "sdist"))
    shutil.rmtree(room / ".sources")
    say(f"built {' and '.join(path.name for path in made)}")
    built = image.build(plan.root, pinned_only=plan.pinned)
    for note in built.notes:
        say(note)
    say(f"image built: {built.image.digest}, {image.mega(built.image.size)}")

    registry = Registry(plan.repository)
    _not_published(registry, plan.version, built.image.digest)
    reference = registry.push_image(built.image)
    say(f"pushed, under no tag yet: {reference}")
    back = registry.pull_image(built.image.digest)
    if (back.manifest, back.config) != (built.image.manifest, built.image.config):
        raise Refused(f"{reference} came back as something else")
    say("pulled back by digest, the same to the byte")
    start(reference, back, plan.version)
    say(f"started: it says that it is flaggerpy {plan.version}")

    archive = packaging.packed(packaging.chart(plan.root, plan.repository, built.image.digest), epoch)
    charts = Registry(plan.charts)
    if charts.digest_of(plan.version) and charts.pull_chart(plan.version) != archive:
        raise Refused(f"{plan.charts}:{plan.version} is published already, as another chart: a version is never given to another one")
    registry.tag(plan.version, back)
    say(f"tagged {plan.repository}:{plan.version}")
    image.written(built, room)
    (room / f"flaggerpy-{plan.version}.tgz").write_bytes(archive)
    manifests = packaging.manifests(plan.root, plan.repository, built.image.digest)
    write(manifests, room)
    named = packaging.references(entry.content.decode() for entry in manifests.values()) | {packaging.default_image(archive)}
    if named != {reference}:
        raise Refused(f"chart and manifests name {', '.join(sorted(named))}, not {reference}")
    charts.push_chart(plan.version, archive, packaging.described(archive))
    if charts.pull_chart(plan.version) != archive:
        raise Refused(f"the chart at {plan.charts}:{plan.version} is not the one that was pushed")
    say(f"chart pushed: {plan.charts}:{plan.version}; it and the manifests name the image by digest")
    told = version.section(texts[version.CHANGELOG], plan.version)
    assert told is not None
    (room / "notes.md").write_text(told.text + "\n")
    (room / "release.json").write_text(json.dumps(_facts(plan, built, epoch), indent=1) + "\n")
    (room / "SHA256SUMS").write_text(sums(room))


def _not_published(registry: Registry, wanted: str, digest: str) -> None:
    there = registry.digest_of(wanted)
    if there and there != digest:
        raise Refused(f"{registry.repository}:{wanted} is published already, as {there}: a version is never given to another image")


def _facts(plan: Plan, built: image.Built, epoch: int) -> dict[str, object]:
    found = image.source(plan.root)
    return {
        "version": plan.version,
        "image": f"{plan.repository}@{built.image.digest}",
        "chart": f"{plan.charts}:{plan.version}",
        "revision": os.environ.get("RELEASE_REVISION") or found.revision,
        "sourceDateEpoch": epoch,
        "bytesToPull": built.image.size,
    }


def sums(folder: Path) -> str:
    """As sha256sum writes them, for all files below."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files)
