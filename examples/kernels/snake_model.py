#!/usr/bin/env python3
"""Writes snake.onnx: y = snake(x * w), x f32 (n, 4), whose activation is the kernel in snake.ir.

Needs the packages onnx and numpy."""
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

FOLDER = Path(__file__).resolve().parent


def constant(name, value):
    return numpy_helper.from_array(value, name)


def main():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Size", ["h"], ["elements"]),
        helper.make_node("Cast", ["elements"], ["size"], to=TensorProto.INT32),
        helper.make_node("snake", ["size", "a", "h"], ["y"], domain="leat", name="activation",
                         kernel=(FOLDER / "snake.ir").read_text(), like=[2], tile=[32]),
    ]
    weights = (np.arange(16, dtype=np.float32).reshape(4, 4) - 7) / 8
    graph = helper.make_graph(
        nodes, "snake",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [constant("w", weights), constant("a", np.array([2], np.float32))])
    model = helper.make_model(graph, ir_version=8, producer_name="", opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("leat", 1)])
    checker.check_model(model)
    save(model, FOLDER / "snake.onnx")


if __name__ == "__main__":
    main()
