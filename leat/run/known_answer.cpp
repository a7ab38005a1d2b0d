// Rows, columns and terms are no multiples of any tile, so that tails, masks, packed weights and a
// fused epilogue are part of the answer.
#include "leat/run/known_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "leat/run/known_pattern.h"

namespace leat {

namespace {

/// Sums of 21 products below 1, rounded in f32 by any order: 21 * 2^-24 is 1.3e-6.
constexpr double kTolerance = 1e-5;

/// By the definition, row-major.
std::vector<double> known_answer() {
  const HostTensor x = known_pattern({kKnownRows, kKnownTerms}, kKnownInputStep);
  const HostTensor w = known_pattern({kKnownTerms, kKnownColumns}, kKnownWeightStep);
  std::vector<double> answer;
  for (int64_t m = 0; m < kKnownRows; ++m) {
    for (int64_t n = 0; n < kKnownColumns; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < kKnownTerms; ++k) {
        sum += x.number(m * kKnownTerms + k) * w.number(k * kKnownColumns + n);
      }
      answer.push_back(std::max(sum, 0.0));
    }
  }
  return answer;
}

bool is_one(const Graph& graph, const std::vector<TensorId>& ids, const Shape& shape) {
  return ids.size() == 1 && graph.tensors[ids[0]].dtype == DType::f32 &&
         graph.tensors[ids[0]].shape == shape;
}

Result<void> check_question(const Network& network, const std::string& device) {
  const Graph& asked = network.schedule().graph;
  if (is_one(asked, asked.inputs, {kKnownRows, kKnownTerms}) &&
      is_one(asked, asked.outputs, {kKnownRows, kKnownColumns})) {
    return {};
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("Device \"{}\" is asked for another self-test than Leat's; a packed "
                           "model has to be packed anew.",
                           device));
}

}  // namespace

HostTensor known_pattern(Shape shape, int64_t step) {
  HostTensor value = HostTensor::zeros(DType::f32, std::move(shape));
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, static_cast<double>(i * step % 31 - 15) / 16);
  }
  return value;
}

Result<void> check_known_answer(Network& network) {
  const std::string& device = network.device().info().name;
  TRY(check_question(network, device));
  const std::vector<double> want = known_answer();
  TRY(network.set_input(0, known_pattern({kKnownRows, kKnownTerms}, kKnownInputStep)));
  // Else a device that does nothing could pass with what an earlier test left in this memory.
  const ExternalView output = network.output_view(0);
  if (output.host != nullptr) std::memset(output.host, 0xff, output.size_bytes);  // not a number
  TRY(network.run());
  TRY_ASSIGN(const HostTensor got, network.output(0));
  for (size_t i = 0; i < want.size(); ++i) {
    const double number = got.number(static_cast<int64_t>(i));
    if (std::abs(number - want[i]) <= kTolerance) continue;
    return Error(ErrorKind::internal,
                 fmt::format("Device \"{}\" fails its self-test: element ({}) is ({}) instead of "
                             "({}).",
                             device, i, number, want[i]));
  }
  return {};
}

}  // namespace leat
