"""The MetricTemplate resource of `flagger.app/v1beta1` as typed models: a query, and the server that answers it.

Source of fields and enums: Flagger 1.44's CRD. The models are the one source of `crds/metrictemplate.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from flaggerpy.api.canary import Model

MetricProvider = Literal[
    "prometheus", "influxdb", "datadog", "externalmetrics", "stackdriver", "cloudwatch", "newrelic", "graphite", "dynatrace", "keptn",
    "splunk",
]  # fmt: skip


class SecretRef(Model):
    """A Secret in the namespace of the object that names it."""

    name: str = Field(min_length=1)
    """Name of the Secret."""


class MetricTemplateProvider(Model):
    """The server that is asked."""

    type: MetricProvider
    """What kind of server it is."""
    address: str | None = None
    """URL of the server. Default: the provider's public address, where it has one."""
    headers: dict[str, list[str]] = {}
    """prometheus only: HTTP headers to send along, by name."""
    secret_ref: SecretRef | None = None
    """The Secret with the credentials, in the template's namespace."""
    region: str | None = None
    """cloudwatch only: the AWS region."""
    insecure_skip_verify: bool = False
    """Do not check the server's certificate. Default: false."""


class MetricTemplateSpec(Model):
    """`spec` of a MetricTemplate."""

    provider: MetricTemplateProvider
    """The server that is asked."""
    query: str
    """The query, a Go template: name, namespace, target, service, ingress, route, interval and variables can be used in it."""


class MetricTemplate(Model):
    """A MetricTemplate as it stands in the cluster."""

    name: str
    namespace: str
    generation: int
    spec: MetricTemplateSpec


def parse_metric_template(obj: Mapping[str, Any]) -> MetricTemplate:
    """The typed MetricTemplate of an object from the API server. Raises pydantic.ValidationError when it cannot be read."""
    meta = obj.get("metadata") or {}
    return MetricTemplate(
        name=meta.get("name", ""),
        namespace=meta.get("namespace", ""),
        generation=meta.get("generation", 0),
        spec=MetricTemplateSpec.model_validate(obj.get("spec") or {}),
    )
