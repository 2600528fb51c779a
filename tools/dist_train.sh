#!/usr/bin/env bash
# Train with several processes: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#
# On several nodes, run it on each with NNODES, NODE_RANK, and MASTER_ADDR and PORT of the first node.
# Without GPUs as many processes train on the CPU.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1 processes=$2 here=$(dirname "$0")

# A single node finds a free port by itself, so that two trainings on it do not meet.
meeting=(--standalone)
if [ "${NNODES:-1}" -gt 1 ]; then
    meeting=(--nnodes "$NNODES" --node_rank "${NODE_RANK:?}" --master_addr "${MASTER_ADDR:?}" --master_port "${PORT:-29500}")
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${meeting[@]}" --nproc_per_node "$processes" \
    "$here/train.py" "$config" --launcher pytorch "${@:3}"
