#!/bin/sh
# The disorder tests, within a sandbox: first what has a controller and a proxy of its own in a namespace of its own, some at a time as
# tests spend their time waiting; then, one by one, what stops a part of the sandbox. $1 is the Python, $2 `quick` or `all`.
set -eu
if [ "${2:-all}" = quick ]; then
    exec "$1" -m pytest -n 3 --dist worksteal -m "not alone and not slow" --reruns 1 -r aR --durations 10 e2e/disorder
fi
code=0
"$1" -m pytest -n 3 --dist worksteal -m "not alone" -r aR --durations 15 e2e/disorder || code=$?
"$1" -m pytest -m alone -r aR e2e/disorder || code=$?
exit $code
