#!/usr/bin/env python3
"""Networks that PyTorch exports to ONNX, on Leat, with ONNX Runtime as oracle.

    bench/torch_exports.py FOLDER [--device cpu] [--leat build/release/bin/leat]
                           [--script 11,17] [--dynamo 18,23] [--only A,B] [--kind TEXT]
                           [--timeout 300] [--threads 1] [--json FILE] [--list] [--no-export]

The networks are those of bench/torch_networks.py: small, of random weights, one of each kind. Each
is exported by both of torch's exporters, --script and --dynamo telling the opset versions, into
FOLDER, once; where a network names extents that may change, once more with those open (by the last
version of each exporter), and such a file runs for two sizes. Exports run in a process of their
own, which is started again behind an export that ends it (--no-export: only files that are there
run); every run is one process, and each export and run has a time limit.

A row says what became of a file: what torch cannot export and what ONNX Runtime refuses is named
and counted apart; of the rest, whether Leat ran it, the largest difference of an output over its
largest magnitude, or Leat's sentence. Exits 1 when Leat refuses a file that ONNX Runtime runs, or
differs by more than LIMIT and is not in EXPECTED. Needs torch, torchvision, transformers, timm,
onnx, onnxscript, onnxruntime and numpy.
"""

import argparse
import collections
import datetime
import json
import os
import platform
import re
import subprocess
import sys

LIMIT = 1e-4
ENDED = "ended the process that exported it"
# What is known to differ more, and why.
EXPECTED = {"retinanet": "two of 161 boxes, whose scores are 6e-8 apart, stand the other way round"}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(part) for part in text.split(",") if part]
    parser.add_argument("folder", nargs="?", default=".")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--leat", default="build/release/bin/leat")
    parser.add_argument("--script", type=numbers, default=[11, 17])
    parser.add_argument("--dynamo", type=numbers, default=[18, 23])
    parser.add_argument("--only")
    parser.add_argument("--kind", default="")
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--no-export", action="store_true")
    parser.add_argument("--export", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--oracle", help=argparse.SUPPRESS)
    return parser.parse_args()


def networks_of(options):
    import torch_networks
    return [network for network in torch_networks.networks(options.only)
            if options.kind in network.kind]


# --- In a child ----------------------------------------------------------------------------------

def open_shapes(network, module, names, torch):
    """For both exporters: what of each input is open."""
    import inspect
    by_input = {name: {} for name in names}
    for (name, axis), (symbol, _) in network.dynamic.items():
        by_input[name][axis] = symbol
    wanted = [{axis: torch.export.Dim.AUTO for axis in by_input[name]} for name in names]
    shapes = {}
    for parameter in inspect.signature(module.forward).parameters.values():
        if parameter.kind == parameter.VAR_POSITIONAL:
            shapes[parameter.name], wanted = tuple(wanted), []
        elif wanted:
            shapes[parameter.name] = wanted.pop(0)
    return by_input, shapes


def resized(network, inputs, torch):
    """The inputs for the second size."""
    others = {}
    for name, value in inputs:
        shape = list(value.shape)
        for axis in range(len(shape)):
            if (name, axis) in network.dynamic:
                shape[axis] = network.dynamic[name, axis][1]
        if value.dtype.is_floating_point:
            others[name] = torch.randn(shape).to(value.dtype)
        else:
            others[name] = torch.ones(shape, dtype=value.dtype) if name == "mask" else \
                torch.randint(1, 90, shape).to(value.dtype)
    return others


def export_all(options):
    """The files that are not there yet; of what fails, its reason in a file."""
    import logging
    import signal
    import warnings
    import torch
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)

    def give_up(*_):
        raise TimeoutError(f"took more than {options.timeout:.0f} s")

    signal.signal(signal.SIGALRM, give_up)
    for network in networks_of(options):
        for exporter, opset, is_open in files_of(options, network):
            path = path_of(options, network, exporter, opset, is_open)
            if os.path.exists(path) or os.path.exists(path + ".failed"):
                continue
            print("exporting", path, flush=True)
            with open(path + ".failed", "w") as file:
                file.write(ENDED)
            signal.setitimer(signal.ITIMER_REAL, options.timeout)
            try:
                export(network, path, exporter, opset, is_open)
            except Exception as error:  # whatever an exporter raises
                with open(path + ".failed", "w") as file:
                    file.write(f"{type(error).__name__}: {reason_of(str(error))}")
            else:
                os.remove(path + ".failed")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)


