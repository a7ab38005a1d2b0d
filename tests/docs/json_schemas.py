"""Validates what each command prints with --json against docs/schemas, in the folder that
docs_commands.cpp prepares. Every command that has --json stands in the table below, and every
schema is used.

    json_schemas.py SCHEMAS_FOLDER"""

import json
import os
import shlex
import subprocess
import sys

import jsonschema

# Schema, command line.
COMMANDS = [
    ("devices", "leat devices"),
    ("doctor", "leat doctor"),
    ("run", "leat run digits.onnx --input x.npy --device cpu"),
    ("run", "leat run digits.onnx --input 7.png --output y.npy --device cpu --top 2 --profile"),
    ("run-folder", "leat run digits.onnx --input pictures --output results --device cpu --top 1"),
    ("compare", "leat compare digits.onnx --device cpu --repeat 3"),
    ("inspect", "leat inspect digits.onnx"),
    ("test-onnx", "leat test-onnx CASES --device cpu"),
    ("tune", "leat tune digits.onnx --device cpu --time 5"),
    ("tune-list", "leat tune list"),
    ("tune-export", "leat tune export tuned.json"),
    ("tune-import", "leat tune import tuned.json"),
    ("tune-forget", "leat tune forget all"),
    ("dump", "leat dump digits.onnx --after graph"),
    ("pack", "leat pack digits.onnx --for cpu-x86-64-v3 -o digits.leat"),
    ("kernel-run", "leat kernel run add.ir --in a=a.npy --in b=b.npy --out c=c.npy --device cpu"),
    ("kernel-check", "leat kernel check add.ir"),
    ("kernel-bench", "leat kernel bench add.ir --device cpu --time 0.05"),
    ("cache-list", "leat cache list"),
    ("cache-removed", "leat cache prune --size 1GB"),
    ("cache-removed", "leat cache clear --tuning"),
    ("bench-conv2d", "leat bench conv2d --shape 1,8,16,16,16,3,1,1 --device cpu --min-time 0"),
    ("bench-matmul", "leat bench matmul --shape 64,64,64 --device cpu --min-time 0"),
    ("bench-latency", "leat bench latency --device cpu --rounds 20"),
    ("bench-flow", "leat bench flow --device cpu --model digits.onnx --rounds 20"),
    ("bench-library", "leat bench library --device cpu --rounds 1000"),
    ("bench-project", "leat bench project --shape 1,64,56,56,64,3,1,1"),
    ("bench-peers", "leat bench peers"),
]
# Half a minute each: with LEAT_SLOW_SCHEMAS=1.
SLOW_COMMANDS = [
    ("bench-host", "leat bench host"),
    ("bench-tune", "leat bench tune --random 1 --gflop-max 0.01 --device cpu --time 5"),
]


def commands_with_json(table, path):
    for command in table["commands"]:
        name = f"{path} {command['name']}"
        if any("--json" in option["names"] for option in command["options"]):
            yield name
        yield from commands_with_json(command, name)


def described(program):
    done = subprocess.run([program, "--describe", "json"], capture_output=True, check=True)
    return json.loads(done.stdout)


def mistakes_of(name, line, schema):
    done = subprocess.run([*shlex.split(line), "--json"], capture_output=True, text=True)
    try:
        printed = json.loads(done.stdout)
    except json.JSONDecodeError:
        return [f"{line}: exits {done.returncode}: {done.stderr}{done.stdout[:200]}"]
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{line}: {error.json_path}: {error.message[:300]} ({name}.json)"
            for error in validator.iter_errors(printed)]


def main():
    folder = sys.argv[1]
    schemas = {}
    for file in os.listdir(folder):
        with open(os.path.join(folder, file), encoding="utf-8") as text:
            schemas[file.removesuffix(".json")] = json.load(text)
    mistakes = []
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
    slow = os.environ.get("LEAT_SLOW_SCHEMAS") == "1"
    for name, line in SLOW_COMMANDS if slow else COMMANDS:
        mistakes += mistakes_of(name, line, schemas[name])
    every = COMMANDS + SLOW_COMMANDS
    named = {name for name, _ in every}
    mistakes += [f"{name}.json: no command is held to it." for name in schemas if name not in named]
    have = [*commands_with_json(described("leat"), "leat"),
            *commands_with_json(described("leat-bench"), "leat bench")]
    for command in have:
        # A command with others below it may be meant by itself or not at all.
        if not any((line + " ").startswith(command + " ") for _, line in every):
            mistakes.append(f"{command} has --json and no schema.")
    print("\n".join(mistakes) or f"{len(schemas)} schemas hold.")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
