#!/usr/bin/env bash
# One run over several nodes of a Slurm cluster, one task a node with all its GPUs.
#   sbatch --nodes=4 --gpus-per-node=8 scripts/launch_slurm.sh --flagfile=configs/ma_ssrl.flags --run_dir=RUN
# RUN and the data must lie on a file system that all nodes see. Two minutes before the time is up
# Slurm sends USR1: the run saves (exit code 138) and the job is queued again, to go on from there.
#SBATCH --ntasks-per-node=1
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
# sbatch copies the script: the checkout is where it was submitted.
cd "${SLURM_SUBMIT_DIR:?start this with sbatch}"
source scripts/environment.sh
srun --kill-on-bad-exit=0 python -m ssl_tf.pretrain "$@"
code=$?
# 138: saved on USR1. 3: another worker left, which is what the others see of that.
if [ "$code" -eq 138 ] || [ "$code" -eq 3 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
