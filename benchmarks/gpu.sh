#!/bin/sh
# What this machine's GPU does: checks, then events/s; prints tables for benchmarks/README.md.
#
#     benchmarks/gpu.sh [options of gpu.py]
#
# Run it in an environment with `.[gpu]` (docs/hpc.md), on a node with a GPU, half an hour or so.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
if command -v nvidia-smi > /dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
else
    echo "No GPU is to be seen (nvidia-smi is missing): this is what the CPU does." >&2
fi
exec "$python" benchmarks/gpu.py "$@"
