#!/usr/bin/env bash
# Train on a Slurm cluster: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [--max-restarts N] [arguments of
# tools/train.py]
#
# GPUS (8) processes, GPUS_PER_NODE (8 at most) on a node with CPUS_PER_TASK (5) cores each; SRUN_ARGS go to srun.
# --max-restarts: when a process ends too early, the step is started again, so many times at most, and goes on from the
# newest checkpoint. Bad input (exit code 2) is not tried again.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [--max-restarts N] [arguments of tools/train.py]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3 work_dir=$4 here=$(dirname "$0") restarts=0
shift 4
if [ "${1:-}" = --max-restarts ]; then
    restarts=${2:?--max-restarts takes a number}
    shift 2
fi
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -ra srun_args <<<"${SRUN_ARGS:-}"

restart=0
while true; do
    code=0
    TORCHELASTIC_RESTART_COUNT=$restart srun --partition "$partition" --job-name "$job" --gres "gpu:$per_node" \
        --ntasks "$gpus" --ntasks-per-node "$per_node" --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${srun_args[@]+"${srun_args[@]}"} \
        "${PYTHON:-python}" -u "$here/train.py" "$config" --work-dir "$work_dir" --launcher slurm "$@" || code=$?
    # 130: the keyboard has stopped it.
    if [ "$code" -eq 0 ] || [ "$code" -eq 2 ] || [ "$code" -eq 130 ] || [ "$restart" -ge "$restarts" ]; then
        exit "$code"
    fi
    restart=$((restart + 1))
    echo "srun ended with exit code $code; restart $restart of $restarts" >&2
done
