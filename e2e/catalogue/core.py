"""The rows that every commit is proven by: one for each rule of pod health and deadline, and Flagger's published cases."""

from __future__ import annotations

from e2e.catalogue.row import CRASHED, NOT_CONFIGURED, NOT_STARTED, UNPULLED, Row, Verdict, app, crasher, env, key_of, quiet
from e2e.kube import Object
from e2e.sandbox.layout import REGISTRY

NOWHERE = "127.0.0.1:9"
"""No registry listens there."""

# The analysis of the Canary that Flagger left in Progressing on ImagePullBackOff.
API: Object = {"interval": "3s", "threshold": 5, "stepWeight": 10, "metrics": [{"name": "request-success-rate", "threshold": 99}]}
API_SERVICE: Object = {"port": 3000, "targetPort": 9898}

ROWS = [
    # rule: a certain cause (rollout.causes) ends the run after certainGrace, from the first report
    Row(
        "image-missing",
        {"containers": [app(f"{REGISTRY}/toggle:9.9.9")]},
        "app", UNPULLED, (f"image {REGISTRY}/toggle:9.9.9 of container app does not exist",), replicas=2,
    ),
    Row(
        "configmap-key-missing",
        {"containers": [app(env=[key_of("configMap", "settings", "colour")])]},
        "app", NOT_CONFIGURED, ("ConfigMap settings has no key colour, which container app needs",),
    ),
    Row(
        "secret-missing",
        {"containers": [app(env=[key_of("secret", "token", "value")])]},
        "app", NOT_CONFIGURED, ("Secret token, which container app needs, does not exist",),
    ),
    Row(
        "wrong-command",
        {"containers": [app(command=["/nowhere"])]},
        "app", NOT_STARTED, ("the command /nowhere of container app does not exist", "toggle:1.0.1"),
    ),
    # rule: a doubtful cause ends it after doubtfulGrace
    Row(
        "registry-out-of-reach",
        {"containers": [app(f"{NOWHERE}/toggle:1.0.1")]},
        "app", UNPULLED, (f"the registry {NOWHERE} refused the connection for image {NOWHERE}/toggle:1.0.1 of container app",),
        Verdict.GRACE,
    ),
    # rule: crashes are counted per container, init containers and sidecars included (podhealth)
    Row(
        "main-crashes",
        {"containers": [app(env=env(CRASH_AFTER="1s"))]},
        "app", CRASHED, ("container app crashes with exit code 1", "crashed 3 times"), Verdict.CRASHES,
    ),
    # rule: no traffic before all pods were ready without a restart for podHealth.settle, either
    Row(
        "sidecar-flaps",
        {"containers": [app(), crasher("mesh", "3s")]},
        "mesh", CRASHED, ("container mesh crashes with exit code 3", "crashed 3 times", "of 2 pods"), Verdict.CRASHES,
        replicas=2, flaps=True,
    ),
    Row(
        "init-crashes",
        {"initContainers": [crasher("setup", "0s")], "containers": [app()]},
        "setup", CRASHED, ("init container setup crashes with exit code 3", "crashed 3 times"), Verdict.CRASHES,
    ),
    Row(
        "native-sidecar-crashes",
        {"initContainers": [crasher("proxy", "1s", restartPolicy="Always")], "containers": [app()]},
        "proxy", CRASHED, ("sidecar container proxy crashes with exit code 3", "crashed 3 times"), Verdict.CRASHES,
    ),
    # rule: what only waits is named, and ends with progressDeadlineSeconds
    Row(
        "never-ready",
        {"containers": [app(env=env(UNREADY="1"))]},
        "app", frozenset({"Unhealthy"}),
        ("progress deadline of 20s exceeded", "container app runs but does not pass its readiness probe"),
        Verdict.DEADLINE, deadline=20,
    ),
    Row(
        "unschedulable",
        {"containers": [app()], "nodeSelector": {"disk": "golden"}},
        "app", frozenset({"Unschedulable"}),
        ("progress deadline of 10s exceeded", "no node takes pod unschedulable-", "node(s) didn't match Pod's node affinity/selector"),
        Verdict.DEADLINE, deadline=10,
    ),
    # Flagger's published cases: stuck in Progressing though the image cannot be pulled, or though one container of four crash-loops
    Row(
        "api-analysis",
        {"containers": [app(f"{REGISTRY}/api:2.0.0")]},
        "app", UNPULLED, (f"image {REGISTRY}/api:2.0.0 of container app does not exist",),
        canary="api", namespace="testapi", provider="linkerd",
        spec={"service": API_SERVICE, "analysis": API, "progressDeadlineSeconds": None},
    ),
    Row(
        "api-canaryanalysis",
        {"containers": [app(f"{REGISTRY}/api:2.0.0")]},
        "app", UNPULLED, (f"image {REGISTRY}/api:2.0.0 of container app does not exist",),
        canary="api", namespace="testapi-canaryanalysis", provider="linkerd",
        spec={"service": API_SERVICE, "analysis": None, "canaryAnalysis": API, "progressDeadlineSeconds": None},
    ),
    Row(
        "fourth-of-four",
        {"containers": [app(), quiet("two"), quiet("three"), crasher("four", "2s")]},
        "four", CRASHED, ("container four crashes with exit code 3", "of 2 pods"), Verdict.CRASHES,
        replicas=2, flaps=True, spec={"progressDeadlineSeconds": 180},
    ),
    # rule: short ready spells pause the deadline and never reset it
    Row(
        "fourth-to-the-deadline",
        {"containers": [app(), quiet("two"), quiet("three"), crasher("four", "3s")]},
        "four", CRASHED, ("progress deadline of 15s exceeded", "container four crashes with exit code 3"),
        Verdict.DEADLINE, deadline=15, replicas=2, flaps=True, spec={"podHealth": {"enabled": False}},
    ),
]  # fmt: skip
