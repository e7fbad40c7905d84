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

# Without the cache: pip keeps built wheels by Horovod's version alone, and one that was built for
# another TensorFlow would be reused and fail on import. Gloo, because then no MPI is needed.
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
export HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_GPU_OPERATIONS=NCCL
export HOROVOD_CUDA_HOME="$CONDA_PREFIX" HOROVOD_NCCL_HOME="$CONDA_PREFIX"
python -m pip install --no-deps --no-build-isolation --no-cache-dir --no-binary horovod \
    horovod==0.28.1
python -c "import horovod.tensorflow as hvd; assert hvd.nccl_built(), 'Horovod has no NCCL'"
