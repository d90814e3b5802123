"""The controller's settings: Flagger's flags and environment, and a few of our own.

Flags are Go's: single or double dash, `-flag=value` or `-flag value`, booleans as `-flag` or `-flag=false`. Names and defaults are those of
Flagger 1.44, but that our election is on whatever `-enable-leader-election` says. What cannot be understood is refused with one
sentence (Flagger took an unknown `-log-level` for info without a word).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args

from flaggerpy.api.canary import Provider
from flaggerpy.api.durations import parse_duration
from flaggerpy.controller.shards import Shard
from flaggerpy.egress import rules as egress_rules
from flaggerpy.egress.rules import Egress

PROVIDERS: tuple[str, ...] = get_args(Provider)
LOG_LEVELS = ("debug", "info", "warn", "warning", "error", "fatal", "panic")
ENCODINGS = ("json", "console")
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HOST = re.compile(r"[a-z0-9_]([-.a-z0-9_]*[a-z0-9_])?")
# klog registers these beside Flagger's own; they steer a logger that we do not have
KLOG = frozenset({
    "v", "vmodule", "logtostderr", "alsologtostderr", "stderrthreshold", "log_dir", "log_file", "log_file_max_size", "log_backtrace_at",
    "add_dir_header", "skip_headers", "skip_log_headers", "one_output",
})  # fmt: skip
KLOG_SWITCHES = frozenset({"logtostderr", "alsologtostderr", "add_dir_header", "skip_headers", "skip_log_headers", "one_output"})


class SettingsError(ValueError):
    """A flag or variable that cannot be used; the text is a sentence for the person who wrote it."""


@dataclass(frozen=True)
class Settings:
    """All that is fixed at the start. Field names are the flags with underscores; lengths of time in seconds."""

    kubeconfig: str = ""
    master: str = ""
    kubeconfig_qps: float = 500.0
    kubeconfig_burst: int = 1000
    kubeconfig_service_mesh: str = ""
    metrics_server: str = "http://prometheus:9090"
    control_loop_interval: float = 10.0
    log_level: str = "debug"
    zap_encoding: str = "json"
    zap_replace_globals: bool = False
    port: int = 8080
    threadiness: int = 2
    slack_url: str = ""
    slack_token: str = ""
    slack_proxy_url: str = ""
    slack_user: str = "flagger"
    slack_channel: str = ""
    msteams_url: str = ""
    msteams_proxy_url: str = ""
    event_webhook: str = ""
    mesh_provider: str = "istio"
    selector_labels: str = "app,name,app.kubernetes.io/name"
    ingress_annotations_prefix: str = "nginx.ingress.kubernetes.io"
    ingress_class: str = ""
    include_label_prefix: str = ""
    enable_config_tracking: bool = True
    enable_leader_election: bool = False
    leader_election_namespace: str = "kube-system"
    namespace: str = ""
    cluster_name: str = ""
    no_cross_namespace_refs: bool = False
    version: bool = False
    # ours
    check: bool = False
    """Look whether an installation with these flags is complete and led by somebody, say what is not, and end."""
    kube_context: str = ""
    """The context of the kubeconfig; "" is its current one."""
    address: str = ""
    """Where the HTTP server listens; "" is everywhere."""
    shard: str = "0/1"
    """Which of how many shards this is, counted from 0: of a namespace only one attends the Canaries."""
    kstatus_conditions: bool = True
    """Whether Ready and Reconciling are written; Stalled always is."""
    revert_on_deletion: bool = False
    """Whether the deletion of a Canary that does not set `revertOnDeletion` gives its target the traffic back."""
    ui: bool = False
    """Whether the web page is served at /ui: whoever reaches the port reads the releases of all namespaces."""
    ui_auth: bool = False
    """Whether reading needs a token too: the page then shows what its owner may list."""
    ui_actions: bool = False
    """Whether the page can promote, skip, pause, resume, retry and abort, for those whose token may patch the Canary."""
    ui_hosts: str = ""
    """Names by which the page may be opened from outside of the cluster where reading takes no token: see `flaggerpy.dashboard.hosts`."""
    egress_allow: str = ""
    """Networks and addresses that are open to URLs of tenants: see `flaggerpy.egress.rules`."""
    egress_deny: str = ""
    """Networks and addresses that are closed to them, beside what is built in."""
    egress_schemes: str = ",".join(egress_rules.SCHEMES)
    """Schemes that such URLs may have."""
    in_pod: bool = field(default=False, metadata={"flag": False})
    """Whether we run in a pod of a cluster."""
    ignored: tuple[str, ...] = field(default=(), metadata={"flag": False})
    """Flags that were given and have no effect here, to be named once in the log."""

    @property
    def selector_label_names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.selector_labels.split(",") if name.strip())

    @property
    def label_prefixes(self) -> tuple[str, ...]:
        """Prefixes of the labels that are copied to what is generated; `*` is all, none is none."""
        return tuple(prefix.strip() for prefix in self.include_label_prefix.split(",") if prefix.strip())

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are watched, in the order given; none is all."""
        return tuple(dict.fromkeys(name.strip() for name in self.namespace.split(",") if name.strip()))

    @property
    def ui_host_names(self) -> frozenset[str]:
        """`ui_hosts`, one by one, in lower case."""
        return frozenset(filter(None, (name.strip().lower() for name in self.ui_hosts.split(","))))

    @property
    def egress(self) -> Egress:
        """Where URLs of tenants may lead. Raises ValueError."""
        return egress_rules.parse(self.egress_allow, self.egress_deny, self.egress_schemes, loopback=not self.in_pod)

    @property
    def own_shard(self) -> Shard:
        """`shard`, understood."""
        return Shard.parse(self.shard)

    @property
    def lease_namespace(self) -> str:
        """Flagger's rule: the one that is watched, else -leader-election-namespace; of several the first where that is not given."""
        given = self.leader_election_namespace != Settings.leader_election_namespace
        return self.leader_election_namespace if not self.namespaces or (given and len(self.namespaces) > 1) else self.namespaces[0]


