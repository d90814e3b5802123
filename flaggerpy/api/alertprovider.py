"""The AlertProvider resource of `flagger.app/v1beta1` as typed models: where alerts are sent.

Source of fields and enums: Flagger 1.44's CRD. Its CRD refuses `address` together with `secretRef`, which its documentation shows
(Q-53); here both may be given: the Secret's address wins where it has one. The models are the one source of `crds/alertprovider.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from flaggerpy.api.canary import Model
from flaggerpy.api.metrictemplate import SecretRef


class AlertProviderSpec(Model):
    """`spec` of an AlertProvider."""

    type: Literal["slack", "msteams", "discord", "rocket", "gchat"]
    """Which service is told."""
    channel: str | None = None
    """Channel to write to. Default: general."""
    username: str | None = None
    """Name to write under. Default: flagger."""
    address: str | None = None
    """URL of the webhook; or the key address of the Secret."""
    proxy: str | None = None
    """URL of the HTTP proxy to go through."""
    secret_ref: SecretRef | None = None
    """The Secret with address, and token (slack only), in the same namespace."""


class AlertProvider(Model):
    """An AlertProvider as it stands in the cluster."""

    name: str
    namespace: str
    generation: int
    spec: AlertProviderSpec


def parse_alert_provider(obj: Mapping[str, Any]) -> AlertProvider:
    """The typed AlertProvider of an object from the API server. Raises pydantic.ValidationError when it cannot be read."""
    meta = obj.get("metadata") or {}
    return AlertProvider(
        name=meta.get("name", ""),
        namespace=meta.get("namespace", ""),
        generation=meta.get("generation", 0),
        spec=AlertProviderSpec.model_validate(obj.get("spec") or {}),
    )
