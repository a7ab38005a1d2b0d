// Pooling: a reduction over the window with a masked load where a window may leave the input. How
// many taps an average counts depends on the position only near the edges; it is a product of one
// number per dimension, kept in small tables (or a constant, where all windows are alike).
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/window.h"

namespace leat::ops {
namespace {

struct Pool {
  TensorId x;
  Shape in_shape, out_shape;
  ResolvedWindow window;

  size_t spatial() const { return in_shape.size() - 2; }
};

Result<Pool> resolve_pool(const Graph& graph, const Place& place, TensorId x,
                          const Window& options) {
  Pool pool = {.x = x, .in_shape = shape_of(graph, x), .out_shape = {}, .window = {}};
  TRY_ASSIGN(const Ints input, spatial_extents(place, pool.in_shape));
  TRY_ASSIGN(pool.window, resolve_window(place, options, {}, input));
  pool.out_shape = {pool.in_shape[0], pool.in_shape[1]};
  pool.out_shape.insert(pool.out_shape.end(), pool.window.output.begin(), pool.window.output.end());
  TRY(require_shape(place, pool.out_shape));
  return pool;
}

/// Window over everything after N and C.
Window whole_window(const Shape& shape) {
  Window window;
  if (shape.size() > 2) window.kernel.assign(shape.begin() + 2, shape.end());
  return window;
}

struct Tap {
  std::vector<Term> index;
  Term inside;
};

/// Where the reduce axes read, seen from the output axes.
Tap tap_of(NodeWriter& writer, const Pool& pool) {
  Tap tap = {.index = {writer.axis(0), writer.axis(1)}, .inside = writer.truth(true)};
  for (size_t d = 0; d < pool.spatial(); ++d) {
    const WindowTap one = window_tap(writer, pool.window, d, writer.axis(2 + d),
                                     writer.axis(pool.in_shape.size() + d), pool.in_shape[2 + d]);
    tap.index.push_back(one.index);
    tap.inside = both(tap.inside, one.inside);
  }
  return tap;
}

/// What max takes for an element outside: below every value of the dtype.

}  // namespace

Result<TensorId> max_pool(Graph& graph, std::string_view name, TensorId x, const Window& window) {
  const Place place(graph, "MaxPool", name);
  const DType dtype = dtype_of(graph, x);
  if (dtype == DType::boolean) return place.error("The dtype (bool) has no maximum.");
  TRY_ASSIGN(const Pool pool, resolve_pool(graph, place, x, window));
  NodeWriter writer(graph, place);
  const Tap tap = tap_of(writer, pool);
  constexpr double kLowest = -std::numeric_limits<double>::infinity();  // or the type's lowest
  const Term element = writer.load(x, tap.index, tap.inside, kLowest);
  const Term result = writer.accumulator(scalar_type_of(dtype));
  // The standard's reference looks at numbers only, where all other maxima let NaN through.
  return writer.reduce(dtype, pool.out_shape, {ReduceOp::max_number, pool.window.kernel, element},
                       result);
}

Result<TensorId> max_pool_indices(Graph& graph, std::string_view name, TensorId x, TensorId pooled,
                                  const Window& window, bool column_major) {
  const Place place(graph, "MaxPool", name);
  TRY_ASSIGN(const Pool pool, resolve_pool(graph, place, x, window));
  if (shape_of(graph, pooled) != pool.out_shape) {
    return place.error(fmt::format("The shape {} of the maxima is not that of the result {}.",
                                   to_string(shape_of(graph, pooled)), to_string(pool.out_shape)));
  }
  NodeWriter writer(graph, place);
  const Tap tap = tap_of(writer, pool);
  std::vector<int64_t> strides = row_major_strides(pool.in_shape);
  if (column_major) {
    int64_t stride = 1;
    for (size_t d = 2; d < strides.size(); ++d) {
      strides[d] = stride;
      stride *= pool.in_shape[d];
    }
  }
  Term flat = writer.integer(0);
  for (size_t d = 0; d < strides.size(); ++d) {
    flat = flat + tap.index[d] * static_cast<double>(strides[d]);
  }
  const Term value = writer.load(x, tap.index, tap.inside);
  const Term maximum = writer.load(pooled, writer.axes(pool.out_shape.size()));
  const Term hit = both(tap.inside, equal(value, maximum));
  constexpr double kNowhere = std::numeric_limits<int32_t>::max();
  return writer.reduce(DType::i64, pool.out_shape,
                       {ReduceOp::min, pool.window.kernel, select(hit, flat, kNowhere)},
                       writer.accumulator(ScalarType::i32));
}

// --- Average
// --------------------------------------------------------------------------------------

namespace {

/// Largest table of tap counts; a padded dimension longer than this is no picture.
constexpr int64_t kTableMax = 1 << 22;

/// Taps that count for each output position of one dimension.
std::vector<double> tap_counts(const Pool& pool, size_t d, bool count_include_pad) {
  const ResolvedWindow& window = pool.window;
  const int64_t low = count_include_pad ? -window.pads_begin[d] : 0;
  const int64_t high = pool.in_shape[2 + d] + (count_include_pad ? window.pads_end[d] : 0);
  const int64_t dilation = window.dilations[d];
  std::vector<double> counts;
  for (int64_t out = 0; out < window.output[d]; ++out) {
    const int64_t start = out * window.strides[d] - window.pads_begin[d];
    // Taps t with low <= start + t * dilation < high.
    const int64_t first = start >= low ? 0 : (low - start + dilation - 1) / dilation;
    const int64_t end = start >= high ? 0 : (high - start + dilation - 1) / dilation;
    counts.push_back(
        static_cast<double>(std::max<int64_t>(std::min(end, window.kernel[d]) - first, 0)));
  }
  return counts;
}

/// The number of taps at the output's axes.
Term divisor_of(Graph& graph, NodeWriter& writer, const Pool& pool, ScalarType type,
                bool count_include_pad) {
  Term divisor = writer.number(type, 1);
  for (size_t d = 0; d < pool.spatial(); ++d) {
    if (!pool.window.leaves(d, pool.in_shape[2 + d])) {
      divisor = divisor * static_cast<double>(pool.window.kernel[d]);
      continue;
    }
    const std::vector<double> counts = tap_counts(pool, d, count_include_pad);
    if (std::ranges::adjacent_find(counts, std::not_equal_to<>()) == counts.end()) {
      divisor = divisor * (counts.empty() ? 1 : counts[0]);
      continue;
    }
    const TensorId table = add_table_f32(graph, fmt::format("{}/counts{}", writer.node().name, d),
                                         {pool.window.output[d]}, counts);
    divisor = divisor * convert(writer.load(table, {writer.axis(2 + d)}), type);
  }
  return divisor;
}

/// |x|^p; cheap for the usual p.
Term absolute_power(Term x, double p) {
  if (p == 1) return abs(x);
  return p == 2 ? x * x : pow(abs(x), p);
}

}  // namespace

Result<TensorId> average_pool(Graph& graph, std::string_view name, TensorId x, const Window& window,
                              bool count_include_pad) {
  const Place place(graph, "AveragePool", name);
  TRY(require_float(graph, place, x));
  TRY_ASSIGN(const Pool pool, resolve_pool(graph, place, x, window));
  if (std::ranges::max(pool.window.output) > kTableMax) {
    return place.error(fmt::format("The output's shape {} exceeds the limit ({}) of a dimension.",
                                   to_string(pool.out_shape), kTableMax));
  }
  NodeWriter writer(graph, place);
  const Tap tap = tap_of(writer, pool);
  const Term element = writer.load(x, tap.index, tap.inside);
  const Term divisor = divisor_of(graph, writer, pool, element.type(), count_include_pad);
  return writer.reduce(dtype_of(graph, x), pool.out_shape,
                       {ReduceOp::sum, pool.window.kernel, element},
                       writer.accumulator(x) / divisor);
}

Result<TensorId> lp_pool(Graph& graph, std::string_view name, TensorId x, const Window& window,
                         double p) {
  const Place place(graph, "LpPool", name);
  TRY(require_float(graph, place, x));
  if (!(p > 0)) return place.error(fmt::format("The power p ({}) is not positive.", p));
  TRY_ASSIGN(const Pool pool, resolve_pool(graph, place, x, window));
  NodeWriter writer(graph, place);
  const Tap tap = tap_of(writer, pool);
  const Term element = absolute_power(writer.load(x, tap.index, tap.inside), p);
  return writer.reduce(dtype_of(graph, x), pool.out_shape,
                       {ReduceOp::sum, pool.window.kernel, element},
                       pow(writer.accumulator(x), 1 / p));
}

Result<TensorId> global_max_pool(Graph& graph, std::string_view name, TensorId x) {
  return max_pool(graph, name, x, whole_window(shape_of(graph, x)));
}

Result<TensorId> global_average_pool(Graph& graph, std::string_view name, TensorId x) {
  return average_pool(graph, name, x, whole_window(shape_of(graph, x)));
}

Result<TensorId> global_lp_pool(Graph& graph, std::string_view name, TensorId x, double p) {
  return lp_pool(graph, name, x, whole_window(shape_of(graph, x)), p);
}

}  // namespace leat::ops
