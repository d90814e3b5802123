"""What the chart renders, and what it refuses: no cluster is needed for it."""

from __future__ import annotations

import asyncio
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.install import render
from e2e.install.helm import CHART, ROOT, Helm, HelmError
from e2e.sandbox import Sandbox
from e2e.sandbox.build import build, part_dir, part_named
from flaggerpy.controller import rbac
from flaggerpy.controller.settings import parse
from flaggerpy.controller.shards import Shard
from tests.cluster.fake_apiserver import FakeApiServer

Obj = dict[str, Any]
DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def flaggers_chart() -> str:
    build(("flagger-chart",))
    return str(part_dir(part_named("flagger-chart")) / "flagger")


def one(objects: list[Obj], kind: str, name: str = "flagger") -> Obj:
    [found] = [obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == name]
    return found


def container(objects: list[Obj]) -> Obj:
    [found] = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def flags(objects: list[Obj]) -> list[str]:
    word, *found = container(objects)["args"]
    assert word == "run"
    parse(found, {})
    return list(found)


def test_helm_finds_nothing_to_complain_of(offline: Helm) -> None:
    assert "0 chart(s) failed" in offline.run("lint", "--strict", str(CHART))


def test_the_plain_manifests_are_what_the_chart_renders(offline: Helm) -> None:
    assert render.drifted(offline) == [], "run python -m e2e.install.render"


