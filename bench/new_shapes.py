#!/usr/bin/env python3
"""What a shape that a model has not had before costs, through the Python package.

    bench/new_shapes.py MODEL --sizes 320,480,400,333 --input x=1,3,48,N [--input ...]
                        [--device cpu] [--repeat 20] [--json FILE]

In the shapes of --input, N is each of the sizes in turn, and N+1 one more (the mask of a next
token). The model is loaded without shapes; for each size the first call is timed, then `repeat`
more. `new_ms` is the first call less the median of the others: what the shape cost. Results are
compared with ONNX Runtime's: the largest difference over the largest magnitude. Needs the package
leat (PYTHONPATH=bindings/python, LEAT_LIBRARY), numpy and onnxruntime.
"""

import argparse
import datetime
import json
import os
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime

import leat

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
         "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def parse_input(text):
    name, shape = text.rsplit("=", 1)
    return name, shape.split(",")


def extent_of(text, size):
    if text.startswith("N"):
        return size + int(text[1:] or 0)
    return int(text)


def value_of(dtype, shape, seed):
    random = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.floating):
        return (random.standard_normal(shape) * 0.5).astype(dtype)
    if dtype == np.bool_:
        return np.ones(shape, dtype)
    return random.integers(1, 90, shape).astype(dtype)


def error_of(got, want):
    largest = 0.0
    for ours, theirs in zip(got, want):
        wide = np.asarray(theirs, np.float64)
        difference = np.abs(np.asarray(ours, np.float64) - wide).max(initial=0)
        largest = max(largest, difference / max(np.abs(wide).max(initial=0), 1e-30))
    return float(largest)


def facts_of_run(device):
    """What a result names: the library, the commit of this tree, the device with its driver."""
    folder = os.path.dirname(os.path.abspath(__file__))
    told = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=10"],
                          capture_output=True, text=True, check=False)
    known = next((row for row in leat.devices() if row.name == device), None)
    return {"version": leat.__version__, "commit": told.stdout.strip(), "device": device,
            "chip": known.chip if known else "", "driver": known.driver if known else ""}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--input", action="append", required=True, type=parse_input)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--json")
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    types = {value.name: TYPES[value.type] for value in session.get_inputs()}
    cache = tempfile.TemporaryDirectory()  # empty: what compiles, compiles here
    os.environ["XDG_CACHE_HOME"] = cache.name
    start = time.perf_counter()
    net = leat.load(options.model, device=options.device)
    load_ms = 1e3 * (time.perf_counter() - start)
    rows = []
    for size in (int(text) for text in options.sizes.split(",")):
        given = {}
        for place, (name, shape) in enumerate(options.input):
            extents = tuple(extent_of(text, size) for text in shape)
            given[name] = value_of(types[name], extents, place)
        values = [given[facts.name] for facts in net.inputs]
        times = []
        for _ in range(options.repeat + 1):
            start = time.perf_counter()
            got = net.run(values)
            times.append(1e3 * (time.perf_counter() - start))
        median = float(np.median(times[1:]))
        stats = net.stats
        rows.append({"size": size, "first_ms": round(times[0], 3), "median_ms": round(median, 3),
                     "new_ms": round(times[0] - median, 3), "compiled": stats["compiled"],
                     "kernels": stats["kernels"], "error": error_of(got, session.run(None, given))})
        print(json.dumps(rows[-1]), flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"benchmark": "new shapes", "model": options.model.rsplit("/", 1)[-1],
                       **facts_of_run(options.device),
                       "load_ms": round(load_ms, 3),
                       "peer": f"ONNX Runtime {onnxruntime.__version__}",
                       "date": str(datetime.date.today()), "results": rows}, file, indent=1)


if __name__ == "__main__":
    main()
