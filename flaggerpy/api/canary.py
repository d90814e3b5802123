"""The Canary resource of `flagger.app/v1beta1` as typed models: what a user may write, with every default.

Attribute names are the CRD's camelCase names in snake_case. The models are the one source of `crds/*.yaml`
(see `api/crds.py`). Source of fields and defaults: Flagger 1.44's CRD and its documented behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flaggerpy.api.durations import parse_duration

Obj = dict[str, Any]

Provider = Literal[
    "apisix", "appmesh", "appmesh:v1beta2", "contour", "gatewayapi:v1", "gatewayapi:v1beta1", "gloo", "istio", "knative", "kubernetes",
    "kuma", "linkerd", "nginx", "osm", "skipper", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3", "traefik",
]  # fmt: skip

DEFAULT_PROGRESS_DEADLINE = 600
DEFAULT_INTERVAL = 60.0
SHORTEST_INTERVAL = 1.0


class Model(BaseModel):
    """Base of all: immutable, camelCase outside, unknown fields ignored (the CRD prunes them)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", strict=False)


class ObjectRef(Model):
    """A reference to an object of the same namespace."""

    api_version: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    name: str = Field(min_length=1)


class TargetRef(ObjectRef):
    """The workload that is released."""

    kind: Literal["DaemonSet", "Deployment", "Service"]


class ScalerReplicas(Model):
    """Bounds that replace those of the user's autoscaler on the primary's."""

    min_replicas: int | None = Field(default=None, ge=1)
    max_replicas: int | None = Field(default=None, ge=1)


class AutoscalerRef(ObjectRef):
    """The autoscaler of the target."""

    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"]
    primary_scaler_queries: dict[str, str] = {}
    primary_scaler_replicas: ScalerReplicas | None = None


class CrossNamespaceRef(Model):
    """A reference to an object of ours, by default in the Canary's namespace."""

    name: str = Field(min_length=1)
    namespace: str | None = None


class UpstreamRef(ObjectRef):
    """A Gloo Upstream."""

    namespace: str | None = None


class Metadata(Model):
    """Labels and annotations to put on a generated object."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class UnmanagedMetadata(Model):
    """Keys of metadata that belong to somebody else and must be kept."""

    labels: list[str] = []
    annotations: list[str] = []


class StringMatch(Model):
    """How a text is compared: at most one of the fields."""

    exact: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    regex: str | None = None


class HTTPMatch(Model):
    """A match of requests, in Istio's words, as Flagger takes it."""

    name: str | None = None
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = {}
    without_headers: dict[str, StringMatch] = {}
    query_params: dict[str, StringMatch] = {}
    source_labels: dict[str, str] = {}
    source_namespace: str | None = None
    gateways: list[str] = []
    ignore_uri_case: bool | None = None
    port: int | None = None


class Rewrite(Model):
    """How path and host are rewritten."""

    uri: str | None = None
    authority: str | None = None
    type: str | None = None


class Retries(Model):
    """How failed requests are tried again by the router."""

    attempts: int | None = None
    per_try_timeout: str | None = None
    retry_on: str | None = None


class HeaderOperations(Model):
    """Changes of headers: names are case-insensitive."""

    add: dict[str, str] = {}
    set: dict[str, str] = {}
    remove: list[str] = []


