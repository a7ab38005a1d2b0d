#!/usr/bin/env python3
"""The next token of a GPT-2 of the small size, beside PyTorch: random weights, a cache of keys and
values that lives on the device from run to run, one token, batch 1.

  bench/gpt2_token.py --leat LEAT [--json FILE] [--device gpu0:direct,gpu0:cuda] [--type f16|f32]
                      [--context 512] [--layers 12] [--repeat 200] [--keep FOLDER]

  --keep FOLDER   the model and its values stay there; nothing is exported when it has them

PyTorch has the cache in place (index_copy into the 1024 positions of the model) and runs as a CUDA
graph; without a GPU of NVIDIA it is left out. Leat has the values before (past) as inputs and those
after (present) as outputs, `--state present.*=past.*`, and computes the same step. The logits'
largest difference from PyTorch in f32 on the processor, over the largest, stands beside the times.
Needs torch, onnx and numpy.
"""
import argparse
import datetime
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS, WORDS, POSITIONS = 768, 12, 50257, 1024
TYPES = {"f16": torch.float16, "f32": torch.float32}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x, take_cache):
        batch, count, _ = x.shape
        heads = self.qkv(self.norm_1(x)).reshape(batch, count, 3, HEADS, WIDTH // HEADS)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
        k, v, mask = take_cache(k, v)
        scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        if mask is not None:
            scores = scores + mask
        mixed = torch.softmax(scores, -1) @ v
        x = x + self.out(mixed.permute(0, 2, 1, 3).reshape(batch, count, WIDTH))
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(POSITIONS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm = nn.LayerNorm(WIDTH)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0, 0.02)

    def hidden(self, ids, position, cache_of):
        x = self.words(ids) + self.places(position)
        for number, block in enumerate(self.blocks):
            x = block(x, cache_of(number))
        return self.norm(x) @ self.words.weight.T


class Growing(nn.Module):
    """Values before are inputs, those after are outputs: as it is exported."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, ids, position, *past):
        present = []

        def cache_of(number):
            def take(k, v):
                k = torch.cat([past[2 * number], k], 2)
                v = torch.cat([past[2 * number + 1], v], 2)
                present.extend([k, v])
                return k, v, None
            return take

        return (self.network.hidden(ids, position, cache_of), *present)


class Static(nn.Module):
    """A cache of all positions, written in place: as PyTorch's own serving has it."""

    def __init__(self, network, past):
        super().__init__()
        self.network = network
        size = (1, HEADS, POSITIONS, WIDTH // HEADS)
        self.cache = []
        for value in past:
            self.cache.append(value.new_zeros(size))
            self.cache[-1][:, :, :value.shape[2]] = value

    def forward(self, ids, position):
        mask = torch.where(torch.arange(POSITIONS, device=ids.device) <= position[0], 0.0,
                           float("-inf")).to(self.cache[0].dtype)

        def cache_of(number):
            def take(k, v):
                self.cache[2 * number].index_copy_(2, position, k)
                self.cache[2 * number + 1].index_copy_(2, position, v)
                return self.cache[2 * number], self.cache[2 * number + 1], mask
            return take

        return self.network.hidden(ids, position, cache_of)


def export(folder, layers, context, type_):
    """Model, inputs and the logits expected, unless they are there."""
    if os.path.exists(os.path.join(folder, "logits.npy")):
        return
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(0)
    network = Gpt2(layers).eval()
    past = [torch.randn(1, HEADS, context, WIDTH // HEADS) for _ in range(2 * layers)]
    ids, position = torch.tensor([[1234]]), torch.tensor([context])
    network = network.to(TYPES[type_])
    past = [value.to(TYPES[type_]) for value in past]
    names = [f"{number}.{what}" for number in range(layers) for what in ("key", "value")]
    torch.onnx.export(
        Growing(network), (ids, position, *past), os.path.join(folder, "gpt2.onnx"),
        opset_version=17, dynamo=False,
        input_names=["ids", "position"] + ["past." + name for name in names],
        output_names=["logits"] + ["present." + name for name in names],
        dynamic_axes={"past." + name: {2: "before"} for name in names} |
                     {"present." + name: {2: "after"} for name in names})
    numpy.save(os.path.join(folder, "ids.npy"), ids.numpy())
    numpy.save(os.path.join(folder, "position.npy"), position.numpy())
    for name, value in zip(names, past):
        numpy.save(os.path.join(folder, f"past.{name}.npy"), value.numpy())
    with torch.no_grad():
        exact = Growing(network.float())(ids, position, *[value.float() for value in past])[0]
    numpy.save(os.path.join(folder, "logits.npy"), exact.numpy())


def torch_row(layers, context, type_, repeat, expected):
    torch.manual_seed(0)
    network = Gpt2(layers).eval()
    past = [torch.randn(1, HEADS, context, WIDTH // HEADS) for _ in range(2 * layers)]
    dtype = TYPES[type_]
    static = Static(network.to("cuda", dtype), [value.to("cuda", dtype) for value in past])
    ids, position = torch.tensor([[1234]]).cuda(), torch.tensor([context]).cuda()
    with torch.no_grad():
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                static(ids, position)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = static(ids, position)
        times = []
        for _ in range(repeat + 20):
            start = time.perf_counter()
            graph.replay()
            torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
    return {"median_ms": statistics.median(times[20:]), "difference": difference(logits, expected),
            "version": torch.__version__, "how": "cache in place, CUDA graph"}


def difference(logits, expected):
    got = logits.float().cpu().numpy() if torch.is_tensor(logits) else logits.astype(numpy.float32)
    return float(numpy.abs(got - expected).max() / numpy.abs(expected).max())


def leat_row(leat, folder, layers, device, repeat, expected):
    output, report = os.path.join(folder, "y.npy"), os.path.join(folder, "report.json")
    command = [leat, "run", os.path.join(folder, "gpt2.onnx"), "--device", device, "--repeat",
               str(repeat), "--state", "present.*=past.*", "--output", "logits=" + output,
               "--json=" + report]
    names = ["ids", "position"] + [f"past.{number}.{what}" for number in range(layers)
                                   for what in ("key", "value")]
    for name in names:
        command += ["--input", f"{name}={os.path.join(folder, name + '.npy')}"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        return {"device": device, "failure": ran.stderr.strip()}
    with open(report) as file:
        told = json.load(file)
    row = {key: told.get(key) for key in ("device", "chip", "route", "driver", "kernels",
                                          "median_ms", "clock_mhz", "startup_ms")}
    return row | {"difference": difference(numpy.load(output), expected)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leat", required=True)
    parser.add_argument("--json")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--type", choices=TYPES, default="f16")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--keep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or scratch
        export(folder, options.layers, options.context, options.type)
        expected = numpy.load(os.path.join(folder, "logits.npy"))
        rows = [leat_row(options.leat, folder, options.layers, device, options.repeat, expected)
                for device in options.device.split(",")]
        peer = None
        if torch.cuda.is_available():
            peer = torch_row(options.layers, options.context, options.type, options.repeat,
                             expected)
    version = subprocess.run([options.leat, "--version"], capture_output=True, text=True)
    commit = re.search(r"\((.*)\)", version.stdout)
    result = {"what": "one token of a GPT-2 of the small size, random weights",
              "layers": options.layers, "context": options.context, "type": options.type,
              "commit": commit and commit[1], "date": datetime.date.today().isoformat(),
              "results": rows, "peer": peer}
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text + "\n")
    return 1 if any("failure" in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
