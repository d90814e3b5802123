"""`flaggerpy version --check`: whether this program, the cluster's CRDs, its controllers and their chart are of one version; sentences.

A controller is a Deployment with an image of flaggerpy (of that name, or with the argument `run` under the chart's labels) or of Flagger.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flaggerpy.cli import crds
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Forbidden, NotFound

Obj = dict[str, Any]

CHART = "helm.sh/chart"
VERSION = "app.kubernetes.io/version"
FLAGGERS = re.compile(r"(^|/)(fluxcd|weaveworks)/flagger([:@]|$)")
OURS = re.compile(r"(^|/)flaggerpy([:@]|$)")


@dataclass(frozen=True)
class Controller:
    """A Deployment that is a controller. `running` are the images of its ready pods' template, `tag` "" where the image is by digest.

    `chart` is the version of the chart ("" without Helm), `version` what its labels say.
    """

    where: str
    image: str
    flaggers: bool = False
    chart: str = ""
    version: str = ""
    wanted: int = 1
    ready: int = 1
    updated: bool = True

    @property
    def tag(self) -> str:
        name = self.image.rpartition("/")[2]
        return "" if "@" in name else name.partition(":")[2]


@dataclass
class Findings:
    """What was found, in sentences: `well` fits, `wrong` does not, `untold` could not be seen."""

    well: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


def controller(deployment: Obj) -> Controller | None:
    """The controller that a Deployment runs; None for any other."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    labels = metadata.get("labels") or {}
    chart = str(labels.get(CHART, ""))
    for container in spec["template"]["spec"].get("containers") or ():
        image = str(container.get("image", ""))
        flaggers = bool(FLAGGERS.search(image))
        ours = bool(OURS.search(image)) or (chart.startswith("flaggerpy-") and (container.get("args") or [""])[0] == "run")
        if ours or flaggers:
            return Controller(
                where=f"{metadata.get('namespace', '')}/{metadata['name']}",
                image=image,
                flaggers=flaggers,
                chart=chart.removeprefix("flaggerpy-") if chart.startswith("flaggerpy-") else "",
                version=str(labels.get(VERSION, "")),
                wanted=int(spec.get("replicas", 1)),
                ready=int(status.get("readyReplicas") or 0),
                updated=status.get("observedGeneration") == metadata.get("generation")
                and int(status.get("updatedReplicas") or 0) >= int(spec.get("replicas", 1)),
            )
    return None


def of_controllers(program: str, found: Sequence[Controller]) -> Findings:
    """What does not fit together of the controllers, beside a program of this version."""
    told = Findings()
    ours = [one for one in found if not one.flaggers]
    for one in found:
        if one.flaggers:
            beside = " beside flaggerpy: two controllers must not share Canaries" if ours and one.wanted else ""
            (told.wrong if beside else told.well).append(f"{one.where} is Flagger ({one.image}){beside}.")
    if not ours:
        told.wrong.append("No Deployment of flaggerpy is there: see docs/install.md.")
    for one in ours:
        said = _of_one(program, one)
        told.wrong += said
        if not said:
            by = f"by the tag {one.tag}" if one.tag else "by digest"
            told.well.append(f"{one.where} is {one.version or one.tag}, image named {by}; {one.ready} of {one.wanted} pods are ready.")
    return told


def _of_one(program: str, one: Controller) -> list[str]:
    said = []
    named = [name for name in (one.version, one.tag) if re.fullmatch(r"\d+\.\d+\.\d+", name)]
    if one.version and one.tag in named and one.tag != one.version:
        cure = "remove `image.tag` from the values, or upgrade the chart"
        said.append(f"{one.where} is labelled {one.version}, but its image is {one.image}: {cure}.")
    if one.chart and one.version and one.chart != one.version:
        said.append(f"{one.where} comes from the chart {one.chart}, which is for {one.chart}, and is labelled {one.version}.")
    running = one.tag if one.tag in named else one.version
    if running and running != program and not said:
        newer = "update this program" if _numbers(running) > _numbers(program) else "upgrade the chart"
        said.append(f"{one.where} is {running}, and this program is {program}: {newer}.")
    if one.wanted and not one.updated:
        said.append(f"{one.where} is being changed: not all of its pods are of its present template yet.")
    elif one.ready < one.wanted:
        said.append(f"{one.where} has {one.ready} of {one.wanted} pods ready: kubectl describe deployment -n {one.where.replace('/', ' ')}")
    elif not one.wanted:
        said.append(f"{one.where} is scaled to zero: nobody minds the Canaries.")
    return said


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


async def of_crds(client: Client) -> Findings:
    """Whether the cluster's CRDs are those of this program."""
    told = Findings()
    for crd in crds.ours():
        name = crd["metadata"]["name"]
        try:
            live = await client.find(kinds.CUSTOM_RESOURCE_DEFINITION, None, name)
        except Forbidden as error:
            told.untold.append(f"The CRD {name} cannot be seen: {error.message}.")
            continue
        if live is None:
            told.wrong.append(f"The CRD {name} is not installed: flaggerpy crds apply")
            continue
        verdict = crds.compare(live, crd)
        if verdict.lacks:
            told.wrong.append(f"The CRD {name} is older than this program, it lacks {crds.some(verdict.lacks)}: flaggerpy crds apply")
        elif verdict.more:
            told.wrong.append(f"The CRD {name} is newer than this program, it has {crds.some(verdict.more)}: update this program.")
        else:
            told.well.append(f"The CRD {name} is {'that of this program' if verdict.same else 'one with all our fields; rules differ'}.")
    return told


async def look(client: Client, program: str, namespace: str | None) -> Findings:
    """All of it; controllers of all namespaces, or of one. Raises ApiError when the cluster cannot be asked at all."""
    told = await of_crds(client)
    try:
        found: list[Obj] = await client.list(kinds.DEPLOYMENT, namespace)
    except Forbidden as error:
        told.untold.append(f"The controllers cannot be seen: {error.message}. Name their namespace with -n.")
        return told
    except NotFound:
        found = []
    more = of_controllers(program, [one for one in map(controller, found) if one])
    return Findings(told.well + more.well, told.wrong + more.wrong, told.untold + more.untold)