def export(network, path, exporter, opset, is_open):
    """Writes the file, and beside it the inputs of each size."""
    import numpy as np
    import torch
    torch.manual_seed(1)
    module, inputs = network.make().eval(), network.inputs()
    names = [name for name, _ in inputs]
    given = tuple(value for _, value in inputs)
    arguments = ([given[0]],) if network.takes_list else given
    settings = {"input_names": names, "opset_version": opset, "dynamo": exporter == "dynamo"}
    if exporter == "dynamo":
        settings.update(external_data=False, verbose=False)
    if is_open:
        by_input, shapes = open_shapes(network, module, names, torch)
        settings["dynamic_axes" if exporter == "script" else "dynamic_shapes"] = (
            by_input if exporter == "script" else shapes)
    with torch.no_grad():
        torch.onnx.export(module, arguments, path + ".partial", **settings)
    np.savez(path + ".0.npz", **{name: value.numpy() for name, value in inputs})
    if is_open:
        np.savez(path + ".1.npz", **{name: value.numpy()
                                     for name, value in resized(network, inputs, torch).items()})
    os.rename(path + ".partial", path)


def run_oracle(options):
    """Writes what ONNX Runtime gives for a file of inputs, and what it was given."""
    import numpy as np
    import onnxruntime
    path, size = options.oracle.rsplit(":", 1)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    loaded = np.load(f"{path}.{size}.npz")
    given = {value.name: loaded[value.name] for value in session.get_inputs()}
    results = session.run(None, given)
    for place, value in enumerate(given.values()):
        np.save(f"{path}.{size}.in{place}.npy", value)
    for place, value in enumerate(results):
        np.save(f"{path}.{size}.want{place}.npy", value)
    print(json.dumps({"inputs": list(given), "outputs": [o.name for o in session.get_outputs()],
                      "closed": all(isinstance(extent, int) for value in session.get_inputs()
                                    for extent in value.shape)}))


# --- In the parent -------------------------------------------------------------------------------

def path_of(options, network, exporter, opset, is_open):
    suffix = "-open" if is_open else ""
    return os.path.join(options.folder, f"{network.name}-{exporter}{opset}{suffix}.onnx")


def run_child(command, timeout, **settings):
    """Its output, and the last sentence of what went wrong, or ""."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **settings)
    except subprocess.TimeoutExpired:
        return "", f"took more than {timeout:.0f} s"
    if done.returncode == 0:
        return done.stdout, ""
    return "", reason_of(done.stderr.strip().rsplit("\n", 1)[-1]) or f"ended with {done.returncode}"


def reason_of(text):
    """The first line that says something; torch writes colours and steps around it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = [line for line in lines if line.startswith("Could not") or "Error:" in line]
    return ((cause or lines)[0] if lines else "")[:300]


def own_command(options, *more):
    return [sys.executable, os.path.abspath(__file__), options.folder, *more]


def error_of(path, size, count):
    import numpy as np
    largest, elements = 0.0, 0
    for place in range(count):
        want = np.load(f"{path}.{size}.want{place}.npy").astype(np.float64)
        got = np.load(f"{path}.{size}.got{place}.npy").astype(np.float64)
        if got.shape != want.shape:
            return float("inf"), 0, f"output {place} has shape {got.shape} instead of {want.shape}"
        elements += want.size
        if want.size:
            both = np.isnan(want) & np.isnan(got)
            difference = np.where(both, 0, np.abs(got - want)).max()
            largest = max(largest, float(difference / max(np.nanmax(np.abs(want)), 1e-30)))
    return largest, elements, ""


def run_leat(options, path, size, names):
    command = [options.leat, "run", path, "--device", options.device, "--json", "--repeat", "1"]
    for place, name in enumerate(names["inputs"]):
        command += ["--input", f"{name}={path}.{size}.in{place}.npy"]
    for place, name in enumerate(names["outputs"]):
        command += ["--output", f"{name}={path}.{size}.got{place}.npy"]
    environment = dict(os.environ, LEAT_THREADS=str(options.threads))
    return run_child(command, options.timeout, env=environment)


def clean(path, size, names):
    for kind, count in (("in", len(names["inputs"])), ("want", len(names["outputs"])),
                        ("got", len(names["outputs"]))):
        for place in range(count):
            name = f"{path}.{size}.{kind}{place}.npy"
            if os.path.exists(name):
                os.remove(name)


