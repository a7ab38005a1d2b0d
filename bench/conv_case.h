// A convolution to be measured: its shape, its random data, and the reference its result is held
// against.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::cli {

/// x (N, C, H, W), w (K, C, R, R), square filter, no groups, no dilation.
struct ConvShape {
  std::string name;
  int64_t n = 1, c = 1, h = 1, w = 1, k = 1, r = 1, stride = 1, pad = 0;
  /// A product of matrices: h rows, k columns, c deep; w is an input as well.
  bool is_product = false;

  int64_t p() const { return (h + 2 * pad - r) / stride + 1; }
  int64_t q() const { return (w + 2 * pad - r) / stride + 1; }
  /// 2 * N * K * C * R * R * P * Q.
  double flop() const;
  Shape x_shape() const { return {n, c, h, w}; }
  Shape w_shape() const { return {k, c, r, r}; }
  Shape y_shape() const { return {n, k, p(), q()}; }
};

/// "N,C,H,W,K,R,STRIDE,PAD". Errors: invalid_argument, naming the text.
Result<ConvShape> parse_conv_shape(std::string_view text, std::string name);
/// Lines "name,N,C,H,W,K,R,STRIDE,PAD"; empty lines and those that begin with # are skipped.
Result<std::vector<ConvShape>> read_conv_suite(const std::string& path);

/// "M,N,K". Errors: invalid_argument, naming the text.
Result<ConvShape> parse_product_shape(std::string_view text);

struct ConvData {
  HostTensor x, w;
};
/// Uniform in -1..1, the same for every run. Of i8: x is u8, w is i8, and both are all that these
/// have.
ConvData make_conv_data(const ConvShape& shape, DType dtype);
/// One Conv node, of bytes a ConvInteger with sums of i32; x is the input, w a constant, or of a
/// product the second input.
Result<Graph> make_conv_graph(const ConvShape& shape, const ConvData& data);

/// The values of a tensor.
std::vector<float> floats_of(const HostTensor& tensor);

/// Largest error against double precision at `kReferenceSamples` output positions, among them all
/// corners and many on the rim, over the largest reference value seen.
double sampled_error(const ConvShape& shape, const ConvData& data, const HostTensor& y);
inline constexpr int64_t kReferenceSamples = 6144;

/// max |a - b| / max |b|; infinite when a value is not finite.
double relative_error(std::span<const float> a, std::span<const float> b);

/// What sampled_error may be. Products are exact or rounded to 2^-24, and the sum of C*R*R of them
/// gathers rounding errors like a random walk: 4 standard deviations. f16 results are rounded to
/// 2^-11 once more, bf16 ones to 2^-8.
double error_limit(const ConvShape& shape, DType dtype);

}  // namespace leat::cli
