// Rows of what training computes: losses, random numbers, statistics of a batch.
#include <string>

#include "leat/tensor/ops_loss.h"
#include "leat/tensor/ops_norm_training.h"
#include "leat/tensor/ops_random.h"
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

void add_loss_cases(OpCases& cases) {
  const std::pair<std::string, LossReduction> reductions[] = {
      {"none", LossReduction::none}, {"sum", LossReduction::sum}, {"mean", LossReduction::mean}};
  for (const auto& [name, each_reduction] : reductions) {
    for (DType dtype : {DType::f32, DType::f16}) {
      cases.push_back({"cross_entropy_" + name + "_" + std::string(name_of(dtype)),
                       [reduction = each_reduction, dtype](OpGraph& g) -> Result<TensorId> {
                         const TensorId scores = g.feed({2, 5, 3, 4}, dtype);
                         const TensorId target = g.feed({2, 3, 4}, DType::i64, 0, 5);
                         const TensorId weights = g.feed({5}, dtype, 0.5, 2);
                         TRY_ASSIGN(
                             const CrossEntropyResult result,
                             softmax_cross_entropy(g.graph, "y", scores, target, weights,
                                                   {.reduction = reduction, .ignore_index = 2}));
                         g.graph.outputs.push_back(result.log_chances);
                         return result.loss;
                       },
                       dtype == DType::f16 ? kHalfRounding : 4e-6});
    }
  }
}

void add_random_cases(OpCases& cases) {
  for (DType dtype : {DType::f32, DType::f16, DType::f64}) {
    const std::string end = "_" + std::string(name_of(dtype));
    // More than what is folded into a constant.
    cases.push_back({"bernoulli" + end, [dtype](OpGraph& g) {
                       const TensorId x = g.feed({300, 70}, dtype, 0, 1);
                       return bernoulli(g.graph, "y", x, {DType::u8, 0xfedcba9876543210});
                     }});
  }
  cases.push_back({"dropout", [](OpGraph& g) -> Result<TensorId> {
                     const TensorId x = g.feed({7, 50});
                     TRY_ASSIGN(const DropoutResult result,
                                dropout(g.graph, "y", x, g.feed_values({}, {0.25}), {.key = 5}));
                     g.graph.outputs.push_back(result.mask);
                     return result.y;
                   }});
  cases.push_back({"multinomial", [](OpGraph& g) {
                     return multinomial(g.graph, "y", g.feed({3, 9}), 40, {DType::i32, 77});
                   }});
}

}  // namespace

void add_training_cases(OpCases& cases) {
  add_loss_cases(cases);
  add_random_cases(cases);
  cases.push_back({"batch_norm_training",
                   [](OpGraph& g) -> Result<TensorId> {
                     const TensorId x = g.feed({3, 4, 5, 6});
                     const BatchNormInputs inputs = {g.feed({4}), g.feed({4}), g.feed({4}),
                                                     g.feed({4}, DType::f32, 0.5, 2)};
                     TRY_ASSIGN(const BatchNormTrained trained,
                                batch_norm_training(g.graph, "y", x, inputs, {}));
                     g.graph.outputs = {trained.mean, trained.variance};
                     return trained.y;
                   },
                   4e-6});
}

}  // namespace leat
