// Models whose fields are changed while the file stays well formed, which reaches deeper than
// changed bytes (fuzz_targets_test.cpp): they never crash, hang, or take more memory than allowed.
// Seeds are fixed: the name of a failing round (model and number) is enough to run it again.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "leat/model/onnx_builder.h"
#include "tests/fuzz/allocation_watch.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/mutations.h"
#include "tests/fuzz/onnx_seeds.h"

namespace leat {
namespace {

constexpr uint32_t kFieldsRounds = 1500;  // a model; under a second each, all told
/// The largest single request that an import or a small evaluation may make.
constexpr size_t kAllocationBytesMax = 16u << 20;

/// below(), as the schema counts.
int index_below(Random& random, int count) {
  return static_cast<int>(below(random, static_cast<size_t>(count)));
}

int64_t odd_number(Random& random) {
  constexpr int64_t kValues[] = {0,
                                 1,
                                 2,
                                 3,
                                 7,
                                 -1,
                                 -2,
                                 -8,
                                 64,
                                 1000,
                                 65536,
                                 1 << 24,
                                 1 << 30,
                                 (int64_t{1} << 31) - 1,
                                 int64_t{1} << 31,
                                 int64_t{1} << 40,
                                 std::numeric_limits<int64_t>::max(),
                                 std::numeric_limits<int64_t>::min()};
  return kValues[below(random, std::size(kValues))];
}

float odd_float(Random& random) {
  constexpr float kValues[] = {0.0f,
                               -1.0f,
                               0.5f,
                               1e-30f,
                               1e30f,
                               std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN()};
  return kValues[below(random, std::size(kValues))];
}

void change_attribute(onnx::GraphProto& graph, Random& random) {
  onnx::NodeProto& node = *graph.mutable_node(index_below(random, graph.node().size()));
  if (node.attribute_size() == 0) return;
  onnx::AttributeProto& attribute =
      *node.mutable_attribute(index_below(random, node.attribute().size()));
  if (attribute.ints_size() > 0 && below(random, 4) > 0) {
    attribute.set_ints(index_below(random, attribute.ints().size()), odd_number(random));
  } else if (attribute.ints_size() > 0) {
    attribute.add_ints(odd_number(random));
  } else if (attribute.has_i()) {
    attribute.set_i(odd_number(random));
  } else if (attribute.has_f()) {
    attribute.set_f(odd_float(random));
  } else if (attribute.floats_size() > 0) {
    attribute.set_floats(0, odd_float(random));
  } else {
    attribute.set_type(onnx::AttributeProto::INTS);
  }
}

/// Another value in a constant, or another shape for the same number of elements.
void change_constant(onnx::GraphProto& graph, Random& random) {
  if (graph.initializer_size() == 0) return;
  onnx::TensorProto& tensor =
      *graph.mutable_initializer(index_below(random, graph.initializer().size()));
  if (below(random, 3) == 0 && tensor.dims_size() > 0) {
    std::swap(*tensor.mutable_dims()->begin(), *(tensor.mutable_dims()->end() - 1));
    if (below(random, 2) == 0) tensor.add_dims(1);
    return;
  }
  std::string& raw = *tensor.mutable_raw_data();
  if (raw.size() < sizeof(int64_t)) return;
  const int64_t value = odd_number(random);
  const size_t at = below(random, raw.size() / sizeof value) * sizeof value;
  raw.replace(at, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
}

void change_input(onnx::GraphProto& graph, Random& random) {
  onnx::ValueInfoProto& input = *graph.mutable_input(index_below(random, graph.input().size()));
  onnx::TypeProto::Tensor& type = *input.mutable_type()->mutable_tensor_type();
  if (below(random, 4) == 0) {
    type.set_elem_type(static_cast<int>(below(random, 27)));
  } else if (type.shape().dim_size() > 0) {
    const int dimension = index_below(random, type.shape().dim().size());
    type.mutable_shape()->mutable_dim(dimension)->set_dim_value(odd_number(random));
  }
}

/// Swaps two nodes' operators, or connects an input elsewhere.
void rewire(onnx::GraphProto& graph, Random& random) {
  onnx::NodeProto& first = *graph.mutable_node(index_below(random, graph.node().size()));
  onnx::NodeProto& second = *graph.mutable_node(index_below(random, graph.node().size()));
  if (below(random, 2) == 0) {
    std::swap(*first.mutable_op_type(), *second.mutable_op_type());
  } else if (first.input_size() > 0 && second.output_size() > 0) {
    first.set_input(index_below(random, first.input().size()), second.output(0));
  }
}

std::string mutated_fields(onnx::ModelProto model, Random& random) {
  using Mutation = void (*)(onnx::GraphProto&, Random&);
  constexpr Mutation kMutations[] = {change_attribute, change_constant, change_input, rewire};
  const uint32_t count = 1 + below(random, 3);
  for (uint32_t i = 0; i < count; ++i) kMutations[below(random, 4)](*model.mutable_graph(), random);
  if (below(random, 8) == 0) {
    model.mutable_opset_import(0)->set_version(1 + below(random, 30));
  }
  return model.SerializeAsString();
}

TEST(OnnxFuzz, MutatedFields) {
  uint32_t survived = 0;
  for (const OnnxBuilder& seed : fuzz_seeds()) {
    for (uint32_t round = 0; round < kFieldsRounds; ++round) {
      SCOPED_TRACE(testing::Message()
                   << "model of " << seed.bytes().size() << " bytes, round " << round);
      Random random(round);
      onnx::ModelProto model = seed.proto();
      reset_largest_allocation();
      survived += feed_model(mutated_fields(std::move(model), random)) ? 1 : 0;
      ASSERT_LE(largest_allocation(), kAllocationBytesMax);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(survived, 100u) << "mutations are too rough to reach the evaluator";
}

}  // namespace
}  // namespace leat
