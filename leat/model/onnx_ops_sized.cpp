// ONNX operators whose results have sizes that follow from values. The host computes them: of
// constants at import, else between two parts of the model (onnx_parts.cpp). Source: ONNX operator
// schemas NonZero 9/13, Compress 9/11, Unique 11, NonMaxSuppression 10/11.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

using HostValues = std::span<const HostTensor* const>;
using HostResults = std::vector<HostTensor>;

HostTensor list_of(const Ints& values) {
  HostTensor list = HostTensor::zeros(DType::i64, {std::ssize(values)});
  if (!values.empty()) std::memcpy(list.bytes.data(), values.data(), list.bytes.size());
  return list;
}

/// Along a dimension of a tensor: `outer` times `count` slices of `step_bytes`, one behind the
/// other.
struct Slicing {
  int64_t outer = 1;
  int64_t count = 1;
  size_t step_bytes = 0;

  Slicing(const HostTensor& x, size_t axis) : count(x.shape[axis]) {
    for (size_t d = 0; d < axis; ++d) outer *= x.shape[d];
    const int64_t slices = outer * count;
    if (slices > 0) step_bytes = x.bytes.size() / static_cast<size_t>(slices);
  }
};

/// The slices at these places, in their order.
HostTensor taken(const HostTensor& x, size_t axis, const Ints& places) {
  const Slicing slicing(x, axis);
  Shape shape = x.shape;
  shape[axis] = std::ssize(places);
  HostTensor y = HostTensor::zeros(x.dtype, shape);
  std::byte* to = y.bytes.data();
  for (int64_t o = 0; o < slicing.outer && slicing.step_bytes > 0; ++o) {
    for (const int64_t place : places) {
      const auto from = static_cast<size_t>(o * slicing.count + place) * slicing.step_bytes;
      std::memcpy(to, x.bytes.data() + from, slicing.step_bytes);
      to += slicing.step_bytes;
    }
  }
  return y;
}

/// In one dimension where no axis is asked for. Errors: invalid_argument: there is no such axis.
Result<size_t> sliced_axis(HostTensor& x, std::optional<int64_t> axis) {
  if (!axis) x.shape = {element_count(x.shape)};
  const auto rank = std::ssize(x.shape);
  const int64_t given = axis.value_or(0);
  if (given < -rank || given >= rank) {
    return invalid(fmt::format("Axis ({}) is outside the rank ({}).", given, rank));
  }
  return static_cast<size_t>(given < 0 ? given + rank : given);
}

bool is_true(const HostTensor& x, int64_t i) {
  return is_float(x.dtype) ? x.number(i) != 0 : x.integer(i) != 0;
}

// --- NonZero and Compress ------------------------------------------------------------------------

/// Of what the host computes: numbers of 8 bytes, and boxes that are compared with others, some ten
/// seconds' worth.
constexpr int64_t kHostNumbersMax = int64_t{1} << 27;
constexpr int64_t kComparisonsMax = int64_t{1} << 33;

Result<HostTensor> non_zero(const HostTensor& x) {
  const Shape shape = x.shape.empty() ? Shape{1} : x.shape;
  const std::vector<int64_t> strides = row_major_strides(shape);
  int64_t count = 0;
  for (int64_t i = 0; i < element_count(shape); ++i) count += is_true(x, i) ? 1 : 0;
  if (count > kHostNumbersMax / std::ssize(shape)) {
    return unsupported(
        fmt::format("NonZero finds ({}) elements in ({}) dimensions, more numbers "
                    "than the limit ({}).",
                    count, shape.size(), kHostNumbersMax));
  }
  HostTensor found = HostTensor::zeros(DType::i64, {std::ssize(shape), count});
  int64_t at = 0;
  for (int64_t i = 0; i < element_count(shape); ++i) {
    if (!is_true(x, i)) continue;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      found.set_integer(static_cast<int64_t>(axis) * count + at, i / strides[axis] % shape[axis]);
    }
    ++at;
  }
  return found;
}

Result<TensorId> import_non_zero(OnnxNode& node) {
  return node.compute_on_host([](HostValues x) -> Result<HostResults> {
    TRY_ASSIGN(HostTensor found, non_zero(*x[0]));
    HostResults results;
    results.push_back(std::move(found));
    return results;
  });
}

Result<Ints> kept_places(const HostTensor& condition, int64_t extent) {
  if (condition.dtype != DType::boolean || condition.shape.size() != 1 ||
      condition.shape[0] > extent) {
    return invalid(fmt::format("The condition ({}, {}) is no list of at most ({}) bools.",
                               name_of(condition.dtype), to_string(condition.shape), extent));
  }
  Ints kept;
  for (int64_t i = 0; i < condition.shape[0]; ++i) {
    if (condition.integer(i) != 0) kept.push_back(i);
  }
  return kept;
}

