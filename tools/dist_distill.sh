#!/usr/bin/env bash
# Distill with several processes: tools/dist_distill.sh CONFIG GPUS [arguments of tools/train.py]
#
# CONFIG is one of configs/distillation. On several nodes see tools/dist_train.sh.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
exec "$(dirname "$0")/dist_train.sh" "$@"
