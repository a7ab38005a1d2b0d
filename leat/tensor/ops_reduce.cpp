// Reductions over axes, the positions of extremes, and running sums. Exponentials are taken after
// the maximum was subtracted. Empty reductions give the neutral element, as ONNX asks.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/reduced_axes.h"

namespace leat::ops {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string_view name_of(Reduction reduction) {
  constexpr std::string_view kNames[] = {
      "ReduceSum", "ReduceMean", "ReduceMax",    "ReduceMin",       "ReduceProd",
      "ReduceL1",  "ReduceL2",   "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};
  return kNames[static_cast<size_t>(reduction)];
}

ReduceOp accumulation_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::max: return ReduceOp::max;
    case Reduction::min: return ReduceOp::min;
    case Reduction::product: return ReduceOp::product;
    case Reduction::sum:
    case Reduction::mean:
    case Reduction::l1:
    case Reduction::l2:
    case Reduction::log_sum:
    case Reduction::log_sum_exp:
    case Reduction::sum_square: return ReduceOp::sum;
  }
  return ReduceOp::sum;
}

/// What is accumulated for one element; log_sum_exp is treated apart.
Term element_of(Reduction reduction, Term x) {
  if (reduction == Reduction::l1) return abs(x);
  if (reduction == Reduction::l2 || reduction == Reduction::sum_square) return x * x;
  return x;
}

Term result_of(Reduction reduction, Term accumulated, double count) {
  if (reduction == Reduction::l2) return sqrt(accumulated);
  if (reduction == Reduction::log_sum) return log(accumulated);
  if (reduction == Reduction::mean) return accumulated / count;
  return accumulated;
}

/// l2, log_sum and log_sum_exp of whole numbers go through f32; bool through i32.
ScalarType working_type(Reduction reduction, DType dtype) {
  const bool needs_float = reduction == Reduction::l2 || reduction == Reduction::log_sum ||
                           reduction == Reduction::log_sum_exp;
  if (dtype == DType::boolean) return ScalarType::i32;
  return needs_float && !is_float(dtype) ? ScalarType::f32 : scalar_type_of(dtype);
}

struct Job {
  TensorId x;
  DType dtype;
  ReducedAxes axes;
  bool keep_dims;

  const Shape& out_shape() const { return keep_dims ? axes.kept : axes.squeezed; }
};

/// A reduce node, or a map where there is no axis to reduce.
Result<TensorId> write(NodeWriter& writer, const Job& job, DType dtype, ReduceOp op, Term element,
                       const std::function<Term(Term)>& finish) {
  if (job.axes.axes.empty()) return writer.map(dtype, job.out_shape(), finish(element));
  const Term result = finish(writer.accumulator(element.type()));
  return writer.reduce(dtype, job.out_shape(), {op, job.axes.reduce, element}, result);
}

Result<TensorId> log_sum_exp(Graph& graph, const Place& place, const Job& job) {
  const DType wide = is_float(job.dtype) ? wide_dtype_of(job.dtype) : DType::f32;
  NodeWriter first(graph, place, "/max");
  const Term value = first.load(job.x, reduced_index(first, job.axes, job.keep_dims));
  TRY_ASSIGN(const TensorId maximum,
             write(first, job, wide, ReduceOp::max, convert(value, scalar_type_of(wide)),
                   [](Term x) { return x; }));
  NodeWriter second(graph, place);
  const Term x = second.load(job.x, reduced_index(second, job.axes, job.keep_dims));
  const Term largest = second.load(maximum, second.axes(job.out_shape().size()));
  // An infinite maximum (an empty set too) must not make inf - inf.
  const Term shift = select(equal(abs(largest), kInfinity), 0, largest);
  return write(second, job, job.dtype, ReduceOp::sum, exp(convert(x, scalar_type_of(wide)) - shift),
               [&](Term sum) {
                 const Term result = log(sum) + shift;
                 if (is_float(job.dtype)) return result;
                 return wrap_to(convert(result, scalar_type_of(job.dtype)), job.dtype);
               });
}

Result<std::vector<size_t>> axes_of(const Place& place, const ReduceOptions& options, size_t rank) {
  if (!options.axes) return axes_from(0, rank);
  return resolve_axes(place, *options.axes, rank);
}

}  // namespace

Result<TensorId> reduce(Graph& graph, std::string_view name, Reduction reduction, TensorId x,
                        const ReduceOptions& options) {
  const Place place(graph, name_of(reduction), name);
  const Shape shape = shape_of(graph, x);
  const DType dtype = dtype_of(graph, x);
  const bool ordered = reduction == Reduction::max || reduction == Reduction::min;
  if (dtype == DType::boolean && !ordered) TRY(require_float(graph, place, x));
  TRY_ASSIGN(std::vector<size_t> axes, axes_of(place, options, shape.size()));
  const Job job = {.x = x,
                   .dtype = dtype,
                   .axes = reduced_axes_of(shape, std::move(axes)),
                   .keep_dims = options.keep_dims};
  if (reduction == Reduction::log_sum_exp) return log_sum_exp(graph, place, job);
  NodeWriter writer(graph, place);
  const Term value = convert(writer.load(x, reduced_index(writer, job.axes, job.keep_dims)),
                             working_type(reduction, dtype));
  return write(writer, job, dtype, accumulation_of(reduction), element_of(reduction, value),
               [&](Term accumulated) {
                 const Term result = result_of(reduction, accumulated, job.axes.count());
                 if (dtype == DType::boolean) return 0 < result;  // the maximum of nothing too
                 return wrap_to(convert(result, scalar_type_of(dtype)), dtype);
               });
}

