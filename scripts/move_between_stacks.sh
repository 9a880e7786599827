#!/usr/bin/env bash
# Begins a small run on one stack and finishes it on the other, both ways, and loads the export of each
# on the other. Prints the differences, and fails if one is more than rounding.
#   scripts/move_between_stacks.sh NEW_DIR [OTHER_PYTHON, such as python3.13]
set -euo pipefail
if [ $# -lt 1 ] || [ -e "$1" ]; then
  sed -n '2,4s/^# *//p' "$0" >&2
  exit 2
fi
mkdir -p "$1"
directory="$(cd "$1" && pwd)"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
first=python3.11 second="${2:-python3.13}"
on() { # on PYTHON COMMAND...: runs the command in the environment of that Python
  PYTHON="$1" bash -c 'source scripts/environment.sh && exec "$@"' "$@"
}
pretrain=(python -m ssl_tf.pretrain --dataset=scenes --scenes=256 --scene_size=32 --image_size=32
  --depth=18 --width=0.25 --batch_size=32 --epochs=4 --warmup_epochs=1 --optimizer=sgd
  --base_learning_rate=0.1 --keep_checkpoints=9 --monitor_every=2 --log_every=4
  --projector_hidden=64 --projection=32)
for python in "$first" "$second"; do
  on "$python" "${pretrain[@]}" --run_dir="$directory/$python"
  on "$python" python -m ssl_tf.export --checkpoint="$directory/$python"
  cp -r "$directory/$python" "$directory/$python-moved"
  rm -r "$directory/$python-moved/export" "$directory/$python-moved/checkpoints/"step_000000{24,32}
done
on "$second" "${pretrain[@]}" --run_dir="$directory/$first-moved"
on "$first" "${pretrain[@]}" --run_dir="$directory/$second-moved"
on "$first" python scripts/compare_encoders.py "$directory/$first" "$directory/$first-moved"
on "$first" python scripts/compare_encoders.py "$directory/$second" "$directory/$second/export"
on "$second" python scripts/compare_encoders.py "$directory/$second" "$directory/$second-moved"
on "$second" python scripts/compare_encoders.py "$directory/$first" "$directory/$first/export"
