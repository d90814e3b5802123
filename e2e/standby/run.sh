#!/bin/sh
# The suite of replicas, namespaces and shards, within a sandbox: $1 is the Python, further words are files of it to run alone.
# First what has controllers and a Lease in a namespace of its own, some at a time as tests spend their time waiting; then the shards, which
# attend the whole cluster. What was measured is printed at the end. One rerun, but not of fencing and takeover, where a failure now and then is
# a defect: those files say so themselves.
set -eu
python=$1
shift
DISORDER_FIGURES=$(mktemp)
export DISORDER_FIGURES
code=0
if [ $# -gt 0 ]; then
    "$python" -m pytest -m "not slow" --reruns 1 -r aR --durations 10 "$@" || code=$?
else
    "$python" -m pytest -n 3 --dist worksteal -m "not alone and not slow" --reruns 1 -r aR --durations 10 e2e/standby || code=$?
    "$python" -m pytest -m "alone and not slow" --reruns 1 -r aR --durations 10 e2e/standby || code=$?
fi
"$python" -c 'import sys; from e2e.disorder.figures import collect, printed; print(printed(collect(open(sys.argv[1]))))' "$DISORDER_FIGURES"
exit $code