// --- Positions of extremes
// ------------------------------------------------------------------------

namespace {

enum class Extreme { maximum, minimum };

struct ArgJob {
  Job job;
  Extreme extreme = Extreme::maximum;
  bool last = false;
};

/// The extreme value, then the lowest (or highest) position that holds it.
Result<TensorId> write_arg(Graph& graph, const Place& place, std::string_view suffix,
                           const ArgJob& arg, DType dtype) {
  const Job& job = arg.job;
  const bool is_max = arg.extreme == Extreme::maximum;
  NodeWriter first(graph, place, is_max ? "/max" : "/min");
  const Term value = first.load(job.x, reduced_index(first, job.axes, job.keep_dims));
  TRY_ASSIGN(const TensorId extreme,
             first.reduce(job.dtype, job.out_shape(),
                          {is_max ? ReduceOp::max : ReduceOp::min, job.axes.reduce, value},
                          first.accumulator(value.type())));
  NodeWriter second(graph, place, suffix);
  const std::vector<Term> index = reduced_index(second, job.axes, job.keep_dims);
  const Term best = second.load(extreme, second.axes(job.out_shape().size()));
  const Term hit = is_extreme(second.load(job.x, index), best);
  const double last = job.axes.count() - 1;
  const Term position = select(hit, flat_position(second, job.axes, index), arg.last ? 0 : last);
  return second.reduce(dtype, job.out_shape(),
                       {arg.last ? ReduceOp::max : ReduceOp::min, job.axes.reduce, position},
                       second.accumulator(ScalarType::i32));
}

Result<TensorId> arg_extreme(Graph& graph, const Place& place, TensorId x,
                             const ArgOptions& options, Extreme extreme) {
  const Shape shape = shape_of(graph, x);
  if (dtype_of(graph, x) == DType::boolean) TRY(require_float(graph, place, x));
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
  if (shape[axis] == 0) {
    return place.error(fmt::format("Axis {} of shape {} has no elements.", axis, to_string(shape)));
  }
  const ArgJob arg = {.job = {.x = x,
                              .dtype = dtype_of(graph, x),
                              .axes = reduced_axes_of(shape, {axis}),
                              .keep_dims = options.keep_dims},
                      .extreme = extreme,
                      .last = options.select_last_index};
  return write_arg(graph, place, "", arg, DType::i64);
}

}  // namespace

Result<TensorId> arg_max(Graph& graph, std::string_view name, TensorId x,
                         const ArgOptions& options) {
  return arg_extreme(graph, Place(graph, "ArgMax", name), x, options, Extreme::maximum);
}

Result<TensorId> arg_min(Graph& graph, std::string_view name, TensorId x,
                         const ArgOptions& options) {
  return arg_extreme(graph, Place(graph, "ArgMin", name), x, options, Extreme::minimum);
}

// --- Soft-max
// -------------------------------------------------------------------------------------

namespace {

Result<Job> softmax_job(const Graph& graph, const Place& place, TensorId x,
                        const SoftmaxOptions& options) {
  TRY(require_float(graph, place, x));
  const Shape shape = shape_of(graph, x);
  std::vector<size_t> axes;
  if (!options.flatten || options.axis != static_cast<int64_t>(shape.size())) {
    TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
    axes = options.flatten ? axes_from(axis, shape.size()) : std::vector<size_t>{axis};
  }
  return Job{.x = x,
             .dtype = dtype_of(graph, x),
             .axes = reduced_axes_of(shape, std::move(axes)),
             .keep_dims = true};
}

/// Maximum and sum of exp(x - maximum), both of shape axes.kept.
struct SoftmaxSums {
  TensorId maximum, sum;
};

Result<SoftmaxSums> softmax_sums(Graph& graph, const Place& place, const Job& job) {
  const DType wide = wide_dtype_of(job.dtype);
  SoftmaxSums sums;
  NodeWriter first(graph, place, "/max");
  const Term value = first.load(job.x, reduced_index(first, job.axes, true));
  TRY_ASSIGN(sums.maximum, write(first, job, wide, ReduceOp::max, value, [](Term x) { return x; }));
  NodeWriter second(graph, place, "/sum");
  const Term x = second.load(job.x, reduced_index(second, job.axes, true));
  const Term largest = second.load(sums.maximum, second.axes(job.axes.kept.size()));
  TRY_ASSIGN(sums.sum, write(second, job, wide, ReduceOp::sum, exp(x - largest),
                             [](Term sum) { return sum; }));
  return sums;
}

/// Up to this length a row is one wave's work; a longer one is reduced in parts by many.
constexpr int64_t kSoftmaxRowMax = 4096;

/// The axis of a soft-max that is one kernel.
std::optional<size_t> short_row(const Job& job, const Shape& shape) {
  const std::vector<size_t>& axes = job.axes.axes;
  if (axes.size() != 1 || shape[axes[0]] > kSoftmaxRowMax) return std::nullopt;
  return axes[0];
}

}  // namespace

