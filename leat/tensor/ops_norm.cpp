// Normalisations: two reductions for mean and deviation (two passes over x: the one-pass formula
// loses all digits where the mean is large), then one map. Batch normalisation has its statistics
// given and is a map alone, with scale and shift per channel worked out beforehand.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/ops_norm_training.h"
#include "leat/tensor/reduced_axes.h"

namespace leat::ops {
namespace {

/// Which elements one statistic is taken over.
struct Region {
  Shape out;  // shape of the statistics
  Shape reduce;
  std::function<std::vector<Term>(NodeWriter&)> index;  // of x, over out's axes and the reduce axes

  double count() const { return static_cast<double>(element_count(reduce)); }
};

struct Moments {
  TensorId mean = kNoTensor;
  TensorId inverse_deviation = kNoTensor;
};

Region region_of(const ReducedAxes& axes) {
  return {.out = axes.kept, .reduce = axes.reduce, .index = [axes](NodeWriter& writer) {
            return reduced_index(writer, axes, true);
          }};
}

/// finish turns the variance into what x - mean is multiplied by.
Result<Moments> moments_of(Graph& graph, const Place& place, TensorId x, const Region& region,
                           const std::function<Term(Term)>& finish) {
  const DType wide = wide_dtype_of(dtype_of(graph, x));
  Moments moments;
  NodeWriter first(graph, place, "/mean");
  const Term value = first.load(x, region.index(first));
  TRY_ASSIGN(moments.mean, first.reduce(wide, region.out, {ReduceOp::sum, region.reduce, value},
                                        first.accumulator(x) / region.count()));
  NodeWriter second(graph, place, "/inverse_deviation");
  const Term mean = second.load(moments.mean, second.axes(region.out.size()));
  const Term centred = second.load(x, region.index(second)) - mean;
  const Term variance = second.accumulator(x) / region.count();
  TRY_ASSIGN(moments.inverse_deviation,
             second.reduce(wide, region.out, {ReduceOp::sum, region.reduce, centred * centred},
                           finish(variance)));
  return moments;
}

std::function<Term(Term)> inverse_root(double epsilon) {
  return [epsilon](Term variance) { return 1.0 / sqrt(variance + epsilon); };
}

Term centred_and_scaled(NodeWriter& writer, Term value, const Moments& moments,
                        const std::vector<Term>& index) {
  const Term factor = writer.load(moments.inverse_deviation, index);
  return (value - writer.load(moments.mean, index)) * factor;
}

Term scaled_and_moved(NodeWriter& writer, Term value, TensorId scale, TensorId shift,
                      const std::vector<Term>& index) {
  const Term added = writer.load(shift, index);
  return value * writer.load(scale, index) + added;
}

Result<void> require_vector(const Graph& graph, const Place& place, TensorId tensor,
                            int64_t extent) {
  TRY(require_float(graph, place, tensor));
  if (shape_of(graph, tensor) == Shape{extent}) return {};
  return place.error(fmt::format("The shape {} of tensor \"{}\" is not ({}).",
                                 to_string(shape_of(graph, tensor)), graph.tensors[tensor].name,
                                 extent));
}

Result<void> require_rank(const Place& place, const Shape& shape, size_t rank_min) {
  if (shape.size() >= rank_min) return {};
  return place.error(fmt::format("The rank ({}) of shape {} is less than {}.", shape.size(),
                                 to_string(shape), rank_min));
}

}  // namespace

Result<TensorId> batch_norm(Graph& graph, std::string_view name, TensorId x,
                            const BatchNormInputs& inputs, double epsilon) {
  const Place place(graph, "BatchNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_rank(place, shape, 2));
  const int64_t channels = shape[1];
  for (TensorId input : {inputs.scale, inputs.bias, inputs.mean, inputs.variance}) {
    TRY(require_vector(graph, place, input, channels));
  }
  const DType wide = wide_dtype_of(dtype_of(graph, x));
  NodeWriter scale_writer(graph, place, "/scale");
  const std::vector<Term> c = {scale_writer.axis(0)};
  const Term root = sqrt(scale_writer.load(inputs.variance, c) + epsilon);
  TRY_ASSIGN(const TensorId scale,
             scale_writer.map(wide, {channels}, scale_writer.load(inputs.scale, c) / root));
  NodeWriter shift_writer(graph, place, "/shift");
  const std::vector<Term> d = {shift_writer.axis(0)};
  const Term factor = shift_writer.load(scale, d);
  const Term centre = shift_writer.load(inputs.mean, d) * factor;
  TRY_ASSIGN(const TensorId shift,
             shift_writer.map(wide, {channels}, shift_writer.load(inputs.bias, d) - centre));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const std::vector<Term> channel = {writer.axis(1)};
  return writer.map(dtype_of(graph, x), shape,
                    scaled_and_moved(writer, value, scale, shift, channel));
}

namespace {

/// What is left of `before` with a share of `current`.
Result<TensorId> running(const Graph& graph, NodeWriter& writer, TensorId before, TensorId current,
                         double momentum) {
  const std::vector<Term> c = {writer.axis(0)};
  const Term added = writer.load(current, c) * (1 - momentum);
  return writer.map(dtype_of(graph, before), shape_of(graph, before),
                    writer.load(before, c) * momentum + added);
}

}  // namespace

Result<BatchNormTrained> batch_norm_training(Graph& graph, std::string_view name, TensorId x,
                                             const BatchNormInputs& inputs,
                                             const BatchNormTraining& options) {
  const Place place(graph, "BatchNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_rank(place, shape, 2));
  for (TensorId input : {inputs.scale, inputs.bias, inputs.mean, inputs.variance}) {
    TRY(require_vector(graph, place, input, shape[1]));
  }
  Region region = {.out = {shape[1]}, .reduce = shape, .index = {}};
  region.reduce.erase(region.reduce.begin() + 1);
  region.index = [&](NodeWriter& writer) {
    std::vector<Term> index = {writer.axis(1), writer.axis(0)};
    for (size_t d = 2; d < shape.size(); ++d) index.push_back(writer.axis(d));
    return index;
  };
  TRY_ASSIGN(const Moments moments, moments_of(graph, place, x, region, [](Term v) { return v; }));
  const TensorId variance = moments.inverse_deviation;  // as the function above leaves it
  BatchNormTrained trained;
  NodeWriter means(graph, place, "/running_mean");
  TRY_ASSIGN(trained.mean, running(graph, means, inputs.mean, moments.mean, options.momentum));
  NodeWriter variances(graph, place, "/running_variance");
  TRY_ASSIGN(trained.variance,
             running(graph, variances, inputs.variance, variance, options.momentum));
  const BatchNormInputs current = {inputs.scale, inputs.bias, moments.mean, variance};
  TRY_ASSIGN(trained.y, batch_norm(graph, place.name, x, current, options.epsilon));
  return trained;
}

Result<TensorId> instance_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                               TensorId bias, double epsilon) {
  const Place place(graph, "InstanceNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_rank(place, shape, 3));
  TRY(require_vector(graph, place, scale, shape[1]));
  TRY(require_vector(graph, place, bias, shape[1]));
  const ReducedAxes axes = reduced_axes_of(shape, axes_from(2, shape.size()));
  TRY_ASSIGN(const Moments moments,
             moments_of(graph, place, x, region_of(axes), inverse_root(epsilon)));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term normal = centred_and_scaled(writer, value, moments, kept_index(writer, axes));
  const std::vector<Term> channel = {writer.axis(1)};
  return writer.map(dtype_of(graph, x), shape,
                    scaled_and_moved(writer, normal, scale, bias, channel));
}

Result<TensorId> group_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                            TensorId bias, const GroupNormOptions& options) {
  const Place place(graph, "GroupNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_rank(place, shape, 2));
  if (options.groups < 1 || shape[1] % options.groups != 0 || shape[1] == 0) {
    return place.error(fmt::format("The number of groups ({}) does not divide the channels ({}).",
                                   options.groups, shape[1]));
  }
  const int64_t parameters = options.per_group ? options.groups : shape[1];
  TRY(require_vector(graph, place, scale, parameters));
  TRY(require_vector(graph, place, bias, parameters));
  const int64_t group_channels = shape[1] / options.groups;
  const double width = static_cast<double>(group_channels);
  Region region = {.out = {shape[0], options.groups}, .reduce = {group_channels}, .index = {}};
  region.reduce.insert(region.reduce.end(), shape.begin() + 2, shape.end());
  region.index = [&](NodeWriter& writer) {
    std::vector<Term> index = {writer.axis(0), writer.axis(1) * width + writer.axis(2)};
    for (size_t d = 2; d < shape.size(); ++d) index.push_back(writer.axis(d + 1));
    return index;
  };
  TRY_ASSIGN(const Moments moments,
             moments_of(graph, place, x, region, inverse_root(options.epsilon)));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term group = writer.axis(1) / width;
  const Term normal = centred_and_scaled(writer, value, moments, {writer.axis(0), group});
  const std::vector<Term> parameter = {options.per_group ? group : writer.axis(1)};
  return writer.map(dtype_of(graph, x), shape,
                    scaled_and_moved(writer, normal, scale, bias, parameter));
}

namespace {

/// `tensor` must be a float that broadcasts to `shape` without widening it.
Result<void> require_broadcast(const Graph& graph, const Place& place, TensorId tensor,
                               const Shape& shape) {
  TRY(require_float(graph, place, tensor));
  TRY_ASSIGN(const Shape common, broadcast_shapes(place, shape, shape_of(graph, tensor)));
  if (common == shape) return {};
  return place.error(fmt::format("The shape {} of tensor \"{}\" does not broadcast to {}.",
                                 to_string(shape_of(graph, tensor)), graph.tensors[tensor].name,
                                 to_string(shape)));
}

/// Up to this length a row is one wave's work; a longer one is reduced in parts by many.
constexpr int64_t kNormalisedRowMax = 8192;

/// Whether rows along the last axis, with parameters of one for each position, are all there is.
bool is_one_kernel(const Graph& graph, TensorId x, std::span<const TensorId> parameters,
                   const ReducedAxes& axes) {
  const Shape& shape = shape_of(graph, x);
  const size_t last = shape.size() - 1;
  if (axes.axes != std::vector<size_t>{last} || shape[last] > kNormalisedRowMax) return false;
  if (element_count(shape) == 0) return false;
  return std::ranges::all_of(parameters, [&](TensorId tensor) {
    return shape_of(graph, tensor) == Shape{shape[last]} &&
           dtype_of(graph, tensor) == dtype_of(graph, x);
  });
}

Result<TensorId> write_normalise(Graph& graph, const Place& place,
                                 const std::vector<TensorId>& inputs,
                                 const Normalisation& options) {
  const Shape shape = shape_of(graph, inputs[0]);
  const Program program = {
      .op = ProgramOp::normalise, .axis = shape.size() - 1, .normalisation = options};
  return write_program(graph, place, inputs, program, dtype_of(graph, inputs[0]), shape);
}

}  // namespace

Result<LayerNormResult> layer_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                                   TensorId bias, int64_t axis, double epsilon) {
  const Place place(graph, "LayerNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_broadcast(graph, place, scale, shape));
  if (bias != kNoTensor) TRY(require_broadcast(graph, place, bias, shape));
  TRY_ASSIGN(const size_t first, resolve_axis(place, axis, shape.size()));
  const ReducedAxes axes = reduced_axes_of(shape, axes_from(first, shape.size()));
  TRY_ASSIGN(const Moments moments,
             moments_of(graph, place, x, region_of(axes), inverse_root(epsilon)));
  LayerNormResult tensors = {.mean = moments.mean, .inverse_deviation = moments.inverse_deviation};
  std::vector<TensorId> inputs = {x, scale};
  if (bias != kNoTensor) inputs.push_back(bias);
  if (is_one_kernel(graph, x, std::span(inputs).subspan(1), axes)) {
    const Normalisation options = {.has_bias = bias != kNoTensor, .epsilon = epsilon};
    TRY_ASSIGN(tensors.y, write_normalise(graph, place, inputs, options));
    return tensors;  // nobody computes moments that nobody reads
  }
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term normal = centred_and_scaled(writer, value, moments, kept_index(writer, axes));
  Term result = normal * writer.broadcast(scale, shape);
  if (bias != kNoTensor) result = result + writer.broadcast(bias, shape);
  TRY_ASSIGN(tensors.y, writer.map(dtype_of(graph, x), shape, result));
  return tensors;
}

Result<TensorId> rms_norm(Graph& graph, std::string_view name, TensorId x, TensorId scale,
                          int64_t axis, double epsilon) {
  const Place place(graph, "RMSNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_broadcast(graph, place, scale, shape));
  TRY_ASSIGN(const size_t first, resolve_axis(place, axis, shape.size()));
  const ReducedAxes axes = reduced_axes_of(shape, axes_from(first, shape.size()));
  if (is_one_kernel(graph, x, std::span(&scale, 1), axes)) {
    return write_normalise(graph, place, {x, scale}, {.centres = false, .epsilon = epsilon});
  }
  NodeWriter root(graph, place, "/inverse_root");
  const Term element = root.load(x, reduced_index(root, axes, true));
  const Term mean = root.accumulator(x) / axes.count();
  TRY_ASSIGN(const TensorId inverse, root.reduce(wide_dtype_of(dtype_of(graph, x)), axes.kept,
                                                 {ReduceOp::sum, axes.reduce, element * element},
                                                 1.0 / sqrt(mean + epsilon)));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term normal = value * writer.load(inverse, kept_index(writer, axes));
  return writer.map(dtype_of(graph, x), shape, normal * writer.broadcast(scale, shape));
}

Result<TensorId> mean_variance_norm(Graph& graph, std::string_view name, TensorId x,
                                    const Ints& axes_given) {
  // Source: ONNX MeanVarianceNormalization, its function body.
  constexpr double kEpsilon = 1e-9;
  const Place place(graph, "MeanVarianceNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY_ASSIGN(std::vector<size_t> resolved, resolve_axes(place, axes_given, shape.size()));
  const ReducedAxes axes = reduced_axes_of(shape, std::move(resolved));
  TRY_ASSIGN(const Moments moments, moments_of(graph, place, x, region_of(axes), [](Term variance) {
               return 1.0 / (sqrt(variance) + kEpsilon);
             }));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  return writer.map(dtype_of(graph, x), shape,
                    centred_and_scaled(writer, value, moments, kept_index(writer, axes)));
}

Result<TensorId> lrn(Graph& graph, std::string_view name, TensorId x, const LrnOptions& options) {
  const Place place(graph, "LRN", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  TRY(require_rank(place, shape, 2));
  if (options.size < 1 || options.size > kElementsMax) {
    return place.error(
        fmt::format("The size ({}) is outside 1 to {}.", options.size, kElementsMax));
  }
  NodeWriter writer(graph, place);
  const size_t rank = shape.size();
  const double before = static_cast<double>((options.size - 1) / 2);
  std::vector<Term> index = writer.axes(rank);
  const Term value = writer.load(x, index);
  index[1] = index[1] + writer.axis(rank) - before;
  const Term inside = both(0 <= index[1], index[1] < static_cast<double>(shape[1]));
  const Term neighbour = writer.load(x, index, inside);
  const Term sum =
      options.bias + writer.accumulator(x) * (options.alpha / static_cast<double>(options.size));
  // The usual exponent without a logarithm.
  const Term power = options.beta == 0.75 ? sqrt(sum) * sqrt(sqrt(sum)) : pow(sum, options.beta);
  return writer.reduce(dtype_of(graph, x), shape,
                       {ReduceOp::sum, {options.size}, neighbour * neighbour}, value / power);
}

Result<TensorId> lp_norm(Graph& graph, std::string_view name, TensorId x,
                         const LpNormOptions& options) {
  const Place place(graph, "LpNormalization", name);
  const Shape shape = shape_of(graph, x);
  TRY(require_float(graph, place, x));
  if (options.p != 1 && options.p != 2) {
    return place.error(fmt::format("The power p ({}) is neither 1 nor 2.", options.p));
  }
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, shape.size()));
  const ReducedAxes axes = reduced_axes_of(shape, {axis});
  NodeWriter first(graph, place, "/norm");
  const Term element = first.load(x, reduced_index(first, axes, true));
  const Term sum = first.accumulator(x);
  TRY_ASSIGN(const TensorId norm, first.reduce(wide_dtype_of(dtype_of(graph, x)), axes.kept,
                                               {ReduceOp::sum, axes.reduce,
                                                options.p == 1 ? abs(element) : element * element},
                                               options.p == 1 ? sum : sqrt(sum)));
  NodeWriter writer(graph, place);
  const Term value = writer.load(x, writer.axes(shape.size()));
  const Term divisor = writer.load(norm, kept_index(writer, axes));
  return writer.map(dtype_of(graph, x), shape, select(equal(divisor, 0), 0, value / divisor));
}

}  // namespace leat::ops