/// The elements, or slices along the axis, whose condition is true. With a constant condition the
/// device takes them.
Result<TensorId> compress_by(OnnxNode& node, const HostTensor& condition,
                             std::optional<int64_t> axis) {
  TensorId x = node.input(0);
  if (!axis) {
    TRY_ASSIGN(x, ops::reshape(node.graph(), node.name() + "/flat", x, {-1}));
  }
  const Shape shape = node.graph().tensors[x].shape;
  const auto rank = std::ssize(shape);
  const int64_t given = axis.value_or(0);
  if (given < -rank || given >= rank) {
    return invalid(fmt::format("Axis ({}) is outside the rank ({}).", given, rank));
  }
  const auto place = static_cast<size_t>(given < 0 ? given + rank : given);
  TRY_ASSIGN(const Ints kept, kept_places(condition, shape[place]));
  const TensorId list = ops::vector_i64(node.graph(), node.name() + "/kept", kept);
  return ops::gather(node.graph(), node.name(), x, list, static_cast<int64_t>(place));
}

std::optional<int64_t> read_axis(OnnxNode& node) {
  if (!node.has_attribute("axis")) return std::nullopt;
  return node.integer("axis", 0);
}

Result<TensorId> import_compress(OnnxNode& node) {
  const std::optional<int64_t> axis = read_axis(node);
  const HostTensor* condition = node.constant_if_known(1, "condition");
  if (node.failure()) return *node.failure();
  if (condition) return compress_by(node, *condition, axis);
  return node.compute_on_host([axis](HostValues given) -> Result<HostResults> {
    HostTensor x = *given[0];
    TRY_ASSIGN(const size_t place, sliced_axis(x, axis));
    TRY_ASSIGN(const Ints kept, kept_places(*given[1], x.shape[place]));
    return HostResults{taken(x, place, kept)};
  });
}

// --- Unique --------------------------------------------------------------------------------------

/// Compares slices along an axis.
class Slices {
 public:
  Slices(const HostTensor& x, size_t axis) : x_(x), count_(x.shape[axis]) {
    step_ = row_major_strides(x.shape)[axis];  // 0, where a dimension behind has no element
    for (size_t d = 0; d < axis; ++d) outer_ *= x.shape[d];
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
  int64_t count_ = 0, step_ = 1, outer_ = 1;
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
    unique.counts.push_back(std::ssize(groups[g]));
    for (const int64_t i : groups[g]) {
      unique.inverse[static_cast<size_t>(i)] = static_cast<int64_t>(g);
    }
  }
  return unique;
}

Result<TensorId> import_unique(OnnxNode& node) {
  const std::optional<int64_t> axis = read_axis(node);
  const bool sorted = node.flag("sorted", true);
  if (node.failure()) return *node.failure();
  return node.compute_on_host([axis, sorted](HostValues given) -> Result<HostResults> {
    HostTensor x = *given[0];
    TRY_ASSIGN(const size_t place, sliced_axis(x, axis));
    const UniqueResult unique = unique_of(Slices(x, place), sorted);
    return HostResults{taken(x, place, unique.first), list_of(unique.first),
                       list_of(unique.inverse), list_of(unique.counts)};
  });
}

// --- NonMaxSuppression ---------------------------------------------------------------------------

/// Corners, whichever two the model gives.
struct Box {
  float low[2] = {}, high[2] = {};