_ENVIRONMENT = {
    "SLACK_URL": "slack_url",
    "SLACK_PROXY_URL": "slack_proxy_url",
    "SLACK_TOKEN": "slack_token",
    "MSTEAMS_URL": "msteams_url",
    "MSTEAMS_PROXY_URL": "msteams_proxy_url",
    "EVENT_WEBHOOK_URL": "event_webhook",
}
_DURATIONS = {"control_loop_interval"}
_FIELDS = {item.name.replace("_", "-"): item for item in fields(Settings) if item.metadata.get("flag", True)}
# read, but without an effect: one release is one task, and nothing runs on a common beat
_WITHOUT_EFFECT = {"control_loop_interval", "threadiness", "zap_replace_globals", "enable_leader_election"}


def parse(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of a command line (without the program's name) and the environment. Raises SettingsError."""
    values: dict[str, Any] = {}
    ignored: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word in ("-", "--"):
            raise SettingsError(f"{word!r} is not expected here: every setting is a flag such as -mesh-provider=kubernetes")
        name, has_value, value = word.lstrip("-").partition("=")
        if name in KLOG or name in _FIELDS:
            switch = name in KLOG_SWITCHES or (name in _FIELDS and isinstance(_FIELDS[name].default, bool))
            if not has_value and not switch:
                if not words:
                    raise SettingsError(f"-{name} needs a value")
                value = words.pop(0)
            elif not has_value:
                value = "true"
        if name in KLOG:
            ignored.append(name)
        elif name in _FIELDS:
            attribute = name.replace("-", "_")
            values[attribute] = _value(attribute, name, value)
            if attribute in _WITHOUT_EFFECT:
                ignored.append(name)
        else:
            raise SettingsError(f"-{name} is not a flag of flaggerpy or Flagger; `flaggerpy run -help` lists them")
    for variable, attribute in _ENVIRONMENT.items():
        value = (os.environ if environment is None else environment).get(variable, "")
        if value:
            values[attribute] = value
    in_pod = bool((os.environ if environment is None else environment).get("KUBERNETES_SERVICE_HOST"))
    return _checked(replace(Settings(**values), in_pod=in_pod, ignored=tuple(ignored)))


def usage() -> str:
    """One line per flag with its default."""
    lines = [f"  -{name} (default {getattr(Settings, item.name)!r})" for name, item in sorted(_FIELDS.items())]
    return "flaggerpy run: the controller\n" + "\n".join(lines)


def _value(attribute: str, name: str, text: str) -> Any:
    default = getattr(Settings, attribute)
    try:
        if attribute in _DURATIONS:
            return parse_duration(text)
        if isinstance(default, bool):
            return {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}[text.lower()]
        return type(default)(text)
    except KeyError:
        raise SettingsError(f"-{name}={text}: should be true or false") from None
    except ValueError as error:
        if attribute in _DURATIONS:
            raise SettingsError(f"-{name}: {error}") from None
        raise SettingsError(f"-{name}={text}: should be {'a whole number' if isinstance(default, int) else 'a number'}") from None


def _checked(settings: Settings) -> Settings:
    def one_of(flag: str, value: str, allowed: Sequence[str]) -> None:
        if value not in allowed:
            raise SettingsError(f"-{flag}={value}: should be one of {', '.join(allowed)}")

    one_of("log-level", settings.log_level, LOG_LEVELS)
    one_of("zap-encoding", settings.zap_encoding, ENCODINGS)
    if settings.mesh_provider:
        one_of("mesh-provider", settings.mesh_provider, PROVIDERS)
    if not 0 <= settings.port <= 65535:
        raise SettingsError(f"-port={settings.port}: should be between 0 and 65535")
    if not settings.selector_label_names:
        raise SettingsError("-selector-labels is empty: without a label the primary's pods cannot be told from the target's")
    if wrong := [name for name in settings.namespaces if not NAMESPACE.fullmatch(name)]:
        raise SettingsError(f"-namespace={settings.namespace}: {wrong[0]!r} cannot be the name of a namespace")
    if settings.namespace and not settings.namespaces:
        raise SettingsError(f"-namespace={settings.namespace}: should be names with commas between them, or empty for all")
    for flag, given in (("ui-auth", settings.ui_auth), ("ui-actions", settings.ui_actions), ("ui-hosts", settings.ui_hosts)):
        if given and not settings.ui:
            raise SettingsError(f"-{flag} needs -ui")
    if wrong := [name for name in sorted(settings.ui_host_names) if not HOST.fullmatch(name)]:
        example = "releases.example.com, without scheme and port"
        raise SettingsError(f"-ui-hosts={settings.ui_hosts}: {wrong[0]!r} should be a name such as {example}")
    try:
        _ = settings.egress
    except ValueError as error:
        raise SettingsError(str(error)) from None
    try:
        _ = settings.own_shard
    except ValueError as error:
        raise SettingsError(f"-shard: {error}") from None
    if settings.slack_url and not settings.slack_channel:
        raise SettingsError("-slack-url needs -slack-channel")
    if settings.kubeconfig_qps <= 0 or settings.kubeconfig_burst <= 0:
        raise SettingsError("-kubeconfig-qps and -kubeconfig-burst should be above 0")
    if settings.kubeconfig_service_mesh and settings.kubeconfig_service_mesh != settings.kubeconfig:
        raise SettingsError("-kubeconfig-service-mesh: routes in a second cluster are not supported yet")
    return settings
