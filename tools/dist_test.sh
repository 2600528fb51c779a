#!/usr/bin/env bash
# Test with several processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
#
# On several nodes, run it on each with NNODES, NODE_RANK, and MASTER_ADDR and PORT of the first node.
# Without GPUs as many processes run on the CPU.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi
config=$1 checkpoint=$2 processes=$3 here=$(dirname "$0")

# A single node finds a free port by itself, so that two runs on it do not meet.
meeting=(--standalone)
if [ "${NNODES:-1}" -gt 1 ]; then
    meeting=(--nnodes "$NNODES" --node_rank "${NODE_RANK:?}" --master_addr "${MASTER_ADDR:?}" --master_port "${PORT:-29500}")
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${meeting[@]}" --nproc_per_node "$processes" \
    "$here/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
