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
SUCCESS_RATE = "request-success-rate"
SHORTEST_INTERVAL = 1.0


class Model(BaseModel):
    """Base of all: immutable, camelCase outside, unknown fields ignored (the CRD prunes them)."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_attribute_docstrings=True)


class ObjectRef(Model):
    """A reference to an object of the same namespace."""

    api_version: str = Field(min_length=1)
    """API group and version of the object, such as apps/v1."""
    kind: str = Field(min_length=1)
    """Kind of the object."""
    name: str = Field(min_length=1)
    """Name of the object, in the Canary's namespace."""


class TargetRef(ObjectRef):
    """The workload that is released."""

    kind: Literal["DaemonSet", "Deployment", "Service"]
    """Kind of the workload: Deployment, DaemonSet, or Service (a Knative Service with apiVersion serving.knative.dev/v1)."""


class ScalerReplicas(Model):
    """Bounds that replace those of the user's autoscaler on the primary's."""

    min_replicas: int | None = Field(default=None, ge=1)
    """Lower bound for the primary."""
    max_replicas: int | None = Field(default=None, ge=1)
    """Upper bound for the primary."""


class AutoscalerRef(ObjectRef):
    """The autoscaler of the target."""

    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"]
    """Kind of the autoscaler: HorizontalPodAutoscaler, or KEDA's ScaledObject."""
    primary_scaler_queries: dict[str, str] = {}
    """KEDA only: for each trigger, by its name, the query that the primary's ScaledObject uses instead."""
    primary_scaler_replicas: ScalerReplicas | None = None
    """Bounds of the primary's autoscaler. Default: those of the target's autoscaler."""
    sync: Literal["promote", "always"] = "promote"
    """Flaggerpy only: when the primary's autoscaler follows changes of the target's: with a promotion (Flagger's way), or always, at
    once; during a release its upper bound then only rises. Default: promote."""


class CrossNamespaceRef(Model):
    """A reference to an object of ours, by default in the Canary's namespace."""

    name: str = Field(min_length=1)
    """Name of the object."""
    namespace: str | None = None
    """Namespace of the object. Default: the Canary's."""


class IngressRef(ObjectRef):
    """An Ingress."""

    kind: Literal["Ingress"]
    """Ingress."""


class RouteRef(ObjectRef):
    """An ApisixRoute."""

    kind: Literal["ApisixRoute"]
    """ApisixRoute."""


class UpstreamRef(ObjectRef):
    """A Gloo Upstream."""

    kind: Literal["Upstream"]
    """Upstream."""
    namespace: str | None = None
    """Namespace of the Upstream. Default: the Canary's."""


class Metadata(Model):
    """Labels and annotations to put on a generated object."""

    labels: dict[str, str] = {}
    """Labels to put on the object."""
    annotations: dict[str, str] = {}
    """Annotations to put on the object."""


class UnmanagedMetadata(Model):
    """Keys of metadata that belong to somebody else and must be kept."""

    labels: list[str] = []
    """Keys of labels that are left alone."""
    annotations: list[str] = []
    """Keys of annotations that are left alone."""


class StringMatch(Model):
    """How a text is compared: at most one of the fields."""

    exact: str | None = None
    """The text is this."""
    prefix: str | None = None
    """The text begins so."""
    suffix: str | None = None
    """The text ends so."""
    regex: str | None = None
    """The whole text fits this regular expression (RE2)."""


class HTTPMatch(Model):
    """A match of requests, in Istio's words, as Flagger takes it."""

    name: str | None = None
    """A name for the match, for people."""
    uri: StringMatch | None = None
    """Match of the path."""
    scheme: StringMatch | None = None
    """Match of the scheme."""
    method: StringMatch | None = None
    """Match of the HTTP method."""
    authority: StringMatch | None = None
    """Match of the host."""
    headers: dict[str, StringMatch] = {}
    """Matches of request headers, by header name in lower case."""
    without_headers: dict[str, StringMatch] = {}
    """Request headers that must not match."""
    query_params: dict[str, StringMatch] = {}
    """Matches of query parameters, by name."""
    source_labels: dict[str, str] = {}
    """Istio only: labels of the calling workload."""
    source_namespace: str | None = None
    """Istio only: namespace of the calling workload."""
    gateways: list[str] = []
    """Istio only: gateways for which the match holds."""
    ignore_uri_case: bool | None = None
    """Compare the path without regard to case."""
    port: int | None = None
    """The port that was called."""


class Rewrite(Model):
    """How path and host are rewritten."""

    uri: str | None = None
    """The path to send instead."""
    authority: str | None = None
    """The host to send instead."""
    type: str | None = None
    """Gateway API only: ReplacePrefixMatch, or ReplaceFullPath. Default: ReplaceFullPath."""


