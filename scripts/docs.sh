#!/usr/bin/env bash
# Builds the documentation into build/site; a warning is an error. Arguments go to mkdocs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
mkdocs build --strict "$@"