  float area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

Box box_at(const HostTensor& boxes, int64_t index, bool is_centred) {
  Box box;
  for (int64_t axis = 0; axis < 2; ++axis) {
    const auto a = static_cast<float>(boxes.number(index * 4 + axis));
    const auto b = static_cast<float>(boxes.number(index * 4 + 2 + axis));
    box.low[axis] = is_centred ? a - b / 2 : std::min(a, b);
    box.high[axis] = is_centred ? a + b / 2 : std::max(a, b);
  }
  return box;
}

bool overlap(const Box& a, const Box& b, float limit) {
  float common = 1;
  for (int axis = 0; axis < 2; ++axis) {
    const float low = std::max(a.low[axis], b.low[axis]);
    const float high = std::min(a.high[axis], b.high[axis]);
    if (high <= low) return false;
    common *= high - low;
  }
  const float all = a.area() + b.area() - common;
  return common > 0 && all > 0 && common / all > limit;
}

struct Suppression {
  bool is_centred = false;
  int64_t boxes_max = 0;
  float overlap_max = 0;
  std::optional<float> score_least;  // scores above it
};

/// The boxes of one class in descending order of their scores, without those that overlap one
/// before. A score that is no number is none. `comparisons_left` are taken off.
Result<Ints> selected(const std::vector<Box>& boxes, std::span<const float> scores,
                      const Suppression& rule, int64_t& comparisons_left) {
  Ints order;
  for (size_t i = 0; i < scores.size(); ++i) {
    const bool is_enough =
        rule.score_least ? scores[i] > *rule.score_least : !std::isnan(scores[i]);
    if (is_enough) order.push_back(static_cast<int64_t>(i));
  }
  const auto score_of = [&](int64_t i) { return scores[static_cast<size_t>(i)]; };
  std::ranges::stable_sort(order, std::ranges::greater(), score_of);
  Ints kept;
  for (const int64_t candidate : order) {
    if (std::ssize(kept) >= rule.boxes_max) break;
    comparisons_left -= std::ssize(kept);
    if (comparisons_left < 0) {
      return unsupported(
          fmt::format("NonMaxSuppression compares ({}) boxes with each other, more "
                      "often than the limit ({}).",
                      order.size(), kComparisonsMax));
    }
    const bool is_hidden = std::ranges::any_of(kept, [&](int64_t other) {
      return overlap(boxes[static_cast<size_t>(candidate)], boxes[static_cast<size_t>(other)],
                     rule.overlap_max);
    });
    if (!is_hidden) kept.push_back(candidate);
  }
  return kept;
}

Result<void> check_boxes(const HostTensor& boxes, const HostTensor& scores) {
  const bool fits = is_float(boxes.dtype) && is_float(scores.dtype) && boxes.shape.size() == 3 &&
                    boxes.shape[2] == 4 && scores.shape.size() == 3 &&
                    scores.shape[0] == boxes.shape[0] && scores.shape[2] == boxes.shape[1];
  if (fits) return {};
  return invalid(
      fmt::format("Boxes {} {} and scores {} {} are not floats of shapes (B, N, 4) and (B, C, N).",
                  name_of(boxes.dtype), to_string(boxes.shape), name_of(scores.dtype),
                  to_string(scores.shape)));
}

Result<HostTensor> suppressed(const HostTensor& boxes, const HostTensor& scores,
                              const Suppression& rule) {
  TRY(check_boxes(boxes, scores));
  const int64_t classes = scores.shape[1], count = boxes.shape[1];
  Ints found;
  int64_t comparisons_left = kComparisonsMax;
  for (int64_t batch = 0; batch < boxes.shape[0]; ++batch) {
    std::vector<Box> own;
    for (int64_t i = 0; i < count; ++i) {
      own.push_back(box_at(boxes, batch * count + i, rule.is_centred));
    }
    std::vector<float> values(static_cast<size_t>(count));
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t first = (batch * classes + c) * count;
      for (int64_t i = 0; i < count; ++i) {
        values[static_cast<size_t>(i)] = static_cast<float>(scores.number(first + i));
      }
      TRY_ASSIGN(const Ints kept, selected(own, values, rule, comparisons_left));
      for (const int64_t box : kept) {
        found.insert(found.end(), {batch, c, box});
      }
    }
  }
  HostTensor result = list_of(found);
  result.shape = {std::ssize(found) / 3, 3};
  return result;
}

Result<TensorId> import_non_max_suppression(OnnxNode& node) {
  const bool is_centred = node.flag("center_point_box", false);
  if (node.failure()) return *node.failure();
  return node.compute_on_host([is_centred](HostValues given) -> Result<HostResults> {
    const auto number = [&](size_t index) -> std::optional<float> {
      const bool is_there =
          index < given.size() && given[index] != nullptr && element_count(given[index]->shape) > 0;
      return is_there ? std::optional(static_cast<float>(given[index]->number(0))) : std::nullopt;
    };
    Suppression rule;
    rule.is_centred = is_centred;
    if (given.size() > 2 && given[2] != nullptr && element_count(given[2]->shape) > 0) {
      if (given[2]->dtype != DType::i64) return invalid("The number of boxes is not of type i64.");
      rule.boxes_max = given[2]->integer(0);
    }
    rule.overlap_max = number(3).value_or(0);
    rule.score_least = number(4);
    TRY_ASSIGN(HostTensor result, suppressed(*given[0], *given[1], rule));
    return HostResults{std::move(result)};
  });
}

constexpr OnnxOperator kOperators[] = {
    {"NonZero", 9, 1, 1, 1, "all", import_non_zero, "on the host"},
    {"Compress", 9, 2, 2, 1, "all", import_compress,
     "on the host, unless the condition is constant"},
    {"Unique", 11, 1, 1, 4, "all", import_unique, "on the host"},
    {"NonMaxSuppression", 10, 2, 5, 1, "float", import_non_max_suppression, "on the host"},
};

}  // namespace

std::span<const OnnxOperator> sized_operators() { return kOperators; }

}  // namespace leat::onnx_ops
