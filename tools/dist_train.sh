#!/usr/bin/env bash
# Train with several processes: tools/dist_train.sh CONFIG GPUS [--max-restarts N] [arguments of tools/train.py]
#
# On several nodes, run it on each with NNODES, NODE_RANK, and MASTER_ADDR and PORT of the first node.
# Without GPUs as many processes train on the CPU.
#
# --max-restarts: when a process ends too early, all are started again, so many times at most, and go on from the newest
# checkpoint. On several nodes NNODES may then be a range, such as 2:4: nodes that are lost, or come, leave a training of
# as many as there are; NODE_RANK is not needed. The node of MASTER_ADDR, where they meet, has to stay.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [--max-restarts N] [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1 processes=$2 here=$(dirname "$0") restarts=0
shift 2
if [ "${1:-}" = --max-restarts ]; then
    restarts=${2:?--max-restarts takes a number}
    shift 2
fi

# A single node finds a free port by itself, so that two trainings on it do not meet.
meeting=(--standalone)
if [ "${NNODES:-1}" != 1 ]; then
    if [ "$restarts" -gt 0 ]; then
        meeting=(--nnodes "$NNODES" --rdzv_backend c10d --rdzv_endpoint "${MASTER_ADDR:?}:${PORT:-29500}" --rdzv_id "${RUN_ID:-train}")
    else
        meeting=(--nnodes "$NNODES" --node_rank "${NODE_RANK:?}" --master_addr "${MASTER_ADDR:?}" --master_port "${PORT:-29500}")
    fi
fi
# Every round gets a store of its own. torchrun would keep one for all, where processes that are started again find the
# addresses of those that are gone, and wait half an hour for them.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec "${PYTHON:-python}" -m torch.distributed.run "${meeting[@]}" --nproc_per_node "$processes" \
    --max_restarts "$restarts" "$here/train.py" "$config" --launcher pytorch "$@"
