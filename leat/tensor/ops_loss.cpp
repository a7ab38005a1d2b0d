// See ops_loss.h: each loss is a reduction over all points whose loads stand where the target says.
#include "leat/tensor/ops_loss.h"

#include <fmt/format.h>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/positions.h"

namespace leat::ops {
namespace {

struct Loss {
  TensorId log_chances;
  TensorId target;
  TensorId weights;  // or kNoTensor
  LossOptions options;
  Shape shape;  // of log_chances
  Shape points;
};

Result<void> check_loss(const Graph& graph, const Place& place, const Loss& loss) {
  TRY(require_float(graph, place, loss.log_chances));
  Shape wanted = loss.shape;
  if (wanted.size() >= 2) wanted.erase(wanted.begin() + 1);
  if (loss.shape.size() < 2 || loss.points != wanted ||
      !is_whole_number(dtype_of(graph, loss.target))) {
    return place.error(fmt::format(
        "The target of shape {} and dtype {} does not name a class at "
        "each point of shape {}.",
        to_string(loss.points), name_of(dtype_of(graph, loss.target)), to_string(loss.shape)));
  }
  if (loss.weights == kNoTensor) return {};
  TRY(require_same_dtype(graph, place, loss.log_chances, loss.weights));
  if (shape_of(graph, loss.weights) == Shape{loss.shape[1]}) return {};
  return place.error(fmt::format("The weights' shape {} is not ({}).",
                                 to_string(shape_of(graph, loss.weights)), loss.shape[1]));
}

struct PointTerms {
  Term weight;
  Term loss;
};

/// At the axes of the points.
PointTerms terms_at(NodeWriter& writer, const Loss& loss) {
  const std::vector<Term> at = writer.axes(loss.points.size());
  const Term given = writer.load(loss.target, at);
  const Position position = position_of(writer, given);
  const Term in_range = both(0 <= position.low, position.low < static_cast<double>(loss.shape[1]));
  Term counts = both(position.fits, in_range);
  if (const auto ignored = loss.options.ignore_index; ignored && can_be(given, *ignored)) {
    counts = both(counts, negate(equal(given, given.constant_whole(*ignored))));
  }
  std::vector<Term> index = at;
  index.insert(index.begin() + 1, position.low);
  const Term value = writer.load(loss.log_chances, index, counts);
  const Term weight = loss.weights == kNoTensor ? select(counts, value.constant(1), 0)
                                                : writer.load(loss.weights, {position.low}, counts);
  return {weight, loss.weights == kNoTensor ? -value : -value * weight};
}

/// One number: the sum over all points of what `element` takes from them.
Result<TensorId> sum_of(NodeWriter& writer, DType dtype, const Loss& loss, Term element) {
  return writer.reduce(dtype, {}, {ReduceOp::sum, loss.points, element},
                       writer.accumulator(element.type()));
}

Result<TensorId> write_mean(Graph& graph, const Place& place, const Loss& loss) {
  const DType dtype = dtype_of(graph, loss.log_chances);
  const DType wide = wide_dtype_of(dtype);
  NodeWriter losses(graph, place, "/losses");
  TRY_ASSIGN(const TensorId sum, sum_of(losses, wide, loss, terms_at(losses, loss).loss));
  NodeWriter weights(graph, place, "/weights");
  TRY_ASSIGN(const TensorId total, sum_of(weights, wide, loss, terms_at(weights, loss).weight));
  NodeWriter writer(graph, place);
  const Term weight = writer.load(total, {});
  return writer.map(dtype, {}, writer.load(sum, {}) / weight);
}

}  // namespace

Result<TensorId> negative_log_likelihood(Graph& graph, std::string_view name, TensorId log_chances,
                                         TensorId target, TensorId weights,
                                         const LossOptions& options) {
  const Place place(graph, "NegativeLogLikelihoodLoss", name);
  const Loss loss = {.log_chances = log_chances,
                     .target = target,
                     .weights = weights,
                     .options = options,
                     .shape = shape_of(graph, log_chances),
                     .points = shape_of(graph, target)};
  TRY(check_loss(graph, place, loss));
  const DType dtype = dtype_of(graph, log_chances);
  if (options.reduction == LossReduction::mean) return write_mean(graph, place, loss);
  NodeWriter writer(graph, place);
  const Term value = terms_at(writer, loss).loss;
  if (options.reduction == LossReduction::sum) return sum_of(writer, dtype, loss, value);
  return writer.map(dtype, loss.points, value);
}

Result<CrossEntropyResult> softmax_cross_entropy(Graph& graph, std::string_view name,
                                                 TensorId scores, TensorId target, TensorId weights,
                                                 const LossOptions& options) {
  const Place place(graph, "SoftmaxCrossEntropyLoss", name);
  if (shape_of(graph, scores).size() < 2) {
    return place.error(
        fmt::format("The scores' shape {} has no classes.", to_string(shape_of(graph, scores))));
  }
  CrossEntropyResult result;
  TRY_ASSIGN(result.log_chances,
             log_softmax(graph, place.name + "/log_chances", scores, {.axis = 1}));
  TRY_ASSIGN(result.loss, negative_log_likelihood(graph, place.name, result.log_chances, target,
                                                  weights, options));
  return result;
}

}  // namespace leat::ops
