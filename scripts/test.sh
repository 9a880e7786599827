#!/usr/bin/env bash
# The tests in their own environment, a worker on each core. No network beyond the package index.
#   scripts/test.sh           all of them
#   scripts/test.sh --fast    those that take seconds, from every folder: a quarter of an hour
#   scripts/test.sh ARGUMENTS what pytest makes of them, in one process
set -euo pipefail
export WITH_DOWNSTREAM=1
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
# A file stays on one worker, with its fixtures; the longest come first (tests/conftest.py).
workers=(-n "$(nproc)" --dist=loadfile --no-loadscope-reorder)
case "${1-}" in
  "") exec python -m pytest -q "${workers[@]}" ;;
  --fast) exec python -m pytest -q "${workers[@]}" -m "not slow" "${@:2}" ;;
  *) exec python -m pytest -q "$@" ;;
esac
