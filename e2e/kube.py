"""What end-to-end tests, bench and demo ask of a cluster: a small synchronous client, and waiting for a condition with a deadline.

It is not the controller's client on purpose: a test that used the code under test to look at the world would share its errors.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

Object = dict[str, Any]
T = TypeVar("T")

TOKEN_SECONDS = 86_400
"""How long a token is good: a whole run of the benchmarks takes hours."""
CLUSTER_SCOPED = {
    *("Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "GatewayClass", "PersistentVolume"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"),
}
API_VERSION = {
    **dict.fromkeys(("Pod", "Service", "ConfigMap", "Secret", "Namespace", "Node", "Event", "ServiceAccount", "Endpoints"), "v1"),
    **dict.fromkeys(("PersistentVolume", "PersistentVolumeClaim", "ResourceQuota"), "v1"),
    **dict.fromkeys(("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "ControllerRevision"), "apps/v1"),
    **dict.fromkeys(("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), "rbac.authorization.k8s.io/v1"),
    **dict.fromkeys(("Canary", "MetricTemplate", "AlertProvider"), "flagger.app/v1beta1"),
    **dict.fromkeys(("HTTPRoute", "Gateway", "GatewayClass"), "gateway.networking.k8s.io/v1"),
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "HTTPProxy": "projectcontour.io/v1",
    **dict.fromkeys(("TraefikService", "IngressRoute"), "traefik.io/v1alpha1"),
    "Lease": "coordination.k8s.io/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
}
PLURAL = {"Endpoints": "endpoints"}


class KubeError(RuntimeError):
    """The API server refused; `status` is the HTTP code and the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def until(check: Callable[[], T | None], seconds: float, what: str, state: Callable[[], object] | None = None) -> T:
    """Asks until `check` gives something true and returns that; an AssertionError that names `what`, and what `state` last said, at the
    deadline. An exception in `check` counts as not yet."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = found = check()
            if found:
                return found
        except (KubeError, httpx.HTTPError, KeyError, IndexError) as error:
            last = error
        if time.monotonic() > deadline:
            seen = state() if state else last
            raise AssertionError(f"not within {seconds:g} s: {what}\nlast seen: {seen}")
        time.sleep(0.1)


def until_established(kube: Kube, crd: str, seconds: float = 20.0) -> None:
    """Returns when the API server serves the kind of this CRD, as `canaries.flagger.app`: right after its creation it has no status yet."""

    def established() -> bool:
        conditions = kube.get("CustomResourceDefinition", crd).get("status", {}).get("conditions") or ()
        return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

    until(established, seconds, f"the CRD {crd}")


def plural(kind: str) -> str:
    lower = kind.lower()
    if kind in PLURAL:
        return PLURAL[kind]
    if lower.endswith("y") and lower[-2] not in "aeiou":
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith(("s", "x")) else f"{lower}s"


class Kube:
    """A cluster as one user sees it: the kubeconfig's own, or `token`'s."""

    def __init__(self, kubeconfig: Path, token: str = "", timeout: float = 15.0) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        names = {entry["name"]: entry["context"] for entry in config["contexts"]}
        context = names[config["current-context"]]
        cluster = next(entry["cluster"] for entry in config["clusters"] if entry["name"] == context["cluster"])
        user = next(entry["user"] for entry in config["users"] if entry["name"] == context["user"])
        verify = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        if not token:
            with tempfile.NamedTemporaryFile("wb") as file:
                file.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
                file.flush()
                verify.load_cert_chain(file.name)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.kubeconfig = kubeconfig
        self.http = httpx.Client(base_url=cluster["server"], verify=verify, headers=headers, timeout=timeout, trust_env=False)

    def as_token(self, token: str) -> Kube:
        """The same cluster, seen by the holder of a token."""
        return Kube(self.kubeconfig, token)

    @staticmethod
    def path(kind: str, namespace: str = "", name: str = "", api_version: str = "") -> str:
        version = api_version or API_VERSION[kind]
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        scope = "" if kind in CLUSTER_SCOPED or not namespace else f"/namespaces/{namespace}"
        return f"{base}{scope}/{plural(kind)}{f'/{name}' if name else ''}"

    def ask(self, method: str, path: str, body: object = None, content_type: str = "application/json", **params: str) -> Any:
        """One request; the parsed answer, or KubeError."""
        content = None if body is None else body if isinstance(body, str) else json.dumps(body)
        response = self.http.request(method, path, params=params, content=content, headers={"Content-Type": content_type})
        if response.status_code >= 400:
            try:
                message = response.json().get("message", response.text)
            except ValueError:
                message = response.text
            raise KubeError(response.status_code, message)
        return response.json() if "json" in response.headers.get("content-type", "") else response.text

    def apply(self, *objects: Object, namespace: str = "", manager: str = "e2e") -> list[Object]:
        """Server-side apply, in order."""
        done = []
        for found in objects:
            where = found["metadata"].get("namespace", namespace)
            path = self.path(found["kind"], where, found["metadata"]["name"], found["apiVersion"])
            done.append(self.ask("PATCH", path, found, "application/apply-patch+yaml", fieldManager=manager, force="true"))
        return done

    def apply_yaml(self, text: str, namespace: str = "") -> list[Object]:
        return self.apply(*[found for found in yaml.safe_load_all(text) if found], namespace=namespace)

    def get(self, kind: str, name: str, namespace: str = "", api_version: str = "") -> Object:
        found: Object = self.ask("GET", self.path(kind, namespace, name, api_version))
        return found

    def find(self, kind: str, name: str, namespace: str = "", api_version: str = "") -> Object | None:
        """Like get, but None where there is no such object."""
        try:
            return self.get(kind, name, namespace, api_version)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def items(self, kind: str, namespace: str = "", selector: str = "", api_version: str = "") -> list[Object]:
        params = {"labelSelector": selector} if selector else {}
        found: list[Object] = self.ask("GET", self.path(kind, namespace, "", api_version), **params)["items"]
        return found

    def patch(self, kind: str, name: str, body: object, namespace: str = "", subresource: str = "", api_version: str = "") -> Object:
        """A merge patch for a dict, a JSON patch for a list."""
        path = self.path(kind, namespace, name, api_version) + (f"/{subresource}" if subresource else "")
        content_type = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
        patched: Object = self.ask("PATCH", path, body, content_type)
        return patched

    def set_image(self, deployment: str, container: str, image: str, namespace: str) -> Object:
        """What a user does to release: `kubectl set image`."""
        pod = {"containers": [{"name": container, "image": image}]}
        body = {"spec": {"template": {"spec": pod}}}
        path = self.path("Deployment", namespace, deployment)
        changed: Object = self.ask("PATCH", path, body, "application/strategic-merge-patch+json")
        return changed

    def delete(self, kind: str, name: str, namespace: str = "", api_version: str = "") -> None:
        try:
            self.ask("DELETE", self.path(kind, namespace, name, api_version), propagationPolicy="Background")
        except KubeError as error:
            if error.status != 404:
                raise

    def token(self, service_account: str, namespace: str) -> str:
        path = f"{self.path('ServiceAccount', namespace, service_account)}/token"
        answer: Object = self.ask("POST", path, {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        token: str = answer["status"]["token"]
        return token

    def logs(self, pod: str, namespace: str, container: str = "", previous: bool = False) -> str:
        params = {"container": container} if container else {}
        text: str = self.ask("GET", f"{self.path('Pod', namespace, pod)}/log", previous=str(previous).lower(), **params)
        return text

    def events(self, namespace: str, name: str = "") -> list[Object]:
        """The namespace's events, the oldest first, of one object where named."""
        found = [event for event in self.items("Event", namespace) if not name or event["involvedObject"]["name"] == name]
        return sorted(found, key=lambda event: event["metadata"]["creationTimestamp"])


def told_at(event: Object) -> float:
    """When an event was last told (epoch seconds), of whichever kind its times are."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
