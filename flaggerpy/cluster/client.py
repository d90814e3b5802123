"""The client of the Kubernetes API: verbs over plain dicts, through one request function on kubernetes.aio's ApiClient.

Typed models are not used: they drop unknown fields on reading and refuse objects that lack a required one. Configuration, TLS and
credentials are the library's. There are two sessions, one for requests, one for watches and the Lease: neither starves the other.

What is repeated stands in `retries`, where the server is in `configured`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import aiohttp
import tenacity

from flaggerpy.cluster import kinds
from flaggerpy.cluster.aio import ApiClient, Configuration
from flaggerpy.cluster.clock import ServerClock
from flaggerpy.cluster.configured import configured, environment_proxy
from flaggerpy.cluster.errors import ApiError, Gone, NotConfigured, NotFound, ServerError, Silent, error_from
from flaggerpy.cluster.kinds import Kind, kind_of
from flaggerpy.cluster.retries import RETRY_SECONDS, Throttle, pause, unreachable, worth_repeating
from flaggerpy.cluster.tasks import end

Manifest = dict[str, Any]
# within the class the name `list` is the verb
Manifests = list[Manifest]
RequestObserver = Callable[[str, str, str, float], None]
WatchObserver = Callable[[str, str], None]
"""Is told each watch that is begun anew: resource, and ended, gone, silent or error."""

MANAGER = "flaggerpy"
NOT_THERE = "1"
"""A resourceVersion that no object has: etcd counts from 1, which is its empty store."""
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = 500
CONNECTIONS = 50
SERVED_SECONDS = 300.0
NOT_SERVED_SECONDS = 15.0

_log = logging.getLogger(__name__)


class Page(NamedTuple):
    """A page of a list. `first`: a list begins with it, also one that has to be begun again."""

    items: Manifests
    version: str
    first: bool


class Client:
    """One API server. Made by `connect`; all methods raise the errors of `cluster.errors`, times are seconds."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        qps: float = 100.0,
        burst: int = 250,
        within: float = 30.0,
        namespace: str = "default",
        on_request: RequestObserver | None = None,
        clock: ServerClock | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        # client-go accepts authorities that lack the key identifiers which RFC 5280 demands; so many clusters have such
        configuration.disable_strict_ssl_verification = True
        # looked up once: aiohttp would read proxies and ~/.netrc (of no meaning here) anew for each request, in a thread
        configuration.proxy = configuration.proxy or environment_proxy(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}
        self.host: str = configuration.host
        self.namespace = namespace
        self.clock = clock or ServerClock()
        self.on_request = on_request
        self.on_watch_restart: WatchObserver = lambda resource, reason: None
        self._within = within
        self._sleep = sleep
        self._throttle = Throttle(qps, burst, sleep)
        # more would only wait at the API server; each holds a TLS session of some 100 kB
        configuration.connection_pool_maxsize = CONNECTIONS
        self._requests: Any = ApiClient(configuration)
        # each watch holds a connection of its own, without a limit; both clients share configuration and credentials
        configuration.connection_pool_maxsize = 0
        self._streams: Any = ApiClient(configuration)
        for api in (self._requests, self._streams):
            api.user_agent = MANAGER
        self._discovered: dict[str, tuple[float, frozenset[str]]] = {}
        self._refresher: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        qps: float = 100.0,
        burst: int = 250,
        within: float = 30.0,
        on_request: RequestObserver | None = None,
    ) -> Self:
        """A client from `kubeconfig`, else $KUBECONFIG, else the pod's service account, else ~/.kube/config.

        Nothing is sent yet. `qps` and `burst` bound the requests per second as Flagger's -kubeconfig-qps and -kubeconfig-burst do.
        """
        found = await configured(kubeconfig, context)
        try:
            client = cls(found.configuration, qps=qps, burst=burst, within=within, namespace=found.namespace, on_request=on_request)
        except (OSError, ValueError, KeyError, TypeError) as error:
            # the files of certificates and keys are read here
            raise NotConfigured(f"no usable Kubernetes configuration: {' '.join(str(error).split())}") from error
        if found.refresh is not None:
            client._refresher = asyncio.create_task(found.refresh())
        return client

    async def close(self) -> None:
        """Close both sessions; watches that still run get an error."""
        await end(self._refresher)
        await self._requests.close()
        await self._streams.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def configuration(self) -> Configuration:
        """Server, TLS and credentials, for the one other program part that talks to this API server (kopf)."""
        configuration: Configuration = self._requests.configuration
        return configuration

    def now(self) -> float:
        """The API server's time in epoch seconds; see `cluster.clock`."""
        return self.clock.now()

    # --- verbs -------------------------------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, ns: str | None, name: str, *, metadata_only: bool = False) -> Manifest:
        """One object, read live. Raises NotFound."""
        found: Manifest = await self.request("GET", kind.path(ns, name), accept=METADATA if metadata_only else JSON)
        return found

    async def find(self, kind: Kind, ns: str | None, name: str, *, metadata_only: bool = False) -> Manifest | None:
        """As `get`, with None for an object that is not there."""
        try:
            return await self.get(kind, ns, name, metadata_only=metadata_only)
        except NotFound:
            return None

    async def list(
        self,
        kind: Kind,
        ns: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
    ) -> Manifests:
        """All objects of a kind, in one namespace or (None) in all, read live and page by page."""
        items, _ = await self.snapshot(kind, ns, label_selector=label_selector, field_selector=field_selector, metadata_only=metadata_only)
        return items

    async def snapshot(
        self,
        kind: Kind,
        ns: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
    ) -> tuple[Manifests, str]:
        """As `list`, with the resourceVersion from which a watch goes on."""
        items: list[Manifest] = []
        version = ""
        async for page in self.pages(kind, ns, label_selector=label_selector, field_selector=field_selector, metadata_only=metadata_only):
            items = page.items if page.first else items + page.items
            version = page.version
        return items, version

    async def pages(
        self,
        kind: Kind,
        ns: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """The pages of a list, one after the other, so that thousands of objects need not be there at once.

        Where the server twice cannot go on with a list (410: it takes longer than its history lasts), all of it comes as one page.
        """
        query = _selectors(label_selector, field_selector)
        page: dict[str, str] = {"limit": str(PAGE)}
        again = False
        while True:
            try:
                answer = await self.request("GET", kind.path(ns), query={**query, **page}, accept=METADATA_LIST if metadata_only else JSON)
            except Gone:
                if "continue" not in page:
                    raise
                # the snapshot that the pages were cut from is compacted away: begin anew, and when that comes too late again in one piece
                page, again = ({} if again else {"limit": str(PAGE)}), True
                continue
            items, metadata = answer.get("items") or [], answer.get("metadata") or {}
            del answer
            for item in items:
                # items of a list of a built-in kind come without their type
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            yield Page(items, str(metadata.get("resourceVersion") or ""), "continue" not in page)
            del items
            if not metadata.get("continue"):
                return
            page = {"limit": str(PAGE), "continue": metadata["continue"]}

    async def create(self, obj: Mapping[str, Any], *, manager: str = MANAGER, dry_run: bool = False) -> Manifest:
        """Create `obj`. Raises AlreadyExists."""
        kind, ns, _ = _address(obj)
        query = {"fieldManager": manager} | ({"dryRun": "All"} if dry_run else {})
        made: Manifest = await self.request("POST", kind.path(ns), query=query, body=obj)
        return made

    async def apply(
        self,
        obj: Mapping[str, Any],
        *,
        manager: str = MANAGER,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Manifest:
        """Server-side apply of `obj`: creates it or takes over the fields named.

        Give `metadata.resourceVersion` to be refused with Conflict when it has changed since (an old leader's write then fails by itself),
        and `metadata.uid` with it: what is gone would else be made anew, whatever its version was. With a version that no object ever has
        (NOT_THERE) it is only created, and a Conflict where there is one already."""
        kind, ns, name = _address(obj)
        query = {"fieldManager": manager, "force": "true" if force else "false"} | ({"dryRun": "All"} if dry_run else {})
        metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
        made: Manifest = await self.request(
            "PATCH",
            kind.path(ns, name, subresource),
            query=query,
            body={**obj, "metadata": metadata},
            content_type=APPLY_PATCH,
            idempotent=True,
        )
        return made

    async def replace(self, obj: Mapping[str, Any], *, subresource: str | None = None, manager: str = MANAGER) -> Manifest:
        """PUT of a whole object as read and changed; with its resourceVersion, so that a change in between is a Conflict."""
        kind, ns, name = _address(obj)
        made: Manifest = await self.request("PUT", kind.path(ns, name, subresource), query={"fieldManager": manager}, body=obj)
        return made

    async def merge_patch(
        self,
        kind: Kind,
        ns: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        manager: str = MANAGER,
    ) -> Manifest:
        """JSON merge patch: None removes a field. With `metadata.resourceVersion` in `body` a change in between is a Conflict."""
        made: Manifest = await self.request(
            "PATCH",
            kind.path(ns, name, subresource),
            query={"fieldManager": manager},
            body=body,
            content_type=MERGE_PATCH,
            idempotent=True,
        )
        return made

    async def json_patch(
        self,
        kind: Kind,
        ns: str | None,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        subresource: str | None = None,
        manager: str = MANAGER,
    ) -> Manifest:
        """JSON patch (RFC 6902). A failed `test` operation is Invalid (422); one on /metadata/resourceVersion is as good as a lock."""
        made: Manifest = await self.request(
            "PATCH",
            kind.path(ns, name, subresource),
            query={"fieldManager": manager},
            body=list(operations),
            content_type=JSON_PATCH,
        )
        return made

    async def delete(
        self,
        kind: Kind,
        ns: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
    ) -> Manifest:
        """Delete one object. `uid` and `resource_version` are preconditions (else Conflict), so that a namesake made since survives;
        `propagation` is Background, Foreground or Orphan. Raises NotFound."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions"}
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        if preconditions:
            options["preconditions"] = preconditions
        if propagation:
            options["propagationPolicy"] = propagation
        gone: Manifest = await self.request("DELETE", kind.path(ns, name), body=options, idempotent=True)
        return gone

    # --- what the server is, has and allows --------------------------------------------------------------------------------------------

    async def version(self) -> Manifest:
        """The answer of /version: `gitVersion`, `major`, `minor`."""
        answer: Manifest = await self.request("GET", "/version")
        return answer

    async def can_i(
        self, verb: str, group: str, resource: str, ns: str | None = None, subresource: str | None = None, name: str | None = None
    ) -> bool:
        """True when our account may do this (SelfSubjectAccessReview); `ns` None asks for all namespaces."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": ns, "subresource": subresource, "name": name}
        review = await self.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
            },
            idempotent=True,
        )
        return bool((review.get("status") or {}).get("allowed"))

    async def rules(self, ns: str) -> Manifests:
        """The rules that our account has in a namespace, as far as the server can tell (SelfSubjectRulesReview): there may be more."""
        review = await self.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            body={"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": ns}},
            idempotent=True,
        )
        found: Manifests = (review.get("status") or {}).get("resourceRules") or []
        return found

    async def whoami(self) -> str:
        """The name of our user as the API server sees it (SelfSubjectReview, Kubernetes 1.28)."""
        review = await self.request(
            "POST",
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
            idempotent=True,
        )
        return str(((review.get("status") or {}).get("userInfo") or {}).get("username") or "")

    async def serves(self, kind: Kind) -> bool:
        """True when the server has this kind in this version. A no is believed for 15 s, a yes for 5 minutes; see `forget_discovery`."""
        now = time.monotonic()
        asked_at, plurals = self._discovered.get(kind.root, (float("-inf"), frozenset()))
        if now - asked_at > (SERVED_SECONDS if kind.plural in plurals else NOT_SERVED_SECONDS):
            try:
                answer = await self.request("GET", kind.root)
                plurals = frozenset(str(resource["name"]) for resource in answer.get("resources") or ())
            except NotFound:
                plurals = frozenset()
            self._discovered[kind.root] = (now, plurals)
        return kind.plural in plurals

    def forget_discovery(self) -> None:
        """Ask anew at the next `serves`; called when a CustomResourceDefinition changed."""
        self._discovered.clear()

    # --- the one request function ------------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        idempotent: bool | None = None,
        attempts: int = 4,
        within: float | None = None,
        throttled: bool = True,
    ) -> Any:
        """Any request; the answer is parsed JSON, or text where the server sends text.

        `idempotent` None means: only if `method` is GET. `attempts` 1 switches retries off. `within` bounds one attempt, in seconds. With
        `throttled` False it goes past all others: neither the rate nor the number of connections holds it up (the Lease).
        """
        safe = method == "GET" if idempotent is None else idempotent
        failed: list[ApiError] = []

        async def once() -> Any:
            if failed:
                raise failed.pop()
            if throttled:
                await self._throttle.turn()
            api = self._requests if throttled else self._streams
            return await self._once(api, method, path, query or {}, body, content_type, accept, within or self._within)

        began = time.monotonic()
        try:
            # nearly all requests succeed at once, and the machinery of retries costs as much as half of one
            return await once()
        except ApiError as error:
            left = RETRY_SECONDS - (time.monotonic() - began)
            if attempts == 1 or left <= 0 or not worth_repeating(error, safe):
                raise
            failed.append(error)
        return await tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_after_delay(left),
            wait=pause,
            retry=tenacity.retry_if_exception(lambda error: worth_repeating(error, safe)),
            reraise=True,
        )(once)

    async def _once(
        self, api: Any, method: str, path: str, query: Mapping[str, str], body: Any, content_type: str, accept: str, within: float
    ) -> Any:
        began = time.monotonic()
        code = "0"
        try:
            limits = aiohttp.ClientTimeout(total=within, sock_connect=10)
            response = await self._send(api, method, path, query, body, content_type, accept, limits)
            try:
                code = str(response.status)
                data = await response.read()
            finally:
                response.release()
            self.clock.observe(response.headers.get("Date"), began, time.monotonic())
            if response.status >= 400:
                raise error_from(response.status, data, response.headers)
            return json.loads(data) if "json" in response.headers.get("Content-Type", "") else data.decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, within) from error
        except ValueError as error:
            raise ServerError(f"the answer to {method} {path} is not JSON: {error}", status=int(code), reason="BadAnswer") from error
        finally:
            self._observe(method, path, code, time.monotonic() - began)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str = JSON, silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A watch's lines, on the session for watches; `silence` seconds without a byte end it with Silent."""
        began = time.monotonic()
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        code = "0"
        try:
            response = await self._send(self._streams, "GET", path, query, None, JSON, accept, limits)
            code = str(response.status)
            self.clock.observe(response.headers.get("Date"), began, time.monotonic())
            try:
                if response.status >= 400:
                    raise error_from(response.status, await response.read(), response.headers)
                self._observe("WATCH", path, code, time.monotonic() - began)
                yield _lines(response.content)
            finally:
                # a watch has no end to wait for: the connection cannot be used again
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if code != "0" and isinstance(error, aiohttp.SocketTimeoutError):
                raise Silent(f"nothing heard for {silence:g} s") from error
            if code == "0":
                self._observe("WATCH", path, code, time.monotonic() - began)
            raise unreachable(error, silence) from error
        except ApiError:
            self._observe("WATCH", path, code, time.monotonic() - began)
            raise

    async def _send(
        self,
        api: Any,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content_type: str,
        accept: str,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if body is not None else {})
        verb, url, headers, payload, _ = await api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await api.call_api(verb, url, headers, payload, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response

    def _observe(self, method: str, path: str, code: str, seconds: float) -> None:
        if self.on_request:
            verb, resource = describe(method, path)
            self.on_request(verb, resource, code, seconds)


def describe(method: str, path: str) -> tuple[str, str]:
    """Kubernetes' verb and resource (with subresource) of a request, for metrics: GET /apis/apps/v1/deployments is list, deployments."""
    parts = [part for part in path.split("?")[0].split("/") if part]
    parts = parts[2:] if parts[:1] == ["api"] else parts[3:] if parts[:1] == ["apis"] else []
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    resource = "/".join(parts[:1] + parts[2:3]) or "discovery"
    named = len(parts) > 1
    verb = {"GET": "get" if named or not parts else "list", "POST": "create", "PUT": "update"}.get(method, method.lower())
    return verb, resource


def _address(obj: Mapping[str, Any]) -> tuple[Kind, str | None, str]:
    metadata = obj["metadata"]
    return kind_of(obj), metadata.get("namespace"), str(metadata.get("name") or "")


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    both = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in both.items() if value}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # not readline: an object may be longer than aiohttp's limit for a line
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


__all__ = ["MANAGER", "Client", "Kind", "Manifest", "describe", "kind_of", "kinds"]
