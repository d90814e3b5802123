"""Bodies of alerts: Flagger's shapes, to the letter, for each service."""

from __future__ import annotations

import pytest

from flaggerpy.alerts.payloads import PAYLOADS, Alert, Destination

FIELDS = (("Target", "Deployment/podinfo.test"),)
FAILED = Alert("podinfo", "test", "Canary analysis failed, a < b", "error", FIELDS)
GOOD = Alert("podinfo", "test", "New revision detected")
PLACE = Destination("slack", "https://hooks.example/x", username="me", channel="ops")


@pytest.mark.parametrize(("kind", "alert", "colour"), [
    ("slack", GOOD, "good"), ("slack", FAILED, "danger"), ("slack", Alert("podinfo", "test", "m", "warn"), "good"),
    ("discord", GOOD, "good"), ("discord", FAILED, "danger"), ("rocket", GOOD, "#0076D7"), ("rocket", FAILED, "#FF0000"),
])  # fmt: skip
def test_slack_and_its_like(kind: str, alert: Alert, colour: str) -> None:
    fields = [{"title": name, "value": value, "short": False} for name, value in alert.fields]
    text = alert.message.replace("<", "&lt;") if kind == "slack" else alert.message
    assert PAYLOADS[kind](alert, PLACE) == {
        "channel": "ops",
        "username": "me",
        "icon_url": "",
        "icon_emoji": ":rocket:",
        "attachments": [
            {"color": colour, "author_name": "podinfo.test", "text": text, "mrkdwn_in": ["text"], "fields": fields},
        ],
    }


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("slack", "&lt;!channel&gt; &lt;http://evil|look&gt; @all"),
        ("rocket", "<!channel> <http://evil|look> @\u200ball"),
        ("discord", "<!channel> <http://evil|look> @\u200ball"),
    ],
)
def test_a_text_of_others_calls_nobody(kind: str, text: str) -> None:
    said = "<!channel> <http://evil|look> @all"
    attachment = PAYLOADS[kind](Alert("podinfo", "test", said, "error", (("Target", said),)), PLACE)["attachments"][0]
    assert (attachment["text"], attachment["fields"][0]["value"]) == (text, text)


def test_msteams() -> None:
    assert PAYLOADS["msteams"](FAILED, PLACE) == {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "FF0000",
        "summary": "podinfo.test",
        "sections": [
            {
                "activityTitle": "Canary analysis failed, a < b",
                "activitySubtitle": "podinfo.test",
                "facts": [{"name": "Target", "value": "Deployment/podinfo.test"}],
            }
        ],
    }
    assert PAYLOADS["msteams"](GOOD, PLACE)["themeColor"] == "0076D7"


def test_gchat_has_a_section_for_the_message_and_one_for_each_field() -> None:
    card = PAYLOADS["gchat"](FAILED, PLACE)["cards"][0]
    assert card["header"] == {"title": "Flagger", "subtitle": "podinfo.test", "imageUrl": "https://flagger.app/favicon.png"}
    assert [section["widgets"][0]["textParagraph"]["text"] for section in card["sections"]] == [
        "Canary analysis failed, a &lt; b",
        '<font color="#808080"><strong>Target</strong></font><br>Deployment/podinfo.test',
    ]
