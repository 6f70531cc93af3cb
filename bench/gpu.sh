#!/usr/bin/env bash
# Everything that needs a GPU, in one command: bench/gpu.sh FOLDER [PYTHON]. Builds without network
# (scikit-build-core, pybind11, CuPy and pytest must be installed) and writes its tables to FOLDER.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?the folder for the tables}
python=${2:-python}
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
# One architecture, that of the device at hand: the whole must end within eight minutes.
step build 180 "$python" -m pip install -q --no-build-isolation --no-deps --no-index . \
  -C cmake.define.STEEPEST_CUDA=ON -C cmake.define.CMAKE_CUDA_ARCHITECTURES=native
step info 20 "$python" -m steepest info
step tests 120 "$python" -m pytest -q -m gpu tests/cuda
if command -v compute-sanitizer >/dev/null; then
  step sanitizer 90 compute-sanitizer --error-exitcode 1 "$python" -m pytest -q -m gpu \
    tests/cuda/test_gpu.py -k "Adam-betas or graph or more_tensors"
else
  echo "compute-sanitizer is not installed" | tee "$out/sanitizer.txt"
fi
step bench 60 "$python" bench/gpu.py
exit $failed
