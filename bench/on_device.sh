#!/usr/bin/env bash
# Checks and times Leat on the GPUs of a machine: devices, doctor, a small network on every route,
# the convolutions of a suite in fp32 and fp16, latency, fences and streams, and real networks where
# they are at hand. Where cuDNN is, the convolutions are measured beside it.
#   bench/on_device.sh FOLDER [DEVICE...]
#     FOLDER      results go there: JSON files, logs, and summary.txt
#     DEVICE      as `leat devices` names them; default: every GPU route, software ones left out
# LEAT_BIN      a program built elsewhere, leat-bench beside it; default: build/release/bin/leat,
#               built if it is missing
# LEAT_SUITE    the suite; default: bench/conv_shapes.csv of the shared folder, else two shapes
# LEAT_STEPS     some of "check flow latency conv2d f16"; default: all
# LEAT_ROUNDS    samples of each way to submit; default: 10000
# LEAT_ITEMS     pictures of a stream; default: 3000
# LEAT_SHARED_DIR   the folder with models and pictures; default: ../shared
# LEAT_ONNX_DIR     a folder of ONNX conformance cases to run on every route; default: none
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
if [ $# -lt 1 ] || [ "${1:0:1}" = - ]; then
  sed -n '2,15s/^# \{0,1\}//p' bench/on_device.sh
  exit 2
fi
mkdir -p "$1" || exit 1
results=$(cd "$1" && pwd)
shift

leat=${LEAT_BIN:-build/release/bin/leat}
if [ ! -x "$leat" ]; then
  [ -z "${LEAT_BIN:-}" ] || { echo "bench/on_device.sh: \"$leat\" is no program." >&2; exit 1; }
  tools/install run || exit 1
  cmake --preset release && cmake --build build/release --target leat leat-bench || exit 1
fi
shared=${LEAT_SHARED_DIR:-$(cd .. && pwd)/shared}
conformance=${LEAT_ONNX_DIR:-}
suite=${LEAT_SUITE:-$shared/bench/conv_shapes.csv}
if [ ! -f "$suite" ]; then
  suite=$results/suite.csv
  printf '%s\n' epic_first,1,3,224,224,64,3,1,1 epic_mid,8,256,56,56,256,3,1,1 >"$suite"
fi
export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$results/cache}

failed=0
# Runs a command, keeps its output in the log $1, and says how it ended.
step() {
  local log=$results/$1.log status
  shift
  printf '\n$ %s\n' "$*"
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  if [ "$status" -ne 0 ]; then
    failed=$((failed + 1))
    printf 'exit code %s: %s\n' "$status" "$*" | tee -a "$results/failures.txt"
  fi
}

wants() { [[ " ${LEAT_STEPS:-check flow latency conv2d f16} " == *" $1 "* ]]; }

# Networks, right and at start, on device $1; its results are named $2.
check() {
  step "digits-$2" "$leat" run examples/digits/digits.onnx --device "$1" \
    --input examples/digits/pictures/7.png --top 3 --labels examples/digits/labels.txt
  [ -d "$shared/data/models" ] || return
  step "squeezenet-$2" "$leat" run "$shared/data/models/SqueezeNet_fp16.onnx" \
    --input "$shared/data/images/fish.png" --channels bgr --top 5 \
    --labels "$shared/data/models/imagenet_labels.txt" --device "$1" --repeat 50
  step "startup-$2" python3 bench/startup.py "$shared/data/models/SqueezeNet_fp16.onnx" \
    "$shared/data/images/fish.png" --device "$1" --leat "$leat" --json "$results/startup-$2.json" \
    -- --channels bgr
  step "light-$2" "$leat" test-onnx "$shared/data/onnx/light" --device "$1"
  [ -d "$conformance" ] || return
  step "conformance-$2" "$leat" test-onnx "$conformance" --device "$1"
}

# A stream whose host is the slower part, and one whose device is.
flow() {
  [ -d "$shared/data/models" ] || { step "flow-$2" "$leat" bench flow --device "$1"; return; }
  local model options
  for model in models/SqueezeNet_fp16 onnx/light/light_vgg19; do
    options=(--channels rgb)
    if [ "$model" = models/SqueezeNet_fp16 ]; then options=(--channels bgr); fi
    step "flow-$2-${model##*/}" "$leat" bench flow --device "$1" \
      --model "$shared/data/$model.onnx" "${options[@]}" --top 3 --input "$shared/data/images" \
      --output "$results/stream-$2" --items "${LEAT_ITEMS:-3000}" --rounds 5000 \
      --json="$results/flow-$2-${model##*/}.json"
  done
}

run_all() {
  step devices "$leat" devices -v
  step doctor "$leat" doctor
  "$leat" devices --json >"$results/devices.json"
  if command -v nvidia-smi >/dev/null; then step nvidia-smi nvidia-smi; fi
  local devices=("$@")
  if [ ${#devices[@]} -eq 0 ]; then
    mapfile -t devices < <(python3 -c '
import json, sys
for device in json.load(open(sys.argv[1]))["devices"]:
    if device["name"].startswith("gpu") and not device["software"]:
        print(device["name"])' "$results/devices.json")
  fi
  [ ${#devices[@]} -gt 0 ] || echo "No GPU can be used here; see doctor above."

  if wants latency; then
    local chip
    for chip in $(printf '%s\n' "${devices[@]%%:*}" | sort -u); do
      step "latency-$chip" "$leat" bench latency --device "$chip" --rounds "${LEAT_ROUNDS:-10000}" \
        --json="$results/latency-$chip.json"
    done
  fi
  local floors
  floors=$(dirname "$leat")/opengl_floors
  if wants latency && [ -x "$floors" ]; then
    step opengl-floors "$floors" --rounds 10000 --json
    cp "$results/opengl-floors.log" "$results/opengl-floors.json"
  fi
  local device
  for device in "${devices[@]}"; do
    if wants check; then check "$device" "${device//:/-}"; fi
    if wants flow; then flow "$device" "${device//:/-}"; fi
  done
  local peer=()
  if "$leat" doctor | grep -q '^ *cudnn: cuDNN'; then peer=(--peer cudnn); fi
  for device in "${devices[@]}"; do
    if wants conv2d; then
      step "conv2d-${device//:/-}-f32" "$leat" bench conv2d --suite "$suite" --device "$device" \
        "${peer[@]}" --json="$results/conv2d-${device//:/-}-f32.json"
    fi
    if wants f16; then
      step "conv2d-${device//:/-}-f16" "$leat" bench conv2d --suite "$suite" --dtype f16 \
        --device "$device" "${peer[@]}" --json="$results/conv2d-${device//:/-}-f16.json"
    fi
  done
}

rm -f "$results/failures.txt"
run_all "$@" > >(tee "$results/summary.txt") 2>&1
wait
if [ -s "$results/failures.txt" ]; then
  echo "Something failed; $results/failures.txt says what." >&2
  exit 1
fi
