"""The classes of an empty picture from Python: first_answer.py DIGITS.onnx"""
import leat, numpy, sys
net = leat.load(sys.argv[1])
print(net(numpy.zeros((1, 1, 28, 28), numpy.float32)))
