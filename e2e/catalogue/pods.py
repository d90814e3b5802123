"""Rows of pods that start badly: crashes and exit codes, commands, configs, security contexts, probes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from e2e.catalogue.play import BUSY, settings
from e2e.catalogue.row import CRASHED, NOT_CONFIGURED, NOT_STARTED, Row, Verdict, app, crasher, env, key_of
from e2e.catalogue.watched import pods_of
from e2e.core.stage import PORT, Stage
from e2e.kube import Object
from e2e.sandbox.build import program
from e2e.sandbox.images import Image
from e2e.sandbox.layout import REGISTRY

PATIENT: Object = {"podHealth": {"certainGrace": "60s"}}
"""For what would end the release at once, where it is to end in time."""
PROBED = frozenset({"Unhealthy", "ProbeKill", "Error", "CrashLoopBackOff"})


def probe(path: str, failures: int) -> Object:
    return {"httpGet": {"path": path, "port": PORT}, "periodSeconds": 1, "failureThreshold": failures}


def exits(code: int, *words: str, verdict: Verdict = Verdict.CRASHES) -> Row:
    """The main container ends with this code, a second after its start."""
    return Row(f"exit-{code}", {"containers": [app(env=env(CRASH_AFTER="1s", CRASH_CODE=str(code)))]}, "app", CRASHED, words, verdict)


def tell(order: str) -> Any:
    """A step: POST this order to every pod of the release from now on, the primary's that get its template included."""

    def tell_all(stage: Stage) -> None:
        over = time.monotonic() + BUSY
        while time.monotonic() < over:
            for pod in [*pods_of(stage, stage.name), *pods_of(stage, f"{stage.name}-primary")]:
                with contextlib.suppress(httpx.HTTPError, KeyError):
                    httpx.post(f"http://{pod['status']['podIP']}:{PORT}/{order}", timeout=2, trust_env=False)
            time.sleep(1)

    def step(stage: Stage, _: Any) -> None:
        threading.Thread(target=tell_all, args=(stage,), daemon=True).start()

    return step


def secret(stage: Stage, _: Any) -> None:
    stage.kube.apply({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"value": "x"},
        "metadata": {"name": "late", "namespace": stage.namespace, "annotations": {"flagger.app/config-tracking": "disabled"}},
    })  # fmt: skip


def config(name: str, key: str) -> Any:
    """A step: a ConfigMap with this key, as a release tool that applies it a moment after the Deployment."""

    def step(stage: Stage, _: Any) -> None:
        late = settings(stage)
        late["metadata"]["name"] = name
        stage.kube.apply(late | {"data": {key: "x"}})

    return step


def image(name: str, **config: object) -> Any:
    """Around: an image of toggle's program with another config in the registry."""

    @contextmanager
    def around(stage: Stage) -> Iterator[None]:
        stage.sandbox.push(Image(name, "1.0.0", {"toggle": program("toggle", "apps")}, dict(config)))
        yield

    return around


@contextmanager
def empty_secret(stage: Stage) -> Iterator[None]:
    """A Secret without the key that is wanted."""
    meta = {"name": "late-key", "namespace": stage.namespace, "annotations": {"flagger.app/config-tracking": "disabled"}}
    stage.kube.apply({"apiVersion": "v1", "kind": "Secret", "stringData": {"other": "x"}, "metadata": meta})
    yield


SCRIPT: Object = {"name": "script", "configMap": {"name": "script", "defaultMode": 0o755}}


@contextmanager
def script(stage: Stage) -> Iterator[None]:
    """A ConfigMap with a script that lacks its first line."""
    config("script", "run")(stage, None)
    yield


CRASHES = [
    exits(2, "container app crashes with exit code 2", "crashed 3 times", "the program itself ended with an error"),
    exits(126, "container app crashes with exit code 126", "found the command but may not execute it"),
    exits(127, "container app crashes with exit code 127", "did not find the command, or a shared library is missing"),
    exits(134, "container app crashes with exit code 134 (SIGABRT)", "the program aborted itself"),
    exits(137, "container app was killed with exit code 137 (SIGKILL)", "something outside ended it at once"),
    exits(139, "container app crashes with exit code 139 (SIGSEGV)", "touched memory that is not its own"),
    exits(143, "container app ended with exit code 143 (SIGTERM)", "something asked it to stop"),
    exits(159, "container app crashes with exit code 159 (signal 31)"),
    Row(
        "exit-0",
        {"containers": [app(env=env(CRASH_AFTER="1s", CRASH_CODE="0"))]},
        "app", frozenset({"Completed"}), ("progress deadline of 30s exceeded", "container app ends by itself with exit code 0"),
        Verdict.DEADLINE, deadline=30,
    ),
    Row(
        "out-of-memory",
        {"containers": [app(), crasher("hungry", "1h") | {
            "env": env(AFTER="1h", EAT="64"), "resources": {"limits": {"memory": "24Mi"}},
        }]},
        "hungry", frozenset({"OOMKilled", "CrashLoopBackOff"}),
        ("container hungry was killed for passing its memory limit (OOMKilled)", "resources.limits.memory"), Verdict.CRASHES,
    ),
    Row(
        "memory-limit-too-small",
        {"containers": [app(resources={"limits": {"memory": "1Mi"}})]},
        "app", frozenset({"FailedCreatePodSandBox", "StartError", "RunContainerError"}),
        ("progress deadline of 20s exceeded", "the memory limit of pod memory-limit-too-small-", "is too small even to begin"),
        Verdict.DEADLINE, deadline=20,
    ),
    Row(
        "sidecar-crashes-twice",
        {
            "containers": [app(), crasher("mesh", "1s") | {
                "env": env(AFTER="1s", FIRST="2", STATE="/state/starts"), "volumeMounts": [{"name": "state", "mountPath": "/state"}],
            }],
            "volumes": [{"name": "state", "emptyDir": {}}], "securityContext": {"fsGroup": 65532},
        },
        "mesh", CRASHED, (), Verdict.PROMOTED,
    ),
]  # fmt: skip

