"""The Grafana dashboard, made from a short description: rows of panels, each with its queries. `dashboard()` is the JSON model.

Two variables choose Canaries (namespace and name). The label that has a Canary's namespace is a variable too: Prometheus calls it
`exported_namespace` where the monitor does not set `honorLabels`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

UID = "flaggerpy"
WIDTH = 24
OF = '{$label=~"$namespace",name=~"$canary"}'
WORKLOADS = '{$label=~"$namespace",workload=~"($canary)(-primary)?"}'
RATE = "$__rate_interval"
PHASES = ("Initializing", "Initialized", "Waiting", "Progressing", "WaitingPromotion", "Promoting", "Finalising", "Succeeded", "Failed")


class Query(NamedTuple):
    """PromQL and the name of its series; `heat`: a histogram's buckets."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One panel: what it shows, how, in what unit; `width` of 24, `height` in Grafana's units."""

    title: str
    about: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "table", "state-timeline"] = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    colours: dict[str, str] = {}
    stack: bool = False


class Row(NamedTuple):
    """A row of panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def _quantiles(name: str, by: str = "") -> tuple[Query, ...]:
    """Median and 99th percentile of a histogram, for each value of a label."""
    labels = f"le, {by}" if by else "le"
    shown = f"{{{{{by}}}}} " if by else ""
    expr = f"histogram_quantile({{}}, sum by ({labels}) (rate({name}_bucket[{RATE}])))"
    return (Query(expr.format(0.5), f"{shown}p50"), Query(expr.format(0.99), f"{shown}p99"))


ROWS = (
    Row(
        "All canaries",
        (
            Panel("Canaries", "All there are.", (Query("sum(flagger_canary_total)"),), "stat", width=3, height=4),
            Panel(
                "Under way", "Canaries with a release under way.", (Query("count(flagger_canary_failed_checks) or vector(0)"),), "stat",
                width=3, height=4, colours={"blue": "1"},
            ),
            Panel(
                "Failed", "Canaries whose last release failed.", (Query("count(flagger_canary_status == 2) or vector(0)"),), "stat",
                width=3, height=4, colours={"red": "1"},
            ),
            Panel(
                "Stalled", "Canaries that cannot go on without a person, the failed ones left out.",
                (Query('count(flagger_canary_stalled{reason!="Failed"}) or vector(0)'),), "stat", width=3, height=4,
                colours={"orange": "1"},
            ),
            Panel(
                "Promoted", "Releases that succeeded in the time shown.",
                (Query('sum(increase(flagger_releases_total{outcome="Succeeded"}[$__range])) or vector(0)'),), "stat", width=3, height=4,
                colours={"green": "1"},
            ),
            Panel(
                "Rolled back", "Releases that failed or were aborted in the time shown.",
                (Query('sum(increase(flagger_releases_total{outcome=~"Failed|Aborted"}[$__range])) or vector(0)'),), "stat", width=3,
                height=4, colours={"red": "1"},
            ),
            Panel(
                "Leader", "Controllers that lead: 1, of as many as run.",
                (Query("sum(flagger_leader)", "leading"), Query("count(flagger_leader)", "running")), "stat", width=3, height=4,
            ),
            Panel("Version", "The controller's.", (Query("flagger_info", "{{version}}"),), "stat", width=3, height=4),
        ),
    ),
    Row(
        "Releases: $canary",
        (
            Panel(
                "Traffic", "Weights of canary and primary.", (Query(f"flagger_canary_weight{WORKLOADS}", "{{workload}}"),), unit="percent",
                width=12,
            ),
            Panel(
                "Phase", "Which phase each Canary is in, over time.",
                (Query(f"flagger_canary_phase_start_time_seconds{OF} > bool 0", "{{name}}: {{phase}}"),), "state-timeline", width=12,
            ),
            Panel(
                "Analysis", "The last value of each metric; request-duration in seconds.",
                (Query(f"flagger_canary_metric_analysis{OF}", "{{name}}: {{metric}}"),), width=12,
            ),
            Panel(
                "Failed checks", "Of the run under way; analysis.threshold of them roll it back.",
                (Query(f"flagger_canary_failed_checks{OF}", "{{name}}"),), width=6,
            ),
            Panel(
                "Time in phase", "Since when each Canary is in its phase.",
                (Query(f"time() - flagger_canary_phase_start_time_seconds{OF}", "{{name}}: {{phase}}"),), unit="s", width=6,
            ),
            Panel(
                "Verdicts", "What ended analyses, or set them back.",
                (Query(f"sum by (reason) (increase(flagger_verdicts_total[{RATE}]))", "{{reason}}"),), stack=True,
            ),
            Panel(
                "Length of releases", "From the change to its end, by outcome.", _quantiles("flagger_release_duration_seconds", "outcome"),
                unit="s",
            ),
            Panel(
                "Length of phases", "When a Canary leaves them.", _quantiles("flagger_phase_duration_seconds", "phase"), unit="s",
            ),
        ),
    ),
    Row(
        "The controller",
        (
            Panel(
                "Reaction", "From what was seen to the end of the writes that answer it, by cause.",
                _quantiles("flagger_reaction_seconds", "reaction"), unit="s",
            ),
            Panel("Queue", "How long Canaries wait to be looked at.", _quantiles("flagger_inbox_wait_seconds"), unit="s"),
            Panel("Event loop", "How late it is.", _quantiles("flagger_event_loop_lag_seconds"), unit="s"),
            Panel(
                "Requests to the API server", "By verb and code; 0 is no answer.",
                (Query(f"sum by (verb, code) (rate(flagger_api_requests_total[{RATE}]))", "{{verb}} {{code}}"),), unit="reqps", stack=True,
            ),
            Panel("API server", "How long its answers take.", _quantiles("flagger_api_request_duration_seconds", "verb"), unit="s"),
            Panel(
                "Requests elsewhere", "Metric providers, hooks, alerts and registries, by outcome.",
                (
                    Query(
                        f"sum by (kind, provider, outcome) (rate(flagger_outside_requests_total[{RATE}]))",
                        "{{kind}} {{provider}} {{outcome}}",
                    ),
                ),
                unit="reqps", stack=True,
            ),
            Panel("Elsewhere", "How long their answers take.", _quantiles("flagger_outside_request_duration_seconds", "kind"), unit="s"),
            Panel(
                "Workers", "One for each Canary, and those that wait.",
                (Query("sum(flagger_workers)", "workers"), Query("sum(flagger_inbox_waiting)", "waiting")),
            ),
            Panel(
                "Faults", "Looks that failed, watches that broke, events that were dropped, parts that were started again; a minute.",
                (
                    Query(f"sum by (kind) (rate(flagger_worker_failures_total[{RATE}])) * 60", "look: {{kind}}"),
                    Query(f'sum by (resource) (rate(flagger_watch_restarts_total{{reason="error"}}[{RATE}])) * 60', "watch: {{resource}}"),
                    Query("count(flagger_namespace_attended == 0)", "namespaces not attended"),
                    Query("count(max by (shard) (flagger_shard_attended) == 0)", "shards not attended"),
                    Query(f"sum(rate(flagger_events_dropped_total[{RATE}])) * 60", "events dropped"),
                    Query(f"sum by (part) (rate(flagger_restarts_total[{RATE}])) * 60", "restarted: {{part}}"),
                ),
            ),
            Panel(
                "Memory", "Resident, of each replica.",
                (Query("process_resident_memory_bytes and on (instance, job) flagger_leader", "{{instance}}"),), unit="bytes", width=12,
            ),
            Panel(
                "CPU", "Cores, of each replica.",
                (Query(f"rate(process_cpu_seconds_total[{RATE}]) and on (instance, job) flagger_leader", "{{instance}}"),), width=12,
            ),
        ),
    ),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Grafana's JSON model; the same for the same description."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": _at(0, y, WIDTH, 1), "panels": []}
        )
        y += 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": UID,
        "title": "flaggerpy: releases",
        "description": "Canary releases and the controller that makes them. Generated: edit the description, not this.",
        "tags": ["flaggerpy", "flagger", "canary"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": panels,
    }


