"""A sandbox as a whole: boot it, say how it is, take it down, run something in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from e2e.sandbox import images, namespaces, pki, programs
from e2e.sandbox.build import build, missing, part_dir, part_named, program
from e2e.sandbox.checks import Api
from e2e.sandbox.console import say, step
from e2e.sandbox.layout import GATEWAY_PORT, NODE_IP, PROMETHEUS, REGISTRY, TRAEFIK_PORT, Layout
from e2e.sandbox.processes import HOLDER, Program, await_ready, await_true, pid_of, spawn, start, stop, tail

MANIFESTS = Path(__file__).parent / "manifests"
PROGRAMS: dict[str, Callable[[Layout], Program]] = {
    "etcd": programs.etcd,
    "registry": programs.registry,
    "containerd": programs.containerd,
    "kube-apiserver": programs.apiserver,
    "kube-controller-manager": programs.controller_manager,
    "kube-scheduler": programs.scheduler,
    "kubelet": programs.kubelet,
    "kube-proxy": programs.kube_proxy,
    "prometheus": programs.prometheus,
    "contour": programs.contour,
    "envoy": programs.envoy,
}
# started only where they are asked for, each after the CRDs of the part of its name
ON_DEMAND: dict[str, Callable[[Layout], Program]] = {
    "traefik": programs.traefik,
    "keda": programs.keda,
    "kwok": programs.kwok,
}
GROUND = ("etcd", "registry", "containerd")
CONTROL = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "prometheus")
EDGE = ("contour", "envoy")
CRD = "customresourcedefinition.apiextensions.k8s.io"

# What the kubelet would otherwise set for the whole machine: in its own view these already have the values it wants.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Sandbox:
    """The sandbox `name`. Its addresses hold inside its network namespace only: see `exec`."""

    registry = REGISTRY
    prometheus_url = f"http://{PROMETHEUS}"
    prometheus_url_of_pods = f"http://{NODE_IP}:{PROMETHEUS.partition(':')[2]}"
    gateway_url = f"http://127.0.0.1:{GATEWAY_PORT}"
    traefik_url = f"http://127.0.0.1:{TRAEFIK_PORT}"

    def __init__(self, name: str = "default") -> None:
        self.name = name
        self.layout = Layout(name)

    @classmethod
    def current(cls) -> Sandbox:
        """The one whose namespace we were started in by `exec`. Raises RuntimeError outside of one."""
        name = os.environ.get("SANDBOX_NAME")
        if not name:
            raise RuntimeError("not inside a sandbox: run this by `python -m e2e.sandbox exec --name NAME -- ...`")
        return cls(name)

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def kubelet_node(self) -> str:
        return self.layout.node

    @property
    def kubectl(self) -> Path:
        return program("kubectl", "kubernetes")

    @property
    def audit_log(self) -> Path:
        return self.layout.audit_log

    def env(self) -> dict[str, str]:
        """The environment that `exec` gives: KUBECONFIG, SANDBOX_NAME, and the parts' programs on PATH."""
        wanted = [part_dir(part_named(part)) for part in ("kubernetes", "apps", "helm")]
        paths = [str(folder) for folder in wanted if folder.exists()]
        path = ":".join([*paths, os.environ.get("PATH", "/usr/bin:/bin")])
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "SANDBOX_NAME": self.name, "PATH": path}

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` inside; pass it `env()` too. A no-op where we are inside already."""
        if namespaces_equal(Path("/proc/self/ns/net"), self.layout.netns_file):
            return list(argv)
        return ["nsenter", f"--net={self.layout.netns_file}", "--", *argv]

    def run(self, *argv: str, stdin: str | None = None, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs a command inside and returns it with its output; raises RuntimeError with what it said when `check`."""
        done = subprocess.run(self.enter(argv), input=stdin, env=self.env(), capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(argv)[:200]} failed with exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
            )
        return done

    def apply(self, *files: Path) -> list[str]:
        """Applies manifests on the server's side as the administrator; answers what was in them, as `deployment.apps/NAME`."""
        words = [word for file in files for word in ("-f", str(file))]
        return self.run(str(self.kubectl), "apply", "--server-side", "--force-conflicts", "--output=name", *words).stdout.split()

    def push(self, image: images.Image) -> str:
        """Pushes an image into the registry; returns the reference that pods use."""
        with namespaces.inside(self.layout):
            images.push(image)
        return image.reference

    def load_image(self, reference: str, file: Path) -> str:
        """Pushes a static program or a docker archive as NAME:TAG; returns the reference that pods use."""
        with namespaces.inside(self.layout):
            return images.load(reference, file)

    def program(self, name: str) -> Program:
        return (PROGRAMS | ON_DEMAND)[name](self.layout)

    def stop(self, name: str) -> None:
        """Ends one program of the sandbox (a fault for a test); `start` brings it back."""
        stop(self.layout, name)

    def start(self, name: str) -> None:
        found = self.program(name)
        start(self.layout, found)
        await_ready(self.layout, found)

    def is_up(self) -> bool:
        """Whether every program of it lives; whether they serve, `up` finds out."""
        return self.layout.netns_file.exists() and all(self.status().values())

    def status(self) -> dict[str, int]:
        """The pid of each program, 0 for one that does not live."""
        return {name: pid_of(self.layout, name) for name in (HOLDER, *PROGRAMS, *self.asked_for())}

    def asked_for(self) -> list[str]:
        """The programs of `ON_DEMAND` that it has."""
        return [name for name in ON_DEMAND if (self.layout.run / f"{name}.wanted").exists()]

    def up(self, extra: Sequence[str] = ()) -> None:
        """Boots the sandbox, building what is missing; nothing to do where it is up. Raises BuildError, NotReady or RuntimeError.

        `extra` names parts that are built and, where they are programs of `ON_DEMAND`, started as well.
        """
        need_root()
        build(tuple(extra))
        with self.locked():
            if self.layout.root.exists() and not pid_of(self.layout, HOLDER):
                self.clear()  # left by a crash or a reboot: what it knew of pods is no longer true
            started = time.monotonic()
            fresh = not self.is_up()
            self.boot([name for name in ON_DEMAND if name in extra])
            if fresh:
                say(f"sandbox {self.name} is up after {time.monotonic() - started:.1f}s: kubernetes at https://127.0.0.1:6443 inside it;")
                say(f"  python -m e2e.sandbox exec --name {self.name} -- kubectl get pods -A")
            else:
                say(f"sandbox {self.name} is up")

    def boot(self, extra: Sequence[str]) -> None:
        layout = self.layout
        with quiet_step("namespace, certificates", shown=not self.is_up()):
            for folder in (layout.root, layout.conf, layout.logs, layout.run, layout.data):
                folder.mkdir(parents=True, exist_ok=True)
            pki.make(layout)
            namespaces.make_netns(layout)
            namespaces.make_cgroup(layout)
            self.hold()
        self.ensure("etcd, registry, containerd", GROUND)
        pushed = Background(self.push_standard)
        self.ensure("kube-apiserver", ("kube-apiserver",))
        start_all = [self.program(name) for name in CONTROL]
        for found in start_all:
            start(layout, found)
        with quiet_step("CRDs, Gateway", shown=not self.marked("applied")):
            self.once("applied", self.apply_ground)
        self.ensure("contour, envoy", EDGE)
        self.ensure("controllers, kubelet, proxy, prometheus", CONTROL)
        for name in extra:
            (layout.run / f"{name}.wanted").touch()
        for name in self.asked_for():
            own = [file for file in (part_dir(part_named(name)) / "crds", MANIFESTS / f"{name}.yaml") if file.exists()]
            self.once(f"applied-{name}", partial(self.apply_crds, *own))
            self.ensure(name, (name,))
        with quiet_step("images pushed", shown=pushed.busy()):
            pushed.join()
        self.await_serving()

    def await_serving(self) -> None:
        api = Api(self.layout)
        layout = self.layout
        gateway = "/apis/gateway.networking.k8s.io/v1/namespaces/projectcontour/gateways/contour"
        node = f"/api/v1/nodes/{layout.node}"
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        await_true(layout, lambda: api.condition(node, "Ready"), 60, "the node to be Ready", "kubelet")
        await_true(layout, lambda: api.condition(gateway, "Programmed"), 60, "the Gateway to be Programmed", "contour")
        await_true(layout, lambda: api.ok(account), 60, "the default service account", "kube-controller-manager")

    def ensure(self, title: str, names: Sequence[str]) -> None:
        todo = [self.program(name) for name in names]
        with quiet_step(title, shown=not all(pid_of(self.layout, name) for name in names) or names is CONTROL):
            for found in todo:
                start(self.layout, found)
            for found in todo:
                await_ready(self.layout, found)

    def hold(self) -> None:
        """A sleeping process that keeps a private mount namespace: all mounts of containerd and kubelet die with it, and paths that
        programs hard-code (/run/containerd, /var/log/pods, /var/lib/cni, resolv.conf) are the sandbox's own in it."""
        layout = self.layout
        if pid_of(layout, HOLDER):
            return
        Path("/var/lib/cni").mkdir(exist_ok=True)
        var_log, cni, sysctl = layout.logs / "var-log", layout.data / "cni", layout.conf / "sysctl"
        for folder in (var_log, cni, sysctl):
            folder.mkdir(exist_ok=True)
        (layout.conf / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        lines = [
            "set -e",
            "mount --make-rprivate /",
            "resolv=$(readlink -f /etc/resolv.conf)",
            "mount -t tmpfs -o mode=755 tmpfs /run",
            'mkdir -p "$(dirname "$resolv")"; [ -e "$resolv" ] || : > "$resolv"',
            f'mount --bind {layout.conf}/resolv.conf "$resolv"',
            f"mount --bind {var_log} /var/log",
            f"mount --bind {cni} /var/lib/cni",
        ]
        for name, value in SYSCTLS.items():
            if Path("/proc/sys", name).exists():
                file = sysctl / name.replace("/", ".")
                file.write_text(value + "\n")
                lines.append(f"mount --bind {file} /proc/sys/{name}")
        lines += ["mount --make-rshared /", f"touch {layout.run}/held", "exec sleep infinity"]
        held = layout.run / "held"
        held.unlink(missing_ok=True)
        pid = spawn(layout, HOLDER, ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", "\n".join(lines)))
        deadline = time.monotonic() + 10
        while not held.exists():
            if not pid_of(layout, HOLDER) or time.monotonic() > deadline:
                raise RuntimeError(f"the mount namespace could not be made: {tail(layout, HOLDER)}")
            time.sleep(0.01)
        (layout.run / "mount-ns").write_text(os.readlink(f"/proc/{pid}/ns/mnt"))

    def push_standard(self) -> None:
        def push() -> None:
            with namespaces.inside(self.layout):
                for image in images.standard():
                    images.push(image)

        self.once("pushed", push)

    def apply_ground(self) -> None:
        crds = [part_dir(part_named(part)) / "crds" for part in ("gateway-api", "contour")]
        self.apply_crds(*crds, MANIFESTS / "smi.yaml")
        self.apply(MANIFESTS / "gateway.yaml")

    def apply_crds(self, *files: Path) -> None:
        """As `apply`; returns when the API server serves the CRDs among them."""
        api = Api(self.layout)
        for applied in self.apply(*files):
            kind, _, name = applied.partition("/")
            if kind == CRD:
                established = partial(api.condition, f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", "Established")
                await_true(self.layout, established, 60, f"the CRD {name} to be established", "kube-apiserver")

    def marked(self, what: str) -> bool:
        return (self.layout.run / f"{what}.done").exists()

    def once(self, what: str, act: Callable[[], None]) -> None:
        if not self.marked(what):
            act()
            (self.layout.run / f"{what}.done").touch()

    def down(self) -> None:
        """Takes it down, whatever state it is in; afterwards no process, namespace, mount, cgroup or file of it is left."""
        need_root()
        with self.locked():
            self.clear()

    def clear(self) -> None:
        layout = self.layout
        mount_ns = None
        with suppress(OSError):
            mount_ns = (layout.run / "mount-ns").read_text()
        namespaces.end_processes(layout, mount_ns)
        namespaces.remove_netns(layout)
        namespaces.remove_cgroup(layout)
        if layout.root.exists():
            shutil.rmtree(layout.root)
        with suppress(OSError):
            Path("/var/lib/cni").rmdir()  # ours if it is empty; another's otherwise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One `up` or `down` of a sandbox at a time."""
        file = self.layout.root.parent / f".{self.name}.lock"
        while True:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not file.exists() or file.stat().st_ino != os.fstat(lock.fileno()).st_ino:
                    continue  # whoever held it took the file away with its sandbox
                try:
                    yield
                finally:
                    if not self.layout.root.exists():
                        file.unlink()
                        with suppress(OSError):
                            file.parent.rmdir()
            return


class Background:
    """A function in a thread of its own; `join` raises what it raised."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.error: BaseException | None = None

        def run() -> None:
            try:
                act()
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def busy(self) -> bool:
        return self.thread.is_alive()

    def join(self) -> None:
        self.thread.join()
        if self.error:
            raise self.error


@contextmanager
def quiet_step(title: str, shown: bool) -> Iterator[None]:
    if shown:
        with step(title):
            yield
    else:
        yield


def namespaces_equal(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_ino == other.stat().st_ino
    except OSError:
        return False


def need_root() -> None:
    if os.geteuid() != 0:
        raise RuntimeError("the sandbox makes namespaces, mounts and cgroups: it must run as root (try sudo)")


def built() -> bool:
    return not missing()


def names() -> list[str]:
    """The sandboxes of this machine that have files, running or not."""
    parent = Layout("x").root.parent
    return sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