STARTS = [
    Row(
        "command-not-executable",
        {"containers": [app(command=["/tmp"])]},
        "app", NOT_STARTED, ("the command /tmp of container app may not be executed", "toggle:1.0.1"),
    ),
    Row(
        "command-without-format",
        {"containers": [app(command=["/script/run"], volumeMounts=[{"name": "script", "mountPath": "/script"}])], "volumes": [SCRIPT]},
        "app", CRASHED, ("container app crashes with exit code 1", "crashed 3 times"), Verdict.CRASHES, around=script,
    ),
    Row(
        "no-command",
        {"containers": [app(f"{REGISTRY}/bare:1.0.0")]},
        "app", frozenset({"CreateContainerError"}),
        (f"neither image {REGISTRY}/bare:1.0.0 nor the pod template names a command for container app",), around=image("bare"),
    ),
    Row(
        "working-directory-is-a-file",
        {"containers": [app(workingDir="/toggle")]},
        "app", NOT_STARTED, ("the working directory /toggle of container app cannot be used",),
    ),
    Row(
        "native-sidecar-wrong-command",
        {"initContainers": [crasher("proxy", "1h", restartPolicy="Always", command=["/nowhere"])], "containers": [app()]},
        "proxy", NOT_STARTED, ("the command /nowhere of sidecar container proxy does not exist",),
    ),
]  # fmt: skip

CONFIGS = [
    Row(
        "configmap-missing",
        {"containers": [app(envFrom=[{"configMapRef": {"name": "nowhere"}}])]},
        "app", NOT_CONFIGURED, ("ConfigMap nowhere, which container app needs, does not exist",),
    ),
    Row(
        "secret-key-missing",
        {"containers": [app(env=[key_of("secret", "late-key", "value")])]},
        "app", NOT_CONFIGURED, ("Secret late-key has no key value, which container app needs",),
        around=empty_secret,
    ),
    Row(
        "secret-comes-late",
        {"containers": [app(env=[key_of("secret", "late", "value")])]},
        "app", NOT_CONFIGURED, ("Secret late, which container app needs, does not exist",), Verdict.PROMOTED, spec=PATIENT, heal=secret,
    ),
    Row(
        "configmap-comes-late",
        {"containers": [app(envFrom=[{"configMapRef": {"name": "late"}}])]},
        "app", NOT_CONFIGURED, ("ConfigMap late, which container app needs, does not exist",), Verdict.PROMOTED, spec=PATIENT,
        heal=config("late", "value"),
    ),
    Row(
        "runs-as-root",
        {"containers": [app(f"{REGISTRY}/rooted:1.0.0", securityContext={"runAsNonRoot": True})]},
        "app", NOT_CONFIGURED, (f"container app may not run as root, but its image {REGISTRY}/rooted:1.0.0 does",),
        around=image("rooted", Entrypoint=["/toggle"]),
    ),
    Row(
        "runs-as-named-user",
        {"containers": [app(f"{REGISTRY}/named:1.0.0", securityContext={"runAsNonRoot": True})]},
        "app", NOT_CONFIGURED, ("container app may not run as root", "names its user only by name (somebody)"),
        around=image("named", Entrypoint=["/toggle"], User="somebody"),
    ),
    Row(
        "runs-as-root-by-its-template",
        {"containers": [app(securityContext={"runAsNonRoot": True, "runAsUser": 0})]},
        "app", NOT_CONFIGURED, ("container app may not run as root, but its securityContext asks for that",),
    ),
    Row(
        "sysctl-forbidden",
        {"containers": [app()], "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]}},
        "app", frozenset({"SysctlForbidden"}), ("refuses pod sysctl-forbidden-", "SysctlForbidden"), Verdict.GRACE,
    ),
]  # fmt: skip


_UNREADY = Row(
    "readiness-comes-late",
    {"containers": [app(env=env(UNREADY="1"))]},
    "app", frozenset({"Unhealthy"}), ("container app runs but does not pass its readiness probe",), Verdict.PROMOTED, heal=tell("ready"),
)  # fmt: skip
_STARTUP = Row(
    "startup-probe-fails",
    {"containers": [app(env=env(UNHEALTHY="1"), startupProbe=probe("/healthz", 600))]},
    "app", PROBED, ("container app runs but does not pass its startup probe", "progress deadline of 20s exceeded"),
    Verdict.DEADLINE, deadline=20,
)  # fmt: skip
PROBES = [
    _UNREADY,
    _STARTUP,
    _STARTUP.healing(tell("healthy"), cause=_STARTUP.cause[:1]),
    Row(
        "startup-probe-kills",
        {"containers": [app(env=env(UNHEALTHY="1", LINGER="0s"), startupProbe=probe("/healthz", 3))]},
        "app", PROBED | {"Completed"},
        ("progress deadline of 30s exceeded", "container app is restarted because its liveness or startup probe fails"),
        Verdict.DEADLINE, deadline=30,
    ),
    Row(
        "liveness-kills",
        {"containers": [app(env=env(UNHEALTHY="1", LINGER="0s"), livenessProbe=probe("/healthz", 3))]},
        "app", PROBED | {"Completed"},
        ("progress deadline of 30s exceeded", "container app is restarted because its liveness or startup probe fails"),
        Verdict.DEADLINE, deadline=30, flaps=True,
    ),
]  # fmt: skip


ROWS = [*CRASHES, *STARTS, *CONFIGS, *PROBES]
