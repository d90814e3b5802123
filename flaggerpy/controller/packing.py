"""Caches that hold thousands of objects hold them packed: compressed JSON is a tenth of the same object as Python dicts.

A `View` reads a cache of packed objects and remembers the few hundred that were asked for last, so that a Canary in a run is not unpacked
with each look. What it gives out is shared: nobody may change it.
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from flaggerpy.cluster.watch import Key as ObjectKey
from flaggerpy.cluster.watch import Projection

Obj = dict[str, Any]

PACKED = "packed"
REMEMBERED = 512
# zlib finds again what stands here: the words that nearly every object has
WORDS = (
    b'"metadata":{"name":"","namespace":"","uid":"","resourceVersion":"","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z",'
    b'"labels":{"app":"","app.kubernetes.io/name":""},"annotations":{"deployment.kubernetes.io/revision":"1","flagger.app/revision":"",'
    b'"kustomize.toolkit.fluxcd.io/reconcile":"disabled","helm.toolkit.fluxcd.io/driftDetection":"disabled"},"ownerReferences":'
    b'[{"apiVersion":"flagger.app/v1beta1","kind":"Canary","name":"","uid":"","controller":true,"blockOwnerDeletion":true}]},'
    b'"spec":{"replicas":1,"selector":{"matchLabels":{"app":""}},"template":{"metadata":{"labels":{"app":""}},"spec":{"containers":'
    b'[{"name":"","image":"","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],"resources":{},"imagePullPolicy":'
    b'"IfNotPresent","terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"restartPolicy":"Always",'
    b'"terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","securityContext":{},"schedulerName":"default-scheduler"}},'
    b'"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},"revisionHistoryLimit":10,'
    b'"progressDeadlineSeconds":600},"status":{"observedGeneration":1,"conditions":[{"type":"Available","status":"True","reason":'
    b'"MinimumReplicasAvailable","message":"Deployment has minimum availability."}]},"clusterIP":"10.","clusterIPs":["10."],'
    b'"sessionAffinity":"None","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster","type":"ClusterIP"'
)


def pack(obj: Obj) -> bytes:
    """The object as compressed JSON."""
    press = zlib.compressobj(level=6, zdict=WORDS)
    return press.compress(json.dumps(obj, separators=(",", ":")).encode()) + press.flush()


def unpack(data: bytes) -> Obj:
    """The object again."""
    found: Obj = json.loads(zlib.decompressobj(zdict=WORDS).decompress(data))
    return found


def packed(project: Callable[[Obj], Obj]) -> Projection:
    """A projection that packs what `project` leaves. Values differ exactly when the objects do."""

    def projection(obj: Obj) -> Obj:
        return {PACKED: pack(project(obj))}

    return projection


def opened(value: Obj | None) -> Obj | None:
    """What a listener of such a cache was told, unpacked."""
    return None if value is None else unpack(value[PACKED])


class Packed(Protocol):
    """A cache of packed objects: `watch.Cache`, or several as one (`following.Following`)."""

    def get(self, ns: str | None, name: str) -> Obj | None: ...

    def items(self) -> Iterator[tuple[ObjectKey, Obj]]: ...


class View:
    """`get` and `items` of a cache of packed objects."""

    def __init__(self, cache: Packed) -> None:
        self._cache = cache
        self._recent: OrderedDict[ObjectKey, tuple[bytes, Obj]] = OrderedDict()

    def peek(self, ns: str | None, name: str) -> Obj | None:
        """As `get`, but what was not remembered is not remembered now: for walks through all there are."""
        known, value = self._recent.get(ObjectKey(ns or "", name)), self._cache.get(ns, name)
        if value is None or (known is not None and known[0] is value[PACKED]):
            return known[1] if known is not None and value is not None else None
        return unpack(value[PACKED])

    def get(self, ns: str | None, name: str) -> Obj | None:
        """One object, None when it is not there."""
        key = ObjectKey(ns or "", name)
        value = self._cache.get(ns, name)
        if value is None:
            self._recent.pop(key, None)
            return None
        data: bytes = value[PACKED]
        known = self._recent.get(key)
        if known is None or known[0] is not data:
            known = self._recent[key] = (data, unpack(data))
        self._recent.move_to_end(key)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return known[1]

    def drop(self, ns: str, name: str) -> None:
        """This object is unpacked anew the next time."""
        self._recent.pop(ObjectKey(ns, name), None)

    def forget(self) -> None:
        """What was asked for is unpacked anew the next time: what hundreds of Canaries needed once is not kept for ever."""
        self._recent.clear()

    def items_of(self, namespace: str) -> Iterator[tuple[ObjectKey, Obj]]:
        """All objects of a namespace; for what is done seldom."""
        return ((key, unpack(value[PACKED])) for key, value in self._cache.items() if key.namespace == namespace)

    def __iter__(self) -> Iterator[ObjectKey]:
        """All keys; safe while the cache changes."""
        return (key for key, _ in self._cache.items())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and len(key) == 2 and self._cache.get(*key) is not None