def test_kustomize_makes_of_base_and_overlay_what_they_say(sandbox: Sandbox) -> None:
    def built(folder: str) -> list[Obj]:
        return [obj for obj in yaml.safe_load_all(sandbox.run(str(sandbox.kubectl), "kustomize", f"{ROOT}/{folder}").stdout) if obj]

    base = built(render.BASE)
    written = [obj for obj in yaml.safe_load_all((ROOT / render.INSTALL).read_text()) if obj]
    assert sorted(base, key=str) == sorted(written, key=str)
    changed = one(built("deploy/kustomize/overlays/example"), "Deployment")
    assert changed["spec"]["replicas"] == 2
    [main] = changed["spec"]["template"]["spec"]["containers"]
    assert main["image"].startswith("registry.example.com/flaggerpy@sha256:")
    assert parse(main["args"][1:], {}).metrics_server == "http://prometheus.monitoring:9090"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"logLevel": "loud"}, "at '/logLevel': value must be one of 'debug', 'info'"),
        ({"slack": {"chanel": "x"}}, "at '/slack': additional properties 'chanel' not allowed"),
        ({"meshProvider": "istoi"}, "at '/meshProvider'"),
        ({"rbac": {"providers": ["gloo"]}}, "gloo is not built; there are contour"),
        ({"rbac": {"clusterReads": False}}, "for some namespaces only; set namespace too"),
        ({"image": {"digest": "sha256:1"}}, "at '/image/digest'"),
        ({"image": {"tag": "1.44.0"}}, "image.tag 1.44.0 is a version of Flagger"),
        ({"image": {"repository": "mirror.example/fluxcd/flagger"}}, "looks like a copy of Flagger's image"),
        ({"slack": {"url": "https://hooks.slack.example"}}, "slack.url needs slack.channel"),
        ({"controlplane": {"kubeconfig": {"secretName": "x"}}}, "routes in a second cluster are not built yet"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(offline: Helm, values: Obj, said: str) -> None:
    with pytest.raises(HelmError) as raised:
        offline.template(values)
    assert said in str(raised.value)


def test_a_copy_of_flaggers_own_values_is_taken_as_it_is(offline: Helm, flaggers_chart: str) -> None:
    rendered = offline.template(yaml.safe_load((Path(flaggers_chart) / "values.yaml").read_text()))
    assert container(rendered)["image"].startswith("ghcr.io/flaggerpy/flaggerpy:")
    assert parse(flags(rendered), {}).log_level == "info"


def reused(theirs: Obj, ours: Obj) -> Obj:
    """What `helm upgrade --reuse-values` gives our templates: all of their values, and none of ours that they lack (null takes it away)."""
    found = dict(theirs)
    for name, default in ours.items():
        if name not in theirs:
            found[name] = None
        elif isinstance(default, dict) and isinstance(theirs[name], dict):
            found[name] = reused(theirs[name], default)
    return found


def missing(helm: Helm, values: Obj) -> list[str]:
    """The values that the chart says are missing, in the one sentence that it says."""
    with pytest.raises(HelmError, match="were reused as they are: use --reset-then-reuse-values") as raised:
        helm.template(values)
    assert "nil pointer" not in str(raised.value)
    [names] = re.findall(r"these values are missing: (.*?)\. Values", str(raised.value))
    return str(names).split(", ")


def test_values_of_another_chart_that_were_reused_as_they_are_are_refused_by_name(offline: Helm, flaggers_chart: str) -> None:
    theirs, ours = (yaml.safe_load((Path(chart) / "values.yaml").read_text()) for chart in (flaggers_chart, CHART))
    assert missing(offline, reused(theirs, ours)) == [
        "crd.upgrade", "dashboard", "egress", "kstatusConditions", "prometheusRule", "rbac.clusterReads", "revertOnDeletion", "shards", "ui"
    ]  # fmt: skip


def test_a_value_that_is_missing_alone_is_refused_before_a_template_stumbles_over_it(offline: Helm) -> None:
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    paths = re.findall(r'"([\w.]+)"', helpers.partition('define "flaggerpy.complete"')[2].partition("range list")[2].partition("-}}")[0])
    assert len(paths) > 20
    for path in {*paths, *(path.partition(".")[0] for path in paths)}:
        values: Obj = {}
        for name in reversed(path.split(".")):
            values = {name: values or None}
        assert missing(offline, values) == [path]


def test_labels_and_annotations_are_texts_whatever_the_values_are(offline: Helm) -> None:
    given: Obj = {"a": 1, "b": True, "c": 1000000, "d": "text"}
    wanted = {"a": "1", "b": "true", "c": "1000000", "d": "text"}
    maps = ("podLabels", "podAnnotations", "deploymentLabels", "annotations", "nodeSelector")
    rendered = one(offline.template(dict.fromkeys(maps, given)), "Deployment")
    pod = rendered["spec"]["template"]
    places = [metadata[kind] for metadata in (pod["metadata"], rendered["metadata"]) for kind in ("labels", "annotations")]
    for place in (*places, pod["spec"]["nodeSelector"]):
        assert {name: place[name] for name in wanted} == wanted


@pytest.mark.fault("Q-53")
@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"meshProvider": "linkerd"}, "-mesh-provider=linkerd"),
        ({"metricsServer": "http://p:1"}, "-metrics-server=http://p:1"),
        ({"prometheus": {"install": True}}, "-metrics-server=http://flagger-prometheus:9090"),
        ({"namespace": "shop"}, "-namespace=shop"),
        ({"selectorLabels": "app"}, "-selector-labels=app"),
        ({"includeLabelPrefix": "*"}, "-include-label-prefix=*"),
        ({"configTracking": {"enabled": False}}, "-enable-config-tracking=false"),
        ({"ingressAnnotationsPrefix": "a"}, "-ingress-annotations-prefix=a"),
        ({"ingressClass": "contour"}, "-ingress-class=contour"),
        ({"noCrossNamespaceRefs": True}, "-no-cross-namespace-refs=true"),
        ({"clusterName": "prod"}, "-cluster-name=prod"),
        ({"egress": {"allow": ["127.0.0.0/8", "10.0.0.1"]}}, "-egress-allow=127.0.0.0/8,10.0.0.1"),
        ({"egress": {"deny": ["10.0.0.0/8", "::1"]}}, "-egress-deny=10.0.0.0/8,::1"),
        ({"egress": {"schemes": ["https"]}}, "-egress-schemes=https"),
        ({"revertOnDeletion": True}, "-revert-on-deletion=true"),
        ({"kstatusConditions": False}, "-kstatus-conditions=false"),
        ({"ui": {"enabled": True}}, "-ui=true"),
        ({"ui": {"enabled": True, "auth": True}}, "-ui-auth=true"),
        ({"ui": {"enabled": True, "actions": True}}, "-ui-actions=true"),
        ({"ui": {"enabled": True, "hosts": ["a.example", "b.example"]}}, "-ui-hosts=a.example,b.example"),
        ({"kubeconfigQPS": 1000000}, "-kubeconfig-qps=1000000"),
        ({"kubeconfigBurst": "300"}, "-kubeconfig-burst=300"),
        ({"slack": {"user": "u"}}, "-slack-user=u"),
        ({"slack": {"proxyUrl": "http://proxy"}}, "-slack-proxy-url=http://proxy"),
        # Flagger documents this one and ignores it (Q-53)
        ({"slack": {"proxy": "http://proxy"}}, "-slack-proxy-url=http://proxy"),
        ({"msteams": {"proxyUrl": "http://proxy"}}, "-msteams-proxy-url=http://proxy"),
        ({"extraFlags": {"zap-encoding": "console"}}, "-zap-encoding=console"),
    ],
)
def test_a_value_of_flaggers_has_flaggers_effect(offline: Helm, values: Obj, flag: str) -> None:
    assert flag in flags(offline.template(values))


