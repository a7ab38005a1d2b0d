// What the self-test asks, compiled for the device. See known_answer.h.
#include "leat/run/known_answer.h"
#include "leat/run/known_pattern.h"
#include "leat/tensor/ops.h"

namespace leat {

Result<Graph> known_question() {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {kKnownRows, kKnownTerms});
  graph.inputs = {x};
  const TensorId w =
      graph.add_constant("w", known_pattern({kKnownTerms, kKnownColumns}, kKnownWeightStep));
  TRY_ASSIGN(const TensorId product, ops::matmul(graph, "product", x, w));
  TRY_ASSIGN(const TensorId result, ops::activation(graph, "relu", ops::Activation::relu, product));
  graph.outputs = {result};
  return graph;
}

Result<void> self_test(Device& device, const std::string& cache_folder) {
  TRY_ASSIGN(const Graph graph, known_question());
  NetworkOptions options;
  options.cache_folder = cache_folder;
  TRY_ASSIGN(const std::unique_ptr<Network> network, Network::load(device, graph, options));
  return check_known_answer(*network);
}

}  // namespace leat
