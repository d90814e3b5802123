"""The kernel side of a sandbox: its network namespace, its cgroup root, and how to find and end every process in it."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e.sandbox.layout import NODE_IP, NODE_NET, Layout

CLONE_NEWNET = 0x40000000
CGROUPS = Path("/sys/fs/cgroup")
_libc = ctypes.CDLL(None, use_errno=True)


def command(*words: str, check: bool = True, timeout: float = 60.0) -> str:
    """Runs a program of the machine and returns its output; raises RuntimeError with what it said."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env={**os.environ, "PATH": path})
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} failed with exit code {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def setns(fd: int, kind: int) -> None:
    if _libc.setns(fd, kind) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def inside(layout: Layout) -> Iterator[None]:
    """Lets the calling thread open its sockets in the sandbox's network namespace; other threads are not touched."""
    mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        theirs = os.open(layout.netns_file, os.O_RDONLY)
        try:
            setns(theirs, CLONE_NEWNET)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            setns(mine, CLONE_NEWNET)
    finally:
        os.close(mine)


def make_netns(layout: Layout) -> None:
    """A namespace with lo and one bridge that leads nowhere: the default route, so that service addresses have one."""
    if layout.netns_file.exists():
        return
    command("ip", "netns", "add", layout.netns)
    for words in (
        ("link", "set", "lo", "up"),
        ("link", "add", "node0", "type", "bridge"),
        ("addr", "add", f"{NODE_IP}/{NODE_NET.split('/')[1]}", "dev", "node0"),
        ("link", "set", "node0", "up"),
        ("route", "add", "default", "dev", "node0", "src", NODE_IP),
    ):
        command("ip", "-n", layout.netns, *words)
    with inside(layout):  # /proc/sys/net shows each thread the settings of its own namespace
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def cgroup_hierarchies() -> list[Path]:
    """The mount points that a cgroup of ours must exist in: one on cgroup v2, every controller's on v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted(path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists())


def make_cgroup(layout: Layout) -> None:
    """The sandbox's cgroup root, with a child `system` for its own programs beside the kubelet's `kubepods`."""
    for hierarchy in cgroup_hierarchies():
        root = hierarchy / layout.cgroup.lstrip("/")
        root.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # empty in a new v1 cpuset, and nothing may join one that is
            if hierarchy.name == "cpuset":
                (root / setting).write_text((hierarchy / setting).read_text())
        if hierarchy == CGROUPS:
            controllers = " ".join(f"+{name}" for name in (CGROUPS / "cgroup.controllers").read_text().split())
            for level in (CGROUPS, root):
                (level / "cgroup.subtree_control").write_text(controllers)
        if hierarchy == CGROUPS or hierarchy.name == "pids":
            (root / "system").mkdir(exist_ok=True)


def system_cgroup(layout: Layout) -> Path:
    """Where a program of the sandbox is put before it starts, so that none is ever lost."""
    base = CGROUPS if (CGROUPS / "cgroup.controllers").exists() else CGROUPS / "pids"
    return base / layout.cgroup.lstrip("/") / "system" / "cgroup.procs"


def cgroup_dirs(layout: Layout) -> list[Path]:
    """Every cgroup directory below the sandbox's roots, the deepest first."""
    found: list[Path] = []
    for hierarchy in cgroup_hierarchies():
        root = hierarchy / layout.cgroup.lstrip("/")
        found += [Path(path) for path, _, _ in os.walk(root, topdown=False)]
    return found


def remove_cgroup(layout: Layout) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for path in cgroup_dirs(layout):
            with suppress(OSError):
                path.rmdir()
        if not cgroup_dirs(layout):
            return
        time.sleep(0.05)
    raise RuntimeError(f"cgroups are left: {', '.join(str(path) for path in cgroup_dirs(layout)[:5])}")


def processes(layout: Layout, mount_ns: str | None) -> set[int]:
    """Every process in the sandbox's cgroups, network namespace or mount namespace, but this one and its ancestors."""
    found: set[int] = set()
    for path in cgroup_dirs(layout):
        with suppress(OSError):
            found |= {int(pid) for pid in (path / "cgroup.procs").read_text().split()}
    net = ""
    with suppress(OSError):
        net = f"net:[{layout.netns_file.stat().st_ino}]"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (net and os.readlink(entry / "ns/net") == net) or (mount_ns and os.readlink(entry / "ns/mnt") == mount_ns):
                    found.add(int(entry.name))
    return found - ancestors() - {0}


def ancestors() -> set[int]:
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0:
        found.add(pid)
        status = Path(f"/proc/{pid}/status").read_text()
        match = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)
        pid = int(match.group(1)) if match else 0
    return found


def end_processes(layout: Layout, mount_ns: str | None) -> None:
    """Ends all of them, by SIGKILL: a sandbox holds nothing that is worth a farewell. Raises RuntimeError if one stays."""
    deadline = time.monotonic() + 20
    left = processes(layout, mount_ns)
    while left:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes are left: {sorted(left)}")
        time.sleep(0.05)
        left = {pid for pid in processes(layout, mount_ns) if not zombie(pid)}


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def remove_netns(layout: Layout) -> None:
    if layout.netns_file.exists():
        command("ip", "netns", "del", layout.netns)
