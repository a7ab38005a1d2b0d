// Products rounded to what a user allows (Precision), end to end on every device found: a
// transformer's block beside the reference in double, and real networks.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <random>

#include "leat/tensor/ops.h"
#include "leat/tensor/ops_attention.h"
#include "tests/model/shared_data.h"
#include "tests/ops/tested_devices.h"

namespace leat {
namespace {

using namespace ops;

constexpr int64_t kTokens = 24, kWidth = 64, kHeads = 4, kWide = 256;

HostTensor random_of(const Shape& shape, uint32_t seed) {
  HostTensor value = HostTensor::zeros(DType::f32, shape);
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int64_t i = 0; i < element_count(shape); ++i) value.set_number(i, uniform(generator));
  return value;
}

/// Weights that keep the size of what they are multiplied with.
Result<TensorId> linear(Graph& graph, const std::string& name, TensorId x, int64_t from,
                        int64_t to) {
  HostTensor w = random_of({from, to}, static_cast<uint32_t>(from + 3 * to + name.back()));
  const double scale = std::sqrt(3.0 / static_cast<double>(from));
  for (int64_t i = 0; i < from * to; ++i) w.set_number(i, w.number(i) * scale);
  return matmul(graph, name, x, graph.add_constant(name + "_w", std::move(w)));
}

Result<TensorId> normed(Graph& graph, const std::string& name, TensorId x) {
  HostTensor ones = HostTensor::zeros(DType::f32, {kWidth});
  for (int64_t i = 0; i < kWidth; ++i) ones.set_number(i, 1);
  const TensorId scale = graph.add_constant(name + "_scale", std::move(ones));
  TRY_ASSIGN(const LayerNormResult result, layer_norm(graph, name, x, scale, kNoTensor));
  return result.y;
}

/// What a transformer is made of. Eight products, of which two are of activations alone.
Result<Graph> block() {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {1, kTokens, kWidth});
  graph.inputs = {x};
  TRY_ASSIGN(const TensorId first, normed(graph, "norm1", x));
  AttentionInputs inputs;
  TRY_ASSIGN(inputs.q, linear(graph, "q", first, kWidth, kWidth));
  TRY_ASSIGN(inputs.k, linear(graph, "k", first, kWidth, kWidth));
  TRY_ASSIGN(inputs.v, linear(graph, "v", first, kWidth, kWidth));
  AttentionOptions options;
  options.q_heads = options.kv_heads = kHeads;
  TRY_ASSIGN(const AttentionResult seen, attention(graph, "attention", inputs, options));
  TRY_ASSIGN(const TensorId out, linear(graph, "out", seen.y, kWidth, kWidth));
  TRY_ASSIGN(const TensorId middle, binary(graph, "add1", ScalarOp::add, out, x));
  TRY_ASSIGN(const TensorId second, normed(graph, "norm2", middle));
  TRY_ASSIGN(const TensorId wide, linear(graph, "up", second, kWidth, kWide));
  TRY_ASSIGN(const TensorId relu, activation(graph, "relu", Activation::relu, wide));
  TRY_ASSIGN(const TensorId down, linear(graph, "down", relu, kWide, kWidth));
  TRY_ASSIGN(const TensorId y, binary(graph, "add2", ScalarOp::add, down, middle));
  graph.outputs = {y};
  return graph;
}

Result<std::unique_ptr<Network>> load(Device& device, const Graph& graph, Precision precision) {
  return Network::load(device, graph, {.schedule = {.precision = precision}});
}

/// Of a factor, of itself; in i8 of the largest, as bounds of results are here, too.
double unit_of(Precision precision) {
  if (precision == Precision::i8) return 1.0 / 127;
  return precision == Precision::bf16 ? 0x1p-8 : 0x1p-11;
}

class Precisions : public DeviceTest {};
class LargePrecisions : public DeviceTest {};

