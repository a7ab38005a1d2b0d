#!/usr/bin/env python3
"""Compares Leat with an independent oracle on models made at random.

    python3 tests/differential/differential.py [--leat PROGRAM] [--device SPEC] [--count N]
                                               [--seed N] [--only REGEX] [--keep FOLDER]

Each case is an ONNX model of one operator, or a small network, with drawn shapes, attributes, types
and opset version. Expected values come from formulas in NumPy written from the operator schemas,
or from onnx.reference.ReferenceEvaluator in double precision. Leat is run as a person would run it:
`leat run` with .npy files. A case is named GENERATOR-INDEX and depends on the seed and its name
only, so `--only '^conv-17$'` repeats one. Needs the packages onnx and numpy, and no network.
The last line is the sum: N agree, N differ, N refused.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

try:
    import numpy as np
    import onnx
except ImportError as error:
    print(f"differential: skipped, for Python does not find a package ({error}); "
          "pip install onnx numpy brings both.")
    sys.exit(0)

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "differential"))

import cases_elementwise  # noqa: E402
import cases_large  # noqa: E402
import cases_movement  # noqa: E402
import cases_network  # noqa: E402
import cases_reduction  # noqa: E402
import cases_resize  # noqa: E402
import cases_window  # noqa: E402
from drawn_case import Draw  # noqa: E402
from oracle import evaluate, mismatch  # noqa: E402

MODULES = [cases_elementwise, cases_movement, cases_reduction, cases_resize, cases_window,
           cases_network, cases_large]


def generators():
    return {make.__name__.rstrip("_"): make for module in MODULES for make in module.GENERATORS}


def named_cases(count, only):
    pattern = re.compile(only)
    for name in generators():
        for index in range(count):
            label = f"{name}-{index}"
            if pattern.search(label):
                yield name, label


def make_case(name, label, seed):
    """None where the draw gives nothing that can be tested."""
    draw = Draw([seed, zlib.crc32(label.encode())])
    with np.errstate(all="ignore"):
        return generators()[name](draw)


def run_leat(options, made, folder):
    """The outputs and the facts of the run, or the sentence that Leat refuses the model with."""
    model = folder / "model.onnx"
    model.write_bytes(made.model.SerializeToString())
    command = [options.leat, "run", str(model), "--device", options.device, "--repeat", "1",
               "--json"]
    for i, (name, array) in enumerate(made.inputs.items()):
        np.save(folder / f"in{i}.npy", array)
        command += ["-i", f"{name}={folder / f'in{i}.npy'}"]
    names = [output.name for output in made.model.graph.output]
    for i, name in enumerate(names):
        command += ["-o", f"{name}={folder / f'out{i}.npy'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 0:
        outputs = [np.load(folder / f"out{i}.npy") for i in range(len(names))]
        return outputs, json.loads(done.stdout), ""
    return None, {}, done.stderr.strip() or f"leat ended with code {done.returncode}"


def memory_complaint(facts):
    """The arena may be 5 % larger than the largest sum of live tensors."""
    memory = facts["memory"]
    if memory["overhead"] <= 0.05:
        return ""
    return (f"the arena ({memory['planned_bytes']} bytes) is more than 1.05 of its lower bound "
            f"({memory['lower_bound_bytes']})")


def judge(options, name, label):
    """(label, verdict, sentence)"""
    made = make_case(name, label, options.seed)
    if made is None:
        return label, "void", ""
    try:
        expected = made.expected if made.expected is not None else evaluate(made)
    except Exception as error:  # whatever the evaluator throws, Leat is not to blame
        return label, "void", f"{made.note}: the oracle fails: {error}"
    for output, array in zip(made.model.graph.output, expected):
        output.type.tensor_type.shape.Clear()  # there, even for rank 0, as the checker wants
        for extent in array.shape:
            output.type.tensor_type.shape.dim.add().dim_value = extent
        output.type.tensor_type.shape.SetInParent()
    if "deprecated" not in made.note:
        onnx.checker.check_model(made.model)
    folder = pathlib.Path(options.keep or options.scratch) / label
    folder.mkdir(parents=True, exist_ok=True)
    got, facts, refusal = run_leat(options, made, folder)
    if got is None:
        verdict, sentence = "refused", f"{made.note}: {refusal}"
        if not refusal.startswith("leat: ") or "\n" in refusal:
            verdict = "differ"  # a crash, or more than a sentence
    else:
        sentence = mismatch(made, expected, got) or memory_complaint(facts)
        verdict = "differ" if sentence else "agree"
        sentence = f"{made.note}: {sentence}" if sentence else ""
    if not options.keep:
        shutil.rmtree(folder)
    return label, verdict, sentence


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leat", default=str(ROOT / "build" / "release" / "bin" / "leat"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--count", type=int, default=20, help="cases of each generator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a pattern that names must match")
    parser.add_argument("--keep", help="models and arrays stay in this folder")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    options = parse_arguments()
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = scratch
        os.environ.setdefault("XDG_CACHE_HOME", scratch + "/cache")
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            jobs = [pool.submit(judge, options, name, label)
                    for name, label in named_cases(options.count, options.only)]
            for job in jobs:
                label, verdict, sentence = job.result()
                counts[verdict] += 1
                if sentence and verdict != "agree":
                    print(f"{verdict} {label}: {sentence}", flush=True)
    print(f"{counts['agree']} agree, {counts['differ']} differ, {counts['refused']} refused")
    return 1 if counts["differ"] or counts["refused"] or not counts["agree"] else 0


if __name__ == "__main__":
    sys.exit(main())
