// ONNX operators that write where other tensors say, and their like. Source: ONNX operator schemas
// Scatter 9/11, ScatterElements 11/13/16/18, ScatterND 11/13/16/18, TensorScatter 24, MaxUnpool
// 9/11/22, Col2Im 18, ReverseSequence 10, Compress 9/11, Unique 11, BitCast 26.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "leat/model/onnx_file.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_window.h"
#include "leat/tensor/index_check.h"
#include "leat/tensor/ops_scatter.h"

namespace leat::onnx_ops {
namespace {

ReduceOp read_reduction(OnnxNode& node) {
  const std::string name = node.text("reduction", "none");
  if (name == "none") return ReduceOp::none;
  if (name == "add") return ReduceOp::sum;
  if (name == "mul") return ReduceOp::product;
  if (name == "max") return ReduceOp::max;
  if (name == "min") return ReduceOp::min;
  node.fail(
      ErrorKind::invalid_argument,
      fmt::format("Attribute \"reduction\" (\"{}\") is not none, add, mul, max or min.", name));
  return ReduceOp::none;
}

/// `y`, which was computed with the indices of input 1.
Result<TensorId> checked(const OnnxNode& node, TensorId y, const std::vector<int64_t>& extents) {
  TRY(ops::check_indices(node.graph(), node.op(), node.name(), y, node.input(1), extents));
  return y;
}

Result<TensorId> import_scatter_elements(OnnxNode& node) {
  const int64_t axis = node.integer("axis", 0);
  const ReduceOp reduction = read_reduction(node);
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const TensorId y,
             ops::scatter_elements(node.graph(), node.name(), node.input(0), node.input(1),
                                   node.input(2), axis, reduction));
  const Shape& shape = node.graph().tensors[node.input(0)].shape;
  const int64_t place = axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis;
  return checked(node, y, {shape[static_cast<size_t>(place)]});
}

Result<TensorId> import_scatter_nd(OnnxNode& node) {
  const ReduceOp reduction = read_reduction(node);
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const TensorId y, ops::scatter_nd(node.graph(), node.name(), node.input(0),
                                               node.input(1), node.input(2), reduction));
  const Shape& shape = node.graph().tensors[node.input(0)].shape;
  const int64_t depth = node.graph().tensors[node.input(1)].shape.back();
  return checked(node, y, std::vector<int64_t>(shape.begin(), shape.begin() + depth));
}

Result<TensorId> import_tensor_scatter(OnnxNode& node) {
  ops::TensorScatterOptions options;
  options.axis = node.integer("axis", -2);
  const std::string mode = node.text("mode", "linear");
  if (mode != "linear" && mode != "circular") {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Attribute \"mode\" (\"{}\") is not linear or circular.", mode));
  }
  options.circular = mode == "circular";
  return ops::tensor_scatter(node.graph(), node.name(), node.input(0), node.input(1), node.input(2),
                             options);
}

Result<TensorId> import_max_unpool(OnnxNode& node) {
  const ops::Window window = read_window(node);
  const Ints shape = node.has_input(2) ? node.constant_integers(2, "output_shape") : Ints();
  if (node.failure()) return *node.failure();
  return ops::max_unpool(node.graph(), node.name(), node.input(0), node.input(1), window, shape);
}

Result<TensorId> import_col2im(OnnxNode& node) {
  ops::Window window = read_window(node);
  const Ints image = node.constant_integers(1, "image_shape");
  window.kernel = node.constant_integers(2, "block_shape");
  if (node.failure()) return *node.failure();
  return ops::col2im(node.graph(), node.name(), node.input(0), image, window);
}

Result<TensorId> import_reverse_sequence(OnnxNode& node) {
  const ops::ReverseOptions options = {.batch_axis = node.integer("batch_axis", 1),
                                       .time_axis = node.integer("time_axis", 0)};
  return ops::reverse_sequence(node.graph(), node.name(), node.input(0), node.input(1), options);
}

Result<TensorId> import_bit_cast(OnnxNode& node) {
  const int64_t code = node.required_integer("to");
  TRY_ASSIGN(const DType dtype,
             dtype_of_onnx(code >= 0 && code < 1000 ? static_cast<int>(code) : 0));
  return ops::bit_cast(node.graph(), node.name(), node.input(0), dtype);
}

TensorId list_of(OnnxNode& node, std::string_view suffix, const Ints& values) {
  return ops::vector_i64(node.graph(), node.name() + std::string(suffix), values);
}

/// Input 0, in one dimension where no axis is asked for.
Result<TensorId> listed(OnnxNode& node, bool has_axis) {
  if (has_axis) return node.input(0);
  return ops::reshape(node.graph(), node.name() + "/flat", node.input(0), {-1});
}

/// The elements, or slices along the axis, whose condition is true. It decides the result's shape.
Result<TensorId> import_compress(OnnxNode& node) {
  const HostTensor* condition = node.constant(1, "condition");
  const bool has_axis = node.has_attribute("axis");
  const int64_t axis = node.integer("axis", 0);
  if (node.failure()) return *node.failure();
  const int64_t rank = node.rank(0);
  if (has_axis && (axis < -rank || axis >= rank)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Axis ({}) is outside the rank ({}).", axis, rank));
  }
  const Shape shape = node.shape(0);
  const int64_t extent =
      has_axis ? shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)] : element_count(shape);
  if (condition->dtype != DType::boolean || condition->shape.size() != 1 ||
      condition->shape[0] > extent) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The condition ({}, {}) is no list of at most ({}) bools.",
                             name_of(condition->dtype), to_string(condition->shape), extent));
  }
  Ints kept;
  for (int64_t i = 0; i < condition->shape[0]; ++i) {
    if (condition->integer(i) != 0) kept.push_back(i);
  }
  TRY_ASSIGN(const TensorId x, listed(node, has_axis));
  return ops::gather(node.graph(), node.name(), x, list_of(node, "/kept", kept), axis);
}

