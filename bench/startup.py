#!/usr/bin/env python3
"""Times `leat run` from process start to the first answer, with an empty cache and then with a warm
one, and checks that a warm start compiles nothing.

    bench/startup.py MODEL INPUT [--device SPEC] [--starts N] [--leat PROGRAM] [--json FILE]
                     [-- ARGUMENT...]

What stands behind `--` goes to `leat run` as it is (--channels bgr). The cache is a folder of this
run's own; yours is not touched. Two times are kept for each start, in milliseconds: startup_ms is
the program's own figure, from the start of its process to the first answer; process_ms is this
script's, from before the process is made to after it has ended, five timed runs of the network
included.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def start(command, environment):
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    process_ms = (time.perf_counter() - begin) * 1e3
    if done.returncode != 0:
        sys.exit(f"bench/startup.py: {' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout), process_ms


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("--device", default="cpu", help="empty: the program chooses")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--leat", default="build/release/bin/leat")
    parser.add_argument("--json", help="the result file to write")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])

    device = ["--device", options.device] if options.device else []
    command = [options.leat, "run", options.model, "--input", options.input, *device, "--json",
               *words[end + 1:]]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "XDG_STATE_HOME": cache + "/state"}
        first, first_process_ms = start(command, environment)
        warm = [start(command, environment) for _ in range(options.starts)]
    recompiled = [run["compiled"] for run, _ in warm if run["compiled"] != 0]
    if recompiled:
        sys.exit(f"bench/startup.py: {len(recompiled)} warm starts compiled kernels.")

    def row(name, starts):
        own = [run["startup_ms"] for run, _ in starts]
        return {"name": name, "compiled": starts[0][0]["compiled"],
                "from_cache": starts[0][0]["from_cache"],
                "startup_ms": round(statistics.median(own), 3),
                "startup_ms_max": round(max(own), 3),
                "process_ms": round(statistics.median(ms for _, ms in starts), 3),
                "samples_startup_ms": [round(ms, 3) for ms in own]}

    version = subprocess.run([options.leat, "--version"], capture_output=True, text=True,
                             check=True).stdout
    facts = ("device", "chip", "route", "driver", "software", "threads")
    result = {key: first[key] for key in facts}
    result |= {"model": os.path.basename(options.model), "device_named": bool(options.device),
               "load_average": [round(load, 2) for load in os.getloadavg()],
               "commit": version.split("(")[1].split(")")[0], "host": os.uname().nodename,
               "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
               "results": [row("empty cache", [(first, first_process_ms)]),
                           row("warm cache", warm)]}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    for entry in result["results"]:
        print(f"{entry['name']}: {entry['startup_ms']} ms to the first answer (max "
              f"{entry['startup_ms_max']}), {entry['process_ms']} ms the whole process, "
              f"{entry['compiled']} kernels compiled, {entry['from_cache']} from the cache")


if __name__ == "__main__":
    main()
