#!/bin/sh
# The suite of replicas, namespaces and shards, within a sandbox: $1 is the Python, further words are files of it to run alone.
# What measures a takeover in seconds is marked `alone`; the rest has controllers in namespaces of its own, and runs two at a time.
set -eu
python=$1
shift
if [ $# -gt 0 ]; then
    exec "$python" -m pytest -r aR --durations 10 "$@"
fi
"$python" -m pytest -n 2 --dist loadfile -m "not alone and not slow" --reruns 1 -r aR --durations 10 e2e/standby
"$python" -m pytest -m "alone and not slow" --reruns 1 -r aR --durations 10 e2e/standby