class Retries(Model):
    """How failed requests are tried again by the router."""

    attempts: int | None = None
    """How often a request is tried again."""
    per_try_timeout: str | None = None
    """Longest wait for one attempt, such as 500ms."""
    retry_on: str | None = None
    """When to try again, in Envoy's words, such as 5xx,gateway-error."""


class HeaderOperations(Model):
    """Changes of headers: names are case-insensitive."""

    add: dict[str, str] = {}
    """Headers to add, by name."""
    set: dict[str, str] = {}
    """Headers to replace, by name."""
    remove: list[str] = []
    """Names of headers to take away."""


class Headers(Model):
    """Changes of request and response headers."""

    request: HeaderOperations | None = None
    """Changes before the request reaches the workload."""
    response: HeaderOperations | None = None
    """Changes before the response reaches the client."""


class CorsPolicy(Model):
    """Cross-origin resource sharing."""

    allow_origin: list[str] = []
    """Origins that may call (older form of allowOrigins)."""
    allow_origins: list[StringMatch] = []
    """Matches of origins that may call."""
    allow_methods: list[str] = []
    """HTTP methods that may be used."""
    allow_headers: list[str] = []
    """Request headers that may be sent."""
    expose_headers: list[str] = []
    """Response headers that scripts may read."""
    max_age: str | None = None
    """How long a preflight answer may be kept, such as 24h."""
    allow_credentials: bool | None = None
    """Whether calls may carry credentials."""


class GatewayRef(Model):
    """A parent of an HTTPRoute: a Gateway, or a Service (mesh)."""

    name: str = Field(min_length=1)
    """Name of the parent."""
    namespace: str | None = None
    """Namespace of the parent. Default: the Canary's."""
    group: str | None = None
    """API group of the parent."""
    kind: str | None = None
    """Kind of the parent."""
    section_name: str | None = None
    """Name of the listener. Default: all listeners."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the parent."""


class MirrorBackendRef(Model):
    """The backend of a permanent mirror."""

    name: str = Field(min_length=1)
    """Name of the backend."""
    namespace: str | None = None
    """Namespace of the backend. Default: the Canary's."""
    group: str | None = None
    """API group of the backend."""
    kind: str | None = None
    """Kind of the backend."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the backend; required for a Service."""


class Mirror(Model):
    """A permanent Gateway API mirror."""

    backend_ref: MirrorBackendRef
    """Where the copies of the requests go."""


class Service(Model):
    """The Services and the route around the target."""

    port: int = Field(ge=1, le=65535)
    """Port of the generated Services; also the container's port when targetPort is not given."""
    name: str | None = None
    """Name of the Service that clients use. Default: the target's name."""
    port_name: str | None = None
    """Name of the port. Default: http."""
    target_port: int | str | None = None
    """Number or name of the container's port. Default: port."""
    app_protocol: str | None = None
    """Application protocol of the port, such as http, grpc or tcp."""
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = None
    """How the Services prefer endpoints."""
    port_discovery: bool = False
    """Take the container's other ports over into the Services. Default: false."""
    headless: bool = False
    """Make the Services headless. Default: false."""
    delegation: bool = False
    """Istio only: the VirtualService is a delegate of another one. Default: false."""
    timeout: str | None = None
    """Longest duration of a request, such as 15s. Default: the provider's."""
    backend_timeout: str | None = None
    """gatewayapi:v1 only: longest duration of one attempt at a backend."""
    mesh_name: str | None = None
    """App Mesh only: name of the mesh."""
    backends: list[str] = []
    """App Mesh only: services that the workload calls."""
    hosts: list[str] = []
    """Host names that the route answers to."""
    gateways: list[str] = []
    """Istio only: gateways that the route belongs to."""
    gateway_refs: list[GatewayRef] = Field(default=[], max_length=32)
    """Gateway API only: the parents of the HTTPRoute: Gateways, or a Service (mesh)."""
    match: list[HTTPMatch] = []
    """Requests that the route takes. Default: all."""
    rewrite: Rewrite | None = None
    """How path and host are rewritten."""
    retries: Retries | None = None
    """How failed requests are tried again."""
    mirror: list[Mirror] = []
    """Gateway API only: backends that get a copy of every request, always."""
    headers: Headers | None = None
    """Changes of request and response headers."""
    cors_policy: CorsPolicy | None = None
    """Cross-origin resource sharing."""
    traffic_policy: Obj | None = None
    """Istio only: the trafficPolicy of the DestinationRules."""
    apex: Metadata | None = None
    """Metadata of the Service that clients use, and of the route."""
    primary: Metadata | None = None
    """Metadata of the primary's Service."""
    canary: Metadata | None = None
    """Metadata of the canary's Service."""
    unmanaged_metadata: UnmanagedMetadata | None = None
    """Keys of metadata on generated objects that belong to others and are left alone."""


