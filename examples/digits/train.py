"""Trains the digit classifier of this folder and writes it as digits.onnx.

Data: the 10,000 MNIST test digits (t10k-*) in IDX format, gzip. They are split by position: the
first 8,000 train the network, the last 2,000 measure it and are used for nothing else. Training
stops after a fixed number of epochs; to change the recipe, measure it with --validate, which
trains on digits 0 to 6,999, measures on 7,000 to 7,999 and writes nothing.

The ONNX graph is written node by node rather than traced, so that BatchNormalization and the
residual Add stay separate nodes. Needs numpy, torch and onnx; onnxruntime and pillow to verify.
"""

import argparse
import gzip
import importlib.metadata
import json
import pathlib
import platform
import struct
import sys
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

FOLDER = pathlib.Path(__file__).resolve().parent
DEFAULT_DATA = FOLDER.parents[2] / "shared" / "data" / "mnist"
TRAIN_COUNT = 8000
VALIDATE_FROM = 7000
BATCH_SIZE = 64
LEARNING_RATE_MAX = 5e-3
WEIGHT_DECAY = 1e-2
OPSET = 13
IR_VERSION = 7  # The ONNX file format version that came with opset 13.


# ---- Data ----------------------------------------------------------------------------------


def read_idx(path):
    """Reads one gzip IDX file of bytes as an array; the header is big-endian."""
    content = gzip.decompress(path.read_bytes())
    zeros, kind, rank = struct.unpack_from(">HBB", content)
    if zeros != 0 or kind != 8:
        sys.exit(f"File \"{path.name}\" is not an IDX file of unsigned bytes.")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_digits(folder):
    """Returns images (10000, 1, 28, 28) float32 in 0-255 and labels (10000) int64."""
    paths = [folder / f"t10k-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1")]
    for path in paths:
        if not path.exists():
            sys.exit(f"Data file \"{path.name}\" is not in folder \"{folder}\".")
    images = read_idx(paths[0]).astype(np.float32)[:, None]
    return torch.from_numpy(images), torch.from_numpy(read_idx(paths[1]).astype(np.int64))


def distort(images):
    """Returns the images moved, turned, scaled, sheared and bent, each by its own random amount."""
    count = len(images)

    def uniform(limit):
        return (torch.rand(count) * 2 - 1) * limit

    angle, shear = uniform(0.26), uniform(0.20)  # Radians (15 degrees); slope.
    scale_x, scale_y = torch.exp(uniform(0.18)), torch.exp(uniform(0.18))
    shift_x, shift_y = uniform(3 / 14), uniform(3 / 14)  # Up to 3 pixels; 14 are half the width.
    cosine, sine = torch.cos(angle), torch.sin(angle)
    row_x = torch.stack([cosine * scale_x, shear - sine * scale_x, shift_x], 1)
    row_y = torch.stack([sine * scale_y, cosine * scale_y, shift_y], 1)
    grid = functional.affine_grid(
        torch.stack([row_x, row_y], 1), list(images.shape), align_corners=False
    )
    bend = torch.randn(count, 2, 5, 5) * 0.05
    bend = functional.interpolate(bend, size=(28, 28), mode="bicubic", align_corners=True)
    return functional.grid_sample(images, grid + bend.permute(0, 2, 3, 1), align_corners=False)


# ---- Network -------------------------------------------------------------------------------


class Network(nn.Module):
    """Six 3x3 convolutions, each with batch normalisation; the 4th and the 6th add their input."""

    CHANNELS = [(1, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    RESIDUAL = {3, 5}
    POOL_AFTER = {1, 3}

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False) for c_in, c_out in self.CHANNELS
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(c_out) for _, c_out in self.CHANNELS)
        self.dense = nn.Linear(64, 10)

    def forward(self, image):
        """Takes images in 0-255 and returns logits."""
        x = image * (1 / 255)
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            y = norm(convolution(x))
            x = functional.relu(y + x if index in self.RESIDUAL else y)
            if index in self.POOL_AFTER:
                x = functional.max_pool2d(x, 2)
        return self.dense(x.mean((2, 3)))


