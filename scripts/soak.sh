#!/usr/bin/env bash
# Kills a run again and again and compares it, to the bit, with the run that nobody touched.
#   scripts/soak.sh [KILLS] [DIRECTORY] [FLAGS OF ssl_tf.pretrain ...]
# Some kills aim at the write of a checkpoint, the others fall at a random moment; then the same
# command is started again. A run that comes to its end is compared and a new one begun, until KILLS
# are done. Ends with 1 at the first difference.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
kills="${1:-36}"
directory="${2:-runs/soak-$(date +%Y%m%d-%H%M%S)}"
flags=("${@:3}")
[ ${#flags[@]} -gt 0 ] || flags=(--dataset=scenes --scenes=96 --scene_size=24 --image_size=24
  --depth=18 --width=0.125 --projector_hidden=64 --projection=16 --batch_size=32 --epochs=80
  --warmup_epochs=1 --base_learning_rate=3 --monitor_bank=64 --monitor_queries=24
  --monitor_every=20 --log_every=1 --checkpoint_every=1)
RANDOM=1
mkdir -p "$directory"

pretrain() { exec python -m ssl_tf.pretrain "${flags[@]}" --run_dir="$1" 2>> "$directory/log"; }
newest() { { ls "$1/checkpoints" 2> /dev/null || true; } | { grep -x 'step_[0-9]*' || true; } | tail -n 1; }
writing() { compgen -G "$1/checkpoints/*.writing" > /dev/null; }
alive() { kill -0 "$1" 2> /dev/null; }

(pretrain "$directory/untouched")
done=0 within=0 resumes=0 runs=0
while [ "$done" -lt "$kills" ]; do
  runs=$((runs + 1))
  run="$directory/killed-$runs"
  while true; do
    before="$(newest "$run")"
    [ -z "$before" ] || resumes=$((resumes + 1))
    (pretrain "$run") &
    process=$!
    if [ "$done" -lt "$kills" ]; then
      # Some progress first; one life in four is cut short before any.
      if [ $((RANDOM % 4)) -gt 0 ]; then
        while alive $process && [ "$(newest "$run")" = "$before" ]; do sleep 0.02; done
        if [ $((done % 3)) -eq 0 ]; then
          while alive $process && ! writing "$run"; do :; done
        else
          sleep "0.$((RANDOM % 90 + 10))"
        fi
      else
        sleep "$((RANDOM % 12)).$((RANDOM % 10))"
      fi
      kill -KILL $process 2> /dev/null && done=$((done + 1))
      wait $process 2> /dev/null && break || true
      writing "$run" && within=$((within + 1))
    else
      wait $process
      break
    fi
  done
  python - "$directory/untouched" "$run" << 'END'
import hashlib, json, sys
from pathlib import Path
from ssl_tf.training.run_directory import MACHINE_FIGURES, MetricsFile
found = []
for directory in map(Path, sys.argv[1:]):
    last = sorted(directory.glob("checkpoints/step_????????"))[-1]
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in last.iterdir()}
    lines = MetricsFile.read(directory / "metrics.jsonl")
    steps = [x["step"] for x in lines]
    assert steps[0] == 0 and steps == sorted({*steps}), "the first step is missing, or one is twice"
    found.append((last.name, sums, [{k: v for k, v in x.items() if k not in MACHINE_FIGURES} for x in lines]))
if found[0] != found[1]:
    sys.exit(f"{sys.argv[2]} differs from {sys.argv[1]}")
print(f"{sys.argv[2]}: {found[0][0]} and {len(found[0][2])} lines of metrics are equal")
END
done
echo "$done kills ($within within the write of a checkpoint), $resumes resumes, $runs run(s), all equal"
