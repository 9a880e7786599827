#!/usr/bin/env bash
# The paper's ablations on your data: one short run a point, then a table of the kNN accuracies.
#   scripts/ablation.sh crops  BASE.flags DIR [--flag=value ...]   figure 2: crop law x strategy
#   scripts/ablation.sh levels BASE.flags DIR [--flag=value ...]   figure 3: RandAugment N x M
# A point that is complete is not run again. Further flags (--epochs=20) go to every run.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,5s/^# *//p' "$0" >&2
  exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
grid="$1" base="$2" directory="$3"
shift 3

point() {
  local name="$1"
  shift
  python -m ssl_tf.pretrain --flagfile="$base" --run_dir="$directory/$name" "$@"
}

case "$grid" in
  crops)
    for crop in uniform inception byol full; do
      for strategy in plain simclr byol_t autoaugment fast_autoaugment randaugment integrated; do
        point "${crop}_$strategy" "$@" --crop="$crop" --view_strategies="$strategy,$strategy"
      done
    done ;;
  levels)
    for number in 1 2 3; do
      for level in 1 5 9 15 20 25 30; do
        point "N=${number}_M=$level" "$@" --view_strategies=randaugment,randaugment \
          --level_scale=30 --randaugment_ops="$number" --randaugment_magnitude="$level"
      done
    done ;;
  *)
    echo "error: $grid: choose crops or levels" >&2
    exit 2 ;;
esac

python - "$directory" <<'END'
import json, pathlib, sys

table = {}
for metrics in sorted(pathlib.Path(sys.argv[1]).glob("*/metrics.jsonl")):
    looks = [line for line in map(json.loads, metrics.open()) if "knn_top1" in line]
    row, column = metrics.parent.name.split("_", 1)
    table.setdefault(row, {})[column] = 100 * looks[-1]["knn_top1"] if looks else float("nan")
columns = list(dict.fromkeys(column for row in table.values() for column in row))
columns.sort(key=lambda c: (int(c[2:]) if c.startswith("M=") else 0, c))
print(f"{'kNN top-1':<12}" + "".join(f"{column:>18}" for column in columns))
for row, found in table.items():
    print(f"{row:<12}" + "".join(f"{found.get(column, float('nan')):18.2f}" for column in columns))
END
