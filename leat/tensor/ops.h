// The named operators: free functions that append one node, or a short chain of nodes, to a Graph.
//
// Every function takes the graph, the name of the new node, its input tensors and its options,
// infers and checks shapes, and returns the output's TensorId. Meaning, defaults and edge cases are
// those of the ONNX operator of the same name (source: ONNX operator schemas, opset 7 to 21, unless
// a comment names another). What ONNX passes as a tensor but decides a shape (axes, target shapes,
// pads, sizes) is plain numbers here.
//
// Common rules, not repeated below:
//   names      `name` should be unique in the graph; intermediate nodes are called name + "/mean"
//              and the like; an empty name becomes op + number. The output tensor has that name.
//   dtypes     float operators take f32, f16, bf16 and f64 and keep the dtype; statistics are kept
//              in f32. Inputs of one operator must have the same dtype unless said otherwise.
//   optional   a TensorId parameter that defaults to kNoTensor, and a bias, may be left out.
//   axes       may be negative, counted from the end.
//   constants  if all inputs are constants the result is one too (Tensor::constant is set), unless
//              it is large. A result without elements is always a constant.
//   errors     invalid_argument with a full sentence that names the operator and the values;
//              after an error the graph may hold unused nodes and must be given up.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "leat/base/dtype.h"
#include "leat/base/result.h"
#include "leat/base/shape.h"
#include "leat/tensor/expr.h"
#include "leat/tensor/graph.h"

