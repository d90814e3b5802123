"""Flagger's flags are taken as Go takes them, and what is wrong is said in a sentence."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from flaggerpy.controller.settings import Settings, SettingsError, parse, usage
from flaggerpy.controller.shards import Shard


def test_defaults_are_flaggers() -> None:
    settings = parse([], {})
    assert settings == Settings()
    assert (settings.metrics_server, settings.port, settings.mesh_provider) == ("http://prometheus:9090", 8080, "istio")
    assert settings.selector_label_names == ("app", "name", "app.kubernetes.io/name")
    assert settings.lease_namespace == "kube-system"


def test_dashes_equals_signs_and_switches_are_gos() -> None:
    settings = parse(
        ["--mesh-provider", "kubernetes", "-port=9000", "-no-cross-namespace-refs", "-enable-config-tracking=false", "-namespace=shop"], {}
    )
    assert settings.mesh_provider == "kubernetes"
    assert settings.port == 9000
    assert settings.no_cross_namespace_refs
    assert not settings.enable_config_tracking
    assert settings.lease_namespace == "shop"


def test_the_environment_wins_when_it_is_not_empty() -> None:
    environment = {"SLACK_URL": "http://b", "EVENT_WEBHOOK_URL": ""}
    settings = parse(["-slack-url=http://a", "-slack-channel=c", "-event-webhook=http://e"], environment)
    assert settings.slack_url == "http://b"
    assert settings.event_webhook == "http://e"


def test_flags_of_klog_and_flags_without_effect_are_taken_and_named() -> None:
    settings = parse(["-v", "4", "-logtostderr", "-threadiness=5", "-enable-leader-election=true", "-control-loop-interval", "5s"], {})
    assert settings.ignored == ("v", "logtostderr", "threadiness", "enable-leader-election", "control-loop-interval")
    assert settings.control_loop_interval == 5.0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["-mesh-provider=istoi"], "should be one of"),
        (["-log-level=loud"], "should be one of debug"),
        (["-port=80a"], "should be a whole number"),
        (["-port=70000"], "between 0 and 65535"),
        (["-enable-config-tracking=maybe"], "true or false"),
        (["-control-loop-interval=10"], "not a duration"),
        (["-no-such-flag"], "not a flag"),
        (["-port"], "needs a value"),
        (["run"], "every setting is a flag"),
        (["-selector-labels= ,"], "selector-labels is empty"),
        (["-ui-hosts=releases.example.com"], "-ui-hosts needs -ui"),
        (["-ui", "-ui-hosts=a.example,https://b.example"], "'https://b.example' should be a name such as releases.example.com"),
        (["-shard=3/3"], "-shard: '3/3' should be a number and how many there are"),
        (["-namespace=a,B"], "'B' cannot be the name of a namespace"),
        (["-namespace=,"], "names with commas"),
        (["-slack-url=http://x"], "needs -slack-channel"),
        (["-kubeconfig-qps=0"], "above 0"),
        (["-kubeconfig-service-mesh=/mesh"], "second cluster"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        parse(argv, {})


def test_the_usage_lists_every_flag() -> None:
    assert "-mesh-provider (default 'istio')" in usage()


def documented() -> list[tuple[str, str]]:
    """Flag and default of each row of the page's table; where a row has several flags, one default holds for all, or each has its own."""
    page = (Path(__file__).parent.parent.parent / "docs" / "controller.md").read_text()
    found: list[tuple[str, str]] = []
    for names, default in re.findall(r"^\| (`-[^|]*`) \|([^|]*)\|", page, re.M):
        flags = re.findall(r"`(-[a-z-]+)`", names)
        own = default.strip().split(", ") if len(flags) > 1 else [default.strip()]
        found += zip(flags, own if len(own) > 1 else own * len(flags), strict=True)
    return found


def as_written(flag: str, default: object) -> set[str]:
    """How a default may stand in the table."""
    if isinstance(default, bool):
        return {str(default).lower()}
    if isinstance(default, float):
        return {f"{default:g}{'s' if flag == '-control-loop-interval' else ''}"}
    return {"", "all", "none"} if default == "" else {str(default)}


def test_every_flag_stands_in_the_documentation_with_its_default() -> None:
    told = [re.fullmatch(r" *(-\S+) \(default (.*)\)", line) for line in usage().splitlines()[1:]]
    defaults = {found[1]: ast.literal_eval(found[2]) for found in told if found}
    assert sorted(flag for flag, _ in documented()) == sorted(defaults)
    wrong = {flag: (shown, defaults[flag]) for flag, shown in documented() if shown not in as_written(flag, defaults[flag])}
    assert wrong == {}


def test_several_namespaces_are_a_list_and_the_lease_is_in_the_first_or_where_it_is_put() -> None:
    settings = parse(["-namespace=shop, bar,shop"], {})
    assert settings.namespaces == ("shop", "bar")
    assert settings.lease_namespace == "shop"
    assert parse(["-namespace=shop,bar", "-leader-election-namespace=flagger-system"], {}).lease_namespace == "flagger-system"
    assert parse(["-namespace=shop", "-leader-election-namespace=flagger-system"], {}).lease_namespace == "shop"
    assert parse([], {}).namespaces == ()


def test_names_of_the_page_are_read_one_by_one() -> None:
    assert parse(["-ui", "-ui-hosts=A.example, b.example,"], {}).ui_host_names == {"a.example", "b.example"}


def test_a_shard_is_one_of_some() -> None:
    assert (parse([], {}).own_shard, parse(["-shard=1/3"], {}).own_shard) == (Shard(), Shard(3, 1))
