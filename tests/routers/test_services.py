from __future__ import annotations

import copy
import json

import pytest

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import LEFT_BY
from flaggerpy.routers.base import Obj
from flaggerpy.routers.manifest import ORIGINAL
from flaggerpy.routers.services import (
    desired_services,
    discovered_ports,
    in_shape,
    led_to_target,
    main_port,
    restored_apex,
    service_problems,
)
from tests.routers.builders import FLUX, OWNER, a_canary


def desired(canary: Canary, current: dict[str, Obj | None] | None = None, ports: list[Obj] | None = None) -> dict[str, Obj]:
    made = desired_services(
        canary, selector_label="app", label_value="podinfo", ports=ports or [], current=current or {}, with_apex=True
    )
    return {service["metadata"]["name"]: service for service in made}


def of(canary: Canary) -> Obj:
    assert canary.spec.service is not None
    return main_port(canary.spec.service)


HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 9898}


def test_the_three_services() -> None:
    canary = a_canary(
        {
            "apex": {"labels": {"tier": "front"}, "annotations": {"a": "1"}},
            "canary": {"annotations": {"b": "2"}},
            "trafficDistribution": "PreferClose",
            "appProtocol": "kubernetes.io/h2c",
        }
    )
    port = {**HTTP, "appProtocol": "kubernetes.io/h2c"}

    def expected(name: str, selected: str, labels: Obj, annotations: Obj) -> Obj:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": name,
                "namespace": "test",
                "labels": {"app": name, **labels},
                "annotations": {**FLUX, **annotations},
                "ownerReferences": [OWNER],
            },
            "spec": {
                "type": "ClusterIP",
                "selector": {"app": selected},
                "ports": [port],
                "trafficDistribution": "PreferClose",
            },
        }

    assert desired(canary) == {
        "podinfo-primary": expected("podinfo-primary", "podinfo-primary", {}, {}),
        "podinfo-canary": expected("podinfo-canary", "podinfo", {}, {"b": "2"}),
        "podinfo": expected("podinfo", "podinfo-primary", {"tier": "front"}, {"a": "1"}),
    }


def test_the_apex_comes_only_when_it_is_asked_for() -> None:
    made = desired_services(a_canary(), selector_label="app", label_value="podinfo", ports=[], current={}, with_apex=False)
    assert [service["metadata"]["name"] for service in made] == ["podinfo-primary", "podinfo-canary"]


def test_unmanaged_metadata_is_left_alone() -> None:
    canary = a_canary(
        {
            "apex": {"labels": {"a": "1", "b": "2"}, "annotations": {"c": "3"}},
            "unmanagedMetadata": {"labels": ["b"], "annotations": ["c", "kustomize.toolkit.fluxcd.io/reconcile"]},
        }
    )
    meta = desired(canary)["podinfo"]["metadata"]
    assert meta["labels"] == {"a": "1", "app": "podinfo"}
    assert meta["annotations"] == {"helm.toolkit.fluxcd.io/driftDetection": "disabled"}


@pytest.mark.parametrize(("given", "target"), [(None, 80), (0, 80), ("0", 80), ("8080", 8080), ("web", "web"), (8080, 8080)])
def test_the_target_port(given: int | str | None, target: int | str) -> None:
    assert of(a_canary({"targetPort": given}))["targetPort"] == target


def template(*containers: Obj) -> Obj:
    return {"spec": {"containers": list(containers)}}


