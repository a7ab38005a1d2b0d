// Products that a user lets be rounded (Precision), run by the interpreter as lowered for targets
// that multiply 16 bits, and for those that do not. Values are held to the reference of the f32
// graph, within what the rounding of both factors explains: (1 + u)^2 - 1 of the sum of |a b|.
#include <gtest/gtest.h>

#include <cmath>

#include "leat/schedule/kernel_key.h"
#include "leat/tensor/constant_memory.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/ops_quantize.h"
#include "tests/lower/interpreted_network.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

/// Of rounding to nearest.
double unit_of(Precision precision) { return precision == Precision::f16 ? 0x1p-11 : 0x1p-8; }

Target nvidia(const char* architecture) {
  Target target = gpu_target(32);
  target.name = architecture;
  target.format = CodeFormat::cubin;
  target.llvm_cpu = architecture;
  target.tile_rates = TileRates::ptxas;
  target.local_memory_bytes_max = 227 * 1024;
  target.lanes_per_workgroup_max = 1024;
  return target;
}

Target x86(const char* features) {
  Target target = cpu_target(16);
  target.name = features;
  target.format = CodeFormat::native_object;
  target.llvm_features = features;
  target.local_memory_bytes_max = 65536;
  return target;
}

const char* const kDots = "+avx512f,+avx512bf16";
const char* const kTiles = "+avx512f,+avx512bf16,+amx-bf16,+amx-tile";

/// `scaled` is given each number that a graph is made of or fed with.
using Change = std::function<double(double)>;
using Build = std::function<TensorId(Graph& graph, const std::function<TensorId(Shape)>& constant,
                                     const std::function<TensorId(Shape)>& input)>;

struct Built {
  Graph graph;
  std::vector<HostTensor> inputs;
};

Built built(const Build& build, const Change& change) {
  Built result;
  Graph& graph = result.graph;
  uint32_t seed = 1;
  const auto numbers = [&](const Shape& shape) {
    HostTensor value = random_tensor(shape, seed++);
    for (int64_t i = 0; i < element_count(shape); ++i) {
      value.set_number(i, change(value.number(i)));
    }
    return value;
  };
  const auto constant = [&](const Shape& shape) {
    return graph.add_constant("w" + std::to_string(seed), numbers(shape));
  };
  const auto input = [&](const Shape& shape) {
    graph.inputs.push_back(graph.add_tensor("x" + std::to_string(seed), DType::f32, shape));
    result.inputs.push_back(numbers(shape));
    return graph.inputs.back();
  };
  graph.outputs = {build(graph, constant, input)};
  return result;
}

Built plain(const Build& build) {
  return built(build, [](double number) { return number; });
}

Schedule planned(const Graph& graph, const Target& target, Precision precision) {
  auto schedule = make_schedule(graph, target, {.precision = precision});
  CHECK(schedule.has_value());
  return std::move(*schedule);
}

/// Of one product. `rounded`: whether the target does that.
void check(const Build& build, const Target& target, Precision precision, bool rounded,
           const std::string& what) {
  const std::string how = what + " in " + std::string(name_of(precision)) + " on " + target.name;
  const Built made = plain(build);
  const Built positive = built(build, [](double number) { return std::abs(number); });
  const Schedule schedule = planned(made.graph, target, precision);
  EXPECT_GE(schedule.products.all, 1u) << how;
  EXPECT_EQ(schedule.products.rounded, rounded ? schedule.products.all : 0) << how;
  const auto want = evaluate(made.graph, made.inputs);
  const auto bound = evaluate(positive.graph, positive.inputs);
  ASSERT_TRUE(want && bound);
  for (const Openness openness : {Openness::none, Openness::all}) {
    const auto got =
        run_interpreted(made.graph, target, {.precision = precision}, made.inputs, openness);
    ASSERT_TRUE(got) << how << ": " << got.error().message();
    const double unit = rounded ? unit_of(precision) : 0;
    double worst = 0;
    for (int64_t i = 0; i < element_count((*want)[0].shape); ++i) {
      const double difference = std::abs((*got)[0].number(i) - (*want)[0].number(i));
      worst = std::max(worst, difference);
      // Sums of f32 besides.
      const double sums = 2e-6 * std::max(1.0, (*bound)[0].number(i));
      ASSERT_LE(difference, (2 * unit + unit * unit) * (*bound)[0].number(i) + sums) << how;
    }
    EXPECT_TRUE(!rounded || worst > 1e-5) << how << ": nothing was rounded";
  }
}