namespace leat::ops {

using Ints = std::vector<int64_t>;

// --- Contractions (ops_conv.cpp, ops_conv_transpose.cpp, ops_matmul.cpp)
// ---------------------------------

/// Where padding comes from when it is not given as numbers.
enum class AutoPad : uint8_t { none, same_upper, same_lower, valid };

/// A sliding window over the spatial dimensions (all after N and C). Lists have one entry per
/// spatial dimension, `pads` two: all begins, then all ends. Empty lists mean ones (strides,
/// dilations) or zeros (pads). pads must be empty or zero when auto_pad is not none.
struct Window {
  Ints kernel;  // conv, conv_transpose: empty, taken from w; checked if given
  Ints strides;
  Ints dilations;
  Ints pads;
  AutoPad auto_pad = AutoPad::none;
  bool ceil_mode = false;  // pooling only
};

struct ConvOptions {
  Window window;
  int64_t groups = 1;
};

/// x (N, C, spatial...), w (K, C/groups, kernel...), bias (K).
Result<TensorId> conv(Graph& graph, std::string_view name, TensorId x, TensorId w, TensorId bias,
                      const ConvOptions& options);

struct ConvTransposeOptions {
  Window window;
  int64_t groups = 1;
  Ints output_padding;  // empty: zeros
  Ints output_shape;    // spatial extents; if given, pads are computed from it
};

/// x (N, C, spatial...), w (C, K/groups, kernel...), bias (K).
Result<TensorId> conv_transpose(Graph& graph, std::string_view name, TensorId x, TensorId w,
                                TensorId bias, const ConvTransposeOptions& options);

/// numpy.matmul: 1-D operands, batch dimensions with broadcasting. Whole numbers too.
Result<TensorId> matmul(Graph& graph, std::string_view name, TensorId a, TensorId b);

struct GemmOptions {
  double alpha = 1;
  double beta = 1;
  bool transpose_a = false;
  bool transpose_b = false;
};

/// alpha * a' * b' + beta * c; c broadcasts to (M, N) and may be left out.
Result<TensorId> gemm(Graph& graph, std::string_view name, TensorId a, TensorId b, TensorId c,
                      const GemmOptions& options);

// --- Element by element (ops_elementwise.cpp, ops_activation.cpp) -------------------------------

/// Any one-operand ScalarOp. neg and abs also take whole numbers; logical_not takes bool.
/// (Not, Ceil, Floor, Round = round_even, Exp, Log, Sqrt, Erf, Sin, ... Tanh.)
Result<TensorId> unary(Graph& graph, std::string_view name, ScalarOp op, TensorId x);

/// add, sub, mul, div, min, max, bit_and, bit_or, bit_xor, shift_left, shift_right, logical_and,
/// logical_or, logical_xor with broadcasting. Whole numbers wrap to their dtype; div truncates.
Result<TensorId> binary(Graph& graph, std::string_view name, ScalarOp op, TensorId a, TensorId b);

enum class Comparison : uint8_t { equal, less, less_equal, greater, greater_equal };

/// bool result, with broadcasting. equal also takes bool.
Result<TensorId> compare(Graph& graph, std::string_view name, Comparison comparison, TensorId a,
                         TensorId b);

/// condition (bool) ? a : b, with broadcasting of all three.
Result<TensorId> where(Graph& graph, std::string_view name, TensorId condition, TensorId a,
                       TensorId b);

/// The exponent may have another dtype; the result has the base's.
Result<TensorId> pow(Graph& graph, std::string_view name, TensorId base, TensorId exponent);

/// fmod true: the sign of the dividend (C); false: the sign of the divisor (Python).
Result<TensorId> mod(Graph& graph, std::string_view name, TensorId a, TensorId b, bool fmod);

/// low and high have one element each and x's dtype.
Result<TensorId> clip(Graph& graph, std::string_view name, TensorId x, TensorId low = kNoTensor,
                      TensorId high = kNoTensor);
/// The same with plain numbers (Clip before opset 11).
Result<TensorId> clip_to(Graph& graph, std::string_view name, TensorId x, std::optional<double> low,
                         std::optional<double> high);

enum class Activation : uint8_t {
  relu,        // also whole numbers
  leaky_relu,  // alpha: slope below 0
  elu,         // alpha
  selu,        // alpha, beta = gamma
  celu,        // alpha
  sigmoid,
  hard_sigmoid,  // alpha, beta: max(0, min(1, alpha * x + beta))
  hard_swish,
  softplus,
  softsign,
  gelu_erf,
  gelu_tanh,
  mish,
  swish,             // x * sigmoid(alpha * x); SiLU with alpha 1
  thresholded_relu,  // alpha: threshold
  shrink,            // alpha = lambd, beta = bias; also whole numbers
  reciprocal,
  sign,  // also whole numbers
};

struct ActivationOptions {
  double alpha = 0;
  double beta = 0;
};

/// The defaults of the ONNX operator.
ActivationOptions default_options(Activation kind);
Result<TensorId> activation(Graph& graph, std::string_view name, Activation kind, TensorId x,
                            ActivationOptions options);
/// With default_options(kind).
Result<TensorId> activation(Graph& graph, std::string_view name, Activation kind, TensorId x);

/// slope broadcasts to x (one way).
Result<TensorId> prelu(Graph& graph, std::string_view name, TensorId x, TensorId slope);

/// bool results.
Result<TensorId> is_nan(Graph& graph, std::string_view name, TensorId x);
Result<TensorId> is_inf(Graph& graph, std::string_view name, TensorId x, bool positive = true,
                        bool negative = true);

/// Whole numbers only: every bit inverted.
Result<TensorId> bit_not(Graph& graph, std::string_view name, TensorId x);

/// Between all dtypes. Float to whole number truncates, then wraps to the dtype's width; to bool is
/// != 0. The same dtype gives a copy.
/// `saturate`: to a small float, what is too large becomes the largest number.
Result<TensorId> cast(Graph& graph, std::string_view name, TensorId x, DType dtype,
                      bool saturate = true);
/// A copy under a new name (Identity, Dropout).
Result<TensorId> identity(Graph& graph, std::string_view name, TensorId x);

enum class Variadic : uint8_t { sum, mean, min, max };

/// One or more inputs, with broadcasting.
Result<TensorId> variadic(Graph& graph, std::string_view name, Variadic kind,
                          std::span<const TensorId> inputs);

// --- Pooling (ops_pool.cpp) ---------------------------------------------------------------------

/// Floats, i8 and u8. NaN is passed over: a window of nothing else gives -inf.
Result<TensorId> max_pool(Graph& graph, std::string_view name, TensorId x, const Window& window);
/// MaxPool's second output, i64: where the maximum `pooled` (the result of max_pool with the same x
/// and window) stands in the whole tensor x. column_major is ONNX' storage_order 1.
Result<TensorId> max_pool_indices(Graph& graph, std::string_view name, TensorId x, TensorId pooled,
                                  const Window& window, bool column_major = false);
Result<TensorId> average_pool(Graph& graph, std::string_view name, TensorId x, const Window& window,
                              bool count_include_pad = false);
Result<TensorId> lp_pool(Graph& graph, std::string_view name, TensorId x, const Window& window,
                         double p = 2);

/// Over all spatial dimensions, which stay with extent 1.
Result<TensorId> global_max_pool(Graph& graph, std::string_view name, TensorId x);
Result<TensorId> global_average_pool(Graph& graph, std::string_view name, TensorId x);
Result<TensorId> global_lp_pool(Graph& graph, std::string_view name, TensorId x, double p = 2);

// --- Reductions (ops_reduce.cpp) ----------------------------------------------------------------

enum class Reduction : uint8_t {
  sum,
  mean,
  max,
  min,
  product,
  l1,
  l2,
  log_sum,
  log_sum_exp,
  sum_square
};

struct ReduceOptions {
  std::optional<Ints> axes;  // none: all axes; an empty list: no axis, which applies the element's
                             // and the result's function only (noop_with_empty_axes)
  bool keep_dims = true;
};

/// Floats and whole numbers; max and min also bool.
Result<TensorId> reduce(Graph& graph, std::string_view name, Reduction reduction, TensorId x,
                        const ReduceOptions& options);

struct ArgOptions {
  int64_t axis = 0;
  bool keep_dims = true;
  bool select_last_index = false;
};

/// i64 results.
Result<TensorId> arg_max(Graph& graph, std::string_view name, TensorId x,
                         const ArgOptions& options);
Result<TensorId> arg_min(Graph& graph, std::string_view name, TensorId x,
                         const ArgOptions& options);

struct SoftmaxOptions {
  int64_t axis = -1;
  bool flatten = false;  // opset < 13: over all dimensions from `axis` on
};

Result<TensorId> softmax(Graph& graph, std::string_view name, TensorId x,
                         const SoftmaxOptions& options);
Result<TensorId> log_softmax(Graph& graph, std::string_view name, TensorId x,
                             const SoftmaxOptions& options);
/// 1 at the first maximum, else 0.
Result<TensorId> hardmax(Graph& graph, std::string_view name, TensorId x,
                         const SoftmaxOptions& options);

struct ScanOptions {
  int64_t axis = 0;
  bool exclusive = false;  // without the element itself
  bool reverse = false;    // from the end
};

/// Floats and whole numbers, which wrap.
Result<TensorId> cumsum(Graph& graph, std::string_view name, TensorId x,
                        const ScanOptions& options);
Result<TensorId> cumprod(Graph& graph, std::string_view name, TensorId x,
                         const ScanOptions& options);

struct TopKOptions {
  int64_t k = 1;
  int64_t axis = -1;
  bool largest = true;
};

struct TopKResult {
  TensorId values = kNoTensor;
  TensorId indices = kNoTensor;  // i64
};

/// The k first in descending (ascending) order; among equals the lower index first. NaN counts as
/// the largest. Floats and whole numbers.
Result<TopKResult> top_k(Graph& graph, std::string_view name, TensorId x,
                         const TopKOptions& options);

// --- Normalisations (ops_norm.cpp) --------------------------------------------------------------

struct BatchNormInputs {  // each (C)
  TensorId scale = kNoTensor;
  TensorId bias = kNoTensor;
  TensorId mean = kNoTensor;
  TensorId variance = kNoTensor;
};

/// Inference. scale and shift per channel are nodes of their own, folded when they are constants.
Result<TensorId> batch_norm(Graph& graph, std::string_view name, TensorId x,
                            const BatchNormInputs& inputs, double epsilon = 1e-5);

/// x (N, C, spatial...), scale and bias (C).
Result<TensorId> instance_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                               TensorId bias, double epsilon = 1e-5);

