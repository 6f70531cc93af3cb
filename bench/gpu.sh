#!/usr/bin/env bash
# Everything that needs a GPU, in one command: bench/gpu.sh FOLDER [PYTHON [ARCHITECTURE]]. Builds without network
# (scikit-build-core, pybind11, CMake, Ninja, rich, array-api-compat, pytest, hypothesis and CuPy
# must be installed, PyTorch may be) and writes its tables to FOLDER. The limits add up to less
# than eight minutes; what has not ended by its limit has failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?the folder for the tables}
python=${2:-python3}
arch=${3:-native}
mkdir -p "$out"
out=$(cd "$out" && pwd)
failed=0
step() {  # step NAME SECONDS COMMAND...: its output in FOLDER/NAME.txt
  local name=$1 limit=$2
  shift 2
  echo "== $name"
  timeout "$limit" "$@" >"$out/$name.txt" 2>&1 || { failed=1; echo "failed: see $name.txt"; }
  tail -n 3 "$out/$name.txt"
}
# Where the package goes: a folder of its own, so that no environment is changed.
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

# One architecture, that of the device at hand unless another is named.
step build 120 "$python" -m pip install -q --no-build-isolation --no-deps --no-index \
  --target "$site" . -C cmake.define.STEEPEST_CUDA=ON -C "cmake.define.CMAKE_CUDA_ARCHITECTURES=$arch"
step info 10 "$python" -m steepest info
# Warnings of the packages around are not what is tested.
step tests 80 "$python" -m pytest -q -W default -m gpu tests/cuda
if command -v compute-sanitizer >/dev/null; then
  step memcheck 50 compute-sanitizer --error-exitcode 1 "$python" -m pytest -q -W default -m gpu \
    tests/cuda/test_gpu.py -k "Adam-betas or graph or more_tensors"
  step racecheck 30 compute-sanitizer --tool racecheck --error-exitcode 1 "$python" -m pytest -q \
    -W default -m gpu tests/cuda/test_gpu.py -k "graph or more_tensors"
else
  echo "compute-sanitizer is not installed" | tee "$out/memcheck.txt"
fi
# In two parts, so that one that comes to its limit does not take the other with it.
step bench 60 "$python" -m steepest bench --device cuda --json --rules adam,pipeline
step rules 75 "$python" -m steepest bench --device cuda --json --sizes 1x256M
step least_squares 30 "$python" bench/gpu_least_squares.py
step code 20 "$python" bench/asm.py cuda "${arch/native/90}"
exit $failed