struct NamedBuild {
  const char* name;
  Build build;
  bool has_weights = true;
};

std::vector<NamedBuild> products() {
  using Make = const std::function<TensorId(Shape)>&;
  const auto convolution = [](Shape x, Shape w, int64_t pad, int64_t groups) -> Build {
    return [=](Graph& graph, Make constant, Make input) {
      ConvOptions options;
      options.window.pads = {pad, pad, pad, pad};
      options.groups = groups;
      const TensorId of_x = input(x), of_w = constant(w), bias = constant({w[0]});
      return conv(graph, "conv", of_x, of_w, bias, options).value();
    };
  };
  return {
      {"a convolution", convolution({1, 16, 9, 7}, {24, 16, 3, 3}, 1, 1)},
      {"one of three channels", convolution({2, 3, 9, 9}, {16, 3, 3, 3}, 1, 1)},
      {"one of groups", convolution({1, 16, 6, 6}, {32, 8, 3, 3}, 1, 2)},
      {"a transposed convolution",
       [](Graph& graph, Make constant, Make input) {
         ConvTransposeOptions options;
         options.window.strides = {2, 2};
         const TensorId x = input({1, 8, 5, 5}), w = constant({8, 16, 2, 2});
         return conv_transpose(graph, "up", x, w, kNoTensor, options).value();
       }},
      {"a product with weights",
       [](Graph& graph, Make constant, Make input) {
         const TensorId x = input({33, 40}), w = constant({40, 24});
         return matmul(graph, "matmul", x, w).value();
       }},
      {"one that turns its weights",
       [](Graph& graph, Make constant, Make input) {
         const TensorId x = input({5, 64}), w = constant({19, 64}), bias = constant({19});
         return gemm(graph, "gemm", x, w, bias, {.transpose_b = true}).value();
       }},
      {"one of two activations",
       [](Graph& graph, Make, Make input) {
         const TensorId q = input({2, 16, 32}), k = input({2, 24, 32});
         const TensorId turned = transpose(graph, "turn", k, {0, 2, 1}).value();
         return matmul(graph, "scores", q, turned).value();
       },
       false},
  };
}

TEST(RoundedProducts, AreNearTheReferenceOnEveryKindOfTarget) {
  for (const NamedBuild& product : products()) {
    for (const Precision precision : {Precision::bf16, Precision::f16}) {
      for (const Target& target : {gpu_target(32), nvidia("sm_80"), nvidia("sm_90a")}) {
        check(product.build, target, precision, true, product.name);
      }
      const bool is_brain = precision == Precision::bf16;
      for (const char* features : {kDots, kTiles}) {
        check(product.build, x86(features), precision, is_brain && product.has_weights,
              product.name);
      }
      check(product.build, cpu_target(8), precision, false, product.name);
      check(product.build, software_target(8), precision, false, product.name);
    }
  }
}

TEST(RoundedProducts, TakeTheUnits) {
  for (const NamedBuild& product : products()) {
    const Built made = plain(product.build);
    const Schedule schedule = planned(made.graph, nvidia("sm_80"), Precision::f16);
    for (const Step& step : schedule.steps) {
      const Node& node = schedule.graph.nodes[step.node];
      if (!find_contraction(schedule.graph, node)) continue;
      for (const uint32_t i : {0u, 1u}) {
        EXPECT_EQ(schedule.placements[node.inputs[i]].storage, DType::f16) << product.name;
      }
    }
  }
  const Built made = plain(products()[4].build);
  const Schedule dots = planned(made.graph, x86(kDots), Precision::bf16);
  EXPECT_EQ(std::get<ContractionParams>(dots.steps.back().params).k_dot, 2u);
}

