"""Who is told of an alert, where they are reached, and which facts go with the message."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flaggerpy.alerts.payloads import DEFAULT_CHANNEL, DEFAULT_USERNAME, PAYLOADS, Alert, Destination, Severity
from flaggerpy.api.alertprovider import AlertProvider
from flaggerpy.api.canary import AlertRef, Canary
from flaggerpy.api.texts import printable


def recipients(canary: Canary, severity: Severity) -> tuple[AlertRef, ...] | None:
    """The entries of `analysis.alerts` that want an alert of that severity; None when there is no list and all goes to the global one."""
    alerts = canary.spec.plan.alerts
    if not alerts:
        return None
    return tuple(ref for ref in alerts if wants(ref, severity))


def wants(ref: AlertRef, severity: Severity) -> bool:
    """`info`, or nothing, wants all; `warn` wants errors too; `error` only those."""
    wanted = ref.severity or "info"
    return wanted in ("info", severity) or (wanted == "warn" and severity == "error")


def provider_key(canary: Canary, ref: AlertRef) -> tuple[str, str]:
    """Namespace and name of the AlertProvider."""
    return ref.provider_ref.namespace or canary.namespace, ref.provider_ref.name


def destination(provider: AlertProvider, secret: Mapping[str, str] | None) -> Destination | str:
    """Where a provider's alerts go; a sentence when they cannot go anywhere.

    `secret` are the decoded entries of the Secret it names, None when that does not exist. Its `address` wins over the spec's.
    """
    spec, named = provider.spec, f"alert provider {provider.name}.{provider.namespace}"
    if spec.type not in PAYLOADS:
        return f"{named} has the type {spec.type}, which is not supported; there are: {', '.join(sorted(PAYLOADS))}"
    if spec.secret_ref and secret is None:
        return f"{named} names the secret {spec.secret_ref.name}, which does not exist"
    # files and `echo` leave line ends behind
    entries = {key: value.strip() for key, value in (secret or {}).items()}
    address = entries.get("address") or spec.address or ""
    if spec.secret_ref and not address:
        return f"{named} has no address, and neither has its secret {spec.secret_ref.name}"
    return checked(
        Destination(
            kind=spec.type,
            url=address,
            username=spec.username or DEFAULT_USERNAME,
            channel=spec.channel or DEFAULT_CHANNEL,
            token=entries.get("token", ""),
            proxy=spec.proxy or "",
        ),
        named,
    )


def checked(place: Destination, named: str) -> Destination | str:
    """The destination, or why it cannot be one."""
    parts = urlsplit(place.url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return f"{named} has no usable address: it must be a URL that begins with http:// or https://"
    return place


def global_destination(
    *,
    slack_url: str = "",
    slack_token: str = "",
    slack_proxy_url: str = "",
    slack_user: str = DEFAULT_USERNAME,
    slack_channel: str = "",
    msteams_url: str = "",
    msteams_proxy_url: str = "",
) -> Destination | str | None:
    """Where alerts of Canaries without a list go, by the controller's flags: Teams before Slack, None for nowhere.

    A sentence when Slack is asked for without its channel, which Flagger requires too.
    """
    if msteams_url:
        return checked(Destination("msteams", msteams_url, proxy=msteams_proxy_url, trusted=True), "-msteams-url")
    if not slack_url:
        return None
    if not slack_user or not slack_channel:
        return "-slack-url needs -slack-channel and -slack-user"
    return checked(Destination("slack", slack_url, slack_user, slack_channel, slack_token, slack_proxy_url, trusted=True), "-slack-url")


def alert(canary: Canary, message: str, severity: Severity, *, with_facts: bool = False, cluster: str = "") -> Alert:
    """An alert about a Canary; `with_facts` adds what is released and how."""
    fields = [("Cluster", cluster)] if cluster else []
    if with_facts:
        fields += [
            ("Target", f"{canary.kind}/{canary.target}.{canary.namespace}"),
            ("Failed checks threshold", str(canary.spec.plan.failure_limit)),
            ("Progress deadline", f"{canary.spec.progress_deadline_seconds}s"),
            ("Traffic routing", traffic_routing(canary)),
        ]
    return Alert(canary.name, canary.namespace, printable(message), severity, tuple(fields))


def traffic_routing(canary: Canary) -> str:
    """How traffic is moved, in Flagger's words."""
    plan = canary.spec.plan
    if plan.step_weight:
        return f"Weight step: {plan.step_weight} max: {plan.max_weight or 100}"
    if plan.step_weights:
        return f"Weight steps: {','.join(map(str, plan.step_weights))} max: {min(100, plan.step_weights[-1])}"
    return "A/B Testing" if canary.spec.strategy == "ab-testing" else "Blue/Green"
