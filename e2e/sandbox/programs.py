"""Every program of a sandbox: its configuration files and its command line. What each setting is for stands beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from e2e.sandbox.build import part_dir, part_named, program
from e2e.sandbox.checks import Api, http_ok, https_ok, port_open, socket_open
from e2e.sandbox.layout import (
    API_PORT,
    GATEWAY_PORT,
    KEDA_HEALTH_PORT,
    KWOK,
    NODE_IP,
    POD_CIDR,
    PROMETHEUS,
    REGISTRY,
    SERVICE_CIDR,
    TRAEFIK_PORT,
    TRAEFIK_STATS,
    Layout,
)
from e2e.sandbox.namespaces import command
from e2e.sandbox.processes import Program
from e2e.sandbox.versions import CNI_PLUGINS

PAUSE = f"{REGISTRY}/pause:1"


def write(path: Path, text: str) -> Path:
    """Leaves a file that is right already untouched: kube-proxy, for one, ends when its configuration is written."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def write_yaml(path: Path, content: Any) -> Path:
    return write(path, yaml.safe_dump(content, sort_keys=False))


def kube(name: str) -> str:
    return str(program(name, "kubernetes"))


def etcd(layout: Layout) -> Program:
    argv = [
        str(program("etcd", "etcd")),
        f"--data-dir={layout.data / 'etcd'}",
        "--unsafe-no-fsync",  # nothing here outlives a power cut
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
    ]
    return Program("etcd", tuple(argv), lambda: http_ok(2379, "/health"))


def registry(layout: Layout) -> Program:
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(layout.data / "registry")}},
        "http": {"addr": REGISTRY},
    }
    file = write_yaml(layout.conf / "registry.yaml", config)
    return Program("registry", ("docker-registry", "serve", str(file)), lambda: http_ok(5000, "/v2/"))


def containerd(layout: Layout) -> Program:
    certs = layout.conf / "certs.d"  # HOST:PORT/hosts.toml below it is read at each pull
    certs.mkdir(exist_ok=True)
    cni = layout.conf / "cni"
    cni.mkdir(exist_ok=True)
    network = {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods0",
                "isGateway": True,
                "ipMasq": False,  # nothing leaves the namespace
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.data / "ipam"),
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    write(cni / "10-pods.conflist", json.dumps(network, indent=1))
    file = write(
        layout.conf / "containerd.toml",
        f"""version = 2
root = "{layout.data / "containerd"}"
state = "{layout.run / "containerd"}"
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.data / "opt"}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE the score cannot be lowered
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS[0]}"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{certs}"
""",
    )
    return Program("containerd", ("containerd", "-c", str(file)), lambda: socket_open(layout.containerd_socket))


def apiserver(layout: Layout) -> Program:
    # one line per answered request, with user, verb and object: what the benches count
    rules = [
        # the answer tells whether a controller lists Secrets with their data
        {
            "level": "RequestResponse",
            "userGroups": ["system:serviceaccounts:flagger-system"],
            "verbs": ["list"],
            "resources": [{"group": "", "resources": ["secrets"]}],
        },
        {"level": "Metadata"},
    ]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    policy_file = write_yaml(layout.conf / "audit.yaml", policy)
    pki = layout.pki
    argv = [
        kube("kube-apiserver"),
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0",
        f"--advertise-address={NODE_IP}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={policy_file}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=1000",
    ]
    api = Api(layout)
    return Program("kube-apiserver", tuple(argv), lambda: api.ok("/readyz"), seconds=90)


