"""The `flaggerpy` command as a person types it, against the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys

from e2e.sandbox import Sandbox


def flaggerpy(sandbox: Sandbox, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; the caller looks at exit code and output."""
    return subprocess.run(
        [sys.executable, "-m", "flaggerpy.cli.main", *words],
        env={**os.environ, "KUBECONFIG": str(sandbox.kubeconfig), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
