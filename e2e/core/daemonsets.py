"""An application that runs as a DaemonSet: `stage.py` for the other kind of target."""

from __future__ import annotations

from typing import Any

from e2e.core.stage import Stage
from e2e.kube import Object, until

KEY = "flagger.app/scale-to-zero"


class DaemonStage(Stage):
    """The Stage of a DaemonSet. `replicas` is 0 while it is scaled to zero."""

    kind = "DaemonSet"

    def daemonset(self, tag: str = "1.0.0", **spec: Any) -> Object:
        """The same pods on each node; the update brings a node's new pod before its old one goes."""
        same = self.deployment(tag)
        surge = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        kept = {name: same["spec"][name] for name in ("selector", "template")}
        return {**same, "kind": "DaemonSet", "spec": {**kept, "updateStrategy": surge, **spec}}

    def canary(self, **spec: Any) -> Object:
        return super().canary(**{"targetRef": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": self.name}, **spec})

    def initialise(self, canary: Object, deployment: Object | None = None, seconds: float = 40) -> DaemonStage:
        super().initialise(canary, deployment or self.daemonset(), seconds)
        return self

    def release(self, tag: str) -> None:
        self.change(containers=[{"name": self.container, "image": self.image(tag)}])

    def change(self, **pod: Any) -> None:
        path = self.kube.path("DaemonSet", self.namespace, self.name)
        self.kube.ask("PATCH", path, {"spec": {"template": {"spec": pod}}}, "application/strategic-merge-patch+json")

    @property
    def container(self) -> str:
        return str(self._get(self.name)["spec"]["template"]["spec"]["containers"][0]["name"])

    def primary_image(self) -> str:
        return str(self._get(f"{self.name}-primary")["spec"]["template"]["spec"]["containers"][0]["image"])

    def replicas(self) -> int:
        found = self._get(self.name)
        scaled = KEY in (found["spec"]["template"]["spec"].get("nodeSelector") or {})
        return 0 if scaled else int(found["status"]["desiredNumberScheduled"])

    def pods(self) -> list[Object]:
        """The canary's pods, those that are leaving included."""
        return self.kube.items("Pod", self.namespace, f"app={self.name}")

    def until_without_pods(self) -> None:
        until(lambda: not self.pods(), 40, f"{self.name} to have no pod", self.story)

    def _get(self, name: str) -> Object:
        return self.kube.get("DaemonSet", name, self.namespace)