@pytest.mark.fault("Q-49")
def test_ports_are_discovered_but_for_the_main_one_and_those_of_proxies() -> None:
    canary = a_canary({"portDiscovery": True, "targetPort": "http-main"})
    assert canary.spec.service is not None
    ports = discovered_ports(
        template(
            {
                "name": "app",
                "ports": [
                    {"name": "http-main", "containerPort": 9898},
                    {"name": "grpc", "containerPort": 9999},
                    {"containerPort": 53, "protocol": "UDP"},
                    {"containerPort": 80},
                ],
            },
            {
                "name": "side",
                "ports": [{"name": "grpc", "containerPort": 9001}, {"containerPort": 9999}, {"name": "http", "containerPort": 9002}],
            },
            {"name": "istio-proxy", "ports": [{"containerPort": 15090}]},
            {"name": "envoy", "ports": [{"containerPort": 15091}]},
        ),
        canary.spec.service,
    )
    assert ports == [
        {"name": "grpc", "protocol": "TCP", "port": 9999, "targetPort": 9999},
        {"name": "udp-app-2", "protocol": "UDP", "port": 53, "targetPort": 53},
        {"name": "tcp-side-0", "protocol": "TCP", "port": 9001, "targetPort": 9001},
        {"name": "tcp-side-2", "protocol": "TCP", "port": 9002, "targetPort": 9002},
    ]
    assert all(len(service["spec"]["ports"]) == 5 for service in desired(canary, ports=ports).values())


def test_no_ports_are_discovered_unless_asked_for() -> None:
    service = a_canary().spec.service
    assert service is not None
    assert discovered_ports(template({"name": "a", "ports": [{"containerPort": 1}]}), service) == []


def users_service(*ports: Obj, **spec: object) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "podinfo", "namespace": "test", "labels": {"mine": "1"}},
        "spec": {"type": "LoadBalancer", "selector": {"app": "podinfo", "tier": "a"}, "ports": list(ports), **spec},
    }


@pytest.mark.fault("Q-49")
def test_a_service_of_the_user_keeps_its_other_ports_and_fields() -> None:
    web = {"name": "web", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30080}
    metrics = {"name": "metrics", "protocol": "TCP", "port": 9090, "targetPort": 9090, "nodePort": 30090}
    theirs = users_service(web, metrics)
    adopted = desired(a_canary(), {"podinfo": theirs})["podinfo"]
    assert adopted == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "podinfo",
            "namespace": "test",
            "annotations": {
                **FLUX,
                ORIGINAL: json.dumps(
                    {
                        "ports": [{k: p[k] for k in ("name", "port", "protocol", "targetPort")} for p in (web, metrics)],
                        "selector": {"app": "podinfo", "tier": "a"},
                    },
                    separators=(",", ":"),
                )
            },
        },
        "spec": {"selector": {"app": "podinfo-primary"}, "ports": [{**HTTP, "name": "web"}]},
    }


def test_flux_is_told_to_leave_an_adopted_service_alone_unless_the_user_says_otherwise() -> None:
    key = next(iter(FLUX))
    theirs = users_service({"name": "web", "port": 80})
    theirs["metadata"]["annotations"] = {key: "enabled"}
    annotations = desired(a_canary(), {"podinfo": theirs})["podinfo"]["metadata"]["annotations"]
    assert key not in annotations
    assert set(FLUX) - {key} <= set(annotations)
    unmanaged = a_canary({"unmanagedMetadata": {"annotations": list(FLUX)}})
    annotations = desired(unmanaged, {"podinfo": users_service({"name": "web", "port": 80})})["podinfo"]["metadata"]["annotations"]
    assert not set(FLUX) & set(annotations)


def applied(service: Obj, adopted: Obj) -> Obj:
    """What server-side apply makes of it: ports merge by number and protocol, the selector is one value."""
    result = copy.deepcopy(service)
    ports = {(port["port"], port.get("protocol", "TCP")): port for port in result["spec"]["ports"]}
    for port in adopted["spec"]["ports"]:
        ports.setdefault((port["port"], port["protocol"]), {}).update(port)
    result["spec"]["ports"] = list(ports.values())
    result["spec"]["selector"] = adopted["spec"]["selector"]
    result["metadata"].setdefault("annotations", {}).update(adopted["metadata"].get("annotations", {}))
    return result


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        ([{"port": 9090}], {80: "http", 9090: "tcp-9090"}),
        ([{"name": "http", "port": 9090}], {80: "http-80", 9090: "http"}),
        ([{"port": 80, "targetPort": 1}], {80: "http"}),
        ([{"name": "a", "port": 80}, {"name": "http", "port": 81}], {80: "a", 81: "http"}),
    ],
)
@pytest.mark.fault("Q-49")
def test_the_ports_of_an_adopted_service_have_names_of_their_own(ports: list[Obj], names: dict[int, str]) -> None:
    theirs = users_service(*ports)
    adopted = desired(a_canary(), {"podinfo": theirs})["podinfo"]
    assert not in_shape(adopted, theirs)
    result = applied(theirs, adopted)
    assert {port["port"]: port["name"] for port in result["spec"]["ports"]} == names
    again = desired(a_canary(), {"podinfo": result})["podinfo"]
    # a name that we gave must be given in every round, or it would be taken away
    assert {port["port"]: port["name"] for port in again["spec"]["ports"]} == {
        port["port"]: port["name"] for port in adopted["spec"]["ports"]
    }
    assert in_shape(again, result)


