#!/usr/bin/env python3
"""ONNX's own test runner drives leat.backend. Closes with: N passed, N failed, N skipped.

    tests/bindings/onnx_suite.py [--device SPEC] [--match TEXT] [--export FOLDER] [-v]

Skipped is what Leat answers `unsupported` to, as in `leat test-onnx`; --export writes the cases of
nodes as files, for that to run the same ones. Needs the packages onnx and numpy, and leat, which
PYTHONPATH and LEAT_LIBRARY may name.
"""
import argparse
import sys
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import leat
import leat.backend

DEVICE = "cpu"


class SkippingRep:
    """Skips what is unsupported, and values that are no arrays: strings, sequences, none."""

    def __init__(self, rep):
        self._rep = rep

    def run(self, inputs, **kwargs):
        if not all(isinstance(value, (np.ndarray, np.generic)) for value in inputs):
            raise unittest.SkipTest("an input is no array")
        try:
            return self._rep.run(inputs, **kwargs)
        except leat.Error as error:
            if error.status == "unsupported":
                raise unittest.SkipTest(str(error)) from error
            raise
        except TypeError as error:
            if "no element type" in str(error):
                raise unittest.SkipTest(str(error)) from error
            raise


class SuiteBackend(leat.backend.LeatBackend):
    @classmethod
    def is_compatible(cls, model, device="CPU", **kwargs):
        return True  # a run tells, which knows values that decide shapes

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        return SkippingRep(super().prepare(model, DEVICE, **kwargs))

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"


def export(folder):
    """As ONNX lays cases out in files."""
    for case in load_model_tests(kind="node"):
        place = Path(folder) / case.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "model.onnx").write_bytes(case.model.SerializeToString())
        for number, (inputs, outputs) in enumerate(case.data_sets):
            data = place / f"test_data_set_{number}"
            data.mkdir(exist_ok=True)
            for end, values in (("input", inputs), ("output", outputs)):
                for i, value in enumerate(values):
                    tensor = value
                    if isinstance(value, (np.ndarray, np.generic)):
                        tensor = numpy_helper.from_array(np.asarray(value))
                    if isinstance(tensor, onnx.TensorProto):
                        (data / f"{end}_{i}.pb").write_bytes(tensor.SerializeToString())


def main():
    global DEVICE
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=DEVICE)
    parser.add_argument("--match", default="", help="only cases whose name has this")
    parser.add_argument("--export", metavar="FOLDER", help="write the cases of nodes, run nothing")
    parser.add_argument("-v", action="store_true", help="name what failed and was skipped, and why")
    options = parser.parse_args()
    DEVICE = options.device
    if options.export:
        return export(options.export)

    backend_test = onnx.backend.test.BackendTest(SuiteBackend, __name__)
    backend_test.exclude(r"(test_resnet50|test_vgg19|test_densenet|test_inception|test_shufflenet"
                         r"|test_squeezenet|test_bvlc|test_zfnet)")  # whole models, downloaded
    suite = unittest.TestSuite(
        case for case in backend_test.test_suite
        if options.match in case.id() and case.id().endswith("_cpu"))
    result = unittest.TestResult()
    suite.run(result)
    bad = result.failures + result.errors
    if options.v:
        for word, cases in (("failed", bad), ("skipped", result.skipped)):
            for case, why in cases:
                print(f"{word} {case.id()}: {why.strip().splitlines()[-1]}")
    good = result.testsRun - len(bad) - len(result.skipped)
    print(f"{good} passed, {len(bad)} failed, {len(result.skipped)} skipped")
    return 1 if bad or good == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