TEST_P(Precisions, ABlockIsNearDouble) {
  const Result<Graph> graph = block();
  ASSERT_OK(graph);
  const HostTensor x = random_of({1, kTokens, kWidth}, 7);
  const auto want = evaluate(*graph, std::vector<HostTensor>{x});
  ASSERT_OK(want);
  const auto f32 = load(device(), *graph, Precision::f32);
  ASSERT_OK(f32);
  const auto plain = answer(**f32, x);
  ASSERT_OK(plain);
  const auto none = Network::load(device(), *graph, {});
  ASSERT_OK(none);
  const auto unasked = answer(**none, x);
  ASSERT_OK(unasked);
  EXPECT_EQ(plain->bytes, unasked->bytes);
  for (const Precision precision :
       {Precision::tf32, Precision::bf16, Precision::f16, Precision::i8}) {
    const auto network = load(device(), *graph, precision);
    ASSERT_OK(network);
    const ProductCounts products = (*network)->schedule().products;
    EXPECT_EQ(products.all, 8u);
    const auto got = answer(**network, x);
    ASSERT_OK(got);
    if (products.rounded == 0) {
      EXPECT_EQ(got->bytes, plain->bytes) << name_of(precision);
      continue;
    }
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < element_count(got->shape); ++i) {
      largest = std::max(largest, std::abs((*want)[0].number(i)));
      worst = std::max(worst, std::abs((*want)[0].number(i) - got->number(i)));
    }
    // Six products stand one behind the other, of two factors each.
    const double unit = unit_of(precision);
    EXPECT_LE(worst, 6 * 2 * unit * largest) << name_of(precision);
    EXPECT_GT(worst, unit / 64 * largest) << name_of(precision) << " rounds nothing";
    std::cout << "block in " << name_of(precision) << " on " << GetParam().name << ": "
              << products.rounded << " of " << products.all << " products rounded, error "
              << worst / largest << "\n";
  }
}

TEST_P(Precisions, DigitsAreReadInBf16) {
  const auto model = import_onnx(source_path("examples/digits/digits.onnx"));
  ASSERT_OK(model);
  const auto network = load(device(), model->graph, Precision::bf16);
  ASSERT_OK(network);
  if ((*network)->schedule().products.rounded == 0) {
    GTEST_SKIP() << GetParam().name << " has no bf16.";
  }
  for (int digit = 0; digit < 10; ++digit) {
    const auto picture =
        read_grey(source_path("examples/digits/pictures/" + std::to_string(digit) + ".png"));
    ASSERT_OK(picture);
    const auto scores = answer(**network, *picture);
    ASSERT_OK(scores);
    EXPECT_EQ(top_class(*scores), digit);
  }
}

TEST_P(LargePrecisions, SqueezeNetTakesHalfTheMemory) {
  const std::string path = shared_path("onnx/light/light_squeezenet.onnx");
  SKIP_WITHOUT(path);
  const auto model = import_onnx(path);
  ASSERT_OK(model);
  const auto full = load(device(), model->graph, Precision::f32);
  ASSERT_OK(full);
  const auto half = load(device(), model->graph, Precision::bf16);
  ASSERT_OK(half);
  const Schedule &wide = (*full)->schedule(), &narrow = (*half)->schedule();
  EXPECT_EQ(narrow.products.all, 26u);
  if (narrow.products.rounded == 0) GTEST_SKIP() << GetParam().name << " has no bf16.";
  EXPECT_EQ(narrow.products.rounded, 26u);
  EXPECT_LE(narrow.memory.activations_bytes, wide.memory.activations_bytes * 55 / 100);
  EXPECT_LE(narrow.memory.weights_bytes, wide.memory.weights_bytes * 51 / 100);
}

INSTANTIATE_TEST_SUITE_P(Devices, Precisions, testing::ValuesIn(tested_devices()), test_name_of);
INSTANTIATE_TEST_SUITE_P(Devices, LargePrecisions, testing::ValuesIn(fast_devices()), test_name_of);

}  // namespace
}  // namespace leat