def controller_manager(layout: Layout) -> Program:
    config = layout.kubeconfig_of("kube-controller-manager")
    argv = [
        kube("kube-controller-manager"),
        *(f"--{flag}={config}" for flag in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")),
        f"--service-account-private-key-file={layout.pki / 'sa.key'}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={layout.run}",
        "--kube-api-qps=200",  # or a few hundred Deployments take minutes
        "--kube-api-burst=400",
    ]
    return Program("kube-controller-manager", tuple(argv), lambda: https_ok(10257, "/healthz"))


def scheduler(layout: Layout) -> Program:
    config = layout.kubeconfig_of("kube-scheduler")
    argv = [
        kube("kube-scheduler"),
        *(f"--{flag}={config}" for flag in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")),
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={layout.run}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    return Program("kube-scheduler", tuple(argv), lambda: https_ok(10259, "/healthz"))


def kubelet(layout: Layout) -> Program:
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": layout.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "resolvConf": "/dev/null",
        # lookups in pods fail at once; without it every sync of a pod warns MissingClusterDNS and uses up the pod's events
        "clusterDNS": ["127.0.0.1"],
        "clusterDomain": "cluster.local",
        # a full disk of the machine is none of the cluster's business: evict late, never collect the pause image
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "imageMinimumGCAge": "24h",
        # no limit of the node's may look like a fault of a pod: "pull QPS exceeded", dropped events, pulls queued behind one that hangs
        "registryPullQPS": 0,
        "eventRecordQPS": 200,  # 0 should be no limit, and is client-go's default: 5 a second, and news of a pod a minute late
        "eventBurst": 400,
        "serializeImagePulls": False,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "maxPods": 300,
        "enableControllerAttachDetach": True,
        "volumePluginDir": str(layout.data / "volume-plugins"),
    }
    file = write_yaml(layout.conf / "kubelet.yaml", config)
    extras = layout.conf / "kubelet.d"  # *.conf below it change the configuration at its next start
    extras.mkdir(exist_ok=True)
    argv = [
        kube("kubelet"),
        f"--config={file}",
        f"--config-dir={extras}",
        f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
        f"--hostname-override={layout.node}",
        f"--node-ip={NODE_IP}",
        f"--root-dir={layout.data / 'kubelet'}",
        f"--cert-dir={layout.data / 'kubelet-pki'}",
    ]
    return Program("kubelet", tuple(argv), lambda: http_ok(10248, "/healthz"))


def kube_proxy(layout: Layout) -> Program:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig_of("kube-proxy"))},
        "hostnameOverride": layout.node,
        "clusterCIDR": POD_CIDR,
        "mode": "iptables",
        # pods share one bridge: without masquerade an answer would take the short way home, past the translation
        "iptables": {"masqueradeAll": True},
        # settings of the whole machine: left alone
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    file = write_yaml(layout.conf / "kube-proxy.yaml", config)
    return Program("kube-proxy", (kube("kube-proxy"), f"--config={file}"), lambda: http_ok(10256, "/livez"))


def contour(layout: Layout) -> Program:
    file = write_yaml(layout.conf / "contour.yaml", {"gateway": {"gatewayRef": {"name": "contour", "namespace": "projectcontour"}}})
    argv = [
        str(program("contour", "contour")),
        "serve",
        f"--kubeconfig={layout.kubeconfig_of('contour')}",
        f"--config-path={file}",
        "--insecure",
        "--xds-address=127.0.0.1",
        "--xds-port=8001",
        "--envoy-service-http-address=127.0.0.1",
        f"--envoy-service-http-port={GATEWAY_PORT}",
        "--disable-leader-election",
        "--http-address=127.0.0.1",
        "--http-port=8005",
        "--health-address=127.0.0.1",
        "--health-port=8006",
        "--debug-http-address=127.0.0.1",
        "--kubernetes-client-qps=200",  # else it tells of five routes per second that it has them
        "--kubernetes-client-burst=400",
    ]
    return Program("contour", tuple(argv), lambda: port_open(8001))


def envoy(layout: Layout) -> Program:
    file = layout.conf / "envoy.json"
    admin = layout.run / "envoy-admin.sock"
    if not file.exists():
        command(str(program("contour", "contour")), "bootstrap", str(file), "--xds-port=8001", f"--admin-address={admin}")
    argv = [
        str(program("envoy", "envoy")),
        "-c",
        str(file),
        *("--service-cluster", "sandbox"),
        *("--service-node", "sandbox"),
        "--disable-hot-restart",
        *("--concurrency", "2"),
        *("--log-level", "warn"),
        *("--drain-time-s", "1"),
    ]
    return Program("envoy", tuple(argv), lambda: http_ok(8002, "/ready"))