/// conv, relu, pool, conv, and what both convolutions gave, added.
Built chain(bool adds, int64_t channels = 16) {
  return plain([=](Graph& graph, const auto& constant, const auto& input) {
    ConvOptions options;
    options.window.pads = {1, 1, 1, 1};
    const TensorId x = input({1, channels, 16, 16});
    const TensorId first =
        conv(graph, "a", x, constant({channels, channels, 3, 3}), kNoTensor, options).value();
    const TensorId relu = activation(graph, "relu", Activation::relu, first).value();
    Window window;
    window.kernel = {2, 2};
    window.strides = {1, 1};
    window.pads = {0, 0, 1, 1};
    const TensorId pooled = max_pool(graph, "pool", relu, window).value();
    const TensorId second =
        conv(graph, "b", pooled, constant({channels, channels, 3, 3}), kNoTensor, options).value();
    const TensorId third =
        conv(graph, "c", second, constant({channels, channels, 3, 3}), kNoTensor, options).value();
    return adds ? binary(graph, "add", ScalarOp::add, third, second).value() : third;
  });
}

size_t narrow_tensors(const Schedule& schedule, size_t& wide) {
  size_t narrow = 0;
  for (const Placement& placement : schedule.placements) {
    if (placement.space != Space::activations) continue;
    ++(placement.storage == DType::f32 ? wide : narrow);
  }
  return narrow;
}

// What products alone read lies in 16 bits, through relu and pooling too; what is also added does
// not, and has a copy.
TEST(RoundedProducts, AreOfTensorsThatLieInHalfTheMemory) {
  for (const Target& target : {nvidia("sm_80"), x86(kDots)}) {
    for (const bool adds : {false, true}) {
      const Built made = chain(adds, 64);
      const Schedule full = planned(made.graph, target, Precision::f32);
      const Schedule half = planned(made.graph, target, Precision::bf16);
      EXPECT_EQ(half.products.rounded, 3u);
      size_t wide = 0;
      const size_t narrow = narrow_tensors(half, wide);
      EXPECT_EQ(narrow, 4u) << to_string(half);            // x and what relu, pool and b give
      EXPECT_EQ(wide, adds ? 1u : 0u) << to_string(half);  // what b gives
      EXPECT_EQ(half.steps.size(), full.steps.size() + (adds ? 2 : 1));
      EXPECT_LE(half.memory.weights_bytes, full.memory.weights_bytes * 51 / 100);
      if (!adds) {
        EXPECT_LE(half.memory.activations_bytes, full.memory.activations_bytes * 3 / 4);
      }
    }
  }
}

TEST(RoundedProducts, OfAChainAreNearTheReference) {
  for (const Target& target : {nvidia("sm_80"), x86(kDots), x86(kTiles), gpu_target(32)}) {
    const Built made = chain(true);
    const auto want = evaluate(made.graph, made.inputs);
    const auto got = run_interpreted(made.graph, target, {.precision = Precision::bf16},
                                     made.inputs, Openness::none);
    ASSERT_TRUE(want && got);
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < element_count((*want)[0].shape); ++i) {
      largest = std::max(largest, std::abs((*want)[0].number(i)));
      worst = std::max(worst, std::abs((*got)[0].number(i) - (*want)[0].number(i)));
    }
    // Three products, each of two factors that are off by 2^-8; signs differ, so that errors do not
    // add up.
    EXPECT_LE(worst, 3 * 2 * 0x1p-8 * largest) << target.name;
    EXPECT_GT(worst, 1e-5 * largest) << target.name;
  }
}

std::string keys_of(const Schedule& schedule) {
  std::string keys;
  for (const Step& step : schedule.steps) {
    const StepKey key = step_key(schedule, step);
    keys += key.structure;
    for (const int64_t number : key.numbers) keys += std::to_string(number) + " ";
  }
  return keys;
}

