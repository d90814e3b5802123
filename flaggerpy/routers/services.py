"""The three Services around a workload: `<apex>` for visitors (on the primary's pods), `<apex>-primary` and `<apex>-canary`.

None of their selectors changes during an analysis; routes do the splitting. What we create is ours as a whole. A Service that was
there before stays its maker's: only its selector and our port are put right, all its other ports and fields stay (Q-49), and what
it selected before is kept in an annotation for the deletion with revert.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flaggerpy.api.canary import Canary, Metadata, Service
from flaggerpy.api.names import FLUX_OPT_OUT, primary_name
from flaggerpy.routers import manifest
from flaggerpy.routers.base import Obj

DEFAULT_PORT_NAME = "http"
PROXY_CONTAINERS = frozenset({"istio-proxy", "envoy"})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LONGEST_NAME = 63


def service_names(canary: Canary) -> tuple[str, str, str]:
    """The names of the three Services: apex, primary, canary."""
    return canary.apex, manifest.primary_service(canary), manifest.canary_service(canary)


def discovered_ports(pod_template: Mapping[str, Any], service: Service) -> list[Obj]:
    """The further ports of a Service with `portDiscovery`: those of the template's containers but for the main one.

    Ports of mesh proxies are left out. Protocols are kept, a port of two containers is taken once, and a name that is taken
    becomes `<protocol>-<container>-<index>` (Flagger exports UDP as TCP and lets names collide, Q-49).
    """
    if not service.port_discovery:
        return []
    target = main_port(service)["targetPort"]
    taken_names = {str(main_port(service)["name"])}
    taken = {(service.port, "TCP")}
    ports: list[Obj] = []
    for container in (pod_template.get("spec") or {}).get("containers") or ():
        if container.get("name") in PROXY_CONTAINERS:
            continue
        for index, port in enumerate(container.get("ports") or ()):
            number, name, protocol = port.get("containerPort"), port.get("name") or "", port.get("protocol") or "TCP"
            is_main = protocol == "TCP" and (number == target or (name and name == target))
            if is_main or (number, protocol) in taken:
                continue
            if not name or name in taken_names:
                name = f"{protocol.lower()}-{container.get('name', '')}-{index}"[-_LONGEST_NAME:].lstrip("-")
            taken.add((number, protocol))
            taken_names.add(name)
            ports.append({"name": name, "protocol": protocol, "port": number, "targetPort": number})
    return ports


def main_port(service: Service) -> Obj:
    """The port of `service.port`. A target port that is absent or 0 is the port itself; digits in a text are a number."""
    target: int | str = service.target_port or service.port
    if isinstance(target, str) and target.isdigit():
        target = int(target) or service.port
    port: Obj = {"name": service.port_name or DEFAULT_PORT_NAME, "protocol": "TCP", "port": service.port, "targetPort": target}
    if service.app_protocol:
        port["appProtocol"] = service.app_protocol
    return port


def desired_services(
    canary: Canary,
    *,
    selector_label: str,
    label_value: str,
    ports: Iterable[Obj],
    current: Mapping[str, Obj | None],
    with_apex: bool,
) -> list[Obj]:
    """The manifests for server-side apply of `<apex>-primary`, `<apex>-canary` and, `with_apex`, `<apex>`.

    `selector_label` and `label_value` are the label of the target's pods; the primary's pods carry `<label_value>-primary`.
    `ports` are the discovered ones, `current` the Services as they stand, by name. Raises ValueError without `spec.service`.
    """
    service = manifest.service_of(canary)
    apex, primary, candidate = service_names(canary)
    of_primary = primary_name(label_value)
    wanted: list[tuple[str, str, Metadata | None]] = [(primary, of_primary, service.primary), (candidate, label_value, service.canary)]
    if with_apex:
        wanted.append((apex, of_primary, service.apex))
    extra = list(ports)
    out = []
    for name, value, custom in wanted:
        have = current.get(name)
        selector = {selector_label: value}
        if have is not None and not manifest.is_ours(have, canary):
            out.append(_adopted(canary, service, name, selector, extra, have))
        else:
            out.append(_created(canary, service, name, selector, custom, extra, have, selector_label))
    return out


def in_shape(desired: Obj, current: Obj | None) -> bool:
    """True when the Service says all that is desired of it. Of a Service of ours the list of ports is compared as a whole."""
    if current is None or not manifest.same_metadata(desired, current):
        return False
    want, have = desired["spec"], current.get("spec") or {}
    owners = {owner["uid"] for owner in (desired.get("metadata") or {}).get("ownerReferences") or ()}
    owned = bool(owners)
    if not owners <= {owner.get("uid") for owner in (current.get("metadata") or {}).get("ownerReferences") or ()}:
        return False
    if want["selector"] != (have.get("selector") or {}):
        return False
    if owned and len(want["ports"]) != len(have.get("ports") or ()):
        return False
    if owned and have.get("trafficDistribution") and "trafficDistribution" not in want:
        return False
    by_key = {_key(port): port for port in have.get("ports") or ()}
    if not all(_same_port(port, by_key.get(_key(port))) for port in want["ports"]):
        return False
    rest = {field: value for field, value in want.items() if field not in ("selector", "ports")}
    return manifest.covers(rest, have)


def service_problems(canary: Canary, current: Mapping[str, Obj | None]) -> list[str]:
    """What cannot be changed on a Service that stands: being headless is decided when it is made."""
    service = canary.spec.service
    if service is None:
        return []
    found = []
    for name in service_names(canary):
        have = current.get(name)
        if have is None or not manifest.is_ours(have, canary):
            continue
        headless = (have.get("spec") or {}).get("clusterIP") == "None"
        if headless != service.headless:
            found.append(
                f"spec.service.headless: is {str(service.headless).lower()}, and Service {name} was made "
                f"{'without' if headless else 'with'} a cluster IP, which cannot be changed: delete that Service, or set it back"
            )
    return found


def restored_apex(canary: Canary, *, selector_label: str | None, label_value: str, current: Obj | None) -> Obj | None:
    """The manifest that leads a taken-over apex Service back to what it selected before the Canary; None when there is nothing to do.

    An apex Service of ours is led back by `led_to_target`, one of another Canary is that one's. What was selected is known from our
    annotation, else from kubectl's, else it is the target's pods; `selector_label` None: the target is gone, and its label is not known.
    A Service that was never taken over is left alone.
    """
    if current is None or manifest.is_ours(current, canary) or manifest.of_another(current, canary):
        return None
    annotations = (current.get("metadata") or {}).get("annotations") or {}
    standing = (current.get("spec") or {}).get("selector") or {}
    target = _target_of(standing, selector_label, label_value)
    noted = annotations.get(manifest.ORIGINAL)
    if noted is None and target is None:
        return None
    known = _spec_of(noted) or _spec_of(annotations.get(LAST_APPLIED), "spec")
    selector = known.get("selector") or {}
    if noted is None and (not selector or _target_of(selector, selector_label, label_value) is not None):
        # a user who applied it again during the Canary's life may have written down what it selected then
        selector = target or {}
    spec: Obj = {"selector": selector} if selector else {}
    spec["ports"] = _restored_ports(canary, known, current)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": canary.apex, "namespace": canary.namespace},
        "spec": spec,
    }


def led_to_target(wanted: Obj, *, selector_label: str, label_value: str) -> Obj:
    """The apex Service of ours (`wanted` is its manifest) on the target's pods."""
    return {**wanted, "spec": {**wanted["spec"], "selector": {selector_label: label_value}}}


