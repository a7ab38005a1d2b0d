// One row of the table of operators: how to build a graph of it, and how near to the reference its
// results must be on every device. The rows stand in cases_*.cpp, by the files of
// leat/tensor/ops_*.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat {

/// A graph with the values that are fed to its inputs. Values look random and are the same in
/// every run.
class OpGraph {
 public:
  Graph graph;
  std::vector<HostTensor> feeds;

  /// Floats lie in [low, high); whole numbers are those between, bool is 0 or 1.
  TensorId feed(const Shape& shape, DType dtype = DType::f32, double low = -1, double high = 1);
  TensorId feed_values(const Shape& shape, const std::vector<double>& values,
                       DType dtype = DType::f32);
  TensorId feed_whole(const Shape& shape, const std::vector<int64_t>& values, DType dtype);
  TensorId constant(const Shape& shape, DType dtype = DType::f32, double low = -1, double high = 1);
  TensorId constant_values(const Shape& shape, const std::vector<double>& values,
                           DType dtype = DType::f32);

 private:
  HostTensor random(const Shape& shape, DType dtype, double low, double high);
  uint32_t state_ = 12345;
};

/// Largest |difference| / max(1, |reference|). Whole numbers and bool must be equal.
/// A few operations in f32, a function of math_kernels.h among them: 8 ulp.
inline constexpr double kFewUlp = 1e-6;
/// Results are rounded to f16 (2^-11) up to four times, once per node of a chain; the reference
/// rounds after each node, a fused kernel at the end.
inline constexpr double kHalfRounding = 2e-3;
/// The same of bf16, once: where the sum lies near the middle of two numbers either may come out.
inline constexpr double kBrainRounding = 0x1p-7;
/// A sum of `terms` products below 1 in f32: errors of 2^-24 of partial sums of about sqrt(terms)
/// that add up at random.
double sum_tolerance(int64_t terms);

struct OpCase {
  std::string name;  // letters, digits and underscores, unique
  /// The first output. It may add others to graph.outputs.
  std::function<Result<TensorId>(OpGraph&)> build;
  double tolerance = kFewUlp;
  /// Where the result is f64 and the device computes in it; 0: the same.
  double tolerance_f64 = 0;
};

using OpCases = std::vector<OpCase>;

/// Each appends the rows of its file.
void add_contraction_cases(OpCases& cases);
void add_elementwise_cases(OpCases& cases);
void add_reduction_cases(OpCases& cases);
void add_pool_cases(OpCases& cases);
void add_norm_cases(OpCases& cases);
void add_movement_cases(OpCases& cases);
void add_resize_cases(OpCases& cases);
void add_fusion_cases(OpCases& cases);
void add_factor_cases(OpCases& cases);
void add_type_cases(OpCases& cases);
void add_nan_cases(OpCases& cases);
void add_training_cases(OpCases& cases);
void add_sample_cases(OpCases& cases);
void add_feature_cases(OpCases& cases);
void add_attention_cases(OpCases& cases);
void add_quantize_cases(OpCases& cases);
void add_scatter_cases(OpCases& cases);
void add_recurrent_cases(OpCases& cases);

}  // namespace leat
