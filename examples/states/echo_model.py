#!/usr/bin/env python3
"""Writes echo.onnx: y = x + before and after = y / 2, all f32 (1, 4); `after` is meant to be the
next run's `before`.

Needs the packages onnx and numpy."""
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

FOLDER = Path(__file__).resolve().parent


def value(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])


def main():
    nodes = [helper.make_node("Add", ["x", "before"], ["y"]),
             helper.make_node("Mul", ["y", "half"], ["after"])]
    half = numpy_helper.from_array(np.array([0.5], np.float32), "half")
    graph = helper.make_graph(nodes, "echo", [value("x"), value("before")],
                              [value("y"), value("after")], [half])
    model = helper.make_model(graph, ir_version=8, producer_name="",
                              opset_imports=[helper.make_opsetid("", 17)])
    checker.check_model(model)
    save(model, FOLDER / "echo.onnx")


if __name__ == "__main__":
    main()
