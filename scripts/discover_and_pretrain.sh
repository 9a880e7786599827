#!/usr/bin/env bash
# The loop closed on the built-in scenes, without a label: a short pre-training on whole scenes gives
# the encoder, discovery the boxes, a second pre-training learns from crops around them, and two
# linear probes compare the encoders.
#   scripts/discover_and_pretrain.sh [DIR] [--flag=value ...]
# Further flags (--scenes=4000 --epochs=30) go to the data and to both pre-trainings. What is
# complete is not done again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
directory="${1:-runs/discover}"
shift || true
mkdir -p "$directory"
scenes=(--dataset=scenes --scenes=400 --scene_size=96)
short=(--flagfile=configs/quickstart.flags --epochs=6 --warmup_epochs=1 "${scenes[@]}" "$@")

python -m ssl_tf.pretrain "${short[@]}" --run_dir="$directory/scene_crops"

data=()
for flag in "${scenes[@]}" "$@"; do
  case "$flag" in --dataset=* | --scene* | --data_dir=* | --split=*) data+=("$flag") ;; esac
done
python -m ssl_tf.discover --flagfile=configs/lod_scaled.flags "${data[@]}" \
  --encoder="$directory/scene_crops" --layers=C2,C3 --long_side=96 --square_side=48 \
  --max_regions=60 --neighbours=5 --pair_top_k=50 --descriptor_projection=8 \
  --boxes=ground_truth --output="$directory/boxes"

python -m ssl_tf.pretrain "${short[@]}" --crops=object_dilated \
  --proposals="$directory/boxes/proposals" --run_dir="$directory/object_crops"

for run in scene_crops object_crops; do
  echo "linear probe of $run"
  python -m ssl_tf.linear --flagfile=configs/linear_quickstart.flags "${data[@]}" \
    --checkpoint="$directory/$run" --epochs=20
done
