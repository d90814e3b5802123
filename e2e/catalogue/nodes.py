"""Rows in which the place is at fault and not the pod: no node fits, a volume does not come, the node is full, lost or puts pods out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.catalogue.phantom import Phantom, evicted_or, placed, running, waiting
from e2e.catalogue.play import settings
from e2e.catalogue.row import UNPULLED, Row, Verdict, app, env
from e2e.catalogue.watched import pods_of
from e2e.core.stage import Stage
from e2e.kube import KubeError, Object, until

UNSCHEDULABLE = frozenset({"Unschedulable"})
EXPIRED = "progress deadline of 15s exceeded"
SIMULATED = "Simulated: the pods are bound to a node that only pretends, whose statuses the suite writes in the words of a kubelet."
LOST = "Half simulated: the node only pretends; its taints, and what becomes of its pods, are the work of the real node controllers."


def unschedulable(name: str, *words: str, **pod: Any) -> Row:
    """A row that no node takes."""
    return Row(name, pod, "app", UNSCHEDULABLE, (f"no node takes pod {name}-", *words, EXPIRED), Verdict.DEADLINE, deadline=15)


@contextmanager
def restored(stage: Stage) -> Iterator[None]:
    """The node gets back what a row changes of it."""
    yield
    node = stage.sandbox.kubelet_node
    stage.kube.patch("Node", node, {"metadata": {"labels": {"flaggerpy-e2e/disk": None}}})
    gone = {"flaggerpy.example.com/gpu": None}
    stage.kube.patch("Node", node, {"status": {"capacity": gone, "allocatable": gone}}, "", "status")


def label_node(stage: Stage, _: Any) -> None:
    stage.kube.patch("Node", stage.sandbox.kubelet_node, {"metadata": {"labels": {"flaggerpy-e2e/disk": "golden"}}})


def add_gpu(stage: Stage, _: Any) -> None:
    room = {"flaggerpy.example.com/gpu": "4"}
    stage.kube.patch("Node", stage.sandbox.kubelet_node, {"status": {"capacity": room, "allocatable": room}}, "", "status")


_TAINTED = {"key": "flaggerpy-e2e/maintenance", "value": "true", "effect": "NoSchedule"}


def phantom(**options: Any) -> Any:
    """Around: a phantom node with the row's name."""

    def around(stage: Stage) -> Phantom:
        return Phantom(stage, stage.name, **options)

    return around


@contextmanager
def pressed(stage: Stage) -> Iterator[Phantom]:
    """A phantom that reports a full disk; the node controller taints it."""
    with Phantom(stage, stage.name) as node:
        node.conditions = [{"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure"}]
        node.heartbeat()
        until(lambda: _tainted(stage, "node.kubernetes.io/disk-pressure"), 30, "the node controller's taint")
        yield node


def _tainted(stage: Stage, key: str) -> bool:
    return any(taint["key"] == key for taint in stage.kube.get("Node", stage.name)["spec"].get("taints", []))


def untaint(_: Stage, ground: Phantom) -> None:
    ground.taint()


def heal_kubelet(_: Stage, ground: Phantom) -> None:
    ground.say = running


_GPU = unschedulable(
    "no-gpu", "Insufficient flaggerpy.example.com/gpu",
    containers=[app(resources={"limits": {"flaggerpy.example.com/gpu": "1"}})],
)  # fmt: skip
_SELECTOR = unschedulable(
    "no-node-affinity", "node(s) didn't match Pod's node affinity/selector", containers=[app()],
    affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "flaggerpy-e2e/disk", "operator": "In", "values": ["golden"]}]},
    ]}}},
)  # fmt: skip
_TAINT = Row(
    "node-tainted",
    placed({"containers": [app()]}, "node-tainted"),
    "app", UNSCHEDULABLE, ("no node takes pod node-tainted-", "had untolerated taint", EXPIRED),
    Verdict.DEADLINE, deadline=15, note="The tainted node only pretends.", around=phantom(taints=[_TAINTED]),
)  # fmt: skip
PLACES = [
    unschedulable("no-cpu", "Insufficient cpu", containers=[app(resources={"requests": {"cpu": "1000"}})]),
    _GPU,
    _GPU.healing(add_gpu, cause=("no node takes pod no-gpu-heals-",), alone=True, around=restored),
    _SELECTOR,
    _SELECTOR.healing(label_node, cause=("no node takes pod no-node-affinity-heals-",), alone=True, around=restored),
    Row(
        "pods-that-repel-each-other",
        {"containers": [app()], "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "pods-that-repel-each-other"}}},
        ]}}},
        "app", UNSCHEDULABLE, ("no node takes pod pods-that-repel-each-other-", "didn't match pod anti-affinity rules", EXPIRED),
        Verdict.DEADLINE, deadline=15, replicas=2,
    ),
    _TAINT,
    _TAINT.healing(
        untaint, pod=placed({"containers": [app()]}, "node-tainted-heals"), cause=("no node takes pod node-tainted-heals-",),
    ),
]  # fmt: skip


