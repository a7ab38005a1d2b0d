"""Leat runs neural networks on the device a person has, with nothing of the vendor's SDK installed.

    import leat
    net = leat.load("x.onnx")
    y = net(x)

Arrays are NumPy's, or anything in the host's memory that speaks DLPack. Errors are leat.Error.
"""

from leat import _library
from leat._library import Error
from leat.arrays import empty
from leat.kernel import Kernel, Parameter, format_kernel
from leat.model import Device, Fence, KernelTime, Model, Session, ValueFacts
from leat.model import conv2d, default_session, devices, load, matmul, operator

__version__: str = _library.library.leat_version().decode()
__commit__: str = _library.library.leat_commit().decode()
__all__ = ["Device", "Error", "Fence", "Kernel", "KernelTime", "Model", "Parameter", "Session",
           "ValueFacts", "conv2d", "default_session", "devices", "empty", "format_kernel", "load",
           "matmul", "operator"]