class Headers(Model):
    """Changes of request and response headers."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class CorsPolicy(Model):
    """Cross-origin resource sharing."""

    allow_origin: list[str] = []
    allow_origins: list[StringMatch] = []
    allow_methods: list[str] = []
    allow_headers: list[str] = []
    expose_headers: list[str] = []
    max_age: str | None = None
    allow_credentials: bool | None = None


class GatewayRef(Model):
    """A parent of an HTTPRoute: a Gateway, or a Service (mesh)."""

    name: str = Field(min_length=1)
    namespace: str | None = None
    group: str | None = None
    kind: str | None = None
    section_name: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)


class MirrorBackendRef(Model):
    """The backend of a permanent mirror."""

    name: str = Field(min_length=1)
    namespace: str | None = None
    group: str | None = None
    kind: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)


class Mirror(Model):
    """A permanent Gateway API mirror."""

    backend_ref: MirrorBackendRef


class Service(Model):
    """The Services and the route around the target."""

    port: int = Field(ge=1, le=65535)
    name: str | None = None
    port_name: str | None = None
    target_port: int | str | None = None
    app_protocol: str | None = None
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    port_discovery: bool = False
    headless: bool = False
    delegation: bool = False
    timeout: str | None = None
    backend_timeout: str | None = None
    mesh_name: str | None = None
    backends: list[str] = []
    hosts: list[str] = []
    gateways: list[str] = []
    gateway_refs: list[GatewayRef] = Field(default=[], max_length=32)
    match: list[HTTPMatch] = []
    rewrite: Rewrite | None = None
    retries: Retries | None = None
    mirror: list[Mirror] = []
    headers: Headers | None = None
    cors_policy: CorsPolicy | None = None
    traffic_policy: Obj | None = None
    apex: Metadata | None = None
    primary: Metadata | None = None
    canary: Metadata | None = None
    unmanaged_metadata: UnmanagedMetadata | None = None


class ThresholdRange(Model):
    """The values of a metric that pass: both ends included, each optional."""

    min: float | None = None
    max: float | None = None


class Metric(Model):
    """One measurement of the analysis."""

    name: str = Field(min_length=1)
    interval: str | None = None
    threshold: float | None = None
    threshold_range: ThresholdRange | None = None
    query: str | None = None
    template_ref: CrossNamespaceRef | None = None
    template_variables: dict[str, str] = {}


class AlertRef(Model):
    """Who is told what."""

    name: str = Field(min_length=1)
    severity: Literal["", "info", "warn", "error"] = "info"
    provider_ref: CrossNamespaceRef


HookType = Literal[
    "confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "post-rollout", "event", "rollback"
]


class Webhook(Model):
    """A gate, a check or a listener behind a URL. `type` "" means rollout."""

    name: str = Field(min_length=1)
    url: str = Field(min_length=1)
    type: HookType | Literal[""] = ""
    timeout: str | None = None
    retries: int = Field(default=0, ge=0)
    mute_alert: bool = False
    disable_tls: bool = Field(default=False, alias="disableTLS")
    metadata: dict[str, str] = {}

    @property
    def role(self) -> HookType:
        """The type, with Flagger's default filled in."""
        return self.type or "rollout"


class SessionAffinity(Model):
    """Visitors who saw the canary keep seeing it, by cookie."""

    cookie_name: str = Field(min_length=1)
    primary_cookie_name: str | None = None
    domain: str | None = None
    http_only: bool | None = None
    max_age: int = 86400
    partitioned: bool | None = None
    path: str | None = None
    same_site: Literal["Strict", "Lax", "None"] | None = None
    secure: bool | None = None


class AnalysisMatch(Model):
    """Who goes to the canary in an A/B test."""

    headers: dict[str, StringMatch] = {}
    query_params: dict[str, StringMatch] = {}
    source_labels: dict[str, str] = {}


class Analysis(Model):
    """How a revision is tried: steps, metrics, hooks, alerts."""

    interval: str | None = None
    threshold: int = 1
    iterations: int | None = None
    max_weight: int | None = None
    step_weight: int | None = None
    step_weights: list[int] | None = None
    step_weight_promotion: int | None = None
    mirror: bool = False
    mirror_weight: int | None = None
    primary_ready_threshold: int = 100
    canary_ready_threshold: int = 100
    match: list[AnalysisMatch] = []
    metrics: list[Metric] = []
    alerts: list[AlertRef] = []
    webhooks: list[Webhook] = []
    session_affinity: SessionAffinity | None = None

    @property
    def interval_seconds(self) -> float:
        """The pace of the analysis in seconds: 60 when unset; honoured down to 1 s."""
        try:
            seconds = parse_duration(self.interval) if self.interval else DEFAULT_INTERVAL
        except ValueError:
            seconds = DEFAULT_INTERVAL
        return max(seconds, SHORTEST_INTERVAL)

    @property
    def failure_limit(self) -> int:
        """How many failed checks roll back; Flagger takes anything below 1 as 1."""
        return max(self.threshold, 1)

    def hooks(self, *roles: HookType) -> tuple[Webhook, ...]:
        """The webhooks of these types in the order of the list."""
        return tuple(hook for hook in self.webhooks if hook.role in roles)


