"""Rows of pods that the API server refuses: no pod ever appears, and the reason stands in the ReplicaSet alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.catalogue.row import Row, Verdict, app
from e2e.core.stage import Stage
from e2e.kube import KubeError, Object, until

PODS_MADE: Object = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
ADMISSION = "admissionregistration.k8s.io/v1"


def quota(pods: int) -> Any:
    """A step: the namespace's quota of pods."""

    def step(stage: Stage, _: Any) -> None:
        stage.kube.apply({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": stage.namespace},
            "spec": {"hard": {"pods": str(pods)}},
        })  # fmt: skip
        until(lambda: stage.kube.get("ResourceQuota", "full", stage.namespace).get("status", {}).get("hard"), 20, "the quota to count")

    return step


@contextmanager
def full(stage: Stage) -> Iterator[None]:
    quota(1)(stage, None)
    yield


def mine(stage: Stage) -> Object:
    """The pods of the stage's canary only: its primary's have another label."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}},
        "objectSelector": {"matchLabels": {"app": stage.name}},
    }


@contextmanager
def policy(stage: Stage) -> Iterator[None]:
    """A ValidatingAdmissionPolicy that wants a label which the canary's pods lack."""
    name, kube = f"owner-{stage.namespace}-{stage.name}", stage.kube
    kube.apply(
        {
            "apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [PODS_MADE]},
                "validations": [{"expression": "has(object.metadata.labels.owner)", "message": "every pod needs the label owner"}],
            },
        },
        {
            "apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": mine(stage)},
        },
    )  # fmt: skip
    _in_force(stage)
    yield
    lift_policy(stage, None)


def lift_policy(stage: Stage, _: Any) -> None:
    for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
        stage.kube.delete(kind, f"owner-{stage.namespace}-{stage.name}", api_version=ADMISSION)


@contextmanager
def webhook(stage: Stage) -> Iterator[None]:
    """A validating webhook for the canary's pods at an address where nobody answers."""
    stage.kube.apply({
        "apiVersion": ADMISSION, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": f"guard-{stage.namespace}-{stage.name}"},
        "webhooks": [{
            "name": "guard.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:9/validate"}, "rules": [PODS_MADE], "timeoutSeconds": 2, **mine(stage),
        }],
    })  # fmt: skip
    _in_force(stage)
    yield
    lift_webhook(stage, None)


def lift_webhook(stage: Stage, _: Any) -> None:
    stage.kube.delete("ValidatingWebhookConfiguration", f"guard-{stage.namespace}-{stage.name}", api_version=ADMISSION)


def _in_force(stage: Stage) -> None:
    """Wait until a pod with the canary's label is refused: policies take effect a moment after they are written."""
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "probe-", "labels": {"app": stage.name}},
        "spec": {"containers": [app()]},
    }  # fmt: skip

    def refused() -> bool:
        try:
            stage.kube.ask("POST", stage.kube.path("Pod", stage.namespace), pod, dryRun="All")
        except KubeError:
            return True
        return False

    until(refused, 30, "the refusal to be in force")


@contextmanager
def restricted(stage: Stage) -> Iterator[None]:
    """The namespace allows restricted pods only."""
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    stage.kube.patch("Namespace", stage.namespace, {"metadata": {"labels": label}})
    yield


def service_account(stage: Stage, _: Any) -> None:
    stage.kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "late", "namespace": stage.namespace}})


_QUOTA = Row(
    "quota-used-up",
    {"containers": [app()]},
    "", frozenset(), ("no pod can be made: quota full is used up", "progress deadline of 15s exceeded"), Verdict.DEADLINE,
    deadline=15, namespace="refused-by-quota", around=full,
)  # fmt: skip
_POLICY = Row(
    "policy-refuses",
    {"containers": [app()]},
    "", frozenset(),
    ("no pod can be made: the cluster's admission policy", "every pod needs the label owner", "progress deadline of 15s exceeded"),
    Verdict.DEADLINE, deadline=15, around=policy,
)  # fmt: skip
_WEBHOOK = Row(
    "webhook-does-not-answer",
    {"containers": [app()]},
    "", frozenset(),
    ("no pod can be made: admission webhook guard.example.com does not answer", "connection refused", "progress deadline of 15s exceeded"),
    Verdict.DEADLINE, deadline=15, around=webhook,
)  # fmt: skip
_ACCOUNT = Row(
    "service-account-missing",
    {"containers": [app()], "serviceAccountName": "nobody"},
    "", frozenset(), ("no pod can be made: service account nobody does not exist", "progress deadline of 15s exceeded"),
    Verdict.DEADLINE, deadline=15,
)  # fmt: skip
ROWS = [
    _QUOTA,
    _QUOTA.healing(quota(10), namespace="refused-by-quota-for-now", cause=_QUOTA.cause[:1]),
    _POLICY,
    _POLICY.healing(lift_policy, cause=_POLICY.cause[:1]),
    _WEBHOOK,
    _WEBHOOK.healing(lift_webhook, cause=_WEBHOOK.cause[:1]),
    _ACCOUNT,
    _ACCOUNT.healing(
        service_account, pod={"containers": [app()], "serviceAccountName": "late"},
        cause=("no pod can be made: service account late does not exist",),
    ),
    Row(
        "pod-security-refuses",
        {"containers": [app()]},
        "", frozenset(),
        ("no pod can be made: the namespace's pod security level restricted", "progress deadline of 15s exceeded"),
        Verdict.DEADLINE, deadline=15, namespace="refused-by-level", around=restricted,
    ),
]  # fmt: skip
