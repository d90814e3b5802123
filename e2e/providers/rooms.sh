#!/bin/sh
# The checksum of what the suites of the providers prove, themselves included. A whole green run writes it to proven.sum (run.sh); CI runs
# them again where it is another one (.ci/run).
set -eu
cd "$(dirname "$0")/../.."
git ls-files -z flaggerpy/routers flaggerpy/metrics/builtin.py flaggerpy/targets/scalers.py flaggerpy/rollout/handover.py \
    e2e/providers e2e/metrics_api.py e2e/sandbox/versions.py ':!e2e/providers/proven.sum' |
    xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1