@pytest.mark.fault("Q-49")
def test_an_adopted_apex_is_led_back_to_what_it_selected() -> None:
    theirs = users_service({"name": "web", "port": 80, "targetPort": 8080}, {"name": "metrics", "port": 9090})
    result = applied(theirs, desired(a_canary(), {"podinfo": theirs})["podinfo"])
    back = restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=result)
    assert back is not None
    assert back["spec"]["selector"] == {"app": "podinfo", "tier": "a"}
    assert back["spec"]["ports"] == theirs["spec"]["ports"]
    assert "annotations" not in back["metadata"]


def test_an_adopted_apex_without_our_note_goes_by_kubectls_or_to_the_target() -> None:
    taken = users_service({"port": 80})
    taken["spec"]["selector"] = {"app": "podinfo-primary"}
    back = restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=taken)
    assert back is not None
    assert back["spec"]["selector"] == {"app": "podinfo"}
    taken["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"selector": {"app": "podinfo", "x": "y"}}})
    }
    back = restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=taken)
    assert back is not None
    assert back["spec"]["selector"] == {"app": "podinfo", "x": "y"}
    assert back["spec"]["ports"] == [{"port": 80}]
    # a user who applied it again during the Canary's life may have written down what it selected then
    taken["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"spec": {"selector": {"app": "podinfo-primary"}}})
    }
    back = restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=taken)
    assert back is not None
    assert back["spec"]["selector"] == {"app": "podinfo"}


def test_an_apex_of_ours_goes_with_the_canary() -> None:
    ours = desired(a_canary())["podinfo"]
    assert restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=ours) is None
    assert restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=None) is None


def stored(service: Obj) -> Obj:
    result = copy.deepcopy(service)
    result["spec"] |= {"clusterIP": result["spec"].get("clusterIP", "10.0.0.1"), "sessionAffinity": "None", "ipFamilies": ["IPv4"]}
    result["metadata"]["labels"]["foreign"] = "x"
    return result


def test_what_the_api_server_and_others_add_is_no_drift() -> None:
    for service in desired(a_canary({"headless": True})).values():
        assert in_shape(service, stored(service))
    assert not in_shape(desired(a_canary())["podinfo"], None)


def drifted(field: str) -> Obj:
    service = stored(desired(a_canary())["podinfo"])
    match field:
        case "selector":
            service["spec"]["selector"]["tier"] = "x"
        case "port":
            service["spec"]["ports"][0]["targetPort"] = 1
        case "more ports":
            service["spec"]["ports"].append({"name": "x", "port": 1})
        case "label":
            service["metadata"]["labels"]["app"] = "other"
        case "type":
            service["spec"]["type"] = "NodePort"
        case "distribution":
            service["spec"]["trafficDistribution"] = "PreferClose"
    return service


@pytest.mark.parametrize("field", ["selector", "port", "more ports", "label", "type", "distribution"])
def test_drift_of_a_service_of_ours_is_seen(field: str) -> None:
    service = drifted(field)
    assert not in_shape(desired(a_canary(), {"podinfo": service})["podinfo"], service)


def test_headless_cannot_be_changed_and_that_is_said() -> None:
    current: dict[str, Obj | None] = {name: stored(service) for name, service in desired(a_canary()).items()}
    changed = a_canary({"headless": True})
    assert service_problems(a_canary(), current) == []
    assert len(service_problems(changed, current)) == 3
    assert "Service podinfo was made with a cluster IP" in service_problems(changed, current)[0]
    # and what is applied stays admissible
    assert all("clusterIP" not in service["spec"] for service in desired(changed, current).values())


