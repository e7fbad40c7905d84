#!/usr/bin/env bash
# Snakemake runs this in the new environment, from the folder that it was started in.
set -euo pipefail
root="${OMNIFLOW_ROOT:-$PWD}"
if [ ! -f "$root/src/omniflow/__init__.py" ]; then
    echo "$root is not the root of omniflow: start snakemake there, or set OMNIFLOW_ROOT" >&2
    exit 1
fi
# All dependencies are in gpu.yaml; pip must not change them.
python -m pip install --no-deps --no-build-isolation --editable "$root"

export HOROVOD_GPU_OPERATIONS=NCCL
export HOROVOD_CUDA_HOME="$CONDA_PREFIX" HOROVOD_NCCL_HOME="$CONDA_PREFIX"
bash "$root/envs/build_horovod.sh"