def _target_of(selector: Mapping[str, str], label: str | None, value: str) -> dict[str, str] | None:
    """The selector of the target's pods, for one that picks the primary's and nothing else; None for any other."""
    if len(selector) != 1:
        return None
    [(name, picked)] = selector.items()
    if label is not None:
        return {label: value} if (name, picked) == (label, primary_name(value)) else None
    plain = picked.removesuffix(primary_name(""))
    return {name: plain} if plain not in ("", picked) else None


def _restored_ports(canary: Canary, known: Obj, current: Obj) -> list[Obj]:
    """The ports that stand, with those that we changed as they were; one that we added goes. With none left they stay as they are."""
    service = canary.spec.service
    live = {_key(port): port for port in (current.get("spec") or {}).get("ports") or ()}
    ours = {_key(main_port(service))} if service else set()
    ports = []
    for port in known.get("ports") or ():
        standing = live.get(_key(port))
        if standing is None:
            continue
        changed = _key(port) in ours or not port.get("name") or bool(service and service.port_discovery)
        # what the user changed in a port of their own since then stays
        ports.append(port if changed else _bare_port(standing))
    noted = {_key(port) for port in ports}
    if known.get("ports"):
        added_since = [_bare_port(port) for key, port in live.items() if key not in noted and key not in ours]
        ports += [] if service and service.port_discovery else added_since
    return ports or list(live.values())


