"""The Python package against NumPy and itself. library_users.cpp runs it; LEAT_LIBRARY says what is
tested, and LEAT_SOURCE_DIR where the tree is."""

import asyncio
import gc
import os
import tempfile
import threading
import unittest

import numpy as np

import leat

DIGITS = os.path.join(os.environ["LEAT_SOURCE_DIR"], "examples", "digits", "digits.onnx")
# y = x + x for x f32 (n, 4), a model of opset 13.
SUMS = (b'\x08\x08:B\n\x0e\n\x01x\n\x01x\x12\x01y"\x03Add\x12\x04sumsZ\x14\n\x01x\x12\x0f\n\r\x08'
        b'\x01\x12\t\n\x03\x12\x01n\n\x02\x08\x04b\x14\n\x01y\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12'
        b'\x01n\n\x02\x08\x04B\x04\n\x00\x10\r')
# y = NonZero(Relu(x)) for x f32 (n, 4): how many there are, only a run tells.
PLACES = (b'\x08\x08:W\n\x0c\n\x01x\x12\x01r"\x04Relu\n\x0f\n\x01r\x12\x01y"\x07NonZero\x12'
          b'\x06placesZ\x14\n\x01x\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12\x01n\n\x02\x08\x04b\x18'
          b'\n\x01y\x12\x13\n\x11\x08\x07\x12\r\n\x02\x08\x02\n\x07\x12\x05foundB\x04\n\x00\x10\r')


def message(number, *fields):
    """A field of a protobuf file that is a text or a message."""
    content, head = b"".join(fields), bytes([number << 3 | 2])
    size = len(content)
    while size > 127:
        head += bytes([size & 127 | 128])
        size >>= 7
    return head + bytes([size]) + content


def node(op, inputs, outputs, *attributes):
    return message(1, *[message(1, name.encode()) for name in inputs.split()],
                   *[message(2, name.encode()) for name in outputs.split()],
                   message(4, op.encode()), *attributes)


def value(field, name, *extents):
    """An input (11) or output (12) of f32; an extent is a number, or a name, or None."""
    dims = [message(1, message(2, one.encode()) if isinstance(one, str) else
                    b"" if one is None else bytes([8, one])) for one in extents]
    return message(field, message(1, name.encode()),
                   message(2, message(1, b"\x08\x01", message(2, *dims))))


def model(*parts):
    return b"\x08\x08" + message(7, *parts, message(2, b"graph")) + message(8, b"\n\x00\x10\r")


# y = before + x and after = y * x, of which `after` is the next `before`.
CARRIES = model(node("Add", "before x", "y"), node("Mul", "y x", "after"),
                value(11, "x", 2), value(11, "before", 2), value(12, "y", 2),
                value(12, "after", 2))
# A cache of rows that grows by those of x, and twice what is in it.
AXIS_0 = message(5, message(1, b"axis"), b"\x18\x00\xa0\x01\x02")
GROWS = model(node("Concat", "past x", "present", AXIS_0), node("Add", "present present", "y"),
              value(11, "past", "n", 2), value(11, "x", "rows", 2), value(12, "y", "all", 2),
              value(12, "present", "all", 2))


def sums(**options):
    return leat.load(SUMS, device="cpu", **options)


def picture():
    bar = np.zeros((1, 1, 28, 28), np.float32)
    bar[0, 0, 4:24, 14] = 255  # an upright bar is a one
    return bar


