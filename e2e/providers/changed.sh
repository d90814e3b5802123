#!/bin/sh
# Whether the rooms of the providers changed since what is landed at origin: exit 0, they did; 1, they did not, or it cannot be told (a
# clone that is at origin's own commit, or that has no origin, has nothing to compare with).
set -eu
base=$(git merge-base HEAD origin/HEAD 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null) || { echo "no origin to compare with" >&2; exit 1; }
if [ "$base" = "$(git rev-parse HEAD)" ]; then
    echo "nothing but what is at origin" >&2
    exit 1
fi
! git diff --quiet "$base" HEAD -- flaggerpy/routers flaggerpy/metrics/builtin.py flaggerpy/targets/scalers.py flaggerpy/rollout/handover.py e2e/providers e2e/sandbox