def test_a_canary_made_anew_takes_its_orphans_back() -> None:
    orphan = desired(a_canary())["podinfo"]
    orphan["metadata"]["ownerReferences"][0]["uid"] = "u-0"
    assert desired(a_canary(), {"podinfo": orphan})["podinfo"]["metadata"]["ownerReferences"] == [OWNER]


def test_a_service_that_was_never_taken_over_is_left_alone() -> None:
    for selector in ({"tier": "web"}, {"app": "podinfo"}, {"app": "podinfo-primary", "tier": "web"}, {}):
        theirs = users_service({"port": 80, "protocol": "TCP"})
        theirs["spec"]["selector"] = selector
        for label in ("app", None):
            assert restored_apex(a_canary(), selector_label=label, label_value="podinfo", current=theirs) is None


@pytest.mark.fault("Q-28")
@pytest.mark.parametrize("selector", [{"tier": "web"}, {"app": "podinfo", "tier": "a"}, {"run": "x-primary"}])
def test_a_service_is_given_back_though_its_target_is_gone(selector: dict[str, str]) -> None:
    theirs = users_service({"name": "web", "port": 80, "protocol": "TCP", "targetPort": 8080})
    theirs["spec"]["selector"] = selector
    result = applied(theirs, desired(a_canary(), {"podinfo": theirs})["podinfo"])
    back = restored_apex(a_canary(), selector_label=None, label_value="", current=result)
    assert back is not None
    assert back["spec"]["selector"] == selector
    # of one that Flagger took over only the primary's name is left
    taken = users_service({"port": 80})
    taken["spec"]["selector"] = {"app": "podinfo-primary"}
    back = restored_apex(a_canary(), selector_label=None, label_value="", current=taken)
    assert back is not None
    assert back["spec"]["selector"] == {"app": "podinfo"}


def test_a_service_without_a_selector_has_none_again() -> None:
    theirs = users_service({"name": "web", "port": 80, "protocol": "TCP"})
    theirs["spec"].pop("selector")
    result = applied(theirs, desired(a_canary(), {"podinfo": theirs})["podinfo"])
    back = restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=result)
    assert back is not None
    assert "selector" not in back["spec"]


def test_what_the_user_changed_in_other_ports_since_then_stays() -> None:
    theirs = users_service(
        {"name": "web", "port": 80, "protocol": "TCP", "targetPort": 8080}, {"name": "m", "port": 9090, "protocol": "TCP", "targetPort": 1}
    )
    result = applied(theirs, desired(a_canary(), {"podinfo": theirs})["podinfo"])
    changed = next(port for port in result["spec"]["ports"] if port["port"] == 9090)
    changed["targetPort"] = 2
    back = restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=result)
    assert back is not None
    assert {port["port"]: port["targetPort"] for port in back["spec"]["ports"]} == {80: 8080, 9090: 2}


def test_a_service_of_another_canary_is_that_one_s() -> None:
    theirs = users_service({"port": 80})
    theirs["spec"]["selector"] = {"app": "podinfo-primary"}
    theirs["metadata"]["ownerReferences"] = [{**OWNER, "name": "other", "uid": "u-2"}]
    assert restored_apex(a_canary(), selector_label="app", label_value="podinfo", current=theirs) is None


def test_an_apex_of_ours_is_led_to_the_target() -> None:
    wanted = desired(a_canary())["podinfo"]
    led = led_to_target(wanted, selector_label="app", label_value="podinfo")
    assert led == {**wanted, "spec": {**wanted["spec"], "selector": {"app": "podinfo"}}}


def test_services_that_were_left_behind_are_had_again_by_a_canary_of_that_name() -> None:
    left = desired(a_canary())["podinfo-primary"]
    del left["metadata"]["ownerReferences"]
    left["metadata"]["annotations"][LEFT_BY] = "podinfo"
    again = desired(a_canary(), {"podinfo-primary": left})["podinfo-primary"]
    assert again["metadata"]["ownerReferences"] == [OWNER]