/// Compares slices of a constant along an axis.
class Slices {
 public:
  Slices(const HostTensor& x, size_t axis) : x_(x), count_(x.shape[axis]) {
    step_ = row_major_strides(x.shape)[axis];
    outer_ = count_ == 0 ? 0 : element_count(x.shape) / (count_ * step_);
  }
  int64_t count() const { return count_; }
  /// As the elements are, from the first that differs.
  bool is_less(int64_t a, int64_t b) const {
    for (int64_t i = 0; i < outer_ * step_; ++i) {
      const int64_t place = i / step_ * count_ * step_ + i % step_;
      const int order = compare(place + a * step_, place + b * step_);
      if (order != 0) return order < 0;
    }
    return false;
  }

 private:
  int compare(int64_t a, int64_t b) const {
    const auto sign = [](auto left, auto right) {
      return left < right ? -1 : right < left ? 1 : 0;
    };
    if (is_float(x_.dtype)) {
      // What is no number comes last, and all of it is one: an order has no holes.
      const double left = x_.number(a), right = x_.number(b);
      const bool left_is_nan = std::isnan(left), right_is_nan = std::isnan(right);
      return left_is_nan || right_is_nan ? sign(left_is_nan, right_is_nan) : sign(left, right);
    }
    if (x_.dtype != DType::u64) return sign(x_.integer(a), x_.integer(b));
    return sign(static_cast<uint64_t>(x_.integer(a)), static_cast<uint64_t>(x_.integer(b)));
  }

  const HostTensor& x_;
  int64_t count_ = 0, step_ = 1, outer_ = 0;
};

struct UniqueResult {
  Ints first, inverse, counts;
};

UniqueResult unique_of(const Slices& slices, bool sorted) {
  Ints order(static_cast<size_t>(slices.count()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return slices.is_less(a, b); });
  std::vector<Ints> groups;
  for (const int64_t i : order) {
    if (groups.empty() || slices.is_less(groups.back()[0], i)) groups.emplace_back();
    groups.back().push_back(i);
  }
  if (!sorted) std::ranges::sort(groups, {}, [](const Ints& group) { return group[0]; });
  UniqueResult unique;
  unique.inverse.assign(order.size(), 0);
  for (size_t g = 0; g < groups.size(); ++g) {
    unique.first.push_back(groups[g][0]);
    unique.counts.push_back(static_cast<int64_t>(groups[g].size()));
    for (const int64_t i : groups[g])
      unique.inverse[static_cast<size_t>(i)] = static_cast<int64_t>(g);
  }
  return unique;
}

Result<TensorId> import_unique(OnnxNode& node) {
  const bool has_axis = node.has_attribute("axis");
  const int64_t given = node.integer("axis", 0);
  const bool sorted = node.flag("sorted", true);
  node.constant(0, "X");
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const TensorId x, listed(node, has_axis));
  const std::shared_ptr<const HostTensor> value = node.graph().tensors[x].constant;
  if (!value) {
    return Error(ErrorKind::unsupported, "Unique of so large a constant is not supported.");
  }
  const auto rank = static_cast<int64_t>(value->shape.size());
  if (given < -rank || given >= rank) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Axis ({}) is outside the rank ({}).", given, rank));
  }
  const auto axis = static_cast<size_t>(given < 0 ? given + rank : given);
  const UniqueResult unique = unique_of(Slices(*value, axis), sorted);
  const TensorId first = list_of(node, "/first", unique.first);
  node.set_output(1, first);
  node.set_output(2, list_of(node, "/inverse", unique.inverse));
  node.set_output(3, list_of(node, "/counts", unique.counts));
  return ops::gather(node.graph(), node.name(), x, first, static_cast<int64_t>(axis));
}

constexpr OnnxOperator kOperators[] = {
    {"Scatter", 9, 3, 3, 1, "all", import_scatter_elements},
    {"ScatterElements", 11, 3, 3, 1, "all", import_scatter_elements},
    {"ScatterND", 11, 3, 3, 1, "all", import_scatter_nd},
    {"TensorScatter", 24, 2, 3, 1, "all", import_tensor_scatter},
    {"MaxUnpool", 9, 2, 3, 1, "float", import_max_unpool, "constant shape"},
    {"Col2Im", 18, 3, 3, 1, "float, int", import_col2im, "constant shapes"},
    {"ReverseSequence", 10, 2, 2, 1, "all", import_reverse_sequence},
    {"Compress", 9, 2, 2, 1, "all", import_compress, "constant condition"},
    {"Unique", 11, 1, 1, 4, "all", import_unique, "constant input"},
    {"BitCast", 26, 1, 1, 1, "int, bool, float16", import_bit_cast,
     "of floats only float16 and bfloat16"},
};

}  // namespace

std::span<const OnnxOperator> scatter_operators() { return kOperators; }

}  // namespace leat::onnx_ops
