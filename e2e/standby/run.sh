#!/bin/sh
# The suite of replicas, namespaces and shards, within a sandbox: $1 is the Python, further words are files of it to run alone.
# Takeovers are measured in seconds: one test after the other. What was measured is printed at the end.
set -eu
python=$1
shift
[ $# -gt 0 ] || set -- e2e/standby
DISORDER_FIGURES=$(mktemp)
export DISORDER_FIGURES
code=0
"$python" -m pytest -m "not slow" --reruns 1 -r aR --durations 10 "$@" || code=$?
"$python" -c 'import sys; from e2e.disorder.figures import collect, printed; print(printed(collect(open(sys.argv[1]))))' "$DISORDER_FIGURES"
exit $code