// What is kept of kernels, compiled or tuned, is kept by these.
TEST(RoundedProducts, HaveKeysOfTheirOwn) {
  const Built made = chain(false);
  for (const Target& target : {nvidia("sm_80"), gpu_target(32)}) {
    const auto plan = [&](Precision precision) { return planned(made.graph, target, precision); };
    const Schedule none = make_schedule(made.graph, target, {}).value();
    const Schedule f32 = plan(Precision::f32);
    EXPECT_EQ(to_string(none), to_string(f32));
    EXPECT_EQ(keys_of(none), keys_of(f32));
    const Schedule f16 = plan(Precision::f16), bf16 = plan(Precision::bf16);
    EXPECT_NE(keys_of(f32), keys_of(f16));
    EXPECT_NE(keys_of(f32), keys_of(bf16));
    EXPECT_NE(keys_of(f16), keys_of(bf16));
    const auto last = [](const Schedule& schedule) {
      return kernel_key(schedule, schedule.graph.nodes[schedule.steps.back().node]);
    };
    EXPECT_NE(last(f16), last(bf16));
    EXPECT_NE(last(f16), last(f32));
  }
}

Built weighed(double weight) {
  Built made;
  Graph& graph = made.graph;
  graph.inputs = {graph.add_tensor("x", DType::f32, {8, 16})};
  made.inputs = {random_tensor({8, 16}, 1)};
  made.inputs[0].set_number(0, 70000);
  HostTensor w = random_tensor({16, 8}, 2);
  w.set_number(0, weight);
  const TensorId weights = graph.add_constant("w", std::move(w));
  graph.outputs = {matmul(graph, "y", graph.inputs[0], weights).value()};
  return made;
}

// Weights without an f16 keep their product in f32. An activation without one is infinite there, as
// in a model of f16, and so is what is computed of it; bf16 has it.
TEST(RoundedProducts, BeyondF16) {
  const Target target = nvidia("sm_80");
  EXPECT_EQ(planned(weighed(65519).graph, target, Precision::f16).products.rounded, 1u);
  EXPECT_EQ(planned(weighed(65520).graph, target, Precision::f16).products.rounded, 0u);
  EXPECT_EQ(planned(weighed(65520).graph, target, Precision::bf16).products.rounded, 1u);
  const Built made = weighed(1);
  const auto result = [&](Precision precision) {
    return run_interpreted(made.graph, target, {.precision = precision}, made.inputs,
                           Openness::none)
        .value()[0];
  };
  EXPECT_TRUE(std::isinf(result(Precision::f16).number(0)));
  EXPECT_NEAR(result(Precision::bf16).number(0), 70000, 70000 * 0x1p-8 + 16);
  EXPECT_TRUE(std::isfinite(result(Precision::f16).number(8)));
}

// What a model has quantised stays what it is.
TEST(RoundedProducts, OfFewBitsStay) {
  Graph graph;
  graph.inputs = {graph.add_tensor("x", DType::f32, {64, 64})};
  HostTensor bytes = HostTensor::zeros(DType::i8, {64, 64});
  for (int64_t i = 0; i < 4096; ++i) bytes.set_integer(i, i % 251 - 125);
  const TensorId weights = graph.add_constant("w", std::move(bytes));
  const TensorId scale = scalar(graph, "scale", DType::f32, 0.01);
  const TensorId floats =
      dequantize(graph, "floats", weights, scale, kNoTensor, DType::f32, {}).value();
  graph.outputs = {matmul(graph, "y", graph.inputs[0], floats).value()};
  const Schedule schedule = planned(graph, nvidia("sm_80"), Precision::f16);
  EXPECT_EQ(schedule.products.all, 1u);
  EXPECT_EQ(schedule.products.rounded, 0u);
}

