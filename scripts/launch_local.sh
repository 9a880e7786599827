#!/usr/bin/env bash
# Starts N worker processes on this machine as one run: to try several hosts without them.
#   scripts/launch_local.sh N python -m ssl_tf.pretrain --flagfile=... --run_dir=RUN
# Each worker's lines carry its number. Ends with the first exit code that is not 0.
set -euo pipefail
if [ $# -lt 2 ] || ! [ "$1" -ge 1 ] 2>/dev/null; then
  sed -n '2,4s/^# *//p' "$0" >&2
  exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
workers="$1"
shift
addresses="$(python - "$workers" <<'END'
import json, socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in held:
    one.bind(("127.0.0.1", 0))
print(json.dumps([f"127.0.0.1:{one.getsockname()[1]}" for one in held]))
END
)"
pids=()
for ((index = 0; index < workers; index++)); do
  TF_CONFIG="{\"cluster\": {\"worker\": $addresses}, \"task\": {\"type\": \"worker\", \"index\": $index}}" \
    "$@" > >(sed -u "s/^/[$index] /") 2> >(sed -u "s/^/[$index] /" >&2) &
  pids+=($!)
done
# Whoever ends this script ends its workers, who save first.
trap 'kill -TERM "${pids[@]}" 2>/dev/null' TERM INT
code=0
for pid in "${pids[@]}"; do
  while kill -0 "$pid" 2>/dev/null; do wait "$pid" || true; done
  wait "$pid" || { found=$?; [ "$code" -ne 0 ] || code=$found; }
done
exit "$code"
