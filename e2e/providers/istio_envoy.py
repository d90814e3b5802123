"""A VirtualService as routes of Envoy, as Istio's documentation says what its fields mean: Istio's own proxies cannot be had here.

Only what the router writes is translated, and what does not concern a single proxy (gateways, source labels, ports) is left out; a field
that is not known here is an error, never passed over.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from e2e.core.controllers import free_port
from e2e.kube import Object, until
from e2e.sandbox.build import program

TYPE = "type.googleapis.com/envoy"
NOT_FOR_A_PROXY = {"name", "gateways", "sourceLabels", "sourceNamespace", "port"}


def routes(rules: list[Object]) -> list[Object]:
    """The routes of one virtual host: a rule stands once per entry of its match, in its order; the first that matches is taken."""
    return [{"match": _match(match), **_action(rule, match)} for rule in rules for match in rule.get("match") or [{}]]


def _match(match: Object) -> Object:
    left = {name: value for name, value in match.items() if name not in NOT_FOR_A_PROXY}
    uri = left.pop("uri", {"prefix": "/"})
    [(kind, value)] = uri.items()
    path = {"exact": "path", "prefix": "prefix"}.get(kind)
    made: Object = {path: value} if path else {"safe_regex": {"regex": value}}
    if left.pop("ignoreUriCase", False):
        made["case_sensitive"] = False
    headers = [{"name": name, **_header(test)} for name, test in left.pop("headers", {}).items()]
    # a request without the header is one where it does not match
    absent = {"invert_match": True, "treat_missing_header_as_empty": True}
    headers += [{"name": name, **absent, **_header(test)} for name, test in left.pop("withoutHeaders", {}).items()]
    headers += [{"name": f":{name}", **_header(left.pop(name))} for name in ("method", "authority", "scheme") if name in left]
    query = [{"name": name, **_query(test)} for name, test in left.pop("queryParams", {}).items()]
    assert not left, f"not translated: {left}"
    return made | ({"headers": headers} if headers else {}) | ({"query_parameters": query} if query else {})


def _text(test: Object) -> Object:
    [(kind, value)] = test.items()
    return {"safe_regex": {"regex": value}} if kind == "regex" else {kind: value}


def _header(test: Object) -> Object:
    return {"string_match": _text(test)} if test else {"present_match": True}


def _query(test: Object) -> Object:
    return {"string_match": _text(test)} if test else {"present_match": True}


def _action(rule: Object, match: Object) -> Object:
    left = {name: value for name, value in rule.items() if name != "match"}
    action: Object = {}
    shares = [each for each in left.pop("route") if each.get("weight", 100)]
    made: Object = _operations(left.pop("headers", {}))
    clusters = [
        {"name": each["destination"]["host"], "weight": each.get("weight", 100), **_operations(each.get("headers", {}))} for each in shares
    ]
    action["weighted_clusters"] = {"clusters": clusters}
    rewrite = left.pop("rewrite", {})
    if "authority" in rewrite:
        action["host_rewrite_literal"] = rewrite["authority"]
    if "uri" in rewrite:
        exact = (match.get("uri") or {}).get("exact")
        whole = {"regex_rewrite": {"pattern": {"regex": "^/.*$"}, "substitution": rewrite["uri"]}}
        action |= whole if exact else {"prefix_rewrite": rewrite["uri"]}
    if "timeout" in left:
        action["timeout"] = left.pop("timeout")
    if "retries" in left:
        retries = left.pop("retries")
        action["retry_policy"] = {"num_retries": retries["attempts"], "retry_on": retries["retryOn"]}
        if "perTryTimeout" in retries:
            action["retry_policy"]["per_try_timeout"] = retries["perTryTimeout"]
    if "mirror" in left:
        share = left.pop("mirrorPercentage", {"value": 100})["value"]
        fraction = {"default_value": {"numerator": round(share * 10_000), "denominator": "MILLION"}}
        action["request_mirror_policies"] = [{"cluster": left.pop("mirror")["host"], "runtime_fraction": fraction}]
    if "corsPolicy" in left:
        policy = left.pop("corsPolicy")
        cors = {
            "@type": f"{TYPE}.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [_text(origin) for origin in policy["allowOrigins"]],
            "allow_methods": ",".join(policy.get("allowMethods", [])),
        }
        made["typed_per_filter_config"] = {"envoy.filters.http.cors": cors}
    assert not left, f"not translated: {left}"
    return {"route": action, **made}


def _operations(headers: Object) -> Object:
    made: Object = {}
    for side, change in headers.items():
        options = [
            {"header": {"key": name, "value": value}, "append_action": action}
            for field, action in (("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD"))
            for name, value in change.get(field, {}).items()
        ]
        if options:
            made[f"{side}_headers_to_add"] = options
        if change.get("remove"):
            made[f"{side}_headers_to_remove"] = change["remove"]
    return made


def _tcp_proxy(rule: Object) -> Object:
    clusters = [{"name": each["destination"]["host"], "weight": each["weight"]} for each in rule["route"] if each["weight"]]
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "tcp",
            "weighted_clusters": {"clusters": clusters},
        },
    }


def _http(hosts: Mapping[str, list[Object]]) -> Object:
    virtual_hosts = [{"name": name, "domains": [name], "routes": routes(rules)} for name, rules in hosts.items()]
    filters = [
        {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{TYPE}.extensions.filters.http.cors.v3.Cors"}},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"}},
    ]
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "http",
            "route_config": {"name": "routes", "virtual_hosts": virtual_hosts},
            "http_filters": filters,
        },
    }


def _address(port: int) -> Object:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy:
    """One Envoy for all cases: `hosts` maps a host name to the rules of a VirtualService, `tcp` a name to one TCP rule; `backends` are the
    ports of the Services. Answers are got at `url` with the host name, connections at `tcp_ports[name]`."""

    def __init__(self, hosts: Mapping[str, list[Object]], tcp: Mapping[str, Object], backends: Mapping[str, int]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="flaggerpy-envoy-"))
        self.port, admin = free_port(), free_port()
        self.tcp_ports = {name: free_port() for name in tcp}
        self.url, self._ready = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{admin}/ready"
        listeners = [{"name": "http", "address": _address(self.port), "filter_chains": [{"filters": [_http(hosts)]}]}]
        listeners += [
            {"name": name, "address": _address(self.tcp_ports[name]), "filter_chains": [{"filters": [_tcp_proxy(rule)]}]}
            for name, rule in tcp.items()
        ]
        clusters = [_cluster(name, port) for name, port in backends.items()]
        config: dict[str, Any] = {
            "admin": {"address": _address(admin)},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        }
        self._config = self._folder / "envoy.json"
        self._config.write_text(json.dumps(config, indent=1))
        self._log = self._folder / "envoy.log"

    def __enter__(self) -> Envoy:
        command = [str(program("envoy", "envoy")), "-c", str(self._config), "--concurrency", "1", "--log-level", "error"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, "--disable-hot-restart", "--use-dynamic-base-id"], stdout=log, stderr=log)
        try:
            until(self._is_ready, 30, "Envoy", self._log.read_text)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx.get(self._ready, timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)


def _cluster(name: str, port: int) -> Object:
    endpoint = {"endpoint": {"address": _address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": assignment}