def claim(name: str) -> Object:
    """Fields of a pod template with this claim as a volume."""
    return {
        "containers": [app(volumeMounts=[{"name": "data", "mountPath": "/data"}])],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
    }


def _claim(stage: Stage, volume: str = "") -> None:
    stage.kube.apply({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": stage.name, "namespace": stage.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Mi"}},
            **({"volumeName": volume} if volume else {}),
        },
    })  # fmt: skip


def _volume(stage: Stage, path: Path) -> str:
    name = f"{stage.namespace}-{stage.name}"
    stage.kube.apply({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "capacity": {"storage": "1Mi"},
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": str(path), "type": "Directory"},
            "claimRef": {"namespace": stage.namespace, "name": stage.name},
        },
    })  # fmt: skip
    return name


@contextmanager
def pending_claim(stage: Stage) -> Iterator[Path]:
    """A claim that no volume answers."""
    folder = Path(tempfile.mkdtemp(prefix="flaggerpy-volume-"))
    _claim(stage)
    try:
        yield folder
    finally:
        stage.kube.delete("PersistentVolume", f"{stage.namespace}-{stage.name}")
        shutil.rmtree(folder, ignore_errors=True)


def provide(stage: Stage, folder: Path) -> None:
    _volume(stage, folder)


@contextmanager
def broken_volume(stage: Stage) -> Iterator[Path]:
    """A bound claim whose volume cannot be mounted: its directory is not there."""
    folder = Path(tempfile.mkdtemp(prefix="flaggerpy-volume-"))
    folder.rmdir()
    _claim(stage, _volume(stage, folder))
    until(lambda: _bound(stage), 30, "the claim to be bound")
    try:
        yield folder
    finally:
        stage.kube.delete("PersistentVolume", f"{stage.namespace}-{stage.name}")
        shutil.rmtree(folder, ignore_errors=True)


def _bound(stage: Stage) -> bool:
    found = stage.kube.get("PersistentVolumeClaim", stage.name, stage.namespace)
    return bool(found.get("status", {}).get("phase") == "Bound")


def make_folder(_: Stage, folder: Path) -> None:
    folder.mkdir()


def late_config(stage: Stage, _: Any) -> None:
    late = settings(stage)
    late["metadata"]["name"] = "late-volume"
    stage.kube.apply(late)


def config_volume(name: str, **options: Any) -> Object:
    return {
        "containers": [app(volumeMounts=[{"name": "config", "mountPath": "/config"}])],
        "volumes": [{"name": "config", "configMap": {"name": name, **options}}],
    }


_PENDING = Row(
    "claim-pending", claim("claim-pending"), "app", UNSCHEDULABLE,
    ("a volume claim of pod claim-pending-", "has no volume yet", "unbound immediate PersistentVolumeClaims", EXPIRED), Verdict.DEADLINE,
    deadline=15, around=pending_claim,
)  # fmt: skip
_BROKEN = Row(
    "volume-does-not-mount", claim("volume-does-not-mount"), "app", frozenset({"FailedMount"}),
    ("a volume of pod volume-does-not-mount-", "hostPath type check failed", "progress deadline of 25s exceeded"), Verdict.DEADLINE,
    deadline=25, around=broken_volume,
)  # fmt: skip
_CONFIG = Row(
    "volume-config-missing", config_volume("nowhere"), "app", frozenset({"FailedMount"}),
    ("ConfigMap nowhere, which a volume of pod volume-config-missing-", "progress deadline of 25s exceeded"), Verdict.DEADLINE, deadline=25,
)  # fmt: skip
VOLUMES = [
    Row(
        "claim-missing", claim("nowhere"), "app", UNSCHEDULABLE,
        ("volume claim nowhere, which pod claim-missing-", "does not exist", EXPIRED), Verdict.DEADLINE, deadline=15,
    ),
    _PENDING,
    _PENDING.healing(provide, pod=claim("claim-pending-heals"), cause=("a volume claim of pod claim-pending-heals-",)),
    _BROKEN,
    _BROKEN.healing(make_folder, pod=claim("volume-does-not-mount-heals"), cause=("a volume of pod volume-does-not-mount-heals-",)),
    _CONFIG,
    _CONFIG.healing(late_config, pod=config_volume("late-volume"), cause=("ConfigMap late-volume, which a volume of pod",)),
    Row(
        "volume-key-missing", config_volume("settings", items=[{"key": "colour", "path": "colour"}]), "app", frozenset({"FailedMount"}),
        ("key colour, which a volume of pod volume-key-missing-", "progress deadline of 25s exceeded"), Verdict.DEADLINE, deadline=25,
    ),
]  # fmt: skip

PULL_WITHOUT_ROOM = waiting(
    "ErrImagePull",
    'failed to pull and unpack image "{image}": failed to extract layer sha256:5f70bf18a0860070: '
    "write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/9/fs/app: no space left on device",
)


