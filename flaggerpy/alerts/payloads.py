"""What notifiers are sent: one function per service, from an alert to the body of its POST. Shapes are Flagger's."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["info", "warn", "error"]

DEFAULT_USERNAME = "flagger"
DEFAULT_CHANNEL = "general"


@dataclass(frozen=True)
class Alert:
    """One message about one Canary. `fields` are (name, value) pairs of text to show beside it."""

    canary: str
    namespace: str
    message: str
    severity: Severity = "info"
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def subject(self) -> str:
        """`name.namespace`."""
        return f"{self.canary}.{self.namespace}"


@dataclass(frozen=True)
class Destination:
    """Where alerts go: the service (`kind`), the URL of its webhook, and what goes with it."""

    kind: str
    url: str
    username: str = DEFAULT_USERNAME
    channel: str = DEFAULT_CHANNEL
    token: str = ""
    proxy: str = ""
    trusted: bool = False
    """URL and proxy are the operator's own."""
    tenant: str = ""
    """The namespace on whose behalf it is told."""


def slack(alert: Alert, destination: Destination) -> dict[str, Any]:
    """Slack: one attachment, green or red."""
    return _attachment(alert, destination, "danger" if alert.severity == "error" else "good", _slack_text)


def discord(alert: Alert, destination: Destination) -> dict[str, Any]:
    """Discord takes Slack's shape."""
    return _attachment(alert, destination, "danger" if alert.severity == "error" else "good", _unmentioned)


def rocket(alert: Alert, destination: Destination) -> dict[str, Any]:
    """Rocket.Chat takes Slack's shape, with colours by number."""
    return _attachment(alert, destination, f"#{_colour(alert)}", _unmentioned)


def msteams(alert: Alert, destination: Destination) -> dict[str, Any]:
    """Microsoft Teams: a MessageCard."""
    facts = [{"name": name, "value": value} for name, value in alert.fields]
    section = {"activityTitle": alert.message, "activitySubtitle": alert.subject, "facts": facts}
    return {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": _colour(alert),
        "summary": alert.subject,
        "sections": [section],
    }


def gchat(alert: Alert, destination: Destination) -> dict[str, Any]:
    """Google Chat: a card with the message, then a section for each field."""
    texts = [html.escape(alert.message, quote=False)]
    for name, value in alert.fields:
        title = html.escape(name, quote=False)
        texts.append(f'<font color="#808080"><strong>{title}</strong></font><br>{html.escape(value, quote=False)}')
    header = {"title": "Flagger", "subtitle": alert.subject, "imageUrl": "https://flagger.app/favicon.png"}
    return {"cards": [{"header": header, "sections": [{"widgets": [{"textParagraph": {"text": text}}]} for text in texts]}]}


PAYLOADS: dict[str, Callable[[Alert, Destination], dict[str, Any]]] = {
    "slack": slack,
    "discord": discord,
    "rocket": rocket,
    "msteams": msteams,
    "gchat": gchat,
}


def _slack_text(text: str) -> str:
    """A text as Slack wants it: what a hook answered must neither call everybody (`<!channel>`) nor make links."""
    return html.escape(text, quote=False)


def _unmentioned(text: str) -> str:
    """A text that calls nobody: a space without width parts `@` from the name."""
    return text.replace("@", "@\u200b")


def _attachment(alert: Alert, destination: Destination, colour: str, plain: Callable[[str], str]) -> dict[str, Any]:
    attachment = {
        "color": colour,
        "author_name": alert.subject,
        "text": plain(alert.message),
        "mrkdwn_in": ["text"],
        "fields": [{"title": name, "value": plain(value), "short": False} for name, value in alert.fields],
    }
    return {
        "channel": destination.channel,
        "username": destination.username,
        "icon_url": "",
        "icon_emoji": ":rocket:",
        "attachments": [attachment],
    }


def _colour(alert: Alert) -> str:
    return "FF0000" if alert.severity == "error" else "0076D7"
