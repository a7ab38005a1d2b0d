// Rows, columns and terms are no multiples of any tile, so that tails, masks, packed weights and a
// fused epilogue are part of the answer.
#include "leat/run/known_answer.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "leat/run/network.h"
#include "leat/tensor/ops.h"

namespace leat {

namespace {

constexpr int64_t kRows = 37;
constexpr int64_t kTerms = 21;
constexpr int64_t kColumns = 43;
/// Sums of 21 products below 1, rounded in f32 by any order: 21 * 2^-24 is 1.3e-6.
constexpr double kTolerance = 1e-5;

HostTensor pattern(Shape shape, int64_t step) {
  HostTensor value = HostTensor::zeros(DType::f32, std::move(shape));
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, static_cast<double>(i * step % 31 - 15) / 16);
  }
  return value;
}

Result<Graph> question() {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {kRows, kTerms});
  graph.inputs = {x};
  const TensorId w = graph.add_constant("w", pattern({kTerms, kColumns}, 7));
  TRY_ASSIGN(const TensorId product, ops::matmul(graph, "product", x, w));
  TRY_ASSIGN(const TensorId result, ops::activation(graph, "relu", ops::Activation::relu, product));
  graph.outputs = {result};
  return graph;
}

}  // namespace

Result<void> self_test(Device& device, const std::string& cache_folder) {
  TRY_ASSIGN(const Graph graph, question());
  const std::vector<HostTensor> inputs = {pattern({kRows, kTerms}, 11)};
  TRY_ASSIGN(const std::vector<HostTensor> want, evaluate(graph, inputs));
  NetworkOptions options;
  options.cache_folder = cache_folder;
  TRY_ASSIGN(const std::unique_ptr<Network> network, Network::load(device, graph, options));
  TRY(network->set_input(0, inputs[0]));
  // Else a device that does nothing could pass with what an earlier test left in this memory.
  const ExternalView output = network->output_view(0);
  if (output.host != nullptr) std::memset(output.host, 0xff, output.size_bytes);  // not a number
  TRY(network->run());
  TRY_ASSIGN(const HostTensor got, network->output(0));
  for (int64_t i = 0; i < element_count(got.shape); ++i) {
    if (std::abs(got.number(i) - want[0].number(i)) <= kTolerance) continue;
    return Error(ErrorKind::internal,
                 fmt::format("Device \"{}\" fails its self-test: element ({}) is ({}) instead of "
                             "({}).",
                             device.info().name, i, got.number(i), want[0].number(i)));
  }
  return {};
}

}  // namespace leat
