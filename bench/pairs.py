#!/usr/bin/env python3
"""Two builds of leat beside each other: networks run by both in turns, so that what a machine does
meanwhile meets both.

  bench/pairs.py BEFORE AFTER MODEL... [--device NAME]... [--turns N] [--repeat N] [--json FILE]

BEFORE and AFTER are programs. Each turn runs each program once on each model and device, with
--repeat replays of which the median counts; a row's ratio is the median over the turns of AFTER's
time over BEFORE's of the same turn.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("models", nargs="+", metavar="MODEL[=INPUT,...]")
    parser.add_argument("--device", action="append")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=60)
    parser.add_argument("--json")
    return parser.parse_args()


def run(program, model, inputs, device, repeat, cache):
    command = [program, "run", model, "--device", device, "--repeat", str(repeat), "--json"]
    for name in inputs:
        command += ["--input", name]
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "XDG_STATE_HOME": cache + "/state"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"pairs.py: {' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def row_of(programs, spec, device, given, caches):
    model, _, inputs = spec.partition("=")
    inputs = inputs.split(",") if inputs else []
    times = {name: [] for name in programs}
    kernels = {}
    for turn in range(given.turns + 1):
        for name in (sorted(programs) if turn % 2 else sorted(programs, reverse=True)):
            result = run(programs[name], model, inputs, device, given.repeat, caches[name])
            if turn > 0:  # the first fills the cache
                times[name].append(result["median_ms"])
            kernels[name] = result.get("kernels")
    ratios = [after / before for before, after in zip(times["before"], times["after"])]
    return {"model": os.path.basename(model), "device": device, "kernels": kernels,
            "before_ms": times["before"], "after_ms": times["after"],
            "ratio": round(statistics.median(ratios), 4)}


def main():
    given = options()
    programs = {"before": given.before, "after": given.after}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: os.path.join(folder, name) for name in programs}
        for cache in caches.values():
            os.mkdir(cache)
        for device in given.device or ["cpu"]:
            for spec in given.models:
                rows.append(row_of(programs, spec, device, given, caches))
                row = rows[-1]
                print(f"{row['ratio']:7.4f}  {device:16} {row['model']:32} "
                      f"{statistics.median(row['before_ms']):9.4f} ms "
                      f"{statistics.median(row['after_ms']):9.4f} ms  kernels "
                      f"{row['kernels']['before']} {row['kernels']['after']}", flush=True)
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({"what": "leat run, both programs in turns", "results": rows}, file, indent=1)


if __name__ == "__main__":
    main()