class ThresholdRange(Model):
    """The values of a metric that pass: both ends included, each optional."""

    min: float | None = None
    """The least value that passes. Default: no lower bound."""
    max: float | None = None
    """The greatest value that passes. Default: no upper bound."""


class Metric(Model):
    """One measurement of the analysis."""

    name: str = Field(min_length=1)
    """Name of the metric. request-success-rate (percent) and request-duration (milliseconds, p99) are built in."""
    interval: str | None = None
    """Window that the query looks at, such as 1m. Default: 1m."""
    threshold: float | None = None
    """Deprecated, write thresholdRange: the least success rate, or the greatest value of any other metric."""
    threshold_range: ThresholdRange | None = None
    """The values that pass."""
    query: str | None = None
    """Deprecated, write a MetricTemplate: a PromQL query."""
    template_ref: CrossNamespaceRef | None = None
    """The MetricTemplate that holds the query."""
    template_variables: dict[str, str] = {}
    """Values for the template's variables, by name."""

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Least and greatest value that pass. Without a range the legacy threshold is the least success rate, the most of all else."""
        if self.threshold_range:
            return self.threshold_range.min, self.threshold_range.max
        return (self.threshold, None) if self.name == SUCCESS_RATE else (None, self.threshold)


class AlertRef(Model):
    """Who is told what."""

    name: str = Field(min_length=1)
    """Name of the alert, for people."""
    severity: Literal["", "info", "warn", "error"] = "info"
    """The least severity that is sent: info, warn or error. Default: info."""
    provider_ref: CrossNamespaceRef
    """The AlertProvider that is told."""


HookType = Literal[
    "confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "post-rollout", "event", "rollback"
]


class Webhook(Model):
    """A gate, a check or a listener behind a URL. `type` "" means rollout."""

    name: str = Field(min_length=1)
    """Name of the hook, for people and events."""
    url: str = Field(min_length=1)
    """Where it is called, http or https."""
    type: Literal[HookType, ""] = ""
    """When it is called: a gate (confirm-*), a check (pre-rollout, rollout), a listener, or rollback. Default: rollout."""
    timeout: str | None = None
    """Longest wait for an answer, such as 30s. Default: 10s."""
    retries: int = Field(default=0, ge=0)
    """How often a call that got no answer, 429 or 5xx is repeated. Default: 0."""
    mute_alert: bool = False
    """Send no alert when the hook makes the release wait. Default: false."""
    disable_tls: bool = Field(default=False, alias="disableTLS")
    """Do not check the server's certificate. Default: false."""
    metadata: dict[str, str] = {}
    """Values that are sent along, by name."""

    @property
    def role(self) -> HookType:
        """The type, with Flagger's default filled in."""
        return self.type or "rollout"


class SessionAffinity(Model):
    """Visitors who saw the canary keep seeing it, by cookie."""

    cookie_name: str = Field(min_length=1)
    """Name of the cookie that leads back to the canary."""
    primary_cookie_name: str | None = None
    """Name of a cookie that leads back to the primary until the next step. Default: none."""
    domain: str | None = None
    """Domain attribute of the cookie."""
    http_only: bool | None = None
    """HttpOnly attribute of the cookie. Default: false."""
    max_age: int = 86400
    """Max-Age attribute of the cookie, in seconds. Default: 86400."""
    partitioned: bool | None = None
    """Partitioned attribute of the cookie. Default: false."""
    path: str | None = None
    """Path attribute of the cookie."""
    same_site: Literal["Strict", "Lax", "None"] | None = None
    """SameSite attribute of the cookie."""
    secure: bool | None = None
    """Secure attribute of the cookie. Default: false."""


class AnalysisMatch(Model):
    """Who goes to the canary in an A/B test."""

    headers: dict[str, StringMatch] = {}
    """Matches of request headers, by header name in lower case; all must hold."""
    query_params: dict[str, StringMatch] = {}
    """Matches of query parameters, by name; all must hold."""
    source_labels: dict[str, str] = {}
    """Istio only: labels of the calling workload."""


