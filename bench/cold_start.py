#!/usr/bin/env python3
"""What a first start costs: from a model's file to its first answer, through the Python package.

    bench/cold_start.py MODEL [--input x=1,3,224,224 ...] [--device cpu] [--starts 5]
                        [--json FILE]

Each start is a process of its own, and its time runs from before the model is loaded to after its
first results, without the interpreter's start and its imports. `cold` starts have an empty cache,
`warm` ones what a cold one left. The peer is ONNX Runtime in the same turns, with its defaults; its
`load` is its session alone. All use the cores that this process may use: pin it to say how many.
Inputs that are not named have the file's shapes. Needs the package leat (LEAT_LIBRARY, and
PYTHONPATH=bindings/python), numpy and onnxruntime.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time


def shapes_of(options, inputs):
    """By input: what --input says, else the file's extents."""
    from new_shapes import parse_input
    told = dict(parse_input(text) for text in options.input)
    return {value.name: tuple(int(extent) for extent in told.get(value.name, value.shape))
            for value in inputs}


def answers_of_leat(options, start, values):
    import leat
    net = leat.load(options.model, device=options.device)
    given = [values[facts.name] for facts in net.inputs]
    return net.run(given), net.stats["compiled"], time.perf_counter() - start


def answers_of_peer(options, start, values):
    import onnxruntime
    session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    load_s = time.perf_counter() - start
    return session.run(None, values), load_s, time.perf_counter() - start


def one_start(options):
    """In a child: prints one JSON object."""
    import numpy as np
    import onnxruntime
    from new_shapes import TYPES, error_of, value_of
    import leat  # noqa: F401, its import is not the model's
    probe = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    inputs = probe.get_inputs()
    values = {}
    for place, (name, shape) in enumerate(shapes_of(options, inputs).items()):
        dtype = next(TYPES[value.type] for value in inputs if value.name == name)
        values[name] = value_of(dtype, shape, place)
    want = probe.run(None, values)
    del probe
    row = {}
    if options.child == "peer":
        _, load_s, whole_s = answers_of_peer(options, time.perf_counter(), values)
        row = {"load_ms": round(1e3 * load_s, 2), "ms": round(1e3 * whole_s, 2)}
    else:
        got, compiled, whole_s = answers_of_leat(options, time.perf_counter(), values)
        got = [np.asarray(value) for value in got]
        row = {"ms": round(1e3 * whole_s, 2), "compiled": compiled, "error": error_of(got, want)}
    print(json.dumps(row))


def start_child(options, kind, cache):
    command = [sys.executable, os.path.abspath(__file__), options.model, "--child", kind,
               "--device", options.device]
    for text in options.input:
        command += ["--input", text]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench/cold_start.py: {options.model}, {kind}: {done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--input", action="append", default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--json")
    parser.add_argument("--child", choices=["leat", "peer"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        one_start(options)
        return
    starts = {"cold": [], "warm": [], "peer": []}
    for _ in range(options.starts):
        with tempfile.TemporaryDirectory() as cache:
            starts["cold"].append(start_child(options, "leat", cache))
            starts["warm"].append(start_child(options, "leat", cache))
            starts["peer"].append(start_child(options, "peer", cache))
    import onnxruntime
    from new_shapes import facts_of_run
    medians = {kind: statistics.median(row["ms"] for row in rows) for kind, rows in starts.items()}
    load_ms = statistics.median(row["load_ms"] for row in starts["peer"])
    result = {"benchmark": "cold start", "model": os.path.basename(options.model),
              "input": options.input, **facts_of_run(options.device),
              "machine": platform.machine(), "cores": len(os.sched_getaffinity(0)),
              "peer": f"ONNX Runtime {onnxruntime.__version__}", "peer_load_ms": load_ms,
              "median_ms": medians, "date": str(datetime.date.today()), "starts": starts}
    print(json.dumps({key: value for key, value in result.items() if key != "starts"}))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