class PodHealth(Model):
    """How pods are judged (ours, not Flagger's). Graces and settle are Go durations."""

    enabled: bool = True
    certain_grace: str = "5s"
    doubtful_grace: str = "30s"
    settle: str = "10s"
    max_restarts: int = Field(default=2, ge=0)
    ignored_containers: list[str] = []

    @property
    def certain_seconds(self) -> float:
        return parse_duration(self.certain_grace)

    @property
    def doubtful_seconds(self) -> float:
        return parse_duration(self.doubtful_grace)

    @property
    def settle_seconds(self) -> float:
        return parse_duration(self.settle)


Strategy = Literal["canary", "blue-green", "ab-testing"]


class CanarySpec(Model):
    """`spec` of a Canary."""

    target_ref: TargetRef
    provider: Provider | None = None
    metrics_server: str | None = None
    autoscaler_ref: AutoscalerRef | None = None
    ingress_ref: ObjectRef | None = None
    route_ref: ObjectRef | None = None
    upstream_ref: UpstreamRef | None = None
    service: Service | None = None
    progress_deadline_seconds: int = DEFAULT_PROGRESS_DEADLINE
    skip_analysis: bool = False
    revert_on_deletion: bool = False
    suspend: bool = False
    analysis: Analysis | None = None
    canary_analysis: Analysis | None = None
    pod_health: PodHealth = PodHealth()

    @property
    def plan(self) -> Analysis:
        """The analysis in force: `analysis`, or the legacy `canaryAnalysis`, or an empty one."""
        return self.analysis or self.canary_analysis or Analysis()

    @property
    def skips_analysis(self) -> bool:
        """True when a new revision is promoted as soon as it is ready (flag set, or no analysis given)."""
        return self.skip_analysis or (self.analysis is None and self.canary_analysis is None)

    @property
    def strategy(self) -> Strategy:
        """Flagger's derived strategy: A/B by match and iterations, blue/green by iterations, else canary."""
        iterations = (self.plan.iterations or 0) > 0
        if self.plan.match and iterations:
            return "ab-testing"
        return "blue-green" if iterations else "canary"


class Canary(Model):
    """A Canary as it stands in the cluster, its status apart (see `api/status.py`)."""

    name: str
    namespace: str
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    finalizers: tuple[str, ...]
    labels: Annotated[dict[str, str], Field(default_factory=dict)]
    annotations: Annotated[dict[str, str], Field(default_factory=dict)]
    spec: CanarySpec

    @property
    def key(self) -> str:
        """`name.namespace`, as Flagger writes it in events."""
        return f"{self.name}.{self.namespace}"

    @property
    def target(self) -> str:
        return self.spec.target_ref.name

    @property
    def kind(self) -> str:
        return self.spec.target_ref.kind

    @property
    def apex(self) -> str:
        """The name of the Service that clients use."""
        return (self.spec.service.name if self.spec.service else None) or self.target


def parse_canary(obj: Mapping[str, Any]) -> Canary:
    """The typed Canary of an object from the API server.

    Raises pydantic.ValidationError when the spec cannot be read; `api/problems.py` turns that into sentences.
    """
    meta = obj.get("metadata") or {}
    return Canary(
        name=meta.get("name", ""),
        namespace=meta.get("namespace", ""),
        uid=meta.get("uid", ""),
        generation=meta.get("generation", 0),
        resource_version=meta.get("resourceVersion", ""),
        deleting=bool(meta.get("deletionTimestamp")),
        finalizers=tuple(meta.get("finalizers") or ()),
        labels=dict(meta.get("labels") or {}),
        annotations=dict(meta.get("annotations") or {}),
        spec=CanarySpec.model_validate(obj.get("spec") or {}),
    )
