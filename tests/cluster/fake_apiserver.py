"""A small Kubernetes API server in memory, over real HTTP on loopback: for tests of everything above the wire.

It keeps the rules that controllers depend on: one resourceVersion for all writes, generation, optimistic locking, uid preconditions, the
status subresource, watches with selectors, bookmarks and 410, pages, dry runs, finalizers and owner references, server-side apply with
managedFields (lists of pods' parts, conditions and Services' ports by key, other lists and selectors as one value), discovery, access
reviews. It validates nothing but names, and defaults nothing. One storage version per kind: an object is served in the version that is
asked for.

    async with FakeApiServer() as server:
        server.add({"apiVersion": "v1", "kind": "ConfigMap", ...})
        client = server.client()
"""

from __future__ import annotations

import asyncio
import base64
import copy
import inspect
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, ClassVar

import yaml
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from flaggerpy.cluster.client import Client, describe
from flaggerpy.cluster.kinds import KNOWN, Kind, kind_of
from flaggerpy.cluster.selectors import matches

Manifest = dict[str, Any]
Name = tuple[str, str]
Fault = int | tuple[int, dict[str, str]] | Exception | None

ORPHANED_SECONDS = 0.2
CERTIFICATE = Path(__file__).parent.parent / "data" / "self-signed.pem"
WITHOUT_STATUS = {"ConfigMap", "Secret", "Event", "Lease", "ControllerRevision", "EndpointSlice", "VirtualService", "DestinationRule"}
WITHOUT_GENERATION = {"ConfigMap", "Secret", "Event", "Lease", "Service", "Node", "Namespace", "ControllerRevision"}
# lists that server-side apply merges by key; every other list is one value
LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
# maps that server-side apply takes as one value
ATOMIC = frozenset({"selector"})
SERVER_SIDE = ("resourceVersion", "uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields")


