"""Values, their schema, their table and the templates know the same names; what the templates make of them is in e2e/install."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from flaggerpy.controller.settings import LOG_LEVELS, PROVIDERS, Settings, parse
from tests.chart import readme

Obj = dict[str, Any]
VALUES: Obj = yaml.safe_load((readme.CHART / "values.yaml").read_text())
SCHEMA: Obj = json.loads((readme.CHART / "values.schema.json").read_text())
HELPERS = (readme.CHART / "templates" / "_helpers.tpl").read_text()

# flags of the controller that the chart does not give: it runs in the cluster, its port is the probes', and what is without effect
NOT_GIVEN = {
    "kubeconfig", "kube-context", "master", "kubeconfig-service-mesh", "port", "address", "version", "check", "control-loop-interval",
    "threadiness", "zap-encoding", "zap-replace-globals", "enable-leader-election",
    # the Deployment of a shard gives it
    "shard",
}  # fmt: skip
# those whose value is a secret, by variable
BY_ENVIRONMENT = {
    "SLACK_URL": "slack_url",
    "SLACK_TOKEN": "slack_token",
    "MSTEAMS_URL": "msteams_url",
    "EVENT_WEBHOOK_URL": "event_webhook",
}


def test_the_readmes_table_is_of_these_values() -> None:
    assert (readme.CHART / "README.md").read_text() == readme.readme(), "run python -m tests.chart.readme"


def test_a_value_that_no_comment_tells_of_is_named() -> None:
    with pytest.raises(readme.Undocumented, match=r"b\.c has no"):
        readme.rows("# -- told\na: 1\nb:\n  c: 1\n  # -- told\n  d: 2\n")


def test_a_comment_goes_on_over_lines_and_covers_what_is_below_its_value() -> None:
    found = readme.rows("# a preface\n\n# -- first\n# second\na:\n  b: {}\n  c: [1]\n# -- third\nd: x\n")
    assert found == [readme.Row("a", {"b": {}, "c": [1]}, "first second"), readme.Row("d", "x", "third")]


def test_the_schema_knows_every_value_and_no_other() -> None:
    assert set(_known(SCHEMA)) - {"global"} == set(_held(VALUES, SCHEMA))


def test_the_templates_name_no_known_value_as_unknown() -> None:
    listed = re.search(r'define "flaggerpy.unknownValues".*?list ([^-]*) -', HELPERS, re.DOTALL)
    assert listed
    assert set(re.findall(r'"(\w+)"', listed[1])) == {*VALUES, "global"}


def test_every_template_asks_first_for_the_values_whose_absence_would_matter() -> None:
    """`helm upgrade --reuse-values` leaves out what the chart before did not have."""
    listed = re.search(r'define "flaggerpy.complete".*?range list ([^-]*) -', HELPERS, re.DOTALL)
    assert listed
    asked = set(re.findall(r'"([\w.]+)"', listed[1]))
    folders = set(_folders(VALUES, SCHEMA))
    assert asked <= folders | set(_held(VALUES, SCHEMA))
    # a template that looks into a map that is not there fails with words of Go's
    assert [folder for folder in folders if not any(path == folder or path.startswith(f"{folder}.") for path in asked)] == []
    # what Flagger's chart lacks and is not empty by default; what becomes a flag as it is
    rows = readme.rows((readme.CHART / "values.yaml").read_text())
    ours = {row.path for row in rows if "(ours)" in row.text and not isinstance(row.default, dict) and row.default not in ("", None, [])}
    assert ours | set(re.findall(r"\$values\.([\w.]+) \| toString", HELPERS)) <= asked
    for template in [*(readme.CHART / "templates").rglob("*.yaml"), readme.CHART / "templates" / "NOTES.txt"]:
        assert template.read_text().startswith('{{- include "flaggerpy.complete" . '), template.name


def test_log_levels_and_providers_are_the_controllers() -> None:
    assert SCHEMA["properties"]["logLevel"]["enum"] == list(LOG_LEVELS)
    assert SCHEMA["properties"]["meshProvider"]["enum"] == ["", None, *PROVIDERS]


def test_every_flag_of_the_controller_is_given_by_a_value_or_has_a_reason_not_to_be() -> None:
    given = set(re.findall(r"^([a-z][a-z-]+): \{\{", HELPERS, re.MULTILINE))
    flags = {name.replace("_", "-") for name in vars(Settings()) if name not in ("ignored", "in_pod")}
    secret = {name.replace("_", "-") for name in BY_ENVIRONMENT.values()}
    assert given | NOT_GIVEN | secret == flags
    assert not given & NOT_GIVEN


def test_secrets_travel_by_the_environment_and_the_controller_reads_them_there() -> None:
    assert set(re.findall(r'"([A-Z_]+)" \.Values', HELPERS)) == set(BY_ENVIRONMENT)
    settings = parse(["-slack-channel=c"], dict.fromkeys(BY_ENVIRONMENT, "https://secret"))
    assert all(getattr(settings, name) == "https://secret" for name in BY_ENVIRONMENT.values())


def _known(schema: Obj, at: str = "") -> Iterator[str]:
    for name, child in schema["properties"].items():
        path = f"{at}.{name}" if at else name
        if "properties" in child:
            yield from _known(child, path)
        else:
            yield path


def _folders(values: Obj, schema: Obj, at: str = "") -> Iterator[str]:
    """The paths of the maps that hold values of their own."""
    for name, value in values.items():
        child = schema.get("properties", {}).get(name, {})
        if "properties" in child:
            path = f"{at}.{name}" if at else name
            yield path
            yield from _folders(value, child, path)


def _held(values: Obj, schema: Obj, at: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{at}.{name}" if at else name
        child = schema.get("properties", {}).get(name, {})
        if "properties" in child:
            yield from _held(value, child, path)
        else:
            yield path