// A model that is made for other shapes finds its rounded weights, which are on the device already.
TEST(RoundedProducts, RoundWeightsOnce) {
  Built made = chain(false);
  made.graph.memory = std::make_shared<ConstantMemory>();
  const auto weights_of = [&](Precision precision) {
    std::vector<const HostTensor*> found;
    const Schedule schedule = planned(made.graph, nvidia("sm_80"), precision);
    for (TensorId id = 0; id < schedule.placements.size(); ++id) {
      if (schedule.placements[id].space != Space::weights) continue;
      found.push_back(schedule.graph.tensors[id].constant.get());
    }
    return found;
  };
  const auto first = weights_of(Precision::f16);
  EXPECT_EQ(first.size(), 3u);
  EXPECT_EQ(first, weights_of(Precision::f16));
  EXPECT_NE(first, weights_of(Precision::f32));
}

TEST(RoundedProducts, HaveNames) {
  for (const char* name : {"f32", "tf32", "bf16", "f16", "i8"}) {
    const auto found = parse_precision(name);
    ASSERT_TRUE(found);
    EXPECT_EQ(name_of(*found), name);
  }
  EXPECT_EQ(parse_precision("").value(), Precision::f32);
  const auto other = parse_precision("fp16");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(other.error().message().find("f32, tf32, bf16, f16, i8"), std::string::npos);
}

// --- TF32 ---

int64_t terms_of(const Graph& graph) {
  int64_t terms = 0;
  for (const Node& node : graph.nodes) {
    const auto product = find_contraction(graph, node);
    if (product) terms = std::max(terms, element_count(product->k));
  }
  return terms;
}

/// Units' products of f32 under parameters of many forms, where they are legal.
ChooseFunction tf32_tile(uint32_t reg_m, uint32_t reg_n, uint32_t k_step, uint32_t split_k,
                         size_t& used) {
  return [=, &used](const Schedule& schedule, const Node& node, const Target& target,
                    Splitting splitting) -> KernelParams {
    const ContractionParams params = {.waves_m = 2,
                                      .waves_n = 1,
                                      .reg_m = reg_m,
                                      .reg_n = reg_n,
                                      .vec_n = 2,
                                      .k_step = k_step,
                                      .stages = 3,
                                      .split_k = splitting == Splitting::allowed ? split_k : 1,
                                      .group_m = 3,
                                      .unit_m = 16,
                                      .unit_n = 8,
                                      .unit_k = 8};
    if (!is_legal(schedule, node, params, target)) {
      return choose_by_model(schedule, node, target, splitting);
    }
    ++used;
    return params;
  };
}

TEST(RoundedProducts, InTf32AreOfFactorsThatUnitsRound) {
  const Target target = nvidia("sm_80");
  for (const NamedBuild& product : products()) {
    const Built made = plain(product.build);
    const Built positive = built(product.build, [](double number) { return std::abs(number); });
    const auto want = evaluate(made.graph, made.inputs);
    const auto bound = evaluate(positive.graph, positive.inputs);
    ASSERT_TRUE(want && bound);
    for (const auto& [reg_m, reg_n, k_step, split_k] :
         {std::array{1u, 1u, 8u, 1u}, {2u, 4u, 32u, 1u}, {1u, 2u, 16u, 2u}}) {
      if (terms_of(made.graph) % split_k != 0) continue;
      for (const bool last : {false, true}) {
        size_t used = 0;
        Chooser chooser(target, tf32_tile(reg_m, reg_n, k_step, split_k, used));
        const ScheduleOptions options = {
            .chooser = &chooser, .external_channels_last = last, .precision = Precision::tf32};
        const auto schedule = make_schedule(made.graph, target, options);
        ASSERT_TRUE(schedule) << schedule.error().message();
        EXPECT_EQ(schedule->products.rounded, schedule->products.all) << product.name;
        EXPECT_GT(used, 0u) << product.name;
        for (const Openness openness : {Openness::none, Openness::all}) {
          const auto got = run_interpreted(made.graph, target, options, made.inputs, openness);
          ASSERT_TRUE(got) << product.name << ": " << got.error().message();
          double worst = 0;
          for (int64_t i = 0; i < element_count((*want)[0].shape); ++i) {
            const double difference = std::abs((*got)[0].number(i) - (*want)[0].number(i));
            worst = std::max(worst, difference);
            const double of_factors = 2 * 0x1p-11 + 0x1p-22;
            ASSERT_LE(difference, of_factors * (*bound)[0].number(i) + 1e-5) << product.name;
          }
          EXPECT_GT(worst, 1e-5) << product.name << ": nothing was rounded";
        }
      }
    }
  }
}

