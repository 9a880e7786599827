#!/usr/bin/env bash
# From a fresh clone to an exported encoder on the built-in data set; no data and no GPU needed.
#   scripts/quickstart.sh [RUN_DIR] [FLAGS of pretrain, such as --seed=1]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
run="runs/quickstart-$(date +%Y%m%d-%H%M%S)"
if [[ $# -gt 0 && $1 != -* ]]; then
  run="$1"
  shift
fi
python -m ssl_tf.pretrain --flagfile=configs/quickstart.flags --run_dir="$run" "$@"
python -m ssl_tf.linear --flagfile=configs/linear_quickstart.flags --checkpoint="$run"
python -m ssl_tf.export --checkpoint="$run"
cat <<END

Made in $run:
  views.png       the first views, with the policy drawn for each
  neighbours.png  nearest images, of the trained beside the random encoder
  metrics.jsonl   loss, kNN and spread of the embedding at every look
  tensorboard/    the same curves:  tensorboard --logdir=$run/tensorboard
  linear.json     the linear probe, beside that of the random encoder
  export/         SavedModel:  tf.saved_model.load("$run/export").signatures["encoded"]
  checkpoints/    python -m ssl_tf.pretrain --flagfile=$run/flags.txt goes on from here
END