Result<TensorId> softmax(Graph& graph, std::string_view name, TensorId x,
                         const SoftmaxOptions& options) {
  const Place place(graph, "Softmax", name);
  TRY_ASSIGN(const Job job, softmax_job(graph, place, x, options));
  const Shape shape = shape_of(graph, x);
  if (const auto axis = short_row(job, shape)) {
    const Program program = {.op = ProgramOp::softmax, .axis = *axis};
    return write_program(graph, place, {x}, program, job.dtype, shape);
  }
  TRY_ASSIGN(const SoftmaxSums sums, softmax_sums(graph, place, job));
  NodeWriter writer(graph, place);
  const std::vector<Term> kept = kept_index(writer, job.axes);
  const Term value = writer.load(x, writer.axes(kept.size()));
  const Term power = exp(value - writer.load(sums.maximum, kept));
  return writer.map(job.dtype, shape_of(graph, x), power / writer.load(sums.sum, kept));
}

Result<TensorId> log_softmax(Graph& graph, std::string_view name, TensorId x,
                             const SoftmaxOptions& options) {
  const Place place(graph, "LogSoftmax", name);
  TRY_ASSIGN(const Job job, softmax_job(graph, place, x, options));
  const Shape shape = shape_of(graph, x);
  if (const auto axis = short_row(job, shape)) {
    const Program program = {.op = ProgramOp::log_softmax, .axis = *axis};
    return write_program(graph, place, {x}, program, job.dtype, shape);
  }
  TRY_ASSIGN(const SoftmaxSums sums, softmax_sums(graph, place, job));
  NodeWriter writer(graph, place);
  const std::vector<Term> kept = kept_index(writer, job.axes);
  const Term maximum = writer.load(sums.maximum, kept);
  const Term value = writer.load(x, writer.axes(kept.size())) - maximum;
  return writer.map(job.dtype, shape_of(graph, x), value - log(writer.load(sums.sum, kept)));
}

Result<TensorId> hardmax(Graph& graph, std::string_view name, TensorId x,
                         const SoftmaxOptions& options) {
  const Place place(graph, "Hardmax", name);
  TRY_ASSIGN(const Job job, softmax_job(graph, place, x, options));
  TRY_ASSIGN(const TensorId position,
             write_arg(graph, place, "/position", {.job = job}, DType::i32));
  NodeWriter writer(graph, place);
  const std::vector<Term> axes = writer.axes(job.axes.kept.size());
  const Term here = flat_position(writer, job.axes, axes);
  const Term hit = equal(here, writer.load(position, kept_index(writer, job.axes)));
  return writer.map(job.dtype, shape_of(graph, x),
                    select(hit, writer.number(scalar_type_of(job.dtype), 1), 0));
}

// --- Running sums and products, the first in order
// -----------------------------------------------------------------------

namespace {

Result<TensorId> scan(Graph& graph, const Place& place, TensorId x, ProgramOp op,
                      const ScanOptions& options) {
  const Shape shape = shape_of(graph, x);
  const DType dtype = dtype_of(graph, x);
  if (dtype == DType::boolean) TRY(require_float(graph, place, x));
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
  const Program program = {
      .op = op, .axis = axis, .exclusive = options.exclusive, .reverse = options.reverse};
  return write_program(graph, place, {x}, program, dtype, shape);
}

}  // namespace

Result<TensorId> cumsum(Graph& graph, std::string_view name, TensorId x,
                        const ScanOptions& options) {
  return scan(graph, Place(graph, "CumSum", name), x, ProgramOp::scan, options);
}

Result<TensorId> cumprod(Graph& graph, std::string_view name, TensorId x,
                         const ScanOptions& options) {
  return scan(graph, Place(graph, "CumProd", name), x, ProgramOp::scan_product, options);
}

Result<TopKResult> top_k(Graph& graph, std::string_view name, TensorId x,
                         const TopKOptions& options) {
  const Place place(graph, "TopK", name);
  Shape shape = shape_of(graph, x);
  const DType dtype = dtype_of(graph, x);
  if (dtype == DType::boolean) TRY(require_float(graph, place, x));
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
  if (options.k < 0 || options.k > shape[axis]) {
    return place.error(fmt::format("The number (k = {}) is outside 0 to the axis' extent ({}).",
                                   options.k, shape[axis]));
  }
  shape[axis] = options.k;
  const Program program = {.op = ProgramOp::top_k, .axis = axis, .ascending = !options.largest};
  TRY_ASSIGN(
      const std::vector<TensorId> found,
      write_program(graph, place, {x}, program, std::vector<DType>{dtype, DType::i64}, shape));
  return TopKResult{found[0], found[1]};
}

}  // namespace leat::ops
