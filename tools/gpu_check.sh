#!/usr/bin/env bash
# Prove and measure the detectors on this machine's GPU: tools/gpu_check.sh [--quick] [--out DIR] [--profile]
#
# Parity, tests, speed, training and the city, in 10 minutes, with --quick in 3; --device cpu tries the command without a
# GPU. Needs neither nuScenes nor a network. PYTHON names the interpreter.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ ! -d "$root/gpu_check" ]; then
    echo "error: $0 needs a clone of the project, with its tests and recordings" >&2
    exit 2
fi
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "${PYTHON:-python}" -m gpu_check "$@"