def test_secret_addresses_are_in_a_secret_and_a_change_of_them_rolls_the_pods(offline: Helm) -> None:
    def rendered(url: str) -> list[Obj]:
        return offline.template({"slack": {"url": url, "channel": "c"}, "msteams": {"url": "https://t"}, "eventWebhook": "https://e"})

    before, after = rendered("https://a"), rendered("https://b")
    assert one(before, "Secret", "flagger-alerts")["stringData"] == {
        "SLACK_URL": "https://a", "MSTEAMS_URL": "https://t", "EVENT_WEBHOOK_URL": "https://e",
    }  # fmt: skip
    assert container(before)["envFrom"] == [{"secretRef": {"name": "flagger-alerts"}}]
    assert "https://" not in str(flags(before))
    pods = [one(each, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/alerts"] for each in (before, after)]
    assert pods[0] != pods[1]


def test_the_digest_goes_before_the_tag(offline: Helm) -> None:
    assert container(offline.template({"image": {"repository": "r/f", "tag": "t", "digest": DIGEST}}))["image"] == f"r/f@{DIGEST}"


NAMES = [
    *itertools.product(("flagger", "flagger-canaries", "delivery"), ({}, {"nameOverride": "controller"}, {"fullnameOverride": "x"})),
    ("flagger", {"serviceAccount": {"create": False, "name": "mine"}}),
]


@pytest.mark.parametrize(("release", "values"), NAMES)
def test_names_and_selectors_are_those_of_flaggers_chart(offline: Helm, flaggers_chart: str, release: str, values: Obj) -> None:
    """Otherwise an upgrade would be refused (selectors cannot change), or leave a second controller behind."""
    given = {**values, "prometheus": {"install": True}, "serviceMonitor": {"enabled": True}, "podDisruptionBudget": {"enabled": True}}
    theirs = offline.template(given, name=release, chart=flaggers_chart)
    ours = {(obj["kind"], obj["metadata"]["name"]): obj for obj in offline.template(given, name=release)}
    for obj in theirs:
        found = ours[obj["kind"], obj["metadata"]["name"]]
        if obj["kind"] == "Deployment":
            assert found["spec"]["selector"] == obj["spec"]["selector"]
            assert found["spec"]["template"]["spec"]["serviceAccountName"] == obj["spec"]["template"]["spec"]["serviceAccountName"]
        if obj["kind"].endswith("RoleBinding"):
            assert found["roleRef"] == obj["roleRef"]


def selects(selector: Obj, labels: Obj) -> bool:
    return selector.items() <= labels.items()


EVERY_KIND = {"ui": {"enabled": True}, "serviceMonitor": {"enabled": True}, "podDisruptionBudget": {"enabled": True}}


def test_each_shard_has_a_deployment_a_service_a_budget_and_a_test_of_its_own(offline: Helm) -> None:
    rendered = offline.template({**EVERY_KIND, "shards": 2})
    deployments = [one(rendered, "Deployment", f"flagger-shard-{number}") for number in range(2)]
    services = [one(rendered, "Service", f"flagger-shard-{number}") for number in range(2)]
    budgets = [one(rendered, "PodDisruptionBudget", f"flagger-shard-{number}") for number in range(2)]
    tests = [one(rendered, "Pod", f"flagger-test-shard-{number}") for number in range(2)]
    kinds = ("Deployment", "Service", "PodDisruptionBudget", "Pod")
    assert sorted(obj["kind"] for obj in rendered if obj["kind"] in kinds) == sorted(kinds * 2)
    pods = [deployment["spec"]["template"] for deployment in deployments]
    for number in range(2):
        selectors = (
            deployments[number]["spec"]["selector"]["matchLabels"],
            services[number]["spec"]["selector"],
            budgets[number]["spec"]["selector"]["matchLabels"],
        )
        for selector in selectors:
            assert [selects(selector, pod["metadata"]["labels"]) for pod in pods] == [number == 0, number == 1]
        for [main], words in ((pods[number]["spec"]["containers"], 1), (tests[number]["spec"]["containers"], 2)):
            assert parse(main["args"][words:], {}).own_shard == Shard(2, number)
        assert services[number]["metadata"]["labels"]["flagger.app/shard"] == str(number)
    # Prometheus Operator scrapes the pods behind each Service that it selects
    scraped = one(rendered, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    behind = [service["spec"]["selector"] for service in services if selects(scraped, service["metadata"]["labels"])]
    assert [sum(selects(selector, pod["metadata"]["labels"]) for selector in behind) for pod in pods] == [1, 1]


def test_one_shard_has_flaggers_names_and_says_nothing_of_shards(offline: Helm) -> None:
    rendered = offline.template(EVERY_KIND)
    [service] = [obj for obj in rendered if obj["kind"] == "Service"]
    labels = one(rendered, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["metadata"]["name"] == one(rendered, "PodDisruptionBudget")["metadata"]["name"] == "flagger"
    assert selects(service["spec"]["selector"], labels)
    assert selects(one(rendered, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels)
    assert one(rendered, "Pod", "flagger-test")
    assert "flagger.app/shard" not in str(rendered)


def test_the_page_has_a_service_for_an_ingress_to_lead_to(offline: Helm) -> None:
    [main] = one(rendered := offline.template({"ui": {"enabled": True}}), "Deployment")["spec"]["template"]["spec"]["containers"]
    [port] = one(rendered, "Service")["spec"]["ports"]
    assert port["targetPort"] in [each["name"] for each in main["ports"]]
    assert not [obj for obj in offline.template() if obj["kind"] == "Service"]


async def test_shards_are_refused_where_flagger_runs_and_would_run_on_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path))

    async def rendered(live: str, shards: int) -> list[Obj]:
        async with FakeApiServer() as server:
            metadata = {"name": "flagger", "namespace": "flagger-system", "labels": {"helm.sh/chart": live}}
            server.add({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {}})
            helm = Helm(server.kubeconfig(tmp_path / "kubeconfig"))
            return await asyncio.to_thread(helm.template, {"shards": shards}, words=["--dry-run=server"])

    with pytest.raises(HelmError, match=r"the Deployment flagger .* is Flagger's, .*: upgrade with shards 1 first"):
        await rendered("flagger-1.44.0", 2)
    assert one(await rendered("flagger-1.44.0", 1), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    for name in ("flagger-shard-0", "flagger-shard-1"):
        assert one(await rendered("flaggerpy-0.1.0", 2), "Deployment", name)["spec"]["strategy"]["type"] == "RollingUpdate"


async def test_the_notes_name_every_shard_and_say_where_no_node_can_be_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECACHEDIR", str(tmp_path))

    async def notes(values: Obj) -> list[str]:
        async with FakeApiServer() as server:
            helm = Helm(server.kubeconfig(tmp_path / "kubeconfig"))
            words = ["install", "flagger", str(CHART), "--namespace", "flagger-system", "--dry-run=client", "--disable-openapi-validation"]
            # it knows no Roles
            given = {"rbac": {"create": False}, "crd": {"upgrade": False}, **values}
            said = await asyncio.to_thread(helm.run, *words, values=given)
            return said.partition("NOTES:")[2].splitlines()

    budget = {"enabled": True}
    sharded = await notes({"shards": 2, "ui": {"enabled": True}, "podDisruptionBudget": budget})
    single = await notes({"podDisruptionBudget": budget, "leaderElection": {"replicaCount": 2}})
    for number in range(2):
        assert f"  kubectl -n flagger-system rollout status deployment/flagger-shard-{number}" in sharded
        assert f"  kubectl -n flagger-system port-forward service/flagger-shard-{number} 8080" in sharded
    assert "Each shard's page shows the namespaces of this shard only." in sharded
    assert "  kubectl -n flagger-system rollout status deployment/flagger" in single
    assert "podDisruptionBudget.minAvailable is 1 of each shard, and leaderElection.replicaCount 1:" in sharded
    assert "drained" not in str(single)


def test_the_pods_of_the_test_have_the_controllers_resources(offline: Helm) -> None:
    resources = {"limits": {"memory": "1Gi", "cpu": "2"}, "requests": {"memory": "1Gi", "cpu": "1"}}
    for shards, names in ((1, ["flagger-test"]), (2, ["flagger-test-shard-0", "flagger-test-shard-1"])):
        rendered = offline.template({"shards": shards, "resources": resources})
        for name in names:
            [main] = one(rendered, "Pod", name)["spec"]["containers"]
            # a namespace with a quota takes no pod without
            assert main["resources"] == resources


def test_leases_are_written_by_name_and_those_of_all_shards_are_named(offline: Helm) -> None:
    def lease_rights(shards: int) -> set[rbac.Right]:
        return set(rbac.reviews(one(offline.template({"shards": shards}), "Role", "flagger-election")["rules"]))

    known = set(rbac.reviews(rbac.lease_rules()))
    assert lease_rights(1) == lease_rights(3) == known
    more = [Shard(20, index).lease for index in range(rbac.NAMED_SHARDS, 20)]
    assert lease_rights(20) == known | set(rbac.reviews(rbac.lease_rules(more)))


def granted(objects: list[Obj], *kinds: str) -> set[rbac.Right]:
    roles = [obj for obj in objects if obj["kind"] in kinds and obj["metadata"]["name"] == "flagger"]
    return set(rbac.reviews(rule for role in roles for rule in role["rules"]))


def test_routes_of_enabled_providers_only_may_be_written(offline: Helm) -> None:
    found = granted(offline.template({"rbac": {"providers": ["contour"]}, "meshProvider": "linkerd"}), "ClusterRole")
    wanted = [*rbac.rules(["contour", "linkerd"]), *rbac.optional_rules(), *rbac.cluster_rules()]
    assert found == set(rbac.reviews(wanted))
    assert granted(offline.template(), "ClusterRole") == set(
        rbac.reviews([*rbac.rules(rbac.ROUTES), *rbac.optional_rules(), *rbac.cluster_rules()])
    )


@pytest.mark.parametrize("namespace", ["a, b", ["a", "b"]])
def test_with_namespaces_there_are_roles_in_them_and_only_reads_without_a_namespace(offline: Helm, namespace: object) -> None:
    rendered = offline.template({"namespace": namespace, "crd": {"upgrade": False}})
    assert granted(rendered, "ClusterRole") == set(rbac.reviews(rbac.cluster_rules()))
    assert granted(rendered, "Role") == set(rbac.reviews([*rbac.rules(rbac.ROUTES), *rbac.optional_rules()]))
    roles = [obj["metadata"]["namespace"] for obj in rendered if obj["kind"] == "Role" and obj["metadata"]["name"] == "flagger"]
    assert roles == ["a", "b"]
    without = offline.template({"namespace": namespace, "crd": {"upgrade": False}, "rbac": {"clusterReads": False}})
    assert not [obj for obj in without if obj["kind"].startswith("Cluster")]


def test_the_crds_are_in_the_release_only_where_that_is_asked_for_and_the_hook_is_then_off(offline: Helm) -> None:
    def kinds(values: Obj) -> set[str]:
        return {obj["kind"] for obj in offline.template(values)}

    assert "CustomResourceDefinition" not in kinds({})
    assert "Job" in kinds({})
    assert {"CustomResourceDefinition"} == kinds({"crd": {"create": True}}) & {"CustomResourceDefinition", "Job"}
    assert "Job" not in kinds({"crd": {"upgrade": False}})


def test_the_hook_is_there_whoever_makes_the_controllers_roles(offline: Helm) -> None:
    """Who may make none is refused before anything is changed; without the hook a new controller would stand still before old CRDs."""
    rendered = offline.template({"rbac": {"create": False}})
    assert one(rendered, "Job", "flagger-crds")
    assert [obj["metadata"]["name"] for obj in rendered if obj["kind"] == "ClusterRole"] == ["flagger-crds"]
    assert not [obj for obj in rendered if obj["kind"] == "Role"]
