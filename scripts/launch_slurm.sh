#!/usr/bin/env bash
# One run over several nodes of a Slurm cluster, one task a node with all its GPUs.
#   sbatch --nodes=4 --gpus-per-node=8 --cpus-per-task=64 --time=24:00:00 \
#     scripts/launch_slurm.sh --flagfile=configs/ma_ssrl.flags --run_dir=RUN
# Without --cpus-per-task Slurm gives a task one core. RUN and the data must lie on a file system that
# all nodes see. Make the environment on the login node first, since nodes may reach no package index:
#   WITH_CUDA=1 bash -c 'source scripts/environment.sh'
# Two minutes before the time is up Slurm sends USR1: the run saves (exit code 138) and the job is
# queued again, to go on from there.
#SBATCH --ntasks-per-node=1
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
# sbatch copies the script: the checkout is where it was submitted.
cd "${SLURM_SUBMIT_DIR:?start this with sbatch}"
source scripts/environment.sh || exit 1
# From 22.05 on srun does not take it from sbatch.
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"
srun --kill-on-bad-exit=0 python -m ssl_tf.pretrain "$@"
code=$?
# 138: saved on USR1. 3: another worker left, which is what the others see of that. After an error
# that one of them reports all end with its code, 1 or 2.
if [ "$code" -eq 138 ] || [ "$code" -eq 3 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
