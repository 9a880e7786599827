#!/usr/bin/env bash
# What a GPU does with this project: the training step over precision, XLA, augmentation and batch,
# and BYOL on CIFAR-10. Each piece takes minutes; what is measured is not measured again.
#   scripts/gpu_report.sh DIR PHOTOS DATA [--flag=value ...]
# PHOTOS is a folder of photographs (MoCo's queue wants more than 65,536), DATA holds CIFAR-10 as TFDS
# prepares it, DIR gets a JSON file and a table for each piece, and the run of CIFAR-10. Further flags of
# pretrain go to every command: where there is no GPU, `--depth=18 --width=0.125 --image_size=32
# --batch_size=8 --epochs=0.01 --warmup_epochs=0` shows that all of it runs.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,8s/^# *//p' "$0" >&2
  exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
directory="$1" photos="$2" data="$3"
shift 3
mkdir -p "$directory"

piece() {
  local name="$1"
  shift
  echo "== $name"
  python -m ssl_tf.benchmark train "$@" --output="$directory/$name.json" | tee "$directory/$name.txt"
}

images=(--image_folder="$photos" --depth=50 --image_size=224 --batch_size=256)
precisions=float32,tf32,mixed_bfloat16,mixed_float16
piece byol --method=byol --recipe=byol "${images[@]}" --grid_precision="$precisions" --grid_xla=off,on "$@"
piece ma_ssrl --method=ma_ssrl --recipe=ma_ssrl "${images[@]}" --grid_precision="$precisions" "$@"
piece moco --method=moco --recipe=moco "${images[@]}" --grid_precision="$precisions" "$@"
piece augment --method=byol --recipe=byol "${images[@]}" --grid_precision=mixed_bfloat16 \
  --grid_augment_on=host,device --grid_batch_size=128,256,512 "$@"

echo "== BYOL on CIFAR-10"
run="$directory/cifar10"
python -m ssl_tf.pretrain --flagfile=configs/cifar10_byol_paper.flags --data_dir="$data" --width=1 \
  --stem=small --batch_size=512 --epochs=200 --warmup_epochs=10 --precision=mixed_bfloat16 \
  --augment_on=device --run_dir="$run" "$@"
python -m ssl_tf.knn --dataset=cifar10 --data_dir="$data" --checkpoint="$run"
