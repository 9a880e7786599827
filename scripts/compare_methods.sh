#!/usr/bin/env bash
# All methods on CIFAR-10 with one encoder for equal epochs: kNN, linear, fine-tuning on 1 % and 10 %.
#   scripts/compare_methods.sh DATA DIR [EPOCHS] [--flag=value ...]
# DATA holds CIFAR-10 as TFDS prepares it; DIR gets a run a method, and table.md, table.csv and
# curves.png of all. Each method keeps the views, loss and rate of its flagfile, configs/cifar10_*.flags;
# further flags go to every pre-training. What is complete is not done again.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,6s/^# *//p' "$0" >&2
  exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
data="$1" directory="$2" epochs="${3:-10}"
shift 2
shift || true

runs=()
for flagfile in configs/cifar10_*.flags; do
  name="$(basename "$flagfile" .flags)"
  run="$directory/${name#cifar10_}"
  runs+=("$run")
  python -m ssl_tf.pretrain --flagfile="$flagfile" --data_dir="$data" \
    --epochs="$epochs" --run_dir="$run" "$@"
  judge=(--data_dir="$data" --checkpoint="$run")
  # All start from one encoder, so its row is measured beside the first run alone.
  [ "${#runs[@]}" = 1 ] || judge+=(--norandom_baseline)
  [ -f "$run/knn.json" ] || python -m ssl_tf.knn --dataset=cifar10 "${judge[@]}"
  [ -f "$run/linear.json" ] || python -m ssl_tf.linear --flagfile=configs/linear_cifar10.flags "${judge[@]}"
  for share in 1pct 10pct; do
    [ -f "$run/finetune_$share.json" ] ||
      python -m ssl_tf.finetune --flagfile="configs/finetune_cifar10_$share.flags" "${judge[@]}"
  done
done
python -m ssl_tf.compare --output="$directory" "${runs[@]}"
