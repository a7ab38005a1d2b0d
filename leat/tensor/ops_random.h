// Operators that draw random numbers: each element is a function of its row-major number and a key,
// so that every run, device and order of computing gives the same ones. The generator is
// Philox4x32-10 (J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011): element i takes its words from the counter (i, 0, 0, 0). ONNX names no
// generator; other implementations draw other numbers from the same seed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::ops {

/// The generator's key: the bits of a seed as f32; without one, a fixed number and a hash of the
/// node's name, so that the nodes of a model draw different numbers.
uint64_t random_key(std::optional<float> seed, std::string_view name);

struct RandomOptions {
  DType dtype = DType::f32;  // a float
  uint64_t key = 0;
};

struct UniformRange {
  double low = 0;
  double high = 1;
};

/// In [low, high), of 24 random bits (f64: 53); rounding to a narrow type may give `high` itself.
Result<TensorId> random_uniform(Graph& graph, std::string_view name, const Shape& shape,
                                const UniformRange& range, const RandomOptions& options);

struct NormalShape {
  double mean = 0;
  double scale = 1;  // the standard deviation
};

/// Of two uniform numbers by Box and Muller's formula, in f32.
Result<TensorId> random_normal(Graph& graph, std::string_view name, const Shape& shape,
                               const NormalShape& normal, const RandomOptions& options);

/// 1 with the probability that the element of x, a float, says, else 0. Any dtype.
Result<TensorId> bernoulli(Graph& graph, std::string_view name, TensorId x,
                           const RandomOptions& options);

/// x (batch, classes): logarithms of probabilities, not normalised. The result, i32 or i64, is
/// (batch, samples): classes drawn by the running sums of their probabilities.
Result<TensorId> multinomial(Graph& graph, std::string_view name, TensorId x, int64_t samples,
                             const RandomOptions& options);

struct DropoutResult {
  TensorId y = kNoTensor;
  TensorId mask = kNoTensor;  // bool: what is kept
};

/// In training: x / (1 - ratio) with probability 1 - ratio, else 0. `ratio` has one element, a
/// float; options.dtype is not read.
Result<DropoutResult> dropout(Graph& graph, std::string_view name, TensorId x, TensorId ratio,
                              const RandomOptions& options);

}  // namespace leat::ops