def train(images, labels, seed, epochs):
    """Trains a network from a seed for a fixed number of epochs and returns it."""
    torch.manual_seed(seed)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    steps_per_epoch = len(images) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE_MAX, total_steps=epochs * steps_per_epoch
    )
    for epoch in range(epochs):
        started, loss_sum = time.time(), 0.0
        order = torch.randperm(len(images))[: steps_per_epoch * BATCH_SIZE]
        for batch in order.split(BATCH_SIZE):
            loss = functional.cross_entropy(network(distort(images[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.item()
        print(
            f"seed {seed}, epoch {epoch + 1} of {epochs}: training loss "
            f"{loss_sum / steps_per_epoch:.4f}, {time.time() - started:.1f} s",
            flush=True,
        )
    return network.eval()


@torch.no_grad()
def count_right(network, images, labels):
    """Returns how many images the network gives their label."""
    parts = zip(images.split(500), labels.split(500))
    return sum(int((network(x).argmax(1) == y).sum()) for x, y in parts)


# ---- Export --------------------------------------------------------------------------------


class GraphWriter:
    """Collects nodes and constants; each node's output carries the node's name."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def constant(self, name, values):
        """Adds a float32 constant and returns its name."""
        values = np.asarray(values, np.float32)
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def add(self, kind, name, inputs, **attributes):
        """Adds a node and returns the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def write_block(writer, network, index, x):
    """Adds convolution, normalisation, residual sum if any, activation and pooling if any."""
    weights = network.convolutions[index].weight.detach().numpy()
    norm = network.norms[index]
    number = index + 1
    y = writer.add(
        "Conv",
        f"conv{number}",
        [x, writer.constant(f"conv{number}_weight", weights)],
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        strides=[1, 1],
    )
    parts = {"scale": norm.weight, "bias": norm.bias}
    parts |= {"mean": norm.running_mean, "variance": norm.running_var}
    statistics = [
        writer.constant(f"norm{number}_{part}", values.detach().numpy())
        for part, values in parts.items()
    ]
    y = writer.add("BatchNormalization", f"norm{number}", [y, *statistics], epsilon=norm.eps)
    if index in network.RESIDUAL:
        y = writer.add("Add", f"sum{number}", [y, x])
    y = writer.add("Relu", f"relu{number}", [y])
    if index in network.POOL_AFTER:
        y = writer.add("MaxPool", f"pool{number}", [y], kernel_shape=[2, 2], strides=[2, 2])
    return y


def make_model(network):
    """Returns the network as an ONNX model: image (1, 1, 28, 28) in, probabilities (1, 10) out."""
    writer = GraphWriter()
    x = writer.add("Mul", "scaled", ["image", writer.constant("scale", 1 / 255)])
    for index in range(len(network.CHANNELS)):
        x = write_block(writer, network, index, x)
    x = writer.add("GlobalAveragePool", "average", [x])
    x = writer.add("Flatten", "features", [x], axis=1)
    weight = writer.constant("dense_weight", network.dense.weight.detach().numpy())
    bias = writer.constant("dense_bias", network.dense.bias.detach().numpy())
    x = writer.add("Gemm", "logits", [x, weight, bias], transB=1)
    writer.add("Softmax", "probabilities", [x], axis=1)
    graph = helper.make_graph(
        writer.nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 10])],
        writer.constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="leat examples/digits"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


# ---- Verification of the written file ------------------------------------------------------


def verify(images, labels):
    """Runs digits.onnx with onnxruntime on the test digits and on the pictures."""
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        FOLDER / "digits.onnx", options, providers=["CPUExecutionProvider"]
    )

    def probabilities(image):
        return session.run(["probabilities"], {"image": image.reshape(1, 1, 28, 28)})[0][0]

    right = sum(
        int(probabilities(image).argmax() == label)
        for image, label in zip(images.numpy(), labels.numpy())
    )
    pictures = {}
    for path in sorted((FOLDER / "pictures").glob("*.png")):
        result = probabilities(np.asarray(Image.open(path), np.float32))
        pictures[path.name] = {
            "class": int(result.argmax()), "probability": round(float(result.max()), 4)
        }
    pictures_right = sum(int(name[0]) == found["class"] for name, found in pictures.items())
    print(f"digits.onnx: {right} of {len(labels)} test digits are right.")
    print(f"digits.onnx: {pictures_right} of {len(pictures)} pictures are right.")
    return {
        "test_right": right,
        "test_accuracy": right / len(labels),
        "pictures_right": pictures_right,
        "pictures_count": len(pictures),
        "pictures": pictures,
    }


# ---- Command line --------------------------------------------------------------------------


def describe(arguments, runs, network, verification):
    """Returns the content of accuracy.json."""
    tools = ["numpy", "torch", "onnx", "onnxruntime", "pillow"]
    learned = sum(values.numel() for values in network.parameters())
    statistics = 2 * sum(c_out for _, c_out in network.CHANNELS)
    return {
        "data": "MNIST test set (t10k), 10000 digits",
        "split": {"train": [0, TRAIN_COUNT - 1], "test": [TRAIN_COUNT, 9999]},
        "epochs": arguments.epochs,
        "batch_size": BATCH_SIZE,
        "learning_rate_max": LEARNING_RATE_MAX,
        "weight_decay": WEIGHT_DECAY,
        "shipped_seed": arguments.seeds[0],
        "runs": runs,
        "parameters_learned": learned,
        "parameters_in_file": learned + statistics,
        "file_bytes": (FOLDER / "digits.onnx").stat().st_size,
        "verified_with_onnxruntime": verification,
        "versions": {"python": platform.python_version()}
        | {tool: importlib.metadata.version(tool) for tool in tools},
    }


def parse_arguments():
    """Returns the command line's arguments."""
    parser = argparse.ArgumentParser(description="Trains and writes the digit classifier.")
    parser.add_argument("data", nargs="?", type=pathlib.Path, default=DEFAULT_DATA,
                        help="folder of t10k-*-ubyte.gz (default: ../shared/data/mnist, "
                             "seen from the repository's root)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0],
                        help="the network of the first seed is the one written")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--validate", action="store_true",
                      help="measure the recipe inside the training digits; write nothing")
    mode.add_argument("--verify", action="store_true",
                      help="only run the digits.onnx that is there; write nothing")
    return parser.parse_args()


def main():
    """Trains once per seed, measures each network, writes the first and accuracy.json."""
    arguments = parse_arguments()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, labels = load_digits(arguments.data)
    if arguments.verify:
        verify(images[TRAIN_COUNT:], labels[TRAIN_COUNT:])
        return
    first, last = (VALIDATE_FROM, TRAIN_COUNT) if arguments.validate else (TRAIN_COUNT, 10000)
    networks, runs = [], []
    for seed in arguments.seeds:
        started = time.time()
        networks.append(train(images[:first], labels[:first], seed, arguments.epochs))
        right = count_right(networks[-1], images[first:last], labels[first:last])
        runs.append({"seed": seed, "right": right, "of": last - first,
                     "accuracy": right / (last - first), "seconds": round(time.time() - started)})
        print(f"seed {seed}: {right} of {last - first} digits are right.", flush=True)
    if arguments.validate:
        return
    onnx.save(make_model(networks[0]), FOLDER / "digits.onnx")
    verification = verify(images[first:last], labels[first:last])
    content = describe(arguments, runs, networks[0], verification)
    (FOLDER / "accuracy.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
