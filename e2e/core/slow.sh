#!/bin/sh
# What takes minutes of the core of the end-to-end tests, within a sandbox: two files at a time, then what stops or kills its controller.
# $1 is the Python; words of pytest after it choose some of them.
set -eu
python=$1
shift
if [ $# -gt 0 ]; then
    exec "$python" -m pytest -m slow -r aR e2e/core "$@"
fi
"$python" -m pytest -n 2 --dist loadfile -m "slow and not alone" --reruns 1 -r aR --durations 10 e2e/core
"$python" -m pytest -m "slow and alone" --reruns 1 -r aR --durations 10 e2e/core
