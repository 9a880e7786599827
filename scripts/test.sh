#!/usr/bin/env bash
# The test suite in its own environment; arguments go to pytest. No network beyond the package index.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
python -m pytest -q "${@:-tests}"
