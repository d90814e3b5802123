"""Two sandboxes live side by side, `up` is idempotent, a dead program comes back, and `down` leaves nothing, whatever state it finds."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.sandbox import Sandbox
from e2e.sandbox.namespaces import cgroup_dirs, processes

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the sandbox needs root"),
    pytest.mark.timeout(600),
]


def firewall() -> str:
    """The machine's own rules, without their packet counters."""
    saved = subprocess.run(["/usr/sbin/iptables-save"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"^#.*$|\[\d+:\d+\]", "", saved, flags=re.MULTILINE)


def traces(sandbox: Sandbox) -> list[str]:
    """Everything of a sandbox that the machine still shows."""
    layout = sandbox.layout
    found = [f"process {pid}" for pid in processes(layout, None)]
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(layout.root).encode() in cmdline.read_bytes():
                found.append(f"process {cmdline}")
        except OSError:
            continue
    found += [f"cgroup {path}" for path in cgroup_dirs(layout)]
    found += [
        f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if str(layout.root) in line or layout.netns in line
    ]
    found += [f"file {path}" for path in (layout.root, layout.netns_file) if path.exists()]
    return found


@pytest.fixture
def pair() -> Iterator[tuple[Sandbox, Sandbox]]:
    both = (Sandbox(f"one-{os.getpid()}"), Sandbox(f"two-{os.getpid()}"))
    yield both
    for sandbox in both:
        sandbox.down()


def test_two_sandboxes_side_by_side_and_nothing_left_of_either(pair: tuple[Sandbox, Sandbox]) -> None:
    before = firewall()
    one, two = pair
    for sandbox in pair:
        sandbox.up()
    for sandbox in pair:
        nodes = sandbox.run("kubectl", "get", "nodes", "-o", "name").stdout.split()
        assert nodes == [f"node/{sandbox.kubelet_node}"]
        image = f"{sandbox.registry}/toggle:1.0.0"
        sandbox.run("kubectl", "run", "toggle", f"--image={image}")
        sandbox.run("kubectl", "wait", "--for=condition=Ready", "pod/toggle", "--timeout=60s", timeout=70)

    pids = one.status()
    one.up()
    assert one.status() == pids, "up on what is up must not restart anything"
    os.kill(pids["prometheus"], signal.SIGKILL)
    one.up()
    assert one.status() | {"prometheus": 0} == pids | {"prometheus": 0}
    assert one.is_up()

    one.down()
    assert traces(one) == []
    assert two.run("kubectl", "get", "pod", "toggle", "-o", "jsonpath={.status.phase}").stdout == "Running"

    os.kill(two.status()["holder"], signal.SIGKILL)
    os.kill(two.status()["kubelet"], signal.SIGKILL)
    two.down()
    assert traces(two) == []
    assert firewall() == before
