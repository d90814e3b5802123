"""The kinds of objects that flaggerpy reads or writes, and where they live in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource of the API: `Kind("apps", "v1", "deployments", "Deployment")`; the core group is the empty string."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The path of the group and version, where discovery answers."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, ns: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of one object, or of a collection where `name` is None (all namespaces where `ns` is None too)."""
        if name is not None and self.namespaced and not ns:
            raise ValueError(f"{self.kind} {name} needs a namespace")
        parts = [self.root]
        if ns and self.namespaced:
            parts += ["namespaces", quote(ns, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


# core and workloads
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")
DAEMON_SET = Kind("apps", "v1", "daemonsets", "DaemonSet")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
POD = Kind("", "v1", "pods", "Pod")
SERVICE = Kind("", "v1", "services", "Service")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SECRET = Kind("", "v1", "secrets", "Secret")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
EVENT = Kind("", "v1", "events", "Event")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
HORIZONTAL_POD_AUTOSCALER = Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
CUSTOM_RESOURCE_DEFINITION = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
INGRESS = Kind("networking.k8s.io", "v1", "ingresses", "Ingress")
# ours
CANARY = Kind("flagger.app", "v1beta1", "canaries", "Canary")
METRIC_TEMPLATE = Kind("flagger.app", "v1beta1", "metrictemplates", "MetricTemplate")
ALERT_PROVIDER = Kind("flagger.app", "v1beta1", "alertproviders", "AlertProvider")
# routes
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
HTTP_ROUTE_V1BETA1 = Kind("gateway.networking.k8s.io", "v1beta1", "httproutes", "HTTPRoute")
HTTP_PROXY = Kind("projectcontour.io", "v1", "httpproxies", "HTTPProxy")
TRAFFIC_SPLIT_V1ALPHA1 = Kind("split.smi-spec.io", "v1alpha1", "trafficsplits", "TrafficSplit")
TRAFFIC_SPLIT_V1ALPHA2 = Kind("split.smi-spec.io", "v1alpha2", "trafficsplits", "TrafficSplit")
TRAFFIC_SPLIT_V1ALPHA3 = Kind("split.smi-spec.io", "v1alpha3", "trafficsplits", "TrafficSplit")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1beta1", "virtualservices", "VirtualService")
DESTINATION_RULE = Kind("networking.istio.io", "v1beta1", "destinationrules", "DestinationRule")
KNATIVE_SERVICE = Kind("serving.knative.dev", "v1", "services", "Service")
TRAEFIK_SERVICE = Kind("traefik.io", "v1alpha1", "traefikservices", "TraefikService")
APISIX_ROUTE = Kind("apisix.apache.org", "v2", "apisixroutes", "ApisixRoute")

KNOWN: dict[tuple[str, str], Kind] = {
    (kind.group, kind.kind): kind for kind in reversed([value for value in list(globals().values()) if isinstance(value, Kind)])
}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The kind of an object by its `apiVersion` and `kind`; the version is the object's own.

    A kind that is not in the list above is taken as namespaced, its plural formed by the rule that kubebuilder uses.
    """
    api_version, kind = str(obj["apiVersion"]), str(obj["kind"])
    group, _, version = api_version.rpartition("/")
    known = KNOWN.get((group, kind))
    if known:
        return known if known.version == version else replace(known, version=version)
    word = kind.lower()
    if word.endswith(("s", "x", "z", "ch", "sh")):
        plural = word + "es"
    elif word.endswith("y") and word[-2:-1] not in "aeiou":
        plural = word[:-1] + "ies"
    else:
        plural = word + "s"
    return Kind(group, version, plural, kind)