def traefik(layout: Layout) -> Program:
    """With the defaults of Traefik itself but for what makes it one of several programs of one machine: harder than those of its chart."""
    scrape(layout, "traefik", TRAEFIK_STATS)
    argv = [
        str(program("traefik", "traefik")),
        "--providers.kubernetescrd=true",
        f"--entrypoints.web.address=127.0.0.1:{TRAEFIK_PORT}",
        f"--entrypoints.traefik.address={TRAEFIK_STATS}",
        "--ping=true",
        "--metrics.prometheus=true",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    env = {"KUBECONFIG": str(layout.kubeconfig_of("traefik"))}
    return Program("traefik", tuple(argv), lambda: http_ok(int(TRAEFIK_STATS.partition(":")[2]), "/ping"), env=env)


def keda(layout: Layout) -> Program:
    """The operator alone; only metrics of its own need its adapter. It ends when it has made its certificates, and is started again."""
    certificates = layout.data / "keda"
    certificates.mkdir(parents=True, exist_ok=True)
    argv = [
        str(program("keda-operator", "keda")),
        "--leader-elect=false",
        "--enable-cert-rotation=true",
        "--enable-webhook-patching=false",
        "--enable-apiservice-patching=false",
        f"--cert-dir={certificates}",
        "--metrics-bind-address=127.0.0.1:8090",
        f"--health-probe-bind-address=127.0.0.1:{KEDA_HEALTH_PORT}",
    ]
    env = {
        "KUBECONFIG": str(layout.kubeconfig_of("keda")),
        "POD_NAMESPACE": "keda",
        "WATCH_NAMESPACE": "",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
    }
    shell = ("sh", "-c", f'[ -e {certificates}/tls.crt ] || "$@"; exec "$@"', "sh")
    return Program("keda", (*shell, *argv), lambda: http_ok(KEDA_HEALTH_PORT, "/readyz"), seconds=120, env=env)


def kwok(layout: Layout) -> Program:
    """Nodes that only pretend, with pods that are ready at once: what is measured by the thousand needs no kubelet."""
    stages = part_dir(part_named("kwok"))
    argv = [
        str(program("kwok", "kwok")),
        f"--kubeconfig={layout.kubeconfig_of('kwok')}",
        *(f"--config={file}" for folder in ("nodes", "pods") for file in sorted((stages / folder).glob("*.yaml"))),
        "--manage-nodes-with-label-selector=type=kwok",
        "--node-lease-duration-seconds=40",  # else the node controller calls them lost after 40 s
        f"--server-address={KWOK}",
    ]
    return Program("kwok", tuple(argv), lambda: http_ok(int(KWOK.partition(":")[2]), "/healthz"))


def scrape(layout: Layout, job: str, address: str) -> None:
    """Tells Prometheus to scrape `address` as `job` from now on."""
    layout.targets.mkdir(parents=True, exist_ok=True)
    write(layout.targets / f"{job}.json", json.dumps([{"targets": [address], "labels": {"job": job}}]))


def prometheus(layout: Layout) -> Program:
    def pods(source: str, target: str, **rule: Any) -> dict[str, Any]:
        return {"source_labels": [f"__meta_kubernetes_pod_{source}"], "target_label": target, **rule}

    annotation = "annotation_prometheus_io"
    address = {
        "source_labels": ["__meta_kubernetes_pod_ip", f"__meta_kubernetes_pod_{annotation}_port"],
        "regex": "(.+);(.+)",
        "replacement": "$1:$2",
        "target_label": "__address__",
    }
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {"job_name": "envoy", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": ["127.0.0.1:8002"]}]},
            {"job_name": "on-demand", "file_sd_configs": [{"files": [str(layout.targets / "*.json")], "refresh_interval": "5s"}]},
            {
                "job_name": "kubernetes-pods",
                "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(layout.kubeconfig_of("prometheus"))}],
                "relabel_configs": [
                    {"source_labels": [f"__meta_kubernetes_pod_{annotation}_scrape"], "action": "keep", "regex": "true"},
                    {"source_labels": ["__meta_kubernetes_pod_phase"], "action": "drop", "regex": "Pending|Succeeded|Failed|Completed"},
                    address,
                    pods(f"{annotation}_path", "__metrics_path__", regex="(.+)"),
                    {"action": "labelmap", "regex": "__meta_kubernetes_pod_label_(.+)"},
                    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "kubernetes_namespace"},
                    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                    pods("name", "kubernetes_pod_name"),
                    pods("name", "pod"),
                ],
            },
        ],
    }
    layout.targets.mkdir(parents=True, exist_ok=True)  # it is watched from the start on
    file = write_yaml(layout.conf / "prometheus.yaml", config)
    argv = [
        str(program("prometheus", "prometheus")),
        f"--config.file={file}",
        f"--storage.tsdb.path={layout.data / 'prometheus'}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={PROMETHEUS}",
        f"--web.listen-address={NODE_IP}:{PROMETHEUS.partition(':')[2]}",  # for pods, to which the other is themselves
        "--log.level=warn",
    ]
    return Program("prometheus", tuple(argv), lambda: http_ok(9090, "/-/ready"))