def expressions() -> list[str]:
    """Every query of the dashboard, as it is written."""
    return [query.expr for row in ROWS for panel in row.panels for query in panel.queries]


def filled(expr: str, *, label: str = "namespace", namespace: str = ".*", canary: str = ".*", range_: str = "1m") -> str:
    """A query with Grafana's variables replaced, as Grafana would send it."""
    values = {"$label": label, "$namespace": namespace, "$canary": canary, "$__rate_interval": range_, "$__range": range_}
    for name, value in values.items():
        expr = expr.replace(name, value)
    return expr


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _variables() -> list[dict[str, Any]]:
    prometheus = {"type": "prometheus", "uid": "${datasource}"}

    def asked(name: str, label: str, query: str) -> dict[str, Any]:
        return {
            "name": name, "label": label, "type": "query", "datasource": prometheus, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "includeAll": True, "allValue": ".*", "multi": True, "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]},
        }  # fmt: skip

    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1},
        {
            "name": "label", "label": "Namespace label", "type": "custom", "query": "namespace,exported_namespace",
            "current": {"text": "namespace", "value": "namespace"},
            "options": [
                {"text": name, "value": name, "selected": name == "namespace"} for name in ("namespace", "exported_namespace")
            ],
        },
        asked("namespace", "Namespace", "label_values(flagger_canary_status, $label)"),
        asked("canary", "Canary", 'label_values(flagger_canary_status{$label=~"$namespace"}, name)'),
    ]  # fmt: skip


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    prometheus = {"type": "prometheus", "uid": "${datasource}"}
    steps: list[dict[str, Any]] = [{"color": "text" if panel.kind == "stat" else "green", "value": None}]
    steps += [{"color": colour, "value": float(value)} for colour, value in panel.colours.items()]
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"} if panel.kind == "timeseries" else {}
    if panel.stack:
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
    options: dict[str, Any] = {}
    if panel.kind == "stat":
        # where only the labels say something, they are what is shown
        named = bool(panel.queries[0].legend) and len(panel.queries) == 1
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""},
            "textMode": "name" if named else "auto",
            "colorMode": "value",
            "graphMode": "none",
        }
    elif panel.kind == "timeseries":
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
        options["tooltip"] = {"mode": "multi", "sort": "desc"}
    elif panel.kind == "state-timeline":
        options = {"showValue": "never", "mergeValues": True, "legend": {"showLegend": False}}
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom, "min": 0}
    if panel.unit == "percent":
        defaults["max"] = 100
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": prometheus,
        "gridPos": _at(x, y, panel.width, panel.height),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + index), "datasource": prometheus, "expr": query.expr, "legendFormat": query.legend or "__auto",
                "instant": panel.kind == "stat", "range": panel.kind != "stat", "exemplar": panel.kind == "timeseries",
            }
            for index, query in enumerate(panel.queries)
        ],
    }  # fmt: skip
