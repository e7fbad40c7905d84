#!/usr/bin/env bash
# Build Horovod for the TensorFlow of the active environment, install it and check it:
#
#   envs/build_horovod.sh
#
# Needs cmake and a C++ compiler and takes two to four minutes. HOROVOD_GPU_OPERATIONS=NCCL in the
# environment adds NCCL. On a cluster run it once, on a node like those that will train.
#
# The wheel stays in wheels/, in a folder named after the TensorFlow that it was built for: pip's
# cache knows Horovod's version alone, and would hand out a wheel that fails on import.
set -euo pipefail
cd "$(dirname "$0")/.."
HOROVOD=0.28.1
export TF_CPP_MIN_LOG_LEVEL=3

python=$(command -v python) || { echo "no python: activate the environment first" >&2; exit 1; }
tensorflow=$("$python" -c "import tensorflow; print(tensorflow.__version__)") || {
    echo "$python has no TensorFlow: install omniflow first (README.md)" >&2
    exit 1
}
case $tensorflow in
    2.16.* | 2.17.* | 2.18.*) ;;
    *)
        echo "Horovod $HOROVOD compiles with TensorFlow 2.16 to 2.18, this is $tensorflow" >&2
        exit 1
        ;;
esac

check() {
    "$python" -c "
import horovod.tensorflow as hvd
hvd.init()
assert hvd.gloo_built(), 'Horovod has no Gloo'
if '${HOROVOD_GPU_OPERATIONS:-}' == 'NCCL':
    assert hvd.nccl_built(), 'Horovod has no NCCL'
"
}

kind="tensorflow-$tensorflow-$("$python" -c "import sys; print(sys.implementation.cache_tag)")"
kind="$kind${HOROVOD_GPU_OPERATIONS:+-$HOROVOD_GPU_OPERATIONS}"
folder=wheels/$kind
if ! compgen -G "$folder/horovod-$HOROVOD-*.whl" > /dev/null; then
    for program in cmake g++ make; do
        command -v "$program" > /dev/null || {
            echo "building Horovod needs $program" >&2
            exit 1
        }
    done
    # What Horovod's build and its own code import; nothing of it touches TensorFlow or NumPy.
    "$python" -m pip install --quiet 'setuptools>=70.1,<80' wheel cffi cloudpickle packaging psutil \
        pyyaml
    export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
    export HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1
    # Horovod asks for a CMake older than what CMake 4 accepts by itself.
    export CMAKE_POLICY_VERSION_MINIMUM=${CMAKE_POLICY_VERSION_MINIMUM:-3.5}
    # Complete or absent: the wheel moves to its place when it is done.
    rm -rf "$folder.part"
    mkdir -p "$folder.part" "$folder"
    "$python" -m pip wheel --no-deps --no-build-isolation --no-cache-dir --no-binary horovod \
        --wheel-dir "$folder.part" "horovod==$HOROVOD"
    mv "$folder.part"/horovod-*.whl "$folder/"
    rmdir "$folder.part"
fi
"$python" -m pip install --quiet cffi cloudpickle packaging psutil pyyaml
"$python" -m pip install --quiet --no-deps --force-reinstall "$folder"/horovod-"$HOROVOD"-*.whl
check
echo "Horovod $HOROVOD works with TensorFlow $tensorflow"