def evicted(pod: Object) -> Object:
    """As a kubelet under disk pressure ends a pod."""
    return {
        "phase": "Failed", "reason": "Evicted", "startTime": pod["metadata"]["creationTimestamp"],
        "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 5Gi, available: 1Gi. Container app was using 3Gi, "
        "request is 0, has larger consumption of ephemeral-storage.",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "DisruptionTarget", "status": "True"}],
    }  # fmt: skip


def weight(stage: Stage) -> None:
    """Wait until the canary has weight."""
    stage.until_status(lambda status: status.get("canaryWeight", 0) > 0, 60, "the first weight")


def lose(stage: Stage, ground: Phantom) -> None:
    weight(stage)
    ground.lost = True


def find_again(_: Stage, ground: Phantom) -> None:
    ground.lost = False


def evict(stage: Stage, _: Any) -> None:
    """As `kubectl drain` does, in the midst of the analysis."""
    weight(stage)
    pod = pods_of(stage, stage.name)[0]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": stage.namespace}}
    stage.kube.ask("POST", f"{stage.kube.path('Pod', stage.namespace, pod)}/eviction", eviction)


def drain_phantom(stage: Stage, ground: Phantom) -> None:
    """The kubelet puts all pods of the node out in the midst of the analysis, and has room again for those that come."""
    weight(stage)
    for pod in pods_of(stage, stage.name):
        body = {"status": evicted(pod)}
        try:
            stage.kube.patch("Pod", pod["metadata"]["name"], body, stage.namespace, "status")
        except KubeError as error:
            if error.status != 404:
                raise


SLOWLY: Object = {"analysis": {"interval": "4s", "threshold": 2, "stepWeight": 20, "maxWeight": 60}}
GOES_SOON = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    for state in ("unreachable", "not-ready")
]
_LOST = Row(
    "node-lost",
    placed({"containers": [app()]}, "node-lost", *GOES_SOON),
    "app", UNSCHEDULABLE, ("no node takes pod node-lost-", "had untolerated taint", "progress deadline of 20s exceeded"),
    Verdict.DEADLINE, seconds=20, deadline=20, replicas=2, moves=True, note=LOST,
    spec={"analysis": {**SLOWLY["analysis"], "interval": "90s"}},
    around=phantom(), during=lose,
)  # fmt: skip
_FULL = Row(
    "disk-full",
    placed({"containers": [app()]}, "disk-full"),
    "app", UNPULLED, ("the node has no room for image", "its disk is full"), Verdict.GRACE, note=SIMULATED,
    around=phantom(say=PULL_WITHOUT_ROOM),
)  # fmt: skip
NODES = [
    _FULL,
    _FULL.healing(heal_kubelet, pod=placed({"containers": [app()]}, "disk-full-heals")),
    Row(
        "disk-pressure",
        placed({"containers": [app()]}, "disk-pressure"),
        "app", UNSCHEDULABLE, ("no node takes pod disk-pressure-", "had untolerated taint", EXPIRED), Verdict.DEADLINE,
        deadline=15, note=LOST, around=pressed,
    ),
    Row(
        "evicted-again-and-again",  # the kubelet measures volumes once a minute
        {
            "containers": [app(env=env(READY_AFTER="300s"), volumeMounts=[{"name": "state", "mountPath": "/state"}])],
            "initContainers": [{
                "name": "fill", "image": f"{app()['image'].rsplit('/', 1)[0]}/crasher:1.0.0",
                "env": env(CODE="0", FIRST="9", STATE="/state/starts"), "volumeMounts": [{"name": "state", "mountPath": "/state"}],
            }],
            "volumes": [{"name": "state", "emptyDir": {"sizeLimit": "1"}}], "securityContext": {"fsGroup": 65532},
        },
        "app", frozenset({"Evicted"}),
        ("was taken off its node (Evicted)", "exceeds the limit", "progress deadline of 100s exceeded"),
        # the pod that took its place runs and is not ready when the deadline comes
        Verdict.DEADLINE, deadline=100, others=frozenset({"Unhealthy"}),
    ),
    Row(
        "evicted-in-the-analysis",
        placed({"containers": [app()]}, "evicted-in-the-analysis"),
        "app", frozenset({"Evicted"}), (), Verdict.PROMOTED, replicas=2, spec=SLOWLY, note=SIMULATED,
        around=phantom(say=evicted_or(running)), during=drain_phantom,
    ),
    Row(
        "drained-in-the-analysis", {"containers": [app()]}, "app", frozenset(), (), Verdict.PROMOTED, replicas=2, spec=SLOWLY,
        during=evict,
    ),
    _LOST,
    _LOST.healing(
        find_again, pod=placed({"containers": [app()]}, "node-lost-heals"), seconds=180, cause=("of pod node-lost-heals-",),
        spec={"analysis": {"interval": "70s", "threshold": 2, "stepWeight": 40, "maxWeight": 40}},
    ),
]  # fmt: skip

ROWS = [*PLACES, *VOLUMES, *NODES]