Graph large_product() {
  Graph graph;
  graph.inputs = {graph.add_tensor("a", DType::f32, {1024, 1024}),
                  graph.add_tensor("b", DType::f32, {1024, 1024})};
  graph.outputs = {matmul(graph, "y", graph.inputs[0], graph.inputs[1]).value()};
  return graph;
}

// Units are taken where they are allowed, and what may be chosen is part of what is remembered by.
TEST(RoundedProducts, InTf32AreChosenWhereTheyAreAllowed) {
  const Graph graph = large_product();
  const auto plan = [&](const Target& target, Precision precision) {
    return planned(graph, target, precision);
  };
  for (const char* architecture : {"sm_80", "sm_90a"}) {
    const Schedule tf32 = plan(nvidia(architecture), Precision::tf32);
    const Schedule f32 = plan(nvidia(architecture), Precision::f32);
    EXPECT_EQ(tf32.products.rounded, 1u);
    EXPECT_EQ(f32.products.rounded, 0u);
    const Node& node = tf32.graph.nodes[tf32.steps[0].node];
    const auto& params = std::get<ContractionParams>(tf32.steps[0].params);
    EXPECT_TRUE(params.by_units());
    EXPECT_FALSE(std::get<ContractionParams>(f32.steps[0].params).by_units());
    EXPECT_NE(kernel_key(tf32, node), kernel_key(f32, node));
    EXPECT_TRUE(is_legal(tf32, node, params, nvidia(architecture)));
    EXPECT_FALSE(is_legal(f32, node, params, nvidia(architecture)));
  }
  for (const Target& target : {nvidia("sm_75"), gpu_target(32), x86(kTiles)}) {
    EXPECT_EQ(plan(target, Precision::tf32).products.rounded, 0u) << target.name;
    EXPECT_EQ(to_string(plan(target, Precision::tf32)), to_string(plan(target, Precision::f32)));
  }
}

// --- Whole numbers of 8 bits ---

// Numbers up to 1: an activation is off by at most its scale, 2 / 255, a weight by half of its own,
// 1 / 254.
TEST(RoundedProducts, InI8AreOfFactorsThatAreQuantised) {
  const Target target = x86("+avx512f,+avx512vnni");
  size_t rounded = 0;
  for (const NamedBuild& product : products()) {
    const Built made = plain(product.build);
    const auto want = evaluate(made.graph, made.inputs);
    ASSERT_TRUE(want);
    const Schedule schedule = planned(made.graph, target, Precision::i8);
    const bool is_rounded = schedule.products.rounded > 0;
    rounded += is_rounded ? 1 : 0;
    EXPECT_TRUE(!is_rounded || schedule.products.rounded == schedule.products.all);
    const double bound = static_cast<double>(terms_of(made.graph)) *
                         (is_rounded ? 1.0 / 254 + 2.0 / 255 + 2.0 / (254 * 255) : 1e-7);
    for (const bool last : {false, true}) {
      for (const Openness openness : {Openness::none, Openness::all}) {
        const auto got = run_interpreted(
            made.graph, target, {.external_channels_last = last, .precision = Precision::i8},
            made.inputs, openness);
        ASSERT_TRUE(got) << product.name << ": " << got.error().message();
        double worst = 0;
        for (int64_t i = 0; i < element_count((*want)[0].shape); ++i) {
          worst = std::max(worst, std::abs((*got)[0].number(i) - (*want)[0].number(i)));
        }
        EXPECT_LE(worst, bound + 1e-5) << product.name;
        EXPECT_TRUE(!is_rounded || worst > 1e-4) << product.name << ": nothing was rounded";
      }
    }
  }
  EXPECT_EQ(rounded, 5u);  // all but three channels, and two activations
}