class Analysis(Model):
    """How a revision is tried: steps, metrics, hooks, alerts."""

    interval: str | None = None
    """Time between two steps, and between two checks, such as 1m or 30s. Values below 1s count as 1s."""
    threshold: int = 1
    """How many failed checks roll the release back. Values below 1 count as 1."""
    iterations: int | None = None
    """Blue/green and A/B: how many checks must pass before promotion. One of iterations, stepWeight and stepWeights is given."""
    max_weight: int | None = None
    """Promotion follows once the canary carries this percentage of the traffic. Default: 100. Not used with stepWeights."""
    step_weight: int | None = None
    """Percentage of the traffic that each step adds to the canary."""
    step_weights: list[int] | None = None
    """Percentage of the traffic that the canary has at each step, rising, such as [5, 20, 50]."""
    step_weight_promotion: int | None = None
    """After promotion: percentage of the traffic that each interval leads back to the primary. Default: all at once."""
    mirror: bool = False
    """Before the first weight (or during blue/green) copy requests to the canary; its answers are dropped. Default: false."""
    mirror_weight: int | None = None
    """Percentage of requests that are copied. Default: 100."""
    primary_ready_threshold: int = 100
    """Percentage of the primary's pods that must be available. Default: 100."""
    canary_ready_threshold: int = 100
    """Percentage of the canary's pods that must be available. Default: 100."""
    match: list[AnalysisMatch] = []
    """Requests that are meant for the canary; one of the entries must match. With iterations all of them go there (A/B testing); with
    stepWeight or stepWeights the weights hold for them alone (istio, contour, gatewayapi), and everybody else stays with the primary."""
    metrics: list[Metric] = []
    """What is measured at every check."""
    alerts: list[AlertRef] = []
    """Who is told what. Default: the controller's own notifier."""
    webhooks: list[Webhook] = []
    """Gates, checks and listeners that are called."""
    session_affinity: SessionAffinity | None = None
    """Visitors who saw the canary keep seeing it, by cookie."""

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
    """Whether pods are judged. When false only progressDeadlineSeconds ends a release whose pods fail. Default: true."""
    certain_grace: str = "5s"
    """How long a failure that cannot heal (no such image, missing key of a ConfigMap) must stand before the rollback. Default: 5s."""
    doubtful_grace: str = "30s"
    """How long a failure that may heal (registry time-outs, rate limits) must stand before the rollback. Default: 30s."""
    settle: str = "10s"
    """How long all pods must be ready without a restart before the first traffic. Default: 10s."""
    max_restarts: int = Field(default=2, ge=0)
    """How many crashes of a container within 10 minutes are forgiven. Default: 2."""
    ignored_containers: list[str] = []
    """Names of containers whose failures count for nothing."""
    image_check: Literal["Off", "Warn", "Fail"] = "Warn"
    """Whether the registries are asked for the images before the canary is scaled up. Fail: a certain no (no such image, not for these
    nodes) ends the release before a pod is made. Warn: it is an event, and nothing waits for it. Off: nobody is asked. Default: Warn."""

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
    """The workload that is released."""
    provider: Provider | None = None
    """How traffic is split. Default: the controller's -mesh-provider."""
    metrics_server: str | None = None
    """URL of the Prometheus for built-in metrics and inline queries. Default: the controller's -metrics-server."""
    autoscaler_ref: AutoscalerRef | None = None
    """The autoscaler of the target; the primary gets a twin of it."""
    ingress_ref: IngressRef | None = None
    """nginx and skipper only: the Ingress that leads to the Service."""
    route_ref: RouteRef | None = None
    """apisix only: the ApisixRoute that leads to the Service."""
    upstream_ref: UpstreamRef | None = None
    """gloo only: the Upstream whose settings the generated ones take over."""
    service: Service | None = None
    """The Services and the route around the target."""
    progress_deadline_seconds: int = DEFAULT_PROGRESS_DEADLINE
    """How long a release may stay without progress of its pods before it is rolled back, in seconds. Default: 600."""
    skip_analysis: bool = False
    """Promote a new revision as soon as its pods are ready. Default: false."""
    revert_on_deletion: bool = False
    """When the Canary is deleted, give target, Services and route back as they were. Default: false."""
    suspend: bool = False
    """Start nothing and change nothing until it is false again. Default: false."""
    analysis: Analysis | None = None
    """How a new revision is tried before it is promoted."""
    canary_analysis: Analysis | None = None
    """Deprecated, write analysis: the name that it had before."""
    pod_health: PodHealth = PodHealth()
    """How failing pods are judged."""
    release: str | None = None
    """Any text that changes with what is released, as the image: who waits for Ready knows by it that a release is to come (ours)."""

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
        deleting=bool(meta.get("deletionTimestamp")),
        finalizers=tuple(meta.get("finalizers") or ()),
        labels=dict(meta.get("labels") or {}),
        annotations=dict(meta.get("annotations") or {}),
        spec=CanarySpec.model_validate(obj.get("spec") or {}),
    )
