#!/bin/sh
# The core of the end-to-end tests, within a sandbox: first what can share a controller, two at a time as tests spend their time waiting;
# then, one by one, what stops or kills it; then what looks back at the whole. $1 is the Python to run them with.
# A file's tests share what is one for the cluster (rows that are played together, a CRD), so a file goes to one worker.
# One rerun: a hiccup of a shared machine does not lose a run, and the summary (-r aR) names every test that needed it.
set -eu
"$1" -m pytest -n 2 --dist loadfile -m "not alone and not slow and not last" --reruns 1 -r aR --durations 10 e2e/core
"$1" -m pytest -m "alone and not slow" --reruns 1 -r aR --durations 10 e2e/core
E2E_WHOLE=1 "$1" -m pytest -m last -r aR e2e/core