TEST(RoundedProducts, InI8TakeAQuarterOfTheWeights) {
  const Target target = x86("+avx512f,+avx512vnni");
  const Built made = chain(true, 64);
  const Schedule full = planned(made.graph, target, Precision::f32);
  const Schedule bytes = planned(made.graph, target, Precision::i8);
  EXPECT_EQ(bytes.products.rounded, 3u);
  EXPECT_LE(bytes.memory.weights_bytes, full.memory.weights_bytes * 27 / 100);
  size_t dots = 0;
  for (const Step& step : bytes.steps) {
    const auto* const params = std::get_if<ContractionParams>(&step.params);
    dots += params != nullptr && params->by_bytes() ? 1 : 0;
  }
  EXPECT_EQ(dots, 3u);
  for (const Target& other : {x86(kDots), nvidia("sm_80"), gpu_target(32)}) {
    const Schedule plain = planned(made.graph, other, Precision::i8);
    EXPECT_EQ(plain.products.rounded, 0u) << other.name;
    EXPECT_EQ(plain.products.all, 3u) << other.name;
  }
}

// The same weights, multiplied along one axis and along the other: each has scales of its own, also
// where a model for other shapes may find them.
TEST(RoundedProducts, InI8ByBothAxesOfWeights) {
  Graph graph;
  graph.memory = std::make_shared<ConstantMemory>();
  graph.inputs = {graph.add_tensor("x", DType::f32, {4, 16})};
  HostTensor weights = random_tensor({16, 16}, 5);
  for (int64_t i = 0; i < 256; ++i)
    weights.set_number(i, weights.number(i) * static_cast<double>(1 + i / 16));
  const TensorId w = graph.add_constant("w", std::move(weights));
  const TensorId x = graph.inputs[0];
  graph.outputs = {matmul(graph, "y", x, w).value(),
                   gemm(graph, "z", x, w, kNoTensor, {.transpose_b = true}).value()};
  const HostTensor given = random_tensor({4, 16}, 3);
  const std::vector<HostTensor> want = evaluate(graph, {&given, 1}).value();
  for (int round = 0; round < 2; ++round) {
    const auto got = run_interpreted(graph, x86("+avx512f,+avx512vnni"),
                                     {.precision = Precision::i8}, {&given, 1}, Openness::none);
    ASSERT_TRUE(got);
    for (size_t output : {0u, 1u}) {
      for (int64_t i = 0; i < 64; ++i) {
        // Of a sum of 16: a step of 1/254 of the weights' largest, of 1/255 of the range of x.
        const double largest = output == 0 ? 16 : 1 + static_cast<double>(i % 16);
        const double bound = 16 * largest * (1.0 / 254 + 2.0 / 255 + 2.0 / (254 * 255));
        EXPECT_NEAR((*got)[output].number(i), want[output].number(i), bound) << output;
      }
    }
  }
}

// A range of one number, and columns of zeros.
TEST(RoundedProducts, InI8OfNothing) {
  Graph graph;
  graph.inputs = {graph.add_tensor("x", DType::f32, {4, 16})};
  const TensorId w = graph.add_constant("w", HostTensor::zeros(DType::f32, {16, 8}));
  graph.outputs = {matmul(graph, "y", graph.inputs[0], w).value()};
  for (const HostTensor& x : {HostTensor::zeros(DType::f32, {4, 16}), random_tensor({4, 16}, 3)}) {
    const auto got = run_interpreted(graph, x86("+avx512f,+avx512vnni"),
                                     {.precision = Precision::i8}, {&x, 1}, Openness::none);
    ASSERT_TRUE(got);
    for (int64_t i = 0; i < 32; ++i) EXPECT_EQ((*got)[0].number(i), 0);
  }
}

}  // namespace

}  // namespace leat