class Foreign:
    """An array of somebody else's that speaks DLPack alone."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class Facts(unittest.TestCase):
    def test_devices(self):
        found = {device.name: device for device in leat.devices()}
        self.assertEqual(found["cpu"].route, "native")
        self.assertEqual(found["cpu"].refusal, "")
        self.assertGreater(found["cpu"].memory_bytes, 0)

    def test_model(self):
        net = leat.load(DIGITS, device="cpu")
        self.assertEqual([(v.name, v.shape, v.dtype) for v in net.inputs],
                         [("image", (1, 1, 28, 28), np.float32)])
        self.assertEqual(net.outputs[0].shape, (1, 10))
        self.assertEqual(net.outputs[0].size_bytes, 40)
        self.assertEqual(net.device.name, "cpu")
        self.assertIn("image float32 (1, 1, 28, 28)", repr(net))
        self.assertGreater(net.stats["kernels"], 0)
        self.assertGreater(len(net.profile()), 2)
        self.assertRegex(leat.__version__, r"^\d+\.\d+\.\d+$")

    def test_log_is_told_of_nothing_when_nothing_moves(self):
        told = []
        session = leat.Session("cpu", log=told.append, threads=1)
        session.load(SUMS)
        self.assertEqual(told, [])


class Running(unittest.TestCase):
    def test_sizes_that_follow_from_values(self):
        net = leat.load(PLACES, device="cpu")
        self.assertEqual(net.outputs[0].shape, (2, -1))
        for x in (np.eye(3, 4), -np.ones((1, 4)), np.ones((2, 4)), np.eye(3, 4) * 2):
            found = net(x.astype(np.float32))
            np.testing.assert_array_equal(found, np.stack(np.nonzero(x > 0)))
        with self.assertRaisesRegex(leat.Error, "part by part"):
            net.start()

    def test_sizes_that_the_file_has_wrong(self):
        # The file says (2, 3) of what is found, and f32 of its whole numbers.
        wrong = PLACES.replace(b"\x08\x08:W", b"\x08\x08:R").replace(
            b"b\x18\n\x01y\x12\x13\n\x11\x08\x07\x12\r\n\x02\x08\x02\n\x07\x12\x05found",
            b"b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x02\n\x02\x08\x03")
        net = leat.load(wrong, device="cpu")
        for x in (np.eye(1, 4), np.ones((2, 4)), -np.ones((1, 4)), np.eye(3, 4)):
            found = net(x.astype(np.float32))
            self.assertEqual([net.outputs[0].shape, net.outputs[0].size_bytes], [(2, 3), 0])
            self.assertEqual(found.dtype, np.int64)
            np.testing.assert_array_equal(found, np.stack(np.nonzero(x > 0)))

    def test_facts_of_all_parts(self):
        net = leat.load(PLACES, device="cpu", times=True, shapes={"x": (1, 4)})
        first = len(net.profile())
        kernels = net.stats["kernels"]
        net(np.ones((1, 4), np.float32))
        self.assertGreater(len(net.profile()), first)
        self.assertGreater(net.stats["kernels"], kernels)
        begin, end = net.run_times()
        self.assertLess(begin, end)

    def test_digits(self):
        scores = leat.load(DIGITS, device="cpu")(picture())
        self.assertEqual(scores.argmax(), 1)
        self.assertAlmostEqual(float(scores.sum()), 1, places=5)

    def test_precision(self):
        full = leat.load(DIGITS, device="cpu")
        self.assertEqual(full.stats["rounded_products"], 0)
        net = leat.load(DIGITS, device="cpu", precision="bf16")
        self.assertEqual(net(picture()).argmax(), 1)
        self.assertEqual(net.stats["products"], full.stats["products"])
        self.assertGreater(net.stats["products"], 0)
        with self.assertRaisesRegex(leat.Error, r"\(f32, tf32, bf16, f16, i8\)"):
            leat.load(DIGITS, device="cpu", precision="half")

    def test_shapes_that_change(self):
        net = sums()
        for rows in (1, 5, 2, 5):
            x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
            np.testing.assert_array_equal(net(x), 2 * x)

    def test_shapes_that_the_file_leaves_open(self):
        # The same for x (n, m).
        both = SUMS.replace(b"B\n\x0e", b"D\n\x0e").replace(b"Z\x14", b"Z\x15")
        both = both.replace(b"b\x14", b"b\x15").replace(
            b"\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12\x01n\n\x02\x08\x04",
            b"\x12\x10\n\x0e\x08\x01\x12\n\n\x03\x12\x01n\n\x03\x12\x01m")
        net = leat.load(both, device="cpu")
        self.assertEqual([net.inputs[0].shape, net.outputs[0].shape], [(-1, -1), (-1, -1)])
        self.assertEqual(net.device.name, "cpu")
        for ask in (net.input_array, net.run_in_place, net.start, lambda: net.stats, net.profile):
            with self.assertRaisesRegex(leat.Error, r"\(-1, -1\)") as caught:
                ask()
            self.assertEqual(caught.exception.status, "invalid_argument")
        compiled = []
        for shape in ((64, 96), (80, 100), (96, 81)):
            x = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
            np.testing.assert_array_equal(net(x), 2 * x)
            self.assertEqual(net.outputs[0].shape, shape)
            compiled.append(net.stats["compiled"])
        self.assertEqual(compiled[1:], [0, 0])
        fixed = leat.load(both, device="cpu", shapes={"x": (3, 8)}, fixed=True)
        self.assertEqual(fixed.inputs[0].shape, (3, 8))
        self.assertEqual(fixed(np.ones((3, 8), np.float32)).sum(), 48)

    def test_what_is_taken(self):
        net = sums()
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        np.testing.assert_array_equal(net(x.tolist()), 2 * x)
        np.testing.assert_array_equal(net(x=x), 2 * x)
        np.testing.assert_array_equal(net(Foreign(x)), 2 * x)
        np.testing.assert_array_equal(np.from_dlpack(net(x)), 2 * x)
        strided = np.asfortranarray(x)
        np.testing.assert_array_equal(net(strided), 2 * x)

    def test_errors_say_what(self):
        net = sums()
        with self.assertRaisesRegex(leat.Error, "nowhere.onnx") as caught:
            leat.load("/nowhere.onnx")
        self.assertEqual(caught.exception.status, "io")
        with self.assertRaisesRegex(leat.Error, "f32.*f64"):
            net(np.zeros((1, 4)))
        with self.assertRaisesRegex(leat.Error, r"\(1, 5\)"):
            net(np.zeros((1, 5), np.float32))
        with self.assertRaisesRegex(TypeError, "1 inputs"):
            net()
        with self.assertRaisesRegex(TypeError, "\"z\""):
            net(np.zeros((1, 4), np.float32), z=1)
        with self.assertRaisesRegex(TypeError, "complex"):
            net(np.zeros((1, 4), np.complex64))
        with self.assertRaisesRegex(leat.Error, "no input"):
            sums(shapes={"z": (1,)})

    def test_threads(self):
        net = sums()
        wrong = []

        def work(first):
            for i in range(50):
                x = np.full((1 + (first + i) % 3, 4), first * 100 + i, np.float32)
                if not np.array_equal(net(x), 2 * x):
                    wrong.append((first, i))

        threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class States(unittest.TestCase):
    def test_go_on_from_call_to_call(self):
        for states in ({"after": "before"}, ["after=before"], {"after*": "before*"}):
            net = leat.load(CARRIES, device="cpu", states=states)
            x = np.array([2, 3], np.float32)
            before = np.zeros(2, np.float32)
            for _ in range(4):
                np.testing.assert_array_equal(net(x), before + x)
                before = (before + x) * x
                np.testing.assert_array_equal(net.state("before"), before)
            np.testing.assert_array_equal(net.state("after"), before)
            np.testing.assert_array_equal(net(x, before=np.ones(2, np.float32)), x + 1)
            np.testing.assert_array_equal(net(x=x), (x + 1) * x + x)
            net.forget_states()
            np.testing.assert_array_equal(net(x), x)

    def test_stay_on_the_device(self):
        net = leat.load(CARRIES, device="cpu", states={"after": "before"})
        x = np.ones(2, np.float32)
        net(x)
        copied = net.stats["copied_bytes"]
        net(x)
        self.assertEqual(net.stats["copied_bytes"] - copied, 16)  # x and y

    def test_a_cache_that_grows(self):
        net = leat.load(GROWS, device="cpu", states={"present": "past"})
        all_rows = np.zeros((0, 2), np.float32)
        for rows in (3, 1, 1, 2, 0, 1):
            x = np.random.default_rng(rows).random((rows, 2), np.float32)
            all_rows = np.concatenate([all_rows, x])
            np.testing.assert_array_equal(net(x), 2 * all_rows)
            np.testing.assert_array_equal(net.state("past"), all_rows)
        x = np.ones((1, 2), np.float32)
        np.testing.assert_array_equal(net(x, past=np.zeros((0, 2), np.float32)), 2 * x)
        self.assertEqual(net.run([None, x])[1], None)
        self.assertEqual(net.state("present").shape, (2, 2))

    def test_of_models_in_parts(self):
        found = model(node("Add", "before x", "after"), node("NonZero", "after", "y"),
                      value(11, "x", 2), value(11, "before", 2), value(12, "y", 1, "found"),
                      value(12, "after", 2))
        net = leat.load(found, device="cpu", states={"after": "before"})
        for x, places in (([0, 1], [1]), ([0, 0], [1]), ([1, 0], [0, 1]), ([-1, -1], [])):
            np.testing.assert_array_equal(net(np.array(x, np.float32)), [places])
        np.testing.assert_array_equal(net.state("after"), [0, 0])

    def test_errors_say_what(self):
        net = leat.load(CARRIES, device="cpu", states={"after": "before"})
        x = np.ones(2, np.float32)
        with self.assertRaisesRegex(leat.Error, "before the first run"):
            net.state("after")
        with self.assertRaisesRegex(KeyError, "no state .*y"):
            net.state("y")
        with self.assertRaisesRegex(TypeError, "1 inputs; 2"):
            net(x, x)
        with self.assertRaisesRegex(TypeError, "\"x\" of the model is not given"):
            net(before=x)
        with self.assertRaisesRegex(leat.Error, "f64"):
            net(x, before=np.zeros(2))
        with self.assertRaisesRegex(leat.Error, "no input \"z\""):
            leat.load(CARRIES, device="cpu", states=["after=z"])
        with self.assertRaisesRegex(TypeError, "is a text"):
            leat.load(CARRIES, device="cpu", states="after=before")


class InPlace(unittest.TestCase):
    def test_memory_of_the_device(self):
        net = sums(shapes={"x": (3, 4)})
        x, y = net.input_array(), net.output_array()
        x[:] = 5
        net.run_in_place()
        np.testing.assert_array_equal(y, np.full((3, 4), 10))
        np.testing.assert_array_equal(np.from_dlpack(y), y)
        self.assertEqual(net.stats["copied_bytes"], 0)
        del net
        gc.collect()
        self.assertEqual(float(y[0, 0]), 10)  # the array keeps its model

    def test_memory_of_the_caller(self):
        net = sums(shapes={"x": (2, 4)})
        x, y = leat.empty((2, 4)), leat.empty((2, 4))
        net.place_input(x)
        net.place_output(y)
        x[:] = 21
        net.run_in_place()
        np.testing.assert_array_equal(y, np.full((2, 4), 42))
        self.assertEqual(net.stats["copied_bytes"], 0)
        with self.assertRaisesRegex(ValueError, "float64"):
            net.place_input(np.zeros((2, 4)))
        with self.assertRaisesRegex(ValueError, "contiguous"):
            net.place_input(leat.empty((2, 8))[:, ::2])

    def test_memory_of_a_dma_buf(self):
        net = sums(shapes={"x": (2, 4)})
        with tempfile.TemporaryFile() as frame, tempfile.TemporaryFile() as result:
            frame.truncate(4096)
            result.truncate(4096)
            net.place_input_dma_buf(frame.fileno(), 4096)
            net.place_output_dma_buf(result.fileno(), 4096)
            os.pwrite(frame.fileno(), np.arange(8, dtype=np.float32).tobytes(), 0)
            net.run_in_place()
            y = np.frombuffer(os.pread(result.fileno(), 32, 0), np.float32)
            np.testing.assert_array_equal(y, 2 * np.arange(8))
            self.assertEqual(net.stats["copied_bytes"], 0)
            with self.assertRaisesRegex(leat.Error, "fewer than"):
                net.place_input_dma_buf(frame.fileno(), 8192)

    def test_fences(self):
        net = sums(slots=2, shapes={"x": (1, 4)})
        for slot in range(2):
            net.input_array(slot=slot)[:] = slot + 1
        started = [net.start(slot) for slot in range(2)]

        async def all_done():
            for fence in started:
                await fence
            return [float(net.output_array(slot=slot)[0, 0]) for slot in range(2)]

        self.assertEqual(asyncio.run(all_done()), [2, 4])
        self.assertTrue(all(fence.is_done and fence.wait(0) for fence in started))


DOUBLES = """leat-kernel 1
kernel "doubles" lanes 4 waves 1 grid 2 1 1
parameter x : f32[8] read
parameter y : f32[8] write
{
  %g : u.i32 = group_id 0
  %four : u.i32 = constant 4
  %at : u.i32 = mul_i %g, %four
  %v : v.f32 = load x[%at + lane * 1]
  %o : v.f32 = load y[%at + lane * 1]
  %s : v.f32 = add_f %v, %v
  %t : v.f32 = add_f %s, %o
  store y[%at + lane * 1], %t
}
"""


class Kernels(unittest.TestCase):
    def test_runs(self):
        kernel = leat.Kernel(DOUBLES, device="cpu")
        self.assertEqual([(p.name, p.elements, p.is_written) for p in kernel.parameters],
                         [("x", 8, False), ("y", 8, True)])
        x = np.arange(8, dtype=np.float32)
        np.testing.assert_array_equal(kernel(x), 2 * x)
        np.testing.assert_array_equal(kernel(x=x, y=np.ones(8, np.float32)), 2 * x + 1)
        kernel.check(x)
        self.assertGreater(kernel.measure(0.001)["median_us"], 0)
        self.assertIn("x float32[8]", repr(kernel))

    def test_another_launch(self):
        kernel = leat.Kernel(DOUBLES, device="cpu", grid=(3,), elements={"x": 12, "y": 12})
        x = np.arange(12, dtype=np.float32)
        np.testing.assert_array_equal(kernel(x.reshape(3, 4)), 2 * x)
        with self.assertRaisesRegex(ValueError, "no parameter \"z\""):
            leat.Kernel(DOUBLES, device="cpu", elements={"z": 1})
        with self.assertRaisesRegex(ValueError, "up to three"):
            leat.Kernel(DOUBLES, device="cpu", grid=(1, 1, 1, 1))

    def test_errors_say_what(self):
        with self.assertRaisesRegex(leat.Error, "my.ir:1:1"):
            leat.Kernel("nothing", device="cpu", name="my.ir")
        x = np.arange(8, dtype=np.float32)
        kernel = leat.Kernel(DOUBLES, device="cpu", grid=(3,))
        with self.assertRaisesRegex(leat.Error, r"reaches element \(8\)"):
            kernel(x)
        trusted = leat.Kernel(DOUBLES, device="cpu", grid=(300000,), trust=True)
        np.testing.assert_array_equal(trusted(x), 2 * x)  # what is outside is masked
        for call in (lambda: kernel(), lambda: kernel(x, x), lambda: kernel(x, z=x)):
            self.assertRaises(TypeError, call)
        with self.assertRaisesRegex(leat.Error, "f64"):
            leat.Kernel(DOUBLES, device="cpu")(x.astype(np.float64))

    def test_format(self):
        self.assertEqual(leat.format_kernel(DOUBLES.replace("  ", "")),
                         DOUBLES.replace("write\n{", "write\n\n{"))


def kernel_model(*attributes):
    """y = the kernel DOUBLES of x, f32 (n, 4)."""
    listed = [message(5, message(1, name), b"\x40" + bytes([number]), b"\xa0\x01\x07")
              for name, number in attributes]
    text = message(5, message(1, b"kernel"), message(4, DOUBLES.encode()), b"\xa0\x01\x03")
    node = message(1, message(1, b"x"), message(2, b"y"), message(4, b"doubles"), text, *listed,
                   message(7, b"leat"))
    values = SUMS[SUMS.index(b"Z\x14"):SUMS.index(b"B\x04")]
    return b"".join([b"\x08\x08", message(7, node, message(2, b"graph"), values),
                     message(8, b"\n\x00\x10\r"), message(8, message(1, b"leat"), b"\x10\x01")])


class KernelsInModels(unittest.TestCase):
    def test_shapes_that_change(self):
        net = leat.load(kernel_model((b"like", 0), (b"tile", 4)), device="cpu")
        for rows in (1, 5, 2, 5):
            x = np.random.default_rng(rows).random((rows, 4), np.float32)
            np.testing.assert_array_equal(net(x), 2 * x)

    def test_trust(self):
        model = kernel_model((b"like", 0), (b"grid", 2))  # 8 elements, where there are 4
        with self.assertRaisesRegex(leat.Error, r"reaches element \(4\)"):
            leat.load(model, device="cpu")
        x = np.arange(4, dtype=np.float32).reshape(1, 4)
        np.testing.assert_array_equal(leat.load(model, device="cpu", trust=True)(x), 2 * x)


class Tuning(unittest.TestCase):
    def test_tune_and_times(self):
        with tempfile.TemporaryDirectory() as folder:
            session = leat.Session("cpu", cache_folder=folder)
            net = session.load(DIGITS, times=True)
            before = net(picture())
            tuned = net.tune(0.01)
            self.assertGreater(tuned["kernels"], 2)
            self.assertLessEqual(tuned["tuned_us"], tuned["model_us"])
            np.testing.assert_allclose(net(picture()), before, atol=1e-3)
            begin, end = net.run_times()
            self.assertLess(begin, end)
            self.assertEqual([(use["name"], use["users"]) for use in session.uses()],
                             [("cpu", 1)])
            with self.assertRaises(leat.Error):
                sums().run_times()


class Operators(unittest.TestCase):
    def test_matmul(self):
        a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        b = np.arange(20, dtype=np.float32).reshape(4, 5)
        np.testing.assert_array_equal(leat.matmul(a, b), a @ b)

    def test_conv2d(self):
        x = np.arange(2 * 3 * 5 * 5, dtype=np.float32).reshape(2, 3, 5, 5) % 7
        w = np.ones((4, 3, 1, 1), np.float32)
        y = leat.conv2d(x, w, np.full(4, 2, np.float32), stride=(2, 2))
        expected = np.repeat(x[:, :, ::2, ::2].sum(1, keepdims=True) + 2, 4, axis=1)
        np.testing.assert_array_equal(y, expected)

    def test_any(self):
        x = np.array([[3, 1, 2], [6, 5, 4]], np.float32)
        values, indices = leat.operator("TopK", x, np.array([2]), outputs=2)
        np.testing.assert_array_equal(values, [[3, 2], [6, 5]])
        self.assertEqual(indices.dtype, np.int64)
        np.testing.assert_array_equal(leat.operator("Clip", x, None, np.float32(4)),
                                      np.minimum(x, 4))
        np.testing.assert_allclose(leat.operator("LeakyRelu", -x, alpha=0.5), -x / 2)
        np.testing.assert_array_equal(leat.operator("Transpose", x, perm=[1, 0]), x.T)
        with self.assertRaisesRegex(leat.Error, "NoSuch"):
            leat.operator("NoSuch", x)


if __name__ == "__main__":
    unittest.main()
