"""One application with its Canary on the sandbox, as a test plays with it: apply, release, look, send load.

The application is e2e/apps/toggle, which can be told to fail; intervals are short, so that a whole release takes seconds.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox

PORT = 9898
GATEWAY = [{"name": "contour", "namespace": "projectcontour"}]
QUICK = {"settle": "2s"}
PATIENCE = 2.0
"""Deadlines are written for a quiet machine; a busy one gets twice the time before a test gives up. What is measured is not stretched."""


class Stage:
    """`name` is that of Deployment and Canary; everything lives in `namespace`."""

    kind = "Deployment"
    """Of the target."""

    def __init__(self, kube: Kube, sandbox: Sandbox, namespace: str, name: str = "app") -> None:
        self.kube, self.sandbox, self.namespace, self.name = kube, sandbox, namespace, name
        self.host = f"{namespace}.example.com"
        self.url = ""
        """Where `load` sends its requests: the Gateway when "", or what a test puts here."""

    def image(self, tag: str) -> str:
        return f"{self.sandbox.registry}/toggle:{tag}"

    def deployment(self, tag: str = "1.0.0", *, replicas: int = 2, containers: list[Object] | None = None, **pod: Any) -> Object:
        """The application's Deployment; `containers` are put beside it, `pod` adds fields of the pod's spec."""
        main = {
            "name": "app",
            "image": self.image(tag),
            "ports": [{"containerPort": PORT, "name": "http"}],
            # a pod serves on while the news of its end travels to the gateway, as any well-kept application does
            "env": [{"name": "PORT", "value": str(PORT)}, {"name": "LINGER", "value": "3s"}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1, "failureThreshold": 1},
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {"app": self.name}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": self.name}},
                "template": {
                    "metadata": {"labels": {"app": self.name}},
                    "spec": {"terminationGracePeriodSeconds": 8, "containers": [main, *(containers or [])], **pod},
                },
            },
        }

    def canary(self, *, provider: str = "gatewayapi:v1", analysis: Object | None = None, **spec: Any) -> Object:
        """A Canary with steps 20, 40, 60 of 2 s each; `spec` overrides fields."""
        body: Object = {
            "provider": provider,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name},
            "progressDeadlineSeconds": 60,
            "podHealth": QUICK,
            "service": {"port": PORT},
            "analysis": {"interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 60} if analysis is None else analysis,
        }
        if provider.startswith("gatewayapi"):
            body["service"] |= {"gatewayRefs": GATEWAY, "hosts": [self.host]}
        body.update(spec)
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {key: value for key, value in body.items() if value is not None},
        }

    def initialise(self, canary: Object, deployment: Object | None = None, seconds: float = 40) -> Stage:
        """Apply both and wait until the Canary is Initialized."""
        self.kube.apply(deployment or self.deployment(), canary)
        self.phase("Initialized", seconds=seconds)
        return self

    def release(self, tag: str) -> None:
        """What a user does: set another image."""
        self.kube.set_image(self.name, "app", self.image(tag), self.namespace)

    def change(self, **pod: Any) -> None:
        """Change fields of the pod template's spec (strategic merge)."""
        path = self.kube.path("Deployment", self.namespace, self.name)
        self.kube.ask("PATCH", path, {"spec": {"template": {"spec": pod}}}, "application/strategic-merge-patch+json")

    def get(self) -> Object:
        return self.kube.get("Canary", self.name, self.namespace)

    def status(self) -> Object:
        found: Object = self.get().get("status") or {}
        return found

    def phase(self, *wanted: str, seconds: float) -> Object:
        """Wait for one of these phases; answers the status then."""
        what = f"phase {' or '.join(wanted)} of {self.name}.{self.namespace}"
        return self.until_status(lambda status: status.get("phase") in wanted, seconds, what)

    def until_status(self, check: Callable[[Object], bool], seconds: float, what: str) -> Object:
        """Wait until the status fulfils a check; answers it."""

        def fulfilled() -> Object | None:
            status = self.status()
            return status if check(status) else None

        return until(fulfilled, seconds * PATIENCE, what, self.story)

    def condition(self, type_: str) -> Object:
        return next((found for found in self.status().get("conditions", []) if found["type"] == type_), {})

    def texts(self) -> list[str]:
        return [event["message"] for event in self.kube.events(self.namespace, self.name)]

    def told(self, *parts: str) -> None:
        """Wait until an event with each of these texts is there: events are written beside the work, and may come after the phase."""
        for part in parts:
            until(lambda part=part: any(part in text for text in self.texts()), 20, f"the event {part!r}", self.story)  # type: ignore[misc]

    def primary_image(self) -> str:
        spec = self.kube.get("Deployment", f"{self.name}-primary", self.namespace)["spec"]["template"]["spec"]
        return str(spec["containers"][0]["image"])

    def replicas(self) -> int:
        return int(self.kube.get("Deployment", self.name, self.namespace)["spec"]["replicas"])

    def weights(self) -> dict[str, int]:
        """Backend to weight, as the HTTPRoute has it."""
        route = self.kube.get("HTTPRoute", self.name, self.namespace)
        return {backend["name"]: backend["weight"] for backend in route["spec"]["rules"][-1]["backendRefs"]}

    def story(self) -> str:
        """What a failed test needs to see."""
        status = dict(self.status())
        status.pop("run", None)
        return json.dumps(status, indent=1) + "\n" + "\n".join(self.texts()[-25:])

    def load(self, rate: int = 50, **headers: str) -> Load:
        return Load(self.url or self.sandbox.gateway_url, self.host, rate, headers)


class Load:
    """Requests to a URL at a constant rate from entering to leaving; `result` is the program's last line."""

    def __init__(self, url: str, host: str, rate: int, headers: Mapping[str, str]) -> None:
        self._command = ["load", "-url", url, "-host", host, "-rate", str(rate)]
        for name, value in headers.items():
            self._command += ["-header", f"{name.replace('_', '-')}={value}"]
        self.result: Object = {}

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        out, _err = self._process.communicate(timeout=20)
        lines = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
        self.result = next((line for line in reversed(lines) if line.get("total")), {})
