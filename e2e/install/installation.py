"""One release of Helm's in the sandbox: installed, upgraded, tested and taken away, and what is to be seen of its pods."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from e2e.install.helm import CHART, Helm, HelmError
from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox

NAMESPACE = "flagger-system"
RELEASE = "flagger"
ENFORCED = "pod-security.kubernetes.io/enforce"
WAIT = ("--wait", "--timeout", "180s")


class Installation:
    """`values` are given anew each time, as `helm upgrade -f` takes them."""

    def __init__(self, kube: Kube, sandbox: Sandbox, helm: Helm) -> None:
        self.kube, self.sandbox, self.helm = kube, sandbox, helm

    def unrestricted(self) -> None:
        """The namespace takes any pod."""
        self.kube.patch("Namespace", NAMESPACE, {"metadata": {"labels": {ENFORCED: "privileged"}}})

    def install(self, values: Mapping[str, Any], chart: Path = CHART, *, wait: bool = True) -> str:
        """`helm install`; answers what it printed, the notes among it."""
        return self._run("install", RELEASE, str(chart), *(WAIT if wait else ()), values=values)

    def upgrade(self, values: Mapping[str, Any], chart: Path = CHART) -> str:
        return self._run("upgrade", RELEASE, str(chart), *WAIT, values=values)

    def rollback(self) -> str:
        """To the revision before."""
        return self._run("rollback", RELEASE, *WAIT)

    def test(self) -> str:
        return self._run("test", RELEASE, "--logs")

    def uninstall(self) -> None:
        self._run("uninstall", RELEASE, *WAIT)
        until(lambda: not self.pods(), 60, "the pods of the release to be gone", self.pods)

    def remove(self) -> None:
        """At the end of a test, whatever state it left."""
        with suppress(HelmError):
            self.uninstall()

    def _run(self, *words: str, values: Mapping[str, Any] | None = None) -> str:
        try:
            return self.helm.run(*words, "--namespace", NAMESPACE, values=values)
        except HelmError as error:
            raise HelmError(f"{error}\n{self.story()}") from error

    def pods(self) -> list[Object]:
        """The controller's, without those of hooks."""
        return self.kube.items("Pod", NAMESPACE, f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=flagger")

    def deployment(self) -> Object:
        return self.kube.get("Deployment", RELEASE, NAMESPACE)

    def stop(self) -> None:
        """`kubectl scale --replicas=0`, and no pod is left."""
        self.kube.patch("Deployment", RELEASE, {"spec": {"replicas": 0}}, NAMESPACE)
        until(lambda: not self.pods(), 60, "the controller to end", self.pods)

    def story(self) -> str:
        """What a failed test needs to see: events and the ends of logs."""
        said = [event["message"] for event in self.kube.events(NAMESPACE)][-15:]
        for pod in self.pods():
            name = pod["metadata"]["name"]
            with suppress(Exception):
                said.append(f"--- {name}\n{self.kube.logs(name, NAMESPACE)[-3000:]}")
        return "\n".join(said)
