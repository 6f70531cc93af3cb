#!/usr/bin/env bash
# Everything that needs a GPU, in one command: bench/gpu.sh FOLDER [PYTHON [ARCHITECTURE]].
# Builds without network and ends within eight minutes. FOLDER gets, as it goes: tests.txt,
# bench.json (Adam and the pipeline at all sizes), rules.json (every rule, large), peers.json (the
# same beside its peers), least_squares.txt, and log.txt with all that was said besides.
# A stage that fails or comes to its limit does not stop the next; one whose modules this Python
# lacks is left out, and says so: what has not run has not passed. GPU_SECONDS=n: another limit than
# 470 seconds in all, in whose proportion the stages' own limits are.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?the folder for the tables}
python=${2:-python3}
arch=${3:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)}
arch=${arch:-native}
total=${GPU_SECONDS:-470}
mkdir -p "$out"
out=$(cd "$out" && pwd)
: >"$out/log.txt"
failed=0
say() { echo "$@" | tee -a "$out/log.txt"; }
limit() {  # of these seconds: in proportion, and no more than are left of all
  local scaled=$(($1 * total / 470)) left=$((total - SECONDS))
  echo $((scaled < left ? scaled : left))
}
missing() {  # those of these modules that there are not
  "$python" - $1 <<'PYTHON'
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
PYTHON
}
added() { tail -c "+$(($2 + 1))" "$1" | tail -n "$3" | cut -c 1-160; }  # to FILE since BYTES
backtrace() {  # of a command that crashed
  local debugger
  debugger=$(command -v gdb || command -v cuda-gdb) || return 0
  timeout -k 5 20 "$debugger" -batch -ex run -ex backtrace --args "$@" 2>&1 | tail -n 25
}
step() {  # step NAME SECONDS FILE "MODULES" COMMAND...: its output is added to FILE
  local name=$1 seconds file="$out/$3" lacking began=$SECONDS status=0 before before_log
  seconds=$(limit "$2")
  lacking=$(missing "$4" 2>>"$out/log.txt") || lacking="$python itself"
  shift 4
  if [ -n "$lacking" ]; then
    failed=1
    say "== $name: left out, there is no $lacking"
    return
  fi
  if [ "$seconds" -lt 3 ]; then
    failed=1
    say "== $name: left out, the time is up"
    return
  fi
  say "== $name, $seconds s at most"
  touch "$file"
  before=$(wc -c <"$file") before_log=$(wc -c <"$out/log.txt")
  timeout -k 5 "$seconds" "$@" >>"$file" 2>>"$out/log.txt" || status=$?
  case $file in  # of JSON the log tells more: a line a row
    *.json) added "$out/log.txt" "$before_log" 3 ;;
    *) added "$file" "$before" 3 ;;
  esac
  if [ $status != 0 ]; then
    failed=1
    [ "$file" = "$out/log.txt" ] || added "$out/log.txt" "$before_log" 1
    if [ $status = 124 ] || [ $status = 137 ]; then say "   came to its limit"; else
      say "   failed, status $status"
    fi
    if [ $status = 139 ]; then backtrace "$@" | tee -a "$out/log.txt"; fi
  fi
  say "   $((SECONDS - began)) s"
}
# Where the package goes: a folder of its own, so that no environment is changed.
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # JAX leaves memory to the others
# Every test by its name, for what is known where the limit comes; what other packages warn of is
# not tested.
pytest=("$python" -m pytest -v --tb=short -W default -p no:cacheprovider -m gpu)
testing="pytest numpy scipy pybind11 cupy"
workers=()
[ -z "$(missing xdist)" ] && workers=(-n 6)

say "$(${CXX:-c++} --version 2>&1 | head -n 1), $("$python" -m pip list 2>/dev/null | grep -i -E '^(pybind11|scikit.build.core|cmake) ' | tr -s ' \n' ' ')"
# One architecture, that of the device at hand unless another is named.
step build 150 log.txt "pip scikit_build_core pybind11" \
  "$python" -m pip install -q --no-build-isolation --no-deps --no-index --target "$site" . \
  -C cmake.define.STEEPEST_CUDA=ON -C "cmake.define.CMAKE_CUDA_ARCHITECTURES=$arch"
step info 10 log.txt "numpy" "$python" -c \
  'import steepest; print(*map(": ".join, ((k, str(v)) for k, v in steepest.info().items())), sep="\n")'
step device 10 log.txt "numpy" "$python" -c \
  'import steepest._cuda as c; print("devices that are usable:", c.device_count())'
# First what may miss its bar.
step least_squares 50 least_squares.txt "numpy scipy cupy" "$python" bench/gpu_least_squares.py
step rules_tested 80 tests.txt "$testing" "${pytest[@]}" "${workers[@]}" \
  tests/cuda/test_gpu.py
lacking=$(missing array_api_compat) && [ -n "$lacking" ] &&
  say "== test_gpu_solve.py skips itself, there is no $lacking"
step fits_tested 60 tests.txt "$testing" \
  "${pytest[@]}" "${workers[@]}" tests/cuda/test_gpu_least_squares.py tests/cuda/test_gpu_solve.py
seconds=$(limit 60)
step bench 60 bench.json "rich numpy cupy" "$python" -m steepest bench --device cuda --json \
  --rules adam,pipeline --within $((seconds > 20 ? seconds - 15 : 5))
seconds=$(limit 50)
step rules 50 rules.json "rich numpy cupy" "$python" -m steepest bench --device cuda --json \
  --sizes 1x256M --alone --within $((seconds > 10 ? seconds - 5 : 5))
if command -v compute-sanitizer >/dev/null; then
  # Without CuPy's pool, each array is an allocation that its ends are checked of.
  export STEEPEST_TESTS_WITHOUT_POOL=1
  step racecheck_fits 25 tests.txt "$testing" compute-sanitizer --tool racecheck --error-exitcode 1 \
    "${pytest[@]}" tests/cuda/test_gpu_least_squares.py -k "cholesky and 200"
  step memcheck 50 tests.txt "$testing" compute-sanitizer --error-exitcode 1 \
    "${pytest[@]}" tests/cuda/test_gpu.py tests/cuda/test_gpu_least_squares.py \
    -k "Adam-betas or graph or more_tensors or short_tensors or stream_of_ones_own"
  step racecheck 30 tests.txt "$testing" compute-sanitizer --tool racecheck --error-exitcode 1 \
    "${pytest[@]}" tests/cuda/test_gpu.py \
    -k "graph or more_tensors or short_tensors or (folded_early and 10x10)"
else
  say "== memcheck, racecheck: left out, there is no compute-sanitizer"
fi
seconds=$(limit 60)
step peers 60 peers.json "rich numpy cupy" "$python" -m steepest bench --device cuda --json \
  --sizes 1x256M --seconds 0.1 --within $((seconds > 20 ? seconds - 10 : 5))
if [ $failed = 0 ]; then say "no stage failed"; else
  say "stages failed or were left out: see above and $out"
fi
exit $failed
