#!/usr/bin/env python3
"""Times the Python package beside `leat bench library`, and from the start of the process to the
first answer with a warm cache. Writes one result file of both.

    bench/library_python.py MODEL [--device SPEC] [--starts N] [--rounds N] [--json FILE]
                            [--build FOLDER] [--python PROGRAM]

The overhead of a Python call is its median less that of the C++ replay, of the same model of one
small kernel, measured right before and after it in other processes. A start is the whole process:
interpreter, NumPy, Leat, a model from its file, one answer, written out; ms to the answer is
until the line with it is read.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

CALLS = """
import json, sys, time
import numpy as np
import leat
model = bytes.fromhex(sys.argv[1])
net = leat.load(model, device=sys.argv[2])
x, y = leat.empty((64,)), leat.empty((64,))
net.place_input(x)
net.place_output(y)
x[:] = 1
z = np.ones(64, np.float32)
ways = {"python_in_place": net.run_in_place, "python_arrays": lambda: net(z)}
samples = {name: [] for name in ways}
for i in range(1000 + int(sys.argv[3])):
    for name, way in ways.items():
        begin = time.perf_counter_ns()
        way()
        passed = time.perf_counter_ns() - begin
        if i >= 1000:
            samples[name].append(passed * 1e-3)
assert (y == 2).all() and (net(z) == 2).all()
print(json.dumps(samples))
"""

START = """
import sys
import leat, numpy
net = leat.load(sys.argv[1], device=sys.argv[2])
shape = net.inputs[0].shape
print(float(net(numpy.zeros(shape, net.inputs[0].dtype)).ravel()[0]), flush=True)
"""


def varint(number):
    encoded = b""
    while True:
        encoded += bytes([number & 127 | (128 if number > 127 else 0)])
        number >>= 7
        if number == 0:
            return encoded


def field(number, value):
    """A field of a protobuf message. Source: Protocol Buffers documentation, "Encoding"."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def sum_model():
    """y = x + x for x f32 (64), what bench_library.cpp makes, as an ONNX file's bytes."""
    shape = field(1, field(1, 64))
    value = [field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))) for name in "xy"]
    node = field(1, "x") + field(1, "x") + field(2, "y") + field(4, "Add")
    graph = field(1, node) + field(2, "sum") + field(11, value[0]) + field(12, value[1])
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def bench(options):
    command = [os.path.join(options.build, "bin", "leat-bench"), "library", "--device",
               options.device, "--rounds", str(options.rounds), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def calls(options, environment):
    command = [options.python, "-c", CALLS, sum_model().hex(), options.device,
               str(options.rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def start_ms(options, environment):
    begin = time.perf_counter()
    with subprocess.Popen([options.python, "-c", START, options.model, options.device],
                          env=environment, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        passed = time.perf_counter() - begin
    if process.returncode != 0 or not line:
        sys.exit("bench/library_python.py: a start gave no answer.")
    return passed * 1e3


def row_of(name, what, samples, replay_us):
    kept = samples[:: max(len(samples) // 1000, 1)]
    return {"name": name, "what": what, "median_us": round(statistics.median(samples), 3),
            "p99_us": round(sorted(samples)[int(len(samples) * 0.99)], 3),
            "over_replay_us": round(statistics.median(samples) - replay_us, 3),
            "rounds": len(samples), "samples": [round(us, 3) for us in kept]}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20000)
    parser.add_argument("--json", help="the result file to write")
    parser.add_argument("--build", default=os.path.join(TREE, "build", "release"))
    parser.add_argument("--python", default="/usr/bin/python3")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "XDG_STATE_HOME": cache + "/state",
                       "PYTHONPATH": os.path.join(TREE, "bindings", "python"),
                       "LEAT_LIBRARY": os.path.join(options.build, "lib", "libleat.so.0")}
        result = bench(options)
        python = calls(options, environment)
        again = bench(options)
        start_ms(options, environment)  # fills the cache
        starts = [start_ms(options, environment) for _ in range(options.starts)]
    replay_us = statistics.mean(run["results"][0]["median_us"] for run in (result, again))
    result["replay_us_before_and_after"] = [run["results"][0]["median_us"]
                                            for run in (result, again)]
    texts = {"python_in_place": "Python: net.run_in_place(), arrays placed",
             "python_arrays": "Python: net(x), a new array for the result"}
    for name, samples in python.items():
        result["results"].append(row_of(name, texts[name], samples, replay_us))
    result["python"] = subprocess.run([options.python, "--version"], capture_output=True, text=True,
                                      check=True).stdout.strip()
    result["model"] = os.path.basename(options.model)
    result["load_average"] = [round(load, 2) for load in os.getloadavg()]
    result["starts"] = {"what": "process start to answer, warm cache",
                        "median_ms": round(statistics.median(starts), 3),
                        "max_ms": round(max(starts), 3),
                        "samples_ms": [round(ms, 3) for ms in starts]}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    for row in result["results"]:
        print(f"{row['what']}: {row['median_us']:.2f} us, {row['over_replay_us']:.2f} over the "
              "replay")
    print(f"Python, process start to answer: {result['starts']['median_ms']:.1f} ms")


if __name__ == "__main__":
    main()
