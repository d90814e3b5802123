"""What must be there before we lead: a Kubernetes that is new enough, our CRDs with our status fields, and our rights.

Without the fields the API server would prune our memory in silence, and a missing right would stop releases half-way. Each check gives
sentences; none means that all is well. `leadership` is for `flaggerpy run -check`, which looks at an installation from outside.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from flaggerpy.api.status import CanaryStatus
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Forbidden, NotFound
from flaggerpy.cluster.lease import NAME
from flaggerpy.controller import rbac
from flaggerpy.controller.rbac import Right
from flaggerpy.controller.world import OUR_KINDS

Obj = dict[str, Any]

OLDEST = (1, 30)
AT_ONCE = 16
ROLES = "the chart grants it (values rbac.providers, namespace, shards), and so does deploy/rbac.yaml"
INSTALL = "install CRDs, RBAC and Deployment in this order"


async def problems(
    client: Client, lease_namespace: str, providers: Iterable[str], *, clusterwide: bool = True, lease: str = NAME
) -> list[str]:
    """Sentences about everything that is missing. Raises ApiError only when the API server cannot be asked at all.

    Not `clusterwide`: of rights only those to the Lease; `namespace_problems` asks for those in a namespace. `lease` is its name.
    """
    found = version_problems(await client.version())
    found += await crd_problems(client)
    if found:
        return found
    found = _sentences(await _lacking(client, rbac.reviews(rbac.rules(providers)), ""), "") if clusterwide else []
    return found + _sentences(await _lacking(client, rbac.reviews(rbac.lease_rules([lease])), lease_namespace), lease_namespace)


async def namespace_problems(client: Client, namespace: str, providers: Iterable[str]) -> list[str]:
    """The rights that we lack in a namespace. One request tells most of those that we have, and only the others are asked for."""
    wanted = rbac.reviews(rbac.rules(providers))
    if await _lacking(client, [("list", kinds.CANARY.group, kinds.CANARY.plural, "", "")], namespace):
        return [f"our account may not list {kinds.CANARY} in {namespace}: is there such a namespace, with our Role?"]
    try:
        told = await client.rules(namespace)
    except (Forbidden, NotFound):
        told = []
    return _sentences(await _lacking(client, [right for right in wanted if not _told(told, right)], namespace), namespace)


def version_problems(answer: dict[str, str]) -> list[str]:
    """A cluster older than 1.30 refuses updates of stored objects that a newer rule of ours forbids."""
    digits = [re.match(r"\d+", str(answer.get(part, ""))) for part in ("major", "minor")]
    if not all(digits):
        return []
    version = tuple(int(digit[0]) for digit in digits if digit)
    wanted = ".".join(map(str, OLDEST))
    return [] if version >= OLDEST else [f"Kubernetes is {answer.get('gitVersion', version)}: {wanted} or later is needed"]


async def crd_problems(client: Client) -> list[str]:
    """Whether our kinds are served, and the Canary with the fields that our memory lives in."""
    client.forget_discovery()
    missing = [kind for kind in OUR_KINDS.values() if not await client.serves(kind)]
    if missing:
        return [f"the cluster does not serve {kind} in {kind.version}: {INSTALL}" for kind in missing]
    try:
        crd = await client.find(kinds.CUSTOM_RESOURCE_DEFINITION, None, str(kinds.CANARY))
    except Forbidden:
        # with roles in some namespaces only we may not; every account may read what the server publishes of it, a moment later
        return schema_problems(published_schema(await client.request("GET", f"/openapi/v3{kinds.CANARY.root}")))
    return status_problems(crd) if crd else []


def published_schema(document: Obj) -> Obj:
    """The schema of Canary in the server's OpenAPI v3 document of our group."""
    for schema in ((document.get("components") or {}).get("schemas") or {}).values():
        if any(gvk.get("kind") == kinds.CANARY.kind for gvk in schema.get("x-kubernetes-group-version-kind") or ()):
            found: Obj = schema
            return found
    return {}


def status_problems(crd: Obj) -> list[str]:
    """The status fields of ours that the CRD lacks in the version that we use."""
    versions: list[Obj] = (crd.get("spec") or {}).get("versions") or []
    served: Obj = next((version for version in versions if version.get("name") == kinds.CANARY.version), {})
    return schema_problems((served.get("schema") or {}).get("openAPIV3Schema") or {})


def schema_problems(schema: Obj) -> list[str]:
    """The status fields of ours that this schema lacks."""
    status = (schema.get("properties") or {}).get("status") or {}
    if status.get("x-kubernetes-preserve-unknown-fields"):
        return []
    have = status.get("properties") or {}
    lacking = sorted(name for name in (field.alias or own for own, field in CanaryStatus.model_fields.items()) if name not in have)
    if not lacking:
        return []
    return [f"the CRD {kinds.CANARY} is not ours or an older one, it lacks status.{', status.'.join(lacking)}: {INSTALL}"]


def _told(rules: Iterable[Obj], right: Right) -> bool:
    verb, group, plural, subresource, name = right
    resource = f"{plural}/{subresource}" if subresource else plural
    return any(
        (not rule.get("resourceNames") or name in rule["resourceNames"])
        and {verb, "*"} & set(rule.get("verbs") or ())
        and {group, "*"} & set(rule.get("apiGroups") or ())
        and {resource, "*"} & set(rule.get("resources") or ())
        for rule in rules
    )


async def _lacking(client: Client, wanted: Iterable[Right], namespace: str) -> list[Right]:
    turn = asyncio.Semaphore(AT_ONCE)
    rights = list(wanted)

    async def allowed(verb: str, group: str, plural: str, subresource: str, name: str) -> bool:
        async with turn:
            return await client.can_i(verb, group, plural, namespace or None, subresource or None, name or None)

    try:
        answers = await asyncio.gather(*(allowed(*right) for right in rights))
    except Forbidden:
        # Kubernetes lets every account ask; where that was taken away, what we lack will be told by the first request that needs it
        return []
    return [right for right, granted in zip(rights, answers, strict=True) if not granted]


def _sentences(lacking: Iterable[Right], namespace: str) -> list[str]:
    by_resource: dict[str, list[str]] = {}
    for verb, group, plural, subresource, name in lacking:
        resource = "/".join(filter(None, (plural, subresource))) + (f".{group}" if group else "") + (f" {name}" if name else "")
        by_resource.setdefault(f"{resource}{f' in {namespace}' if namespace else ''}", []).append(verb)
    return [f"our account may not {', '.join(verbs)} {resource}: {ROLES}" for resource, verbs in by_resource.items()]


async def leadership(client: Client, lease_namespace: str, name: str, within: float, poll: float = 1.0) -> str | None:
    """Why it cannot be said that somebody leads: None as soon as a held Lease is seen to be renewed, a sentence after `within` seconds."""
    where = f"the Lease {name} in {lease_namespace}"
    first = ""
    for _ in range(max(1, round(within / poll))):
        lease = await client.find(kinds.LEASE, lease_namespace, name)
        spec = (lease or {}).get("spec") or {}
        renewed = str(spec.get("renewTime") or "") if spec.get("holderIdentity") else ""
        if first and renewed and renewed != first:
            return None
        first = first or renewed
        await asyncio.sleep(poll)
    if first:
        return f"{where} was not renewed within {within:g} s: its holder has ended or hangs"
    return f"nobody holds {where}: no controller leads; its log, and /readyz of its pod, say what is missing"