def _created(
    canary: Canary,
    service: Service,
    name: str,
    selector: dict[str, str],
    custom: Metadata | None,
    extra: list[Obj],
    have: Obj | None,
    selector_label: str,
) -> Obj:
    spec: Obj = {"type": "ClusterIP", "selector": selector, "ports": [main_port(service), *extra]}
    headless = service.headless if have is None else (have.get("spec") or {}).get("clusterIP") == "None"
    if headless:
        spec["clusterIP"] = "None"
    if service.traffic_distribution:
        spec["trafficDistribution"] = service.traffic_distribution
    meta = manifest.metadata(canary, name, custom, have, labels={selector_label: name})
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _adopted(canary: Canary, service: Service, name: str, selector: dict[str, str], extra: list[Obj], have: Obj) -> Obj:
    theirs = list((have.get("spec") or {}).get("ports") or ())
    ours = [main_port(service), *extra]
    keys = {_key(port) for port in ours}
    by_key = {_key(port): port for port in theirs}
    foreign = [port for port in theirs if _key(port) not in keys]
    taken = {port.get("name") for port in foreign}
    ports: list[Obj] = []
    for index, port in enumerate(ours):
        standing = by_key.get(_key(port))
        mine = dict(port)
        if standing and standing.get("name") and (index > 0 or not service.port_name):
            # somebody may refer to the port by the name it has
            mine["name"] = standing["name"]
        elif mine["name"] in taken:
            mine["name"] = f"{mine['name']}-{mine['port']}"[:_LONGEST_NAME]
        taken.add(mine["name"])
        ports.append(mine)
    # a Service with several ports needs a name for each
    for port in foreign:
        given = f"{_key(port)[1].lower()}-{port['port']}"
        if port.get("name") in (None, "", given):
            ports.append({"protocol": "TCP", **_bare_port(port), "name": given})
    meta: Obj = {"name": name, "namespace": canary.namespace}
    annotations = _left_alone_by_flux(service, have)
    kept = _original(canary, have, selector)
    if kept is not None:
        annotations[manifest.ORIGINAL] = kept
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": selector, "ports": ports}}


def _left_alone_by_flux(service: Service, have: Obj) -> dict[str, str]:
    """Flagger's two annotations, or Flux puts the user's selector back and all traffic goes to the target, which is at zero. A word of the
    user's own under one of these keys stays."""
    theirs = (have.get("metadata") or {}).get("annotations") or {}
    wanted = {key: value for key, value in FLUX_OPT_OUT.items() if theirs.get(key, value) == value}
    return manifest.managed(wanted, service.unmanaged_metadata.annotations if service.unmanaged_metadata else ())


def _original(canary: Canary, have: Obj, selector: Mapping[str, str]) -> str | None:
    value = ((have.get("metadata") or {}).get("annotations") or {}).get(manifest.ORIGINAL)
    if value is not None:
        return str(value)
    spec = have.get("spec") or {}
    if (spec.get("selector") or {}) == selector:
        return None
    kept = {"selector": spec.get("selector") or {}, "ports": [_bare_port(port) for port in spec.get("ports") or ()]}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def _spec_of(text: str | None, field: str = "") -> Obj:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    found = value.get(field) if field and isinstance(value, dict) else value
    return found if isinstance(found, dict) else {}


def _key(port: Mapping[str, Any]) -> tuple[Any, str]:
    return port.get("port"), port.get("protocol") or "TCP"


def _bare_port(port: Mapping[str, Any]) -> Obj:
    return {field: port[field] for field in ("name", "protocol", "port", "targetPort", "appProtocol") if field in port}


def _same_port(want: Obj, have: Obj | None) -> bool:
    return have is not None and manifest.covers(want, {"protocol": "TCP", "targetPort": have.get("port"), **have})
