#!/usr/bin/env bash
# Mask R-CNN learns eight rendered scenes by heart, from three seeds: box AP must reach 0.95 and mask
# AP 0.75 within 600 steps. Some 15 minutes a seed on one CPU core.
#   scripts/overfit_detector.sh NEW_DIR [SEED ...]
set -euo pipefail
export WITH_DOWNSTREAM=1
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
directory="${1:?give a new directory}"
shift
for seed in "${@:-0 1 2}"; do
  for one in $seed; do
    python -m ssl_tf.detect --output="$directory/seed$one" --seed="$one" \
      --dataset=scenes --scenes=8 --scene_size=96 --test_split=train \
      --detector=faster_rcnn --masks --canvas=96 --scale_min=1 --scale_max=1 --noflip \
      --depth=18 --width=0.25 --pyramid_channels=64 --box_head_channels=128 --mask_convs=2 \
      --anchor_scale=4 --proposals=100 --sampled_anchors=64 --sampled_regions=64 \
      --max_objects=6 --max_detections=20 --batch_size=8 --steps=600 --optimizer=adamw \
      --learning_rate=0.002 --schedule=cosine --evaluate_every=100 --save_every=100
    python - "$directory/seed$one/detection.json" <<'CHECK'
import json
import sys

figures = json.load(open(sys.argv[1]))["random"]
print(f"{sys.argv[1]}: box AP {figures['box_ap']:.3f}, mask AP {figures['mask_ap']:.3f}")
sys.exit(figures["box_ap"] < 0.95 or figures["mask_ap"] < 0.75)
CHECK
  done
done
