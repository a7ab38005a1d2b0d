// Quantised tensors: whole numbers or small floats q that stand for (q - zero point) * scale. Rules
// of ops.h hold. Source: ONNX operator schemas, opset 10 to 25. Quotients are rounded half to even.
#pragma once

#include "leat/tensor/ops.h"

namespace leat::ops {

/// How scales and zero points lie along x. With one element they hold for all of x; else, without a
/// block size, they are a list along the axis; with one they have x's shape, but along the axis
/// one element for each block of so many.
struct QuantizeOptions {
  int64_t axis = 1;
  int64_t block_size = 0;
  bool saturate = true;          // to a small float: what is too large becomes the largest number
  DType precision = DType::f32;  // what the quotient is rounded to: f32, f16 or bf16
};

/// round(x / scale) + zero point, the nearest number that `dtype` has: i8, u8, i16, u16 and those
/// of 4 and 2 bits; of small floats x / scale + zero point, as cast rounds it. x: float or i32,
/// scale: float. A zero point has `dtype`, and may be left out. Of NaN a whole number is any.
Result<TensorId> quantize(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                          TensorId zero_point, DType dtype, const QuantizeOptions& options);

/// (x - zero point) * scale as `dtype`, a float. x: as quantize makes them, or i32.
Result<TensorId> dequantize(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                            TensorId zero_point, DType dtype, const QuantizeOptions& options);

/// A tensor with what its numbers stand for; scale and zero point may be left out (1 and 0).
struct Quantized {
  TensorId values = kNoTensor;
  TensorId scale = kNoTensor;
  TensorId zero_point = kNoTensor;
};

/// u8 for the range of x (f32), which is widened to hold 0.
Result<Quantized> dynamic_quantize(Graph& graph, std::string_view name, TensorId x);

/// The product of a and b less their zero points, as i32, which wraps. Values are i8 or u8. Zero
/// points have one element, or one for each row of a and each column of b: a list, or a's
/// (b's) shape with 1 for the summed dimension. Scales are not looked at.
Result<TensorId> matmul_integer(Graph& graph, std::string_view name, const Quantized& a,
                                const Quantized& b);
/// The same of a convolution. x's zero point has one element, w's one or one for each output
/// channel; beyond the edges x is its zero point. bias (K): i32.
Result<TensorId> conv_integer(Graph& graph, std::string_view name, const Quantized& x,
                              const Quantized& w, TensorId bias, const ConvOptions& options);

/// How an operator's result is quantised.
struct QuantizedResult {
  TensorId scale = kNoTensor;
  TensorId zero_point = kNoTensor;  // may be left out
  DType dtype = DType::u8;
};

/// round(sums * multiplier) + zero point, the nearest number of y's dtype. sums: i32, multiplier:
/// f32; it and the zero point broadcast to the sums. y's scale is not looked at.
Result<TensorId> requantize(Graph& graph, std::string_view name, TensorId sums, TensorId multiplier,
                            const QuantizedResult& y);

/// matmul_integer, then round(sum * (scale of a * scale of b / scale of y)) + zero point of y.
Result<TensorId> quantized_matmul(Graph& graph, std::string_view name, const Quantized& a,
                                  const Quantized& b, const QuantizedResult& y);
/// conv_integer, then the same.
Result<TensorId> quantized_conv(Graph& graph, std::string_view name, const Quantized& x,
                                const Quantized& w, TensorId bias, const QuantizedResult& y,
                                const ConvOptions& options);

struct BlockedWeights {
  TensorId values = kNoTensor;       // (N, blocks, block_size * bits / 8) u8, lowest bits first
  TensorId scales = kNoTensor;       // N * blocks, any shape; the result's dtype
  TensorId zero_points = kNoTensor;  // N * blocks of that dtype, or (N, bytes of a row) u8, packed
                                     // as values are; left out: half of the range
  int64_t k = 0, n = 0;
  int64_t bits = 4;  // 2, 4 or 8
  int64_t block_size = 32;
};

/// a (..., K) times the matrix (K, N) whose columns are stored in blocks of few bits. Weights stay
/// as they are in memory. Source: com.microsoft.MatMulNBits of ONNX Runtime's operator list.
Result<TensorId> matmul_blocked(Graph& graph, std::string_view name, TensorId a,
                                const BlockedWeights& b, TensorId bias);

}  // namespace leat::ops
