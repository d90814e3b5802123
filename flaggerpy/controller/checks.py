"""What must be there before we lead: a Kubernetes that is new enough, our CRDs with our status fields, and our rights.

Without the fields the API server would prune our memory in silence, and a missing right would stop releases half-way. Each check gives
sentences; none means that all is well.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from flaggerpy.api.status import CanaryStatus
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Forbidden
from flaggerpy.controller import rbac
from flaggerpy.controller.world import OUR_KINDS

Obj = dict[str, Any]

OLDEST = (1, 30)
AT_ONCE = 16
CLUSTER_SCOPED = ("customresourcedefinitions", "selfsubjectaccessreviews")
INSTALL = "install CRDs, RBAC and Deployment in this order"


async def problems(client: Client, namespace: str, lease_namespace: str, providers: Iterable[str]) -> list[str]:
    """Sentences about everything that is missing. Raises ApiError only when the API server cannot be asked at all."""
    found = version_problems(await client.version())
    found += await crd_problems(client)
    return found or await access_problems(client, namespace, lease_namespace, providers)


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
        return ["customresourcedefinitions cannot be read, so it cannot be told whether our status fields would be kept"]
    return status_problems(crd) if crd else []


def status_problems(crd: Obj) -> list[str]:
    """The status fields of ours that the served schema lacks."""
    versions: list[Obj] = (crd.get("spec") or {}).get("versions") or []
    served: Obj = next((version for version in versions if version.get("name") == kinds.CANARY.version), {})
    schema = (served.get("schema") or {}).get("openAPIV3Schema") or {}
    status = (schema.get("properties") or {}).get("status") or {}
    if status.get("x-kubernetes-preserve-unknown-fields"):
        return []
    have = status.get("properties") or {}
    lacking = sorted(name for name in (field.alias or own for own, field in CanaryStatus.model_fields.items()) if name not in have)
    if not lacking:
        return []
    return [f"the CRD {kinds.CANARY} is not ours or an older one, it lacks status.{', status.'.join(lacking)}: {INSTALL}"]


async def access_problems(client: Client, namespace: str, lease_namespace: str, providers: Iterable[str]) -> list[str]:
    """The rights that we lack, one sentence per resource."""
    wanted = [(*right, namespace) for right in rbac.reviews(rbac.rules(providers))]
    wanted += [(*right, lease_namespace) for right in rbac.reviews(rbac.lease_rules())]
    turn = asyncio.Semaphore(AT_ONCE)

    async def allowed(verb: str, group: str, plural: str, subresource: str, where: str) -> bool:
        async with turn:
            scope = None if plural in CLUSTER_SCOPED else where or None
            return await client.can_i(verb, group, plural, scope, subresource or None)

    answers = await asyncio.gather(*(allowed(*right) for right in wanted))
    lacking: dict[str, list[str]] = {}
    for (verb, group, plural, subresource, where), granted in zip(wanted, answers, strict=True):
        if not granted:
            resource = "/".join(filter(None, (plural, subresource))) + (f".{group}" if group else "")
            lacking.setdefault(f"{resource}{f' in {where}' if where else ''}", []).append(verb)
    return [f"our account may not {', '.join(verbs)} {resource}: apply deploy/rbac.yaml" for resource, verbs in lacking.items()]