def judge(options, path, size, row):
    told, failure = run_child(own_command(options, "--oracle", f"{path}:{size}"), options.timeout)
    if failure:
        row["outcome"], row["peer_failure"] = "refused by the oracle", failure
        return
    names = json.loads(told)
    if size == 1 and names["closed"]:
        row["outcome"] = "closed by the exporter"
        return
    output, failure = run_leat(options, path, size, names)
    if failure:
        row["outcome"], row["failure"] = "refused", failure
    else:
        row["error"], row["elements"], what = error_of(path, size, len(names["outputs"]))
        row["outcome"] = "ran" if row["error"] <= LIMIT else "differs"
        if row["outcome"] == "differs" and row["network"] in EXPECTED:
            row["outcome"], row["reason"] = "differs as expected", EXPECTED[row["network"]]
        row["median_ms"] = json.loads(output)["median_ms"]
        if what:
            row["failure"], row["error"] = what, None
    clean(path, size, names)


def files_of(options, network):
    """Of each its exporter, opset version, and whether extents are open."""
    files = [("script", opset, False) for opset in options.script]
    files += [("dynamo", opset, False) for opset in options.dynamo]
    if network.dynamic:
        files += [("script", opset, True) for opset in options.script[-1:]]
        files += [("dynamo", opset, True) for opset in options.dynamo[-1:]]
    return files


def export_missing(options):
    """Each time that it ends early, one file more is known to be the reason."""
    known = -1
    while subprocess.run([sys.executable, *sys.argv, "--export"]).returncode != 0:
        found = len(os.listdir(options.folder))
        if found == known:
            sys.exit("torch_exports.py: exports cannot begin.")
        known = found
        print("an export ended the process; the next follows", flush=True)


def export_failure(path):
    """Why there is no such file, or "", or nothing where it was not tried."""
    if os.path.exists(path):
        return ""
    if not os.path.exists(path + ".failed"):
        return None
    with open(path + ".failed") as file:
        return file.read()


def rows_of(options, network):
    for exporter, opset, is_open in files_of(options, network):
        path = path_of(options, network, exporter, opset, is_open)
        row = {"network": network.name, "kind": network.kind, "exporter": exporter, "opset": opset}
        failure = export_failure(path)
        if failure is None or (options.no_export and failure == ENDED):
            continue
        if failure:
            yield {**row, "extents": "open" if is_open else "fixed",
                   "outcome": "not exported", "export_failure": failure}
            continue
        for size in range(2 if is_open else 1):
            own = {**row, "extents": f"open, size {size + 1}" if is_open else "fixed"}
            judge(options, path, size, own)
            yield own


def summary_of(rows):
    counts = collections.Counter(row["outcome"] for row in rows)
    ran = {row["network"] for row in rows if row["outcome"] == "ran"}
    bad = {row["network"] for row in rows if row["outcome"] in ("refused", "differs")}
    return {"rows": len(rows), "outcomes": dict(sorted(counts.items())),
            "networks": len({row["network"] for row in rows}),
            "networks_that_ran": len(ran - bad), "networks_with_failures": sorted(bad)}


def versions():
    import importlib.metadata
    names = ("torch", "torchvision", "transformers", "timm", "onnx", "onnxscript", "onnxruntime")
    return {name: importlib.metadata.version(name) for name in names}


def write_results(options, rows):
    told = subprocess.run([options.leat, "--version"], capture_output=True, text=True)
    with open(options.json, "w") as file:
        json.dump({"benchmark": "torch exports", "version": told.stdout.strip(),
                   "device": options.device, "threads": options.threads, "host": platform.machine(),
                   "peers": versions(), "limit": LIMIT, "date": str(datetime.date.today()),
                   "summary": summary_of(rows), "results": rows}, file, indent=1)


def main():
    options = parse_arguments()
    os.makedirs(options.folder, exist_ok=True)
    if options.export:
        return export_all(options)
    if options.oracle:
        return run_oracle(options)
    networks = networks_of(options)
    if options.list:
        for network in networks:
            print(f"{network.name:32}{network.kind}")
        return 0
    if not options.no_export:
        export_missing(options)
    rows = []
    for place, network in enumerate(networks):
        for row in rows_of(options, network):
            rows.append(row)
            print(f"[{place + 1}/{len(networks)}] {json.dumps(row)}", flush=True)
        if options.json:
            write_results(options, rows)
    summary = summary_of(rows)
    print(json.dumps(summary))
    return 1 if summary["networks_with_failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