/// scale and bias (C), or (groups) as opset 18 had it: `per_group`.
struct GroupNormOptions {
  int64_t groups = 1;
  double epsilon = 1e-5;
  bool per_group = false;
};
Result<TensorId> group_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                            TensorId bias, const GroupNormOptions& options);

struct LayerNormResult {
  TensorId y = kNoTensor;
  TensorId mean = kNoTensor;               // f32, extents 1 from `axis` on
  TensorId inverse_deviation = kNoTensor;  // f32
};

/// Over the dimensions from `axis` on; scale and bias broadcast to x; bias may be left out.
Result<LayerNormResult> layer_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                                   TensorId bias, int64_t axis = -1, double epsilon = 1e-5);

/// x / sqrt(mean(x * x) + epsilon) * scale over the dimensions from `axis` on.
Result<TensorId> rms_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                          int64_t axis = -1, double epsilon = 1e-5);

struct LrnOptions {
  int64_t size = 1;
  double alpha = 1e-4;
  double beta = 0.75;
  double bias = 1;
};

Result<TensorId> lrn(Graph& graph, std::string_view name, TensorId x, const LrnOptions& options);

/// MeanVarianceNormalization; ONNX' default axes are 0, 2, 3.
Result<TensorId> mean_variance_norm(Graph& graph, std::string_view name, TensorId x,
                                    const Ints& axes);

