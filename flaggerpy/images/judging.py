"""From what a registry said to the answer for one container: what the kubelet would make of it on the nodes that there are.

"missing" is only said where every kubelet would fail on it for good. What cannot be told (nodes that cannot be read, a registry that
refuses us but may know the node) is a doubt, and a doubt stops nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from flaggerpy.api.images import ImageAnswer, Role
from flaggerpy.images.conversation import Found, is_local
from flaggerpy.images.platforms import Platform
from flaggerpy.images.reference import InvalidName, Reference, parse

Policy = Literal["Always", "IfNotPresent", "Never"]

SHOWN_PLATFORMS = 24


@dataclass(frozen=True)
class Wanted:
    """An image that a container asks for. `reference` None: the name is none, `invalid` says why."""

    image: str
    container: str = ""
    role: Role = "main"
    policy: Policy = "Always"
    reference: Reference | None = None
    invalid: str = ""

    @property
    def to_ask(self) -> bool:
        """Whether a registry has anything to say about it."""
        return self.reference is not None and self.policy != "Never"


@dataclass(frozen=True)
class Nodes:
    """What is known of the nodes. `platforms` () and `held` None: not known. `count`: how many there are, 0 where that is not known."""

    platforms: tuple[Platform, ...] = ()
    held: frozenset[str] | None = None
    """Those of the asked images (as written) that a node lists, or that ran before."""
    count: int = 0
    strict: bool = False
    """The platforms are a person's demand, not what nodes have: each must be there, and an image of another one is none."""


def wanted(image: str, policy: str | None = None, *, container: str = "", role: Role = "main") -> Wanted:
    """One image; `policy` as the pod says it, with the API server's default where it says none."""
    try:
        reference = parse(image)
    except InvalidName as error:
        return Wanted(image, container, role, invalid=str(error))
    default: Policy = "Always" if reference.always_by_default else "IfNotPresent"
    chosen: Policy = policy if policy in ("Always", "IfNotPresent", "Never") else default  # type: ignore[assignment]
    return Wanted(image, container, role, chosen, reference)


def of_pod(spec: Mapping[str, Any], ignored: Sequence[str] = ()) -> list[Wanted]:
    """The images of a pod spec, init containers first; `ignored` are names of containers that count for nothing."""
    found = []
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            name = str(container.get("name") or "")
            if name in ignored:
                continue
            role: Role = "main" if group == "containers" else "sidecar" if container.get("restartPolicy") == "Always" else "init"
            found.append(wanted(str(container.get("image") or ""), container.get("imagePullPolicy"), container=name, role=role))
    return found


def judge(item: Wanted, found: Found | None, nodes: Nodes) -> ImageAnswer:
    """The answer for one image; `found` None where no registry was asked."""
    answer = ImageAnswer(item.image, "exists", container=item.container, role=item.role)
    if item.reference is None:
        return replace(answer, kind="missing", cause="image-name-invalid", detail=item.invalid)
    if item.policy == "Never":
        return replace(answer, kind="unchecked", detail="imagePullPolicy Never: it is never pulled")
    if found is None:
        return replace(answer, kind="unchecked", detail="not asked")
    answer = replace(answer, kind=found.kind, cause=found.cause, detail=found.detail, digest=found.digest)
    if found.platforms is not None:
        answer = replace(answer, platforms=tuple(map(str, found.platforms[:SHOWN_PLATFORMS])))
    if answer.kind == "exists":
        answer = _on_platforms(answer, found, nodes)
    if answer.kind == "missing":
        return _unless_held(answer, item, item.reference, nodes)
    if answer.kind == "doubt" and item.policy == "IfNotPresent" and item.image in (nodes.held or ()):
        return replace(answer, kind="exists", cause="", detail="a node holds it already")
    return answer


def _unless_held(answer: ImageAnswer, item: Wanted, reference: Reference, nodes: Nodes) -> ImageAnswer:
    """A registry's no, as a kubelet would see it that pulls only what its node does not hold."""
    if is_local(reference.host) and nodes.count != 1:
        return replace(answer, kind="doubt", detail=f"{answer.detail}, but every node asks a registry of its own at {reference.host}")
    if item.policy == "Always":
        return answer
    if nodes.held is None:
        return replace(answer, kind="doubt", detail=f"{answer.detail}, but it cannot be told whether the nodes hold it already")
    if item.image in nodes.held:
        return replace(answer, kind="exists", cause="", detail="its registry does not have it, but a node holds it already")
    return answer


def _on_platforms(answer: ImageAnswer, found: Found, nodes: Nodes) -> ImageAnswer:
    if found.platforms is None or not nodes.platforms:
        return answer
    unfit = [str(node) for node in nodes.platforms if not any(node.runs(image) for image in found.platforms)]
    if not unfit:
        return answer
    has = ", ".join(map(str, found.platforms[:SHOWN_PLATFORMS])) or "none"
    detail = f"it is there for {has}, not for {', '.join(unfit)}"
    # of an index a node takes what suits it, and fails without; a single image is pulled as it is, and may run under emulation
    certain = nodes.strict or (found.index and len(unfit) == len(nodes.platforms))
    return replace(answer, kind="missing" if certain else "doubt", cause="image-platform", detail=detail)