@dataclass(frozen=True)
class Request:
    """One request as understood; `verb` and `resource` as in the metrics (get, list, watch, create, update, patch, delete)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    verb: str
    resource: str
    kind: Kind | None = None
    ns: str | None = None
    name: str | None = None
    subresource: str | None = None

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").split(";")[0]


class Refused(Exception):
    """An answer other than success, made into a Status object."""

    def __init__(self, status: int, reason: str, message: str, causes: Iterable[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": status,
            "reason": reason,
            "message": message,
            "details": {"causes": [dict(cause) for cause in causes]},
        }


REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass
class Watch:
    """An open watch; events are queued as (type, object) and cut to `accept` when sent. None ends it, an exception breaks it."""

    kind: Kind
    ns: str | None
    labels: str | None
    fields: str | None
    bookmarks: bool
    queue: asyncio.Queue[tuple[str, Manifest] | Exception | None] = field(default_factory=asyncio.Queue)

    def sees(self, obj: Manifest) -> bool:
        metadata = obj["metadata"]
        return (
            (not self.ns or metadata.get("namespace") == self.ns)
            and matches(self.labels, metadata.get("labels"))
            and fields_match(self.fields, obj)
        )


class FakeApiServer:
    """See the module's text. Everything may be called from the test directly, between or during requests."""

    at_end: ClassVar[list[Callable[[FakeApiServer], None]]] = []
    """What is asked of every server when a test that did not fail is done with it."""

    def __init__(self, kinds: Iterable[Kind] = KNOWN.values(), *, clock: Callable[[], float] = time.time) -> None:
        self.served: set[Kind] = set(kinds)
        self.objects: dict[tuple[str, str], dict[Name, Manifest]] = {}
        self.requests: list[Request] = []
        self.clock = clock
        # asked before a request is carried out: a status, (status, headers), an exception (the connection breaks) or None; may be async
        self.fault: Callable[[Request], Fault | Awaitable[Fault]] = lambda request: None
        # asked after it was carried out: true breaks the connection, so that the client cannot know
        self.lose_answer: Callable[[Request], bool] = lambda request: False
        # seconds before each answer
        self.delay: float | Callable[[Request], float] = 0.0
        # answers SelfSubjectAccessReviews, by resourceAttributes
        self.allowed: Callable[[Manifest], bool] = lambda attributes: True
        # answers SelfSubjectRulesReviews, by namespace; None: there is no such kind of review
        self.rules: Callable[[str], list[Manifest]] | None = None
        # what /openapi/v3 publishes, by the root of group and version
        self.openapi: dict[str, Manifest] = {}
        # called after each change with ADDED, MODIFIED or DELETED and the object: play a controller by `server.patch(...)`
        self.reactors: list[Callable[[str, Manifest], None]] = []
        # called before each write with the new object; may change it, or raise Refused
        self.admit: Callable[[Request, Manifest], None] = lambda request, obj: None
        self.url = ""
        self._version = 1000
        self._compacted = 0
        self._history: dict[tuple[str, str], list[tuple[int, str, Manifest, Manifest | None]]] = {}
        self._pages: dict[str, tuple[list[Manifest], str]] = {}
        self._watches: list[Watch] = []
        self._clients: list[Client] = []
        self._runner: web.AppRunner | None = None

    # --- life --------------------------------------------------------------------------------------------------------------------------

    async def start(self) -> FakeApiServer:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handle_signals=False, handler_cancellation=True)
        await self._runner.setup()
        port = int(self.url.rsplit(":", 1)[1]) if self.url else 0
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        """Refuse connections; `start` opens the same port again, with the same objects."""
        self.drop_watches()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> FakeApiServer:
        return await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for client in self._clients:
            await client.close()
        await self.stop()
        if kind is None:
            for look in self.at_end:
                look(self)

    def client(self, **options: Any) -> Client:
        """A client of this server, closed together with it."""
        # a bundle of one certificate is read faster than all that the system trusts
        made = Client(Configuration(host=self.url, ssl_ca_cert=str(CERTIFICATE)), **options)
        self._clients.append(made)
        return made

    def kubeconfig(self, path: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig for this server."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": namespace}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    # --- the test's own hands ----------------------------------------------------------------------------------------------------------

    def add(self, obj: Mapping[str, Any]) -> Manifest:
        """Create an object as it is, status included."""
        made = copy.deepcopy(dict(obj))
        return copy.deepcopy(self._create(kind_of(made), made, keep_status=True))

    def get(self, kind: Kind, ns: str | None, name: str) -> Manifest | None:
        """A copy of a stored object."""
        found = self._shelf(kind).get((ns or "", name))
        return copy.deepcopy(found) if found else None

    def patch(self, kind: Kind, ns: str | None, name: str, body: Mapping[str, Any]) -> Manifest:
        """Merge-patch an object, spec and status alike, as a controller of the cluster would; generation as usual."""
        old = self._shelf(kind)[(ns or "", name)]
        return copy.deepcopy(self._update(kind, old, merge(old, body), subresource=None, keep_status=False))

    def remove(self, kind: Kind, ns: str | None, name: str) -> None:
        """Delete an object at once, finalizers or not."""
        self._drop(kind, self._shelf(kind)[(ns or "", name)])

    def saved(self) -> tuple[int, dict[tuple[str, str], dict[Name, Manifest]]]:
        """All that is stored now, for `restore`."""
        return self._version, copy.deepcopy(self.objects)

    def restore(self, saved: tuple[int, dict[tuple[str, str], dict[Name, Manifest]]]) -> None:
        """Be as the server was that `saved` this; call it before anybody watches."""
        self._version, objects = saved
        self.objects = copy.deepcopy(objects)
        self.compact()

    def serve(self, kind: Kind) -> None:
        self.served.add(kind)

    def unserve(self, kind: Kind) -> None:
        """As if the CustomResourceDefinition went: the kind answers 404."""
        self.served.discard(kind)

    def compact(self) -> None:
        """Forget history: watches and pages from before now get 410."""
        self._compacted = self._version
        self._history.clear()
        self._pages.clear()

    def drop_watches(self, error: Exception | None = None) -> None:
        """End all watches, as the server does after a while; with an error break them instead."""
        for watch in self._watches:
            watch.queue.put_nowait(error)

    def bookmark(self) -> None:
        """Send a bookmark to all watches that asked for them."""
        for watch in self._watches:
            if watch.bookmarks:
                mark = {
                    "apiVersion": watch.kind.api_version,
                    "kind": watch.kind.kind,
                    "metadata": {"resourceVersion": str(self._version), "creationTimestamp": None},
                }
                watch.queue.put_nowait(("BOOKMARK", mark))

    def watch_error(self, status: int, message: str = "fault") -> None:
        """Send an ERROR line to all watches."""
        for watch in self._watches:
            watch.queue.put_nowait(("ERROR", Refused(status, REASONS.get(status, ""), message).body))

    @property
    def watched(self) -> list[Kind]:
        """The kinds of all watches that are open."""
        return [watch.kind for watch in self._watches]

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._watches)

    @property
    def writes(self) -> list[Request]:
        """The requests that asked for a change, in order."""
        return [request for request in self.requests if request.verb in ("create", "update", "patch", "delete") and request.kind]

    def carry_out_again(self, request: Request) -> bool:
        """What happens when a request arrives once more, late: true when it changes anything."""
        before = self._version
        try:
            self._carry_out(request)
        except Refused:
            return False
        return self._version != before

    # --- storage -----------------------------------------------------------------------------------------------------------------------

    def _shelf(self, kind: Kind) -> dict[Name, Manifest]:
        return self.objects.setdefault((kind.group, kind.plural), {})

    def _stamp(self, obj: Manifest) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)

    def _publish(self, kind: Kind, type_: str, obj: Manifest, old: Manifest | None) -> None:
        shelf = (kind.group, kind.plural)
        self._history.setdefault(shelf, []).append((self._version, type_, obj, old))
        for watch in self._watches:
            if (watch.kind.group, watch.kind.plural) == shelf:
                seen = translate(watch, type_, obj, old)
                if seen:
                    watch.queue.put_nowait((seen, obj))
        for reactor in list(self.reactors):
            reactor(type_, copy.deepcopy(obj))

    def _create(self, kind: Kind, obj: Manifest, *, keep_status: bool = False, dry_run: bool = False) -> Manifest:
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        key = (metadata.get("namespace") or "", metadata.get("name") or "")
        if not key[1]:
            raise Refused(422, "Invalid", "name or generateName is required", [{"field": "metadata.name", "reason": "FieldValueRequired"}])
        if key in self._shelf(kind):
            raise Refused(409, "AlreadyExists", f'{kind} "{key[1]}" already exists')
        if not keep_status and kind.kind not in WITHOUT_STATUS:
            obj.pop("status", None)
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", self.timestamp())
        if kind.kind not in WITHOUT_GENERATION:
            metadata.setdefault("generation", 1)
        if not dry_run:
            self._stamp(obj)
            self._shelf(kind)[key] = obj
            self._publish(kind, "ADDED", obj, None)
            if metadata.get("ownerReferences") and not keep_status:
                # the garbage collector takes what was made for an owner that is gone
                asyncio.get_running_loop().call_later(ORPHANED_SECONDS, self._collect, kind, key, metadata["uid"])
        return obj

    def _collect(self, kind: Kind, key: Name, uid: str) -> None:
        obj = self._shelf(kind).get(key)
        if obj is None or obj["metadata"]["uid"] != uid:
            return
        living = {each["metadata"]["uid"] for shelf in self.objects.values() for each in shelf.values()}
        if not any(owner.get("uid") in living for owner in obj["metadata"].get("ownerReferences") or ({"uid": uid},)):
            self._delete(kind, obj, {})

    def _update(
        self,
        kind: Kind,
        old: Manifest,
        new: Manifest,
        *,
        subresource: str | None,
        keep_status: bool = True,
        dry_run: bool = False,
        by_patch: bool = True,
    ) -> Manifest:
        new = copy.deepcopy(new)
        before, after = old["metadata"], new.setdefault("metadata", {})
        name = before["name"]
        if after.get("uid") and after["uid"] != before["uid"]:
            if by_patch:
                cause = {"field": "metadata.uid", "reason": "FieldValueInvalid", "message": "field is immutable"}
                raise Refused(422, "Invalid", f'{kind.kind} "{name}" is invalid: metadata.uid: Invalid value: field is immutable', [cause])
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": Precondition failed: UID in precondition')
        if after.get("resourceVersion") and after["resourceVersion"] != before["resourceVersion"]:
            message = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{name}": {message}')
        if subresource == "status":
            managed = after.get("managedFields")
            new = {**copy.deepcopy(old), "status": new.get("status")}
            if new["status"] is None:
                del new["status"]
            after = new["metadata"]
            if managed:
                after["managedFields"] = managed
        elif keep_status and kind.kind not in WITHOUT_STATUS:
            new.pop("status", None)
            if "status" in old:
                new["status"] = copy.deepcopy(old["status"])
        for field_ in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion", "name", "namespace"):
            after.pop(field_, None)
            if field_ in before:
                after[field_] = before[field_]
        new["apiVersion"], new["kind"] = old["apiVersion"], old["kind"]
        if without_managed(new) == without_managed(old) and after.get("managedFields") == before.get("managedFields"):
            return old
        if "generation" in before and substance(new) != substance(old):
            after["generation"] = before["generation"] + 1
        if dry_run:
            return new
        if after.get("deletionTimestamp") and not after.get("finalizers"):
            self._shelf(kind)[(after.get("namespace") or "", name)] = new
            self._drop(kind, new)
            return new
        self._stamp(new)
        self._shelf(kind)[(after.get("namespace") or "", name)] = new
        self._publish(kind, "MODIFIED", new, old)
        return new

    def _delete(self, kind: Kind, old: Manifest, options: Manifest) -> Manifest:
        metadata = old["metadata"]
        wanted = options.get("preconditions") or {}
        for key, text in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            if wanted.get(key) and wanted[key] != metadata[key]:
                raise Refused(
                    409,
                    "Conflict",
                    f"Precondition failed: {text} in precondition: {wanted[key]}, {text} in object meta: {metadata[key]}",
                )
        if metadata.get("finalizers"):
            if metadata.get("deletionTimestamp"):
                return old
            marked = copy.deepcopy(old)
            marked["metadata"]["deletionTimestamp"] = self.timestamp()
            if "generation" in marked["metadata"]:
                marked["metadata"]["generation"] += 1
            self._stamp(marked)
            self._shelf(kind)[(metadata.get("namespace") or "", metadata["name"])] = marked
            self._publish(kind, "MODIFIED", marked, old)
            return marked
        self._drop(kind, old, orphan=options.get("propagationPolicy") == "Orphan")
        return old

    def _drop(self, kind: Kind, obj: Manifest, *, orphan: bool = False) -> None:
        metadata = obj["metadata"]
        del self._shelf(kind)[(metadata.get("namespace") or "", metadata["name"])]
        last = copy.deepcopy(obj)
        self._stamp(last)
        self._publish(kind, "DELETED", last, obj)
        if orphan:
            return
        for shelf in list(self.objects.values()):
            for dependent in list(shelf.values()):
                owners = dependent["metadata"].get("ownerReferences") or []
                if owners and all(owner.get("uid") == metadata["uid"] for owner in owners):
                    self._delete(kind_of(dependent), dependent, {})

    def timestamp(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock()))

    # --- HTTP --------------------------------------------------------------------------------------------------------------------------

    async def _handle(self, raw: web.Request) -> web.StreamResponse:
        request = self._understand(raw, await raw.read())
        self.requests.append(request)
        fault = self.fault(request)
        if inspect.isawaitable(fault):
            fault = await fault
        delay = self.delay(request) if callable(self.delay) else self.delay
        if delay:
            await asyncio.sleep(delay)
        if isinstance(fault, Exception):
            return _broken(raw)
        try:
            if fault is not None:
                status, headers = fault if isinstance(fault, tuple) else (fault, {})
                return self._answer(status, Refused(status, REASONS.get(status, ""), "fault").body, headers)
            if request.verb == "watch":
                return await self._watch(raw, request)
            status, body = self._carry_out(request)
        except Refused as refused:
            status, body = refused.status, refused.body
        if self.lose_answer(request):
            return _broken(raw)
        return self._answer(status, body)

    def _answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
        return web.json_response(body, status=status, headers={"Date": formatdate(self.clock(), usegmt=True), **(headers or {})})

    def _understand(self, raw: web.Request, data: bytes) -> Request:
        parts = [part for part in raw.path.split("/") if part]
        verb, resource = describe(raw.method, raw.path)
        query = dict(raw.query)
        if raw.method == "GET" and query.get("watch") in ("true", "1"):
            verb = "watch"
        if raw.method == "DELETE" and verb == "delete" and "/" not in resource and raw.path.endswith("/" + resource):
            verb = "deletecollection"
        group, version, rest = ("", parts[1], parts[2:]) if parts[:1] == ["api"] and len(parts) > 1 else ("", "", [])
        if parts[:1] == ["apis"] and len(parts) > 2:
            group, version, rest = parts[1], parts[2], parts[3:]
        ns = None
        if len(rest) > 2 and rest[0] == "namespaces":
            ns, rest = rest[1], rest[2:]
        kind = next(
            (kind for kind in self.served if rest and (kind.group, kind.version, kind.plural) == (group, version, rest[0])), None
        )
        return Request(
            raw.method,
            raw.path,
            query,
            dict(raw.headers),
            json.loads(data) if data.strip() else None,
            verb,
            resource,
            kind,
            ns,
            rest[1] if len(rest) > 1 else None,
            rest[2] if len(rest) > 2 else None,
        )

    def _carry_out(self, request: Request) -> tuple[int, Any]:
        if request.kind is None:
            return self._about(request)
        kind, dry_run = request.kind, request.query.get("dryRun") == "All"
        if kind.namespaced and request.name and not request.ns:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if request.verb == "list":
            return 200, self._list(request)
        if request.verb == "create":
            obj = copy.deepcopy(request.body)
            named = obj.setdefault("metadata", {})
            if kind.namespaced and named.setdefault("namespace", request.ns) != request.ns:
                raise Refused(400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request")
            if named.get("resourceVersion"):
                raise Refused(500, "InternalError", "resourceVersion should not be set on objects to be created")
            self._type(kind, obj)
            self.admit(request, obj)
            named["managedFields"] = own_by_update([], None, obj, request, self.timestamp())
            return 201, self._show(request, self._create(kind, obj, dry_run=dry_run))
        old = self._shelf(kind).get((request.ns or "", request.name or ""))
        applying = request.content_type == "application/apply-patch+yaml"
        if old is None and not (applying and not request.subresource):
            raise Refused(404, "NotFound", f'{kind} "{request.name}" not found')
        if request.verb == "get":
            assert old
            return 200, self._show(request, old)
        if request.verb == "delete":
            assert old
            return 200, self._show(request, self._delete(kind, old, request.body or {}))
        if request.subresource not in (None, "status") or (request.subresource == "status" and kind.kind in WITHOUT_STATUS):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if applying:
            return self._apply(request, kind, old, dry_run)
        assert old
        new = self._changed(request, old)
        self._type(kind, new)
        self.admit(request, new)
        new["metadata"]["managedFields"] = own_by_update(new["metadata"].get("managedFields") or [], old, new, request, self.timestamp())
        by_patch = request.method == "PATCH"
        updated = self._update(kind, old, new, subresource=request.subresource, dry_run=dry_run, by_patch=by_patch)
        return 200, self._show(request, updated)

    def _changed(self, request: Request, old: Manifest) -> Manifest:
        if request.method == "PUT":
            new: Manifest = copy.deepcopy(request.body)
            new["metadata"].setdefault("managedFields", copy.deepcopy(old["metadata"].get("managedFields") or []))
            return new
        if request.content_type == "application/merge-patch+json":
            merged: Manifest = merge(old, request.body)
            return merged
        if request.content_type == "application/json-patch+json":
            return json_patch(old, request.body)
        raise Refused(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {request.content_type}")

    def _apply(self, request: Request, kind: Kind, old: Manifest | None, dry_run: bool) -> tuple[int, Manifest]:
        wanted = copy.deepcopy(request.body)
        metadata = wanted.setdefault("metadata", {})
        if "managedFields" in metadata:
            raise Refused(400, "BadRequest", "metadata.managedFields must be nil")
        if not request.query.get("fieldManager"):
            raise Refused(422, "Invalid", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch")
        if old is None:
            if metadata.get("uid"):
                raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {kind} "{request.name}": no existing object was found')
            # whatever version was named: what is not there is made
            metadata.pop("resourceVersion", None)
            metadata |= {"name": request.name} | ({"namespace": request.ns} if request.ns else {})
            self._type(kind, wanted)
            self.admit(request, wanted)
            metadata["managedFields"] = [managed(request, "Apply", paths_of(wanted), self.timestamp())]
            return 201, self._show(request, self._create(kind, wanted, dry_run=dry_run))
        new, entries = apply(old, wanted, request, self.timestamp())
        if metadata.get("uid"):
            new["metadata"]["uid"] = metadata["uid"]
        new["metadata"]["resourceVersion"] = metadata.get("resourceVersion") or old["metadata"]["resourceVersion"]
        self._type(kind, new)
        self.admit(request, new)
        new["metadata"]["managedFields"] = entries
        return 200, self._show(request, self._update(kind, old, new, subresource=request.subresource, dry_run=dry_run))

    @staticmethod
    def _type(kind: Kind, obj: Manifest) -> None:
        obj.setdefault("apiVersion", kind.api_version)
        obj.setdefault("kind", kind.kind)

    def _show(self, request: Request, obj: Manifest) -> Manifest:
        assert request.kind
        return shown(request.kind, request.headers.get("Accept", ""), obj)

    def _list(self, request: Request) -> Manifest:
        kind = request.kind
        assert kind
        token, limit = request.query.get("continue"), int(request.query.get("limit") or 0)
        if token:
            if token not in self._pages:
                raise Refused(410, "Expired", "The provided continue parameter is too old to display a consistent list result.")
            items, version = self._pages[token]
        else:
            watch = Watch(kind, request.ns, request.query.get("labelSelector"), request.query.get("fieldSelector"), False)
            items = [obj for _, obj in sorted(self._shelf(kind).items()) if watch.sees(obj)]
            version = str(self._version)
        metadata: Manifest = {"resourceVersion": version}
        if limit and len(items) > limit:
            rest = base64.b64encode(uuid.uuid4().bytes).decode()
            self._pages[rest] = (items[limit:], version)
            metadata |= {"continue": rest, "remainingItemCount": len(items) - limit}
            items = items[:limit]
        partial = "as=PartialObjectMetadataList" in request.headers.get("Accept", "")
        cut = [shown(kind, request.headers.get("Accept", ""), obj) for obj in items]
        if not partial and "." not in kind.group.removesuffix(".k8s.io"):
            # items of built-in kinds come without their type
            cut = [{key: value for key, value in obj.items() if key not in ("apiVersion", "kind")} for obj in cut]
        return {
            "apiVersion": "meta.k8s.io/v1" if partial else kind.api_version,
            "kind": "PartialObjectMetadataList" if partial else kind.kind + "List",
            "metadata": metadata,
            "items": cut,
        }

    async def _watch(self, raw: web.Request, request: Request) -> web.StreamResponse:
        kind = request.kind
        if kind is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        query = request.query
        watch = Watch(
            kind, request.ns, query.get("labelSelector"), query.get("fieldSelector"), query.get("allowWatchBookmarks") == "true"
        )
        since = query.get("resourceVersion") or "0"
        if since == "0":
            for obj in self._shelf(kind).values():
                if watch.sees(obj):
                    watch.queue.put_nowait(("ADDED", obj))
        elif int(since) < self._compacted:
            text = f"too old resource version: {since} ({self._compacted})"
            watch.queue.put_nowait(("ERROR", Refused(410, "Expired", text).body))
            watch.queue.put_nowait(None)
        else:
            for version, type_, obj, old in self._history.get((kind.group, kind.plural), []):
                seen = translate(watch, type_, obj, old) if version > int(since) else None
                if seen:
                    watch.queue.put_nowait((seen, obj))
        self._watches.append(watch)
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Date": formatdate(self.clock(), usegmt=True)})
        try:
            await response.prepare(raw)
            async with asyncio.timeout(float(query.get("timeoutSeconds") or 3600)):
                while event := await watch.queue.get():
                    if isinstance(event, Exception):
                        return _broken(raw)
                    type_, obj = event
                    accept = request.headers.get("Accept", "")
                    body = obj if type_ == "ERROR" else shown(kind, accept, obj)
                    await response.write(json.dumps({"type": type_, "object": body}).encode() + b"\n")
        except TimeoutError:
            pass
        finally:
            self._watches.remove(watch)
        return response

    def _about(self, request: Request) -> tuple[int, Any]:
        if request.path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        if request.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            spec = request.body["spec"]
            return 201, {**request.body, "status": {"allowed": self.allowed(spec["resourceAttributes"])}}
        if request.path == "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews" and self.rules:
            return 201, {**request.body, "status": {"resourceRules": self.rules(request.body["spec"]["namespace"])}}
        if request.path.startswith("/openapi/v3/"):
            return 200, self.openapi.get(request.path.removeprefix("/openapi/v3"), {})
        if request.path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if request.path == "/apis":
            return 200, self._groups()
        kinds = [kind for kind in self.served if kind.root == request.path.rstrip("/")]
        if kinds:
            return 200, {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": kinds[0].api_version,
                "resources": [
                    {
                        "name": kind.plural,
                        "singularName": kind.kind.lower(),
                        "kind": kind.kind,
                        "namespaced": kind.namespaced,
                        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
                    }
                    for kind in kinds
                ],
            }
        raise Refused(404, "NotFound", "the server could not find the requested resource")

    def _groups(self) -> Manifest:
        versions: dict[str, list[Manifest]] = {}
        for kind in sorted(self.served, key=lambda kind: (kind.group, kind.version)):
            named = {"groupVersion": kind.api_version, "version": kind.version}
            if kind.group and named not in versions.setdefault(kind.group, []):
                versions[kind.group].append(named)
        groups = [{"name": group, "versions": found, "preferredVersion": found[-1]} for group, found in versions.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _broken(raw: web.Request) -> web.StreamResponse:
    if raw.transport:
        raw.transport.abort()
    return web.Response()


async def eventually(condition: Callable[[], Any], within: float = 10.0) -> None:
    """Let the loop turn until `condition` holds; for what happens over loopback, where there is nothing to await."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


# --- objects ---------------------------------------------------------------------------------------------------------------------------


def shown(kind: Kind, accept: str, obj: Manifest) -> Manifest:
    """An object as asked for: in the version of the path, whole or metadata only."""
    if "as=PartialObjectMetadata" in accept:
        return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": obj["metadata"]}
    return {**obj, "apiVersion": kind.api_version, "kind": kind.kind}


def translate(watch: Watch, type_: str, obj: Manifest, old: Manifest | None) -> str | None:
    """What a watch with selectors is told of a change: leaving the selection is DELETED, entering it ADDED."""
    now = type_ != "DELETED" and watch.sees(obj)
    before = old is not None and watch.sees(old)
    if now:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


def fields_match(selector: str | None, obj: Manifest) -> bool:
    for part in (selector or "").split(","):
        if not part:
            continue
        path, negated, value = part.partition("!=")
        if not negated:
            path, _, value = part.replace("==", "=").partition("=")
        found: Any = obj
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
        if (str(found if found is not None else "") == value) == bool(negated):
            return False
    return True


def substance(obj: Manifest) -> Manifest:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def without_managed(obj: Manifest) -> Manifest:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in ("managedFields", "resourceVersion")}}


def merge(old: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(old: Manifest, operations: list[Manifest]) -> Manifest:
    """JSON patch (RFC 6902): add, remove, replace, test, copy, move."""
    document: Any = copy.deepcopy(old)

    def steps(pointer: str) -> list[str]:
        return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]

    def read(pointer: str) -> Any:
        node = document
        for step in steps(pointer):
            node = node[int(step)] if isinstance(node, list) else node[step]
        return node

    def change(operation: str, pointer: str, value: Any) -> None:
        *parents, last = steps(pointer)
        node = document
        for step in parents:
            node = node[int(step)] if isinstance(node, list) else node[step]
        if isinstance(node, list):
            place = len(node) if last == "-" else int(last)
            if operation == "add":
                node.insert(place, value)
            elif operation == "remove":
                del node[place]
            else:
                node[place] = value
        elif operation == "add":
            node[last] = value
        elif operation == "remove":
            del node[last]
        else:
            node[last]  # a member to be replaced must exist
            node[last] = value

    try:
        for step in operations:
            match step["op"]:
                case "test":
                    if read(step["path"]) != step["value"]:
                        raise KeyError(step["path"])
                case "copy":
                    change("add", step["path"], copy.deepcopy(read(step["from"])))
                case "move":
                    value = read(step["from"])
                    change("remove", step["from"], None)
                    change("add", step["path"], value)
                case operation:
                    change(operation, step["path"], copy.deepcopy(step.get("value")))
    except (KeyError, IndexError, ValueError, TypeError) as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise Refused(422, "Invalid", message) from error
    patched: Manifest = document
    return patched


# --- server-side apply and managedFields -----------------------------------------------------------------------------------------------

Steps = tuple[str, ...]


def item_key(name: str, item: Any) -> str | None:
    if name == "ports" and isinstance(item, dict) and "port" in item:
        return "k:" + json.dumps({"port": item["port"], "protocol": item.get("protocol", "TCP")}, separators=(",", ":"))
    keys = LIST_KEYS.get(name)
    if not keys or not isinstance(item, dict) or not all(key in item for key in keys):
        return None
    return "k:" + json.dumps({key: item[key] for key in keys}, separators=(",", ":"))


def paths_of(value: Any, name: str = "", top: bool = True) -> set[Steps]:
    """All leaves of an object, in the notation of fieldsV1, without what the server owns."""
    if isinstance(value, dict) and (value or top) and name not in ATOMIC:
        found: set[Steps] = set()
        for key, inner in value.items():
            if top and key in ("apiVersion", "kind"):
                continue
            if top and key == "metadata":
                inner = {field_: text for field_, text in inner.items() if field_ not in (*SERVER_SIDE, "name", "namespace")}
                if not inner:
                    continue
            found |= {(f"f:{key}", *rest) for rest in paths_of(inner, key, False)}
        return found
    if isinstance(value, list) and value and all(item_key(name, item) for item in value):
        return {(str(item_key(name, item)), *rest) for item in value for rest in paths_of(item, "", False)}
    return {()}


def managed(request: Request, operation: str, paths: set[Steps], moment: str) -> Manifest:
    assert request.kind
    tree: Manifest = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    entry = {
        "manager": manager_of(request),
        "operation": operation,
        "apiVersion": request.kind.api_version,
        "time": moment,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }
    return entry | ({"subresource": request.subresource} if request.subresource else {})


def manager_of(request: Request) -> str:
    return request.query.get("fieldManager") or request.headers.get("User-Agent", "unknown").split("/")[0]


def owned(entry: Manifest) -> set[Steps]:
    def leaves(tree: Manifest) -> set[Steps]:
        inner = {key: value for key, value in tree.items() if key != "."}
        return {(key, *rest) for key, value in inner.items() for rest in leaves(value)} if inner else {()}

    return leaves(entry.get("fieldsV1") or {}) - {()}


def same_entry(entry: Manifest, request: Request, operation: str) -> bool:
    return (entry.get("manager"), entry.get("operation"), entry.get("subresource")) == (
        manager_of(request),
        operation,
        request.subresource,
    )


def value_at(obj: Any, path: Steps) -> Any:
    for step in path:
        if step.startswith("f:") and isinstance(obj, dict):
            obj = obj.get(step[2:])
        elif step.startswith("k:") and isinstance(obj, list):
            wanted = json.loads(step[2:])
            obj = next((item for item in obj if all(item.get(key) == value for key, value in wanted.items())), None)
        else:
            return None
    return obj


def own_by_update(entries: list[Manifest], old: Manifest | None, new: Manifest, request: Request, moment: str) -> list[Manifest]:
    """The managedFields after a create, PUT or patch: what it changed is its own from now on, and nobody else's."""
    present = paths_of(new)
    if request.subresource == "status":
        present = {path for path in present if path[0] == "f:status"}
    elif request.kind and request.kind.kind not in WITHOUT_STATUS:
        present = {path for path in present if path[0] != "f:status"}
    changed = {path for path in present if old is None or value_at(old, path) != value_at(new, path)}
    gone = {path for entry in entries for path in owned(entry) if value_at(new, path) is None}
    if not changed and not gone:
        return entries
    kept: list[Manifest] = []
    mine: set[Steps] = set()
    for entry in entries:
        if same_entry(entry, request, "Update"):
            mine = owned(entry)
            continue
        rest = owned(entry) - changed - gone
        if rest == owned(entry):
            kept.append(entry)
        elif rest:
            kept.append({**entry, "fieldsV1": managed(request, "Update", rest, moment)["fieldsV1"]})
    total = (mine - gone) | changed
    return [*kept, managed(request, "Update", total, moment)] if total else kept


def apply(old: Manifest, wanted: Manifest, request: Request, moment: str) -> tuple[Manifest, list[Manifest]]:
    """Server-side apply: the merged object and its managedFields. Raises Refused with the conflicts unless forced."""
    entries = old["metadata"].get("managedFields") or []
    want = paths_of(wanted)
    others = [entry for entry in entries if not same_entry(entry, request, "Apply")]
    before = next((owned(entry) for entry in entries if same_entry(entry, request, "Apply")), set())
    disputed = {path: entry for entry in others for path in owned(entry) & want if value_at(old, path) != value_at(wanted, path)}
    if disputed and request.query.get("force") != "true":
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{entry["manager"]}"',
                "field": "." + ".".join(step[2:] for step in path),
            }
            for path, entry in sorted(disputed.items())
        ]
        raise Refused(409, "Conflict", f"Apply failed with {len(causes)} conflict(s)", causes)
    kept: list[Manifest] = []
    for entry in others:
        rest = owned(entry) - set(disputed)
        if rest == owned(entry):
            kept.append(entry)
        elif rest:
            kept.append({**entry, "fieldsV1": managed(request, "Update", rest, moment)["fieldsV1"]})
    held = {path for entry in kept for path in owned(entry)}
    result = copy.deepcopy(old)
    for path in sorted(before - want - held, reverse=True):
        remove_path(result, path)
    merged: Manifest = merge_applied(result, {**wanted, "metadata": {**wanted["metadata"]}})
    if before == want and merged == old and len(kept) == len(others):
        return merged, entries
    return merged, [*kept, managed(request, "Apply", want, moment)]


def remove_path(obj: Any, path: Steps) -> None:
    parents = [obj]
    for step in path[:-1]:
        parents.append(value_at(parents[-1], (step,)))
    # by its key an item is found: that goes with the whole of it
    is_key = len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:])
    for place in reversed(range(len(path) - is_key)):
        parent, step = parents[place], path[place]
        if step.startswith("f:") and isinstance(parent, dict):
            if place == len(path) - 1 or parent.get(step[2:]) in ({}, []):
                parent.pop(step[2:], None)
        elif step.startswith("k:") and isinstance(parent, list):
            # an item of which nothing but its key is left goes as a whole
            wanted = json.loads(step[2:])
            parent[:] = [item for item in parent if item.keys() - wanted.keys() or any(item.get(key) != wanted[key] for key in wanted)]


def merge_applied(old: Any, new: Any, name: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict) and name not in ATOMIC:
        return old | {key: merge_applied(old.get(key), value, key) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list) and new and all(item_key(name, item) for item in new):
        place = {item_key(name, item): index for index, item in enumerate(old)}
        result = list(old)
        for item in new:
            index = place.get(item_key(name, item))
            if index is None:
                result.append(copy.deepcopy(item))
            else:
                result[index] = merge_applied(result[index], item)
        return result
    return copy.deepcopy(new)