struct LpNormOptions {
  int64_t axis = -1;
  int64_t p = 2;  // 1 or 2
};
Result<TensorId> lp_norm(Graph& graph, std::string_view name, TensorId x,
                         const LpNormOptions& options);

// --- Attention (ops_rotary.cpp) -----------------------------------------------------------------

struct RotaryTables {  // of the angles; x's dtype
  TensorId cosine = kNoTensor;
  TensorId sine = kNoTensor;
  TensorId positions = kNoTensor;  // (N, S): rows of the tables
};

struct RotaryOptions {
  int64_t heads = 0;         // of a packed x
  int64_t rotated = 0;       // elements of each head that are turned, the first ones; 0: all
  bool interleaved = false;  // pairs lie side by side; else half of `rotated` apart
};

/// x (N, heads, S, head_size) or packed (N, S, heads * head_size). Tables are (rows, rotated / 2)
/// or, without positions, (N, S, rotated / 2). Positions follow the rules of gather.
Result<TensorId> rotary_embedding(Graph& graph, std::string_view name, TensorId x,
                                  const RotaryTables& tables, const RotaryOptions& options);

// --- Movement (ops_movement.cpp, ops_gather.cpp, ops_pad.cpp): any dtype
// -------------------------------------

/// `target` may hold one -1 (inferred) and, unless allow_zero, 0 (copied from x).
Result<TensorId> reshape(Graph& graph, std::string_view name, TensorId x, const Ints& target,
                         bool allow_zero = false);
/// To two dimensions: those before `axis` and the rest.
Result<TensorId> flatten(Graph& graph, std::string_view name, TensorId x, int64_t axis = 1);
/// Empty axes: all dimensions of extent 1.
Result<TensorId> squeeze(Graph& graph, std::string_view name, TensorId x, const Ints& axes);
/// Axes count in the result.
Result<TensorId> unsqueeze(Graph& graph, std::string_view name, TensorId x, const Ints& axes);

/// Result dimension i is x's dimension permutation[i]; empty: reversed.
Result<TensorId> transpose(Graph& graph, std::string_view name, TensorId x,
                           const Ints& permutation);

/// One entry per sliced axis; ends may be INT64_MAX or INT64_MIN. Empty axes: 0, 1, ...; empty
/// steps: ones. Steps may be negative.
struct SliceOptions {
  Ints starts;
  Ints ends;
  Ints axes;
  Ints steps;
};
Result<TensorId> slice(Graph& graph, std::string_view name, TensorId x,
                       const SliceOptions& options);

Result<TensorId> concat(Graph& graph, std::string_view name, std::span<const TensorId> inputs,
                        int64_t axis);

/// One part per entry of `sizes`, which sum to the axis' extent. Parts are name + "/0", "/1", ...
Result<std::vector<TensorId>> split(Graph& graph, std::string_view name, TensorId x,
                                    const Ints& sizes, int64_t axis);
/// Into `count` parts of equal size; the last is smaller if it does not divide.
Result<std::vector<TensorId>> split_evenly(Graph& graph, std::string_view name, TensorId x,
                                           int64_t count, int64_t axis);

/// Broadcasts both ways, as ONNX' Expand does.
Result<TensorId> expand(Graph& graph, std::string_view name, TensorId x, const Shape& shape);
Result<TensorId> tile(Graph& graph, std::string_view name, TensorId x, const Ints& repeats);

enum class PadMode : uint8_t { constant, reflect, edge, wrap };
struct PadOptions {
  Ints pads;  // all begins, then all ends; one per axis in `axes`; may be negative
  Ints axes;  // empty: all
  PadMode mode = PadMode::constant;
  double value = 0;                   // constant
  TensorId value_tensor = kNoTensor;  // one element; instead of value
};
Result<TensorId> pad(Graph& graph, std::string_view name, TensorId x, const PadOptions& options);

