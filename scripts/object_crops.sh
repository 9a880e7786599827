#!/usr/bin/env bash
# Object-aware crops on scenes of CIFAR-10 objects: linear mAP by crops and boxes, several seeds.
#   scripts/object_crops.sh DATA DIR [SEEDS] [--flag=value ...]
# DATA holds CIFAR-10 as TFDS prepares it. Every crop is trained for the same steps by the same flags;
# further flags (--epochs=5) go to all of them. What is complete is not done again.
#   scene_scene             both views cut from the scene (MoCo-v2)
#   object_object           both views cut from the same true box
#   object_dilated          the true box against the box dilated by 10 % of the scene
#   object_dilated_found    the same with boxes found by discovery, without any label
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,9s/^# *//p' "$0" >&2
  exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
data="$1" directory="$2" seeds="${3:-3}"
shift 2
shift || true
mkdir -p "$directory"

run() {
  local name="$1" seed="$2"
  shift 2
  local run="$directory/$name-$seed"
  python -m ssl_tf.pretrain --data_dir="$data" --seed="$seed" --run_dir="$run" "$@"
  [ -f "$run/linear.json" ] || python -m ssl_tf.linear --flagfile=configs/linear_scenes.flags \
    --data_dir="$data" --checkpoint="$run" --seed="$seed"
}

scene=--flagfile=configs/scenes_moco_scene.flags object=--flagfile=configs/scenes_moco_object.flags
for ((seed = 0; seed < seeds; seed++)); do
  run scene_scene "$seed" "$scene" "$@"
  run object_object "$seed" "$object" --crops=object_object "$@"
  run object_dilated "$seed" "$object" "$@"
  boxes="$directory/boxes-$seed"
  [ -d "$boxes/proposals" ] || python -m ssl_tf.discover --flagfile=configs/lod_scenes.flags \
    --data_dir="$data" --encoder="$directory/scene_scene-$seed" --output="$boxes"
  run object_dilated_found "$seed" "$object" --proposals="$boxes/proposals" "$@"
done

python - "$directory" <<'END'
import json, pathlib, statistics, sys

found = {}
for file in sorted(pathlib.Path(sys.argv[1]).glob("*/linear.json")):
    name = file.parent.name.rsplit("-", 1)[0]
    report = json.loads(file.read_text())
    found.setdefault("random encoder", []).append(100 * report["random"]["map"])
    found.setdefault(name, []).append(100 * report["trained"]["map"])
print(f"{'linear mAP':<22} {'mean':>6}  seeds")
for name, values in found.items():
    if name == "random encoder":
        values = sorted(set(values))
    print(f"{name:<22} {statistics.mean(values):6.2f}  " + " ".join(f"{v:.2f}" for v in values))
END
