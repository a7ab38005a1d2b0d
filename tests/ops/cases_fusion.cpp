// Rows of several operators that the schedule fuses or gives shared memory: what leaves a kernel
// must not depend on how many nodes it took in.
#include "tests/ops/op_case.h"

namespace leat {

using namespace ops;

namespace {

Result<TensorId> padded_conv(OpGraph& g, const std::string& name, TensorId x, int64_t features) {
  const int64_t channels = g.graph.tensors[x].shape[1];
  const DType dtype = g.graph.tensors[x].dtype;
  const TensorId w = g.constant({features, channels, 3, 3}, dtype, -0.3, 0.3);
  return conv(g.graph, name, x, w, g.constant({features}, dtype),
              {.window = {.pads = {1, 1, 1, 1}}});
}

Result<TensorId> residual_block(OpGraph& g, DType dtype) {
  const TensorId x = g.feed({1, 9, 7, 7}, dtype);
  TRY_ASSIGN(const TensorId a, padded_conv(g, "a", x, 9));
  const BatchNormInputs inputs = {.scale = g.constant({9}, dtype, 0.5, 1.5),
                                  .bias = g.constant({9}, dtype),
                                  .mean = g.constant({9}, dtype),
                                  .variance = g.constant({9}, dtype, 0.5, 2)};
  TRY_ASSIGN(const TensorId b, batch_norm(g.graph, "b", a, inputs));
  TRY_ASSIGN(const TensorId c, binary(g.graph, "c", ScalarOp::add, b, x));
  return activation(g.graph, "d", Activation::relu, c);
}

/// The inception pattern: branches that write parts of one tensor, which is read again.
Result<TensorId> branches(OpGraph& g) {
  const TensorId x = g.feed({1, 8, 6, 6});
  TRY_ASSIGN(const TensorId stem, activation(g.graph, "stem", Activation::relu, x));
  TRY_ASSIGN(const TensorId a, padded_conv(g, "a", stem, 5));
  TRY_ASSIGN(const TensorId b, padded_conv(g, "b", stem, 8));
  TRY_ASSIGN(const TensorId b_relu, activation(g.graph, "b_relu", Activation::relu, b));
  TRY_ASSIGN(const TensorId pooled,
             max_pool(g.graph, "pooled", stem, {.kernel = {3, 3}, .pads = {1, 1, 1, 1}}));
  const std::vector<TensorId> parts = {a, b_relu, pooled, b};
  TRY_ASSIGN(const TensorId joined, concat(g.graph, "joined", parts, 1));
  return padded_conv(g, "y", joined, 4);
}

/// A tensor that is fused away at one user, read by another, and an output itself.
Result<TensorId> shared_middle(OpGraph& g) {
  const TensorId x = g.feed({1, 4, 5, 5});
  TRY_ASSIGN(const TensorId a, padded_conv(g, "a", x, 4));
  TRY_ASSIGN(const TensorId b, activation(g.graph, "b", Activation::sigmoid, a));
  TRY_ASSIGN(const TensorId c, binary(g.graph, "c", ScalarOp::mul, a, b));
  g.graph.outputs = {b, a};
  return c;
}

/// Reshape and transpose between two contractions: a layout change that cannot be a view.
Result<TensorId> attention_like(OpGraph& g) {
  const TensorId x = g.feed({1, 6, 4, 5});
  TRY_ASSIGN(const TensorId features, padded_conv(g, "features", x, 8));
  TRY_ASSIGN(const TensorId rows, reshape(g.graph, "rows", features, {2, 4, 20}));
  TRY_ASSIGN(const TensorId columns, transpose(g.graph, "columns", rows, {0, 2, 1}));
  TRY_ASSIGN(const TensorId scores, matmul(g.graph, "scores", columns, rows));
  TRY_ASSIGN(const TensorId weights, softmax(g.graph, "weights", scores, {}));
  TRY_ASSIGN(const TensorId mixed, matmul(g.graph, "mixed", weights, columns));
  return reshape(g.graph, "y", mixed, {1, -1});
}

/// More nodes than buffers: memory is reused while all values stay apart.
Result<TensorId> long_chain(OpGraph& g) {
  TensorId x = g.feed({1, 5, 6, 6});
  const TensorId first = x;
  for (int i = 0; i < 4; ++i) {
    TRY_ASSIGN(x, padded_conv(g, "conv" + std::to_string(i), x, i % 2 == 0 ? 9 : 5));
    TRY_ASSIGN(x, activation(g.graph, "tanh" + std::to_string(i), Activation::hard_sigmoid, x));
  }
  TRY_ASSIGN(const TensorId narrow, padded_conv(g, "narrow", x, 5));
  return binary(g.graph, "y", ScalarOp::sub, narrow, first);
}

}  // namespace

void add_fusion_cases(OpCases& cases) {
  const double two_sums = 2 * sum_tolerance(207);  // 23 channels of nine taps
  cases.push_back(
      {"fused_residual_f32", [](OpGraph& g) { return residual_block(g, DType::f32); }, two_sums});
  cases.push_back({"fused_residual_f16", [](OpGraph& g) { return residual_block(g, DType::f16); },
                   4 * kHalfRounding});
  cases.push_back({"branches_into_concat", branches, two_sums});
  cases.push_back({"shared_middle", shared_middle, two_sums});
  // Scores grow to 20, and an error there becomes a relative one of the weights.
  cases.push_back({"attention_like", attention_like, 1e-4});
  cases.push_back({"long_chain", long_chain, two_sums});
}

}  // namespace leat
