#!/bin/sh
# The suites of single providers, within a sandbox: a file per worker, two at a time; then, one by one, what stops the controller; then,
# of a whole run, what looks back at it. $1 is the Python to run them with, what follows goes to pytest (a file, -k ...). One rerun, and
# every test that needed it is named.
set -eu
python=$1
shift
whole=
[ $# -gt 0 ] || { set -- e2e/providers; whole=1; }
code=0
"$python" -m pytest -n 2 --dist loadfile -m "not alone and not last" --reruns 1 -r aR --durations 10 "$@" || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 5 ] || exit "$code"
# 5: no test is marked so
"$python" -m pytest -m "alone and not last" --reruns 1 -r aR --durations 10 "$@" || { code=$?; [ "$code" -eq 5 ] || exit "$code"; }
[ -z "$whole" ] || E2E_WHOLE=1 "$python" -m pytest -m last -r aR "$@"
