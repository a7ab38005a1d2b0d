// What classical models do to rows of features. Source: ONNX operator schemas of the domain
// ai.onnx.ml 1 to 5: Binarizer, Scaler, Normalizer, Imputer, LabelEncoder, LinearRegressor,
// SVMRegressor and the transforms of scores; TfIdfVectorizer 9 of the domain "".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

using Reals = std::vector<double>;

/// 1 where x is larger than the threshold, else 0; x's dtype, no bool.
Result<TensorId> binarize(Graph& graph, std::string_view name, TensorId x, double threshold);

struct ScaleOptions {
  Reals offset;  // one, or one per element of the last dimension; empty: 0
  Reals scale;   // the same; empty: 1
};

/// (x - offset) * scale as f32. Floats and whole numbers.
Result<TensorId> scale_features(Graph& graph, std::string_view name, TensorId x,
                                const ScaleOptions& options);

enum class RowNorm : uint8_t { max, l1, l2 };

/// x (N, C) or (C) as f32, each row divided by its maximum, its sum of magnitudes or its length;
/// what would be divided by 0 stays. Floats and whole numbers.
Result<TensorId> normalize_rows(Graph& graph, std::string_view name, TensorId x, RowNorm norm);

struct ImputeOptions {
  double replaced = 0;  // NaN: what is not a number
  Reals values;         // one, or one per element of the last dimension
};

/// Floats.
Result<TensorId> impute(Graph& graph, std::string_view name, TensorId x,
                        const ImputeOptions& options);
/// Whole numbers.
Result<TensorId> impute_whole(Graph& graph, std::string_view name, TensorId x, int64_t replaced,
                              const Ints& values);

struct LabelTable {
  HostTensor keys;      // (count), of x's dtype; of equal ones the last counts
  HostTensor values;    // (count)
  HostTensor fallback;  // one element of the values' dtype
};

/// The value of the key that equals the element, NaN equal to NaN. Numbers, no bool.
Result<TensorId> encode_labels(Graph& graph, std::string_view name, TensorId x,
                               const LabelTable& table);

enum class ScoreTransform : uint8_t { none, softmax, logistic, softmax_zero, probit };

/// Of scores (N, E), floats. softmax_zero leaves 0 where the score is 0; probit is Winitzki's
/// approximation, good to 2e-3.
Result<TensorId> transform_scores(Graph& graph, std::string_view name, TensorId scores,
                                  ScoreTransform transform);

/// x (N, F), numbers: x * coefficients' + intercepts as f32 (N, targets). Coefficients: those of
/// one target after those of the other; intercepts: none, or one a target.
struct LinearOptions {
  int64_t targets = 1;
  Reals coefficients;
  Reals intercepts;
};
Result<TensorId> linear_scores(Graph& graph, std::string_view name, TensorId x,
                               const LinearOptions& options);

enum class SvmKernel : uint8_t { linear, poly, rbf, sigmoid };

struct SvmOptions {
  SvmKernel kernel = SvmKernel::linear;
  double gamma = 0, coef0 = 0, degree = 0;
  int64_t supports = 0;  // 0: the coefficients are those of a linear model
  Reals vectors;         // (supports, F)
  Reals coefficients;    // (supports)
  double rho = 0;
  bool one_class = false;  // 1 where the sum is positive, else -1
};

/// x (N, F), numbers: the sum of coefficient * kernel(x, vector) + rho as f32 (N, 1).
Result<TensorId> svm_regress(Graph& graph, std::string_view name, TensorId x,
                             const SvmOptions& options);

enum class GramWeight : uint8_t { tf, idf, tfidf };

struct GramOptions {
  int64_t shortest = 1;  // tokens of a gram
  int64_t longest = 1;
  int64_t skips_max = 0;  // tokens left out between those of a gram, the same number each time
  Ints pool;              // all grams of one token, of two, ...
  Ints starts;            // where in the pool those of each length begin
  Ints positions;         // of each gram, in the result; no two the same
  Reals weights;          // of each gram; empty: ones
  GramWeight weight = GramWeight::tf;
};

/// How often each gram of the pool occurs in x (C) or in each row of x (N, C), i32 or i64: f32.
Result<TensorId> count_grams(Graph& graph, std::string_view name, TensorId x,
                             const GramOptions& options);

}  // namespace leat::ops
