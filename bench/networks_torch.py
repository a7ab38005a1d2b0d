#!/usr/bin/env python3
"""Networks of torchvision beside PyTorch: random weights, exported to ONNX, run by `leat run` on
each route of a GPU and by PyTorch as a CUDA graph (channels last, cuDNN's own search, no TF32).

  bench/networks_torch.py --leat LEAT [--json FILE] [--device gpu0] [--repeat 100]
                          [NETWORK:BATCH:TYPE...]

  NETWORK:BATCH:TYPE   as resnet50:1:f16; default: those of the table in docs/precision.md
  TYPE                 f16 or f32

Both compute on one input of random numbers; the results' largest difference over the largest value
stands beside the times. Needs torch, torchvision, numpy and a GPU of NVIDIA.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
import torchvision

DEFAULT = [f"{name}:1:{type_}" for name in ("resnet50", "densenet121", "mobilenet_v2", "vgg19")
           for type_ in ("f16", "f32")] + ["resnet50:64:f16"]
TYPES = {"f16": torch.float16, "f32": torch.float32}


def make_network(name):
    """Weights of torchvision's own initialisation; statistics of batch-norm not trivial."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.05)
            module.running_var.uniform_(0.8, 1.2)
    return network


def torch_ms(network, x, repeat):
    """Median of one replay of a graph, from launch to its end, and the result."""
    network = network.to(memory_format=torch.channels_last)
    x = x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(5):
                network(x)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = network(x)
        for _ in range(10):
            graph.replay()
        torch.cuda.synchronize()
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            graph.replay()
            torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), y.float().cpu().numpy()


def leat_row(leat, model, x, device, repeat, expected, folder):
    output, report = os.path.join(folder, "y.npy"), os.path.join(folder, "report.json")
    command = [leat, "run", model, "--input", x, "--output", output, "--device", device,
               "--repeat", str(repeat), "--json=" + report]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        return {"failure": ran.stderr.strip()}
    with open(report) as file:
        told = json.load(file)
    got = numpy.load(output).astype(numpy.float32)
    error = float(numpy.abs(got - expected).max() / numpy.abs(expected).max())
    return {"median_ms": told["median_ms"], "clock_mhz": told.get("clock_mhz"),
            "driver": told.get("driver"), "difference": error}


def measure(text, arguments, folder):
    name, batch, type_ = text.split(":")
    dtype = TYPES[type_]
    network = make_network(name).to("cuda", dtype)
    x = torch.randn(int(batch), 3, 224, 224).to("cuda", dtype)
    model, x_file = os.path.join(folder, "model.onnx"), os.path.join(folder, "x.npy")
    torch.onnx.export(network, (x,), model, dynamo=False, opset_version=17, input_names=["x"],
                      output_names=["y"])
    numpy.save(x_file, x.cpu().numpy())
    peer, expected = torch_ms(network, x, arguments.repeat)
    row = {"network": name, "batch": int(batch), "dtype": type_, "peer_median_ms": peer,
           "routes": {}}
    for route in arguments.routes.split(","):
        device = f"{arguments.device}:{route}"
        row["routes"][route] = leat_row(arguments.leat, model, x_file, device, arguments.repeat,
                                        expected, folder)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--leat", default="build/release/bin/leat")
    parser.add_argument("--device", default="gpu0")
    parser.add_argument("--routes", default="direct,cuda,vulkan")
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--json")
    parser.add_argument("networks", nargs="*", default=DEFAULT)
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for text in arguments.networks:
            rows.append(measure(text, arguments, folder))
            print(json.dumps(rows[-1]), flush=True)
    result = {"chip": torch.cuda.get_device_name(), "cudnn": torch.backends.cudnn.version(),
              "peer": f"PyTorch {torch.__version__}, CUDA graph", "results": rows}
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)
    failed = any("failure" in route for row in rows for route in row["routes"].values())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