/// Indices are whole numbers; negative ones count from the end. Constant indices are checked here;
/// computed ones that point outside read 0.
Result<TensorId> gather(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                        int64_t axis = 0);
Result<TensorId> gather_elements(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                                 int64_t axis = 0);
Result<TensorId> gather_nd(Graph& graph, std::string_view name, TensorId x, TensorId indices,
                           int64_t batch_dims = 0);

/// column_row_depth: ONNX' mode CRD instead of DCR. x (N, C, H, W).
Result<TensorId> depth_to_space(Graph& graph, std::string_view name, TensorId x, int64_t block_size,
                                bool column_row_depth = false);
Result<TensorId> space_to_depth(Graph& graph, std::string_view name, TensorId x, int64_t block_size,
                                bool column_row_depth = false);

/// Keeps the upper or lower triangle of the last two dimensions; k moves the diagonal.
Result<TensorId> trilu(Graph& graph, std::string_view name, TensorId x, bool upper, int64_t k = 0);

/// values: (off, on); the result has its dtype and a new dimension of extent `depth` at `axis`.
Result<TensorId> one_hot(Graph& graph, std::string_view name, TensorId indices, int64_t depth,
                         TensorId values, int64_t axis = -1);

// --- Made from nothing (ops_create.cpp) ---------------------------------------------------------

/// A constant with one element, rank 0.
TensorId scalar(Graph& graph, std::string_view name, DType dtype, double value);
/// A constant vector of i64 (shapes).
TensorId vector_i64(Graph& graph, std::string_view name, std::span<const int64_t> values);
/// Every element is the one element of `value`, whose dtype the result has.
Result<TensorId> constant_of_shape(Graph& graph, std::string_view name, const Shape& shape,
                                   const HostTensor& value);
/// Ones on diagonal k of a matrix.
Result<TensorId> eye_like(Graph& graph, std::string_view name, const Shape& shape, DType dtype,
                          int64_t k = 0);
/// start, limit, delta: constants of one element and one dtype.
Result<TensorId> range(Graph& graph, std::string_view name, const HostTensor& start,
                       const HostTensor& limit, const HostTensor& delta);

// --- Resizing (ops_resize.cpp, resize_tables.cpp) -----------------------------------------------

enum class ResizeMode : uint8_t { nearest, linear, cubic };
enum class NearestMode : uint8_t {
  round_prefer_floor,
  round_prefer_ceil,
  floor,
  ceil,
  opset_10  // along an axis that shrinks ceil, else floor
};
enum class CoordinateMode : uint8_t {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  tf_half_pixel_for_nn,
  tf_crop_and_resize
};

struct ResizeOptions {
  std::vector<double> scales;  // one per dimension, or empty: sizes / extents
  Ints sizes;                  // one per dimension, or empty: floor(extent * scale)
  ResizeMode mode = ResizeMode::nearest;
  NearestMode nearest_mode = NearestMode::round_prefer_floor;
  CoordinateMode coordinate_mode = CoordinateMode::half_pixel;
  double cubic_coeff_a = -0.75;
  bool exclude_outside = false;
  bool antialias = false;   // linear and cubic
  std::vector<double> roi;  // tf_crop_and_resize: all starts, then all ends, one per dimension
  double extrapolation_value = 0;
};

/// At least one of scales and sizes. Dimensions that keep their size are left alone.
Result<TensorId> resize(Graph& graph, std::string_view name, TensorId x,
                        const ResizeOptions& options);

// --- Old experimental operators (ops_legacy.cpp) ------------------------------------------------

/// x (N, C, H, W) * scale + bias[c]; bias may be empty.
Result<TensorId> image_scaler(Graph& graph, std::string_view name, TensorId x, double scale,
                              std::span<const float> bias);
/// Crop of ONNX opset 1: border (left, top, right, bottom); scale (height, width) or empty.
Result<TensorId> crop(Graph& graph, std::string_view name, TensorId x, const Ints& border,
                      const Ints& scale);
/// alpha * x + beta.
Result<TensorId> affine(Graph& graph, std::string_view name, TensorId x, double alpha, double beta);

}  // namespace leat::ops
