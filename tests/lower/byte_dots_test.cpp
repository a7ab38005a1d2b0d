// Sums of products of bytes where a CPU has dot products of them: of all kinds of sign and zero
// points, as the model has them and in tiles of other forms, with rests of rows, columns and k,
// padding and strides. Run by the interpreter.
#include <gtest/gtest.h>

#include "leat/ir/text.h"
#include "leat/lower/lower.h"
#include "leat/schedule/kernel_key.h"
#include "leat/schedule/widen_channels.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/ops_quantize.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

Target byte_target() {
  Target target = cpu_target(16);
  target.name = "test cpu with dot products of bytes";
  target.format = CodeFormat::native_object;
  target.llvm_features = "+avx512f,+avx512vnni";
  target.vector_registers = 32;
  return target;
}

/// All that the dtype has, at random.
HostTensor bytes_of(DType dtype, Shape shape, uint32_t seed) {
  const HostTensor numbers = random_tensor(shape, seed);
  HostTensor value = HostTensor::zeros(dtype, std::move(shape));
  const int64_t low = dtype == DType::i8 ? -128 : 0;
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_integer(i, low + static_cast<int64_t>(128 * (numbers.number(i) + 1)) % 256);
  }
  return value;
}

enum class Zero { none, same, each, fed };

struct Form {
  DType a = DType::u8, b = DType::i8;
  Zero a_zero = Zero::none, b_zero = Zero::none;
};

std::string to_string(const Form& form) {
  return std::string(name_of(form.a)) + " by " + std::string(name_of(form.b)) + ", zero points " +
         std::to_string(static_cast<int>(form.a_zero)) + " and " +
         std::to_string(static_cast<int>(form.b_zero));
}

TensorId add_input(Case& test, const std::string& name, HostTensor value) {
  test.graph.inputs.push_back(test.graph.add_tensor(name, value.dtype, value.shape));
  test.inputs.push_back(std::move(value));
  return test.graph.inputs.back();
}

TensorId zero_point(Case& test, const std::string& name, Zero kind, DType dtype, int64_t count) {
  switch (kind) {
    case Zero::none: break;
    case Zero::same: {
      HostTensor value = HostTensor::zeros(dtype, {});
      value.set_integer(0, dtype == DType::u8 ? 131 : -5);
      return test.graph.add_constant(name, value);
    }
    case Zero::each: return test.graph.add_constant(name, bytes_of(dtype, {count}, 7));
    case Zero::fed: return add_input(test, name, bytes_of(dtype, {1}, 9));
  }
  return kNoTensor;
}

Case product_case(const Form& form, int64_t m, int64_t n, int64_t k) {
  Case test;
  test.is_exact = true;
  const TensorId x = add_input(test, "x", bytes_of(form.a, {m, k}, 1));
  const TensorId w = test.graph.add_constant("w", bytes_of(form.b, {k, n}, 2));
  const TensorId x_zero = zero_point(test, "x_zero", form.a_zero, form.a, m);
  const TensorId w_zero = zero_point(test, "w_zero", form.b_zero, form.b, n);
  test.graph.outputs = {
      matmul_integer(test.graph, "y", {x, kNoTensor, x_zero}, {w, kNoTensor, w_zero}).value()};
  return test;
}

struct Window {
  Shape x, w;
  int64_t stride = 1, pad = 0;
};

Case conv_case(const Form& form, const Window& window) {
  Case test;
  test.is_exact = true;
  const TensorId x = add_input(test, "x", bytes_of(form.a, window.x, 1));
  const TensorId w = test.graph.add_constant("w", bytes_of(form.b, window.w, 2));
  const TensorId x_zero = zero_point(test, "x_zero", form.a_zero, form.a, 1);
  const TensorId w_zero = zero_point(test, "w_zero", form.b_zero, form.b, window.w[0]);
  ConvOptions options;
  options.window.strides = {window.stride, window.stride};
  options.window.pads = {window.pad, window.pad, window.pad, window.pad};
  test.graph.outputs = {conv_integer(test.graph, "y", {x, kNoTensor, x_zero},
                                     {w, kNoTensor, w_zero}, kNoTensor, options)
                            .value()};
  return test;
}

uint32_t k_dot_of(const Case& test, const Target& target, bool last = true) {
  const auto schedule = make_schedule(test.graph, target, {.external_channels_last = last});
  CHECK(schedule.has_value());
  for (const Step& step : schedule->steps) {
    if (const auto* tile = std::get_if<ContractionParams>(&step.params)) return tile->k_dot;
  }
  return 0;
}

ChooseFunction tile_of(uint32_t reg_m, uint32_t reg_n, uint32_t k_step) {
  return [=](const Schedule& schedule, const Node& node, const Target& target,
             Splitting splitting) -> KernelParams {
    const ContractionParams params = {.lane_n = target.wave_lanes,
                                      .reg_m = reg_m,
                                      .reg_n = reg_n,
                                      .k_step = k_step,
                                      .group_m = 3,
                                      .k_dot = ContractionParams::kDotBytes};
    const KernelParams chosen = choose_by_model(schedule, node, target, splitting);
    const auto* tile = std::get_if<ContractionParams>(&chosen);
    if (tile == nullptr || !tile->by_bytes()) return chosen;
    EXPECT_TRUE(is_legal(schedule, node, params, target)) << node.name;
    return params;
  };
}

void check_forms(const Case& test, const std::string& what) {
  EXPECT_EQ(k_dot_of(test, byte_target()), ContractionParams::kDotBytes) << what;
  EXPECT_EQ(k_dot_of(test, cpu_target(16)), 1u) << what;
  for (const auto& [reg_m, reg_n, k_step] : {std::array{4u, 2u, 1u}, {3u, 1u, 2u}}) {
    Chooser chooser(byte_target(), tile_of(reg_m, reg_n, k_step));
    check(test, byte_target(), {.chooser = &chooser, .external_channels_last = true}, what);
    if (::testing::Test::HasFatalFailure()) return;
  }
  for (const bool last : {false, true}) {
    check(test, byte_target(), {.external_channels_last = last}, what + ", by the model");
    if (::testing::Test::HasFatalFailure()) return;
  }
}

constexpr DType kBytes[] = {DType::u8, DType::i8};
constexpr Zero kZeros[] = {Zero::none, Zero::same, Zero::each, Zero::fed};

TEST(ByteDots, ProductsOfMatrices) {
  for (const DType a : kBytes) {
    for (const DType b : kBytes) {
      for (const Zero a_zero : kZeros) {
        for (const Zero b_zero : kZeros) {
          const Form form = {a, b, a_zero, b_zero};
          check_forms(product_case(form, 9, 21, 23), to_string(form));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  const Form zeros = {.a_zero = Zero::fed, .b_zero = Zero::each};
  EXPECT_EQ(flop_count(product_case(zeros, 9, 21, 23).graph.nodes.back()), 2.0 * 9 * 21 * 23);
  check_forms(product_case({}, 64, 48, 64), "whole tiles");
  check_forms(product_case({.a_zero = Zero::fed}, 1, 40, 128), "one row");
}

TEST(ByteDots, Convolutions) {
  for (const DType a : kBytes) {
    for (const DType b : kBytes) {
      for (const Zero a_zero : {Zero::none, Zero::same, Zero::fed}) {
        const Zero b_zero = a_zero == Zero::none   ? Zero::none
                            : a_zero == Zero::same ? Zero::each
                                                   : Zero::fed;
        const Form form = {a, b, a_zero, b_zero};
        check_forms(conv_case(form, {.x = {1, 8, 7, 9}, .w = {20, 8, 3, 3}, .pad = 1}),
                    to_string(form) + ", words");
        check_forms(conv_case(form, {.x = {2, 5, 8, 6}, .w = {17, 5, 3, 3}, .stride = 2, .pad = 1}),
                    to_string(form) + ", gathered");
        check_forms(conv_case(form, {.x = {1, 3, 6, 6}, .w = {16, 3, 3, 3}, .stride = 2}),
                    to_string(form) + ", of fewer k than four");
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Of what dequantise, multiply and quantise are, the product is one of bytes.
Case dequantised_case(DType a, DType b, bool is_conv) {
  Case test;
  test.terms = 4096;
  const Shape x_shape = is_conv ? Shape{1, 8, 6, 5} : Shape{7, 24};
  const Shape w_shape = is_conv ? Shape{20, 8, 3, 3} : Shape{24, 60};
  const auto scale = [&](const std::string& name, int64_t count) {
    HostTensor value = HostTensor::zeros(DType::f32, count == 1 ? Shape{} : Shape{count});
    for (int64_t i = 0; i < count; ++i)
      value.set_number(i, 0.001 + 0.0001 * static_cast<double>(i));
    return test.graph.add_constant(name, value);
  };
  const TensorId x = add_input(test, "x", bytes_of(a, x_shape, 1));
  const TensorId w = test.graph.add_constant("w", bytes_of(b, w_shape, 2));
  const TensorId zero = zero_point(test, "x_zero", Zero::same, a, 1);
  const TensorId x_real =
      dequantize(test.graph, "x_real", x, scale("x_scale", 1), zero, DType::f32, {}).value();
  const int64_t axis = is_conv ? 0 : 1;
  const TensorId w_real =
      dequantize(test.graph, "w_real", w, scale("w_scale", w_shape[static_cast<size_t>(axis)]),
                 kNoTensor, DType::f32, {.axis = axis})
          .value();
  ConvOptions options;
  options.window.pads = {1, 1, 1, 1};
  const TensorId y = is_conv ? conv(test.graph, "y", x_real, w_real, kNoTensor, options).value()
                             : matmul(test.graph, "y", x_real, w_real).value();
  test.graph.outputs = {activation(test.graph, "relu", Activation::relu, y).value()};
  return test;
}

TEST(ByteDots, OfDequantisedFactors) {
  for (const bool is_conv : {false, true}) {
    for (const DType a : kBytes) {
      for (const DType b : kBytes) {
        Case test = dequantised_case(a, b, is_conv);
        EXPECT_EQ(k_dot_of(test, byte_target()), ContractionParams::kDotBytes);
        const auto schedule = make_schedule(test.graph, byte_target(), {});
        ASSERT_TRUE(schedule);
        EXPECT_EQ(schedule->steps.size(), 1u) << to_string(*schedule);
        for (const bool last : {false, true}) {
          check(test, byte_target(), {.external_channels_last = last}, "dequantised");
        }
        check(test, cpu_target(16), {}, "dequantised, without dot products");
        // Somebody who wants the floats as well finds them.
        test.graph.outputs.push_back(test.graph.nodes.front().results[0].output);
        check(test, byte_target(), {}, "dequantised and read");
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(ByteDots, OfWeightsThatAreTurned) {
  Case test;
  test.terms = 24;
  const TensorId x = add_input(test, "x", bytes_of(DType::u8, {7, 24}, 1));
  const TensorId w = test.graph.add_constant("w", bytes_of(DType::i8, {60, 24}, 2));
  HostTensor one = HostTensor::zeros(DType::f32, {});
  one.set_number(0, 0.001);
  const TensorId scale = test.graph.add_constant("scale", one);
  const auto real = [&](const std::string& name, TensorId id) {
    return dequantize(test.graph, name, id, scale, kNoTensor, DType::f32, {}).value();
  };
  const TensorId turned = transpose(test.graph, "turned", real("w_real", w), Ints{1, 0}).value();
  test.graph.outputs = {matmul(test.graph, "y", real("x_real", x), turned).value()};
  EXPECT_EQ(k_dot_of(test, byte_target()), ContractionParams::kDotBytes);
  check(test, byte_target(), {}, "turned");
}

Case product_of_reals(Shape x_shape, Shape w_shape, double x_scale, double w_scale) {
  Case test;
  const auto real = [&](const std::string& name, TensorId id, double number) {
    HostTensor scale = HostTensor::zeros(DType::f32, {});
    scale.set_number(0, number);
    return dequantize(test.graph, name, id, test.graph.add_constant(name + "_scale", scale),
                      kNoTensor, DType::f32, {})
        .value();
  };
  const TensorId x = add_input(test, "x", HostTensor::zeros(DType::u8, std::move(x_shape)));
  const TensorId w = test.graph.add_constant("w", bytes_of(DType::u8, std::move(w_shape), 2));
  const TensorId x_real = real("x_real", x, x_scale), w_real = real("w_real", w, w_scale);
  test.graph.outputs = {matmul(test.graph, "y", x_real, w_real).value()};
  return test;
}

// What could leave 32 bits is summed in floats, and so is what would be put together byte by byte.
TEST(ByteDots, WhichSumsOfDequantisedFactorsAreWhole) {
  const auto k_dot = [](int64_t k) {
    return k_dot_of(product_of_reals({2, k}, {k, 16}, 0.1, 0.1), byte_target());
  };
  EXPECT_EQ(k_dot(33024), 4u) << "255 * 255 * k fits";
  EXPECT_EQ(k_dot(33028), 1u) << "and does not";
  EXPECT_EQ(k_dot(64), 4u);
  EXPECT_EQ(k_dot(66), 1u);
}

// Each scale meets the sum by itself.
TEST(ByteDots, OfScalesWhoseProductIsNoFloat) {
  for (const auto& [a, b] : {std::array{1e20, 1e20}, {1e-30, 1e-13}}) {
    const Case test = product_of_reals({2, 8}, {8, 16}, a, b);
    check(test, byte_target(), {}, "zeros of scale " + std::to_string(a));
  }
}

// A kernel without the sums of rows serves no zero point that wants them, though it is a number.
TEST(ByteDots, ZeroPointsThatNeedSumsAreAnotherStructure) {
  const auto structure = [](int64_t zero) {
    Case test;
    const TensorId x = add_input(test, "x", bytes_of(DType::u8, {9, 24}, 1));
    const TensorId w = test.graph.add_constant("w", bytes_of(DType::u8, {24, 16}, 2));
    HostTensor value = HostTensor::zeros(DType::u8, {});
    value.set_integer(0, zero);
    const TensorId w_zero = test.graph.add_constant("w_zero", value);
    test.graph.outputs = {
        matmul_integer(test.graph, "y", {x, kNoTensor, kNoTensor}, {w, kNoTensor, w_zero}).value()};
    const auto schedule = make_schedule(test.graph, byte_target(), {});
    CHECK(schedule.has_value());
    Step step = schedule->steps[0];
    std::get<ContractionParams>(step.params).reg_m = 4;  // the same for all
    return step_key(*schedule, step).structure;
  };
  EXPECT_NE(structure(128), structure(100));
  EXPECT_EQ(structure(99), structure(100));
}

// Three channels are copied to four, whatever the picture's zero point is.
TEST(ByteDots, FewChannelsAreWidened) {
  const Window window = {.x = {1, 3, 9, 8}, .w = {20, 3, 3, 3}, .stride = 2, .pad = 1};
  for (const DType a : kBytes) {
    for (const DType b : kBytes) {
      for (const Zero zero : {Zero::none, Zero::same, Zero::fed}) {
        Case test = conv_case({a, b, zero, Zero::none}, window);
        const auto want = evaluate(test.graph, test.inputs);
        ASSERT_TRUE(want);
        widen_channels(test.graph, byte_target(), 1);
        ASSERT_EQ(test.graph.nodes.size(), 2u);
        const auto same = evaluate(test.graph, test.inputs);
        ASSERT_TRUE(same);
        EXPECT_EQ((*same)[0].bytes, (*want)[0].bytes);
        check(test, byte_target(), {.external_channels_last = true}, "widened");
        if (HasFatalFailure()) return;
      }
    }
  }
  for (const Zero zero : {Zero::same, Zero::each, Zero::fed}) {
    Case test = conv_case({DType::u8, DType::i8, Zero::none, zero}, window);
    widen_channels(test.graph, byte_target(), 1);
    EXPECT_EQ(test.graph.nodes.size(), 1u) << "a channel of zeros would count";
  }
}

TEST(ByteDots, OtherTargetsAndFormsRefuse) {
  const Case test = product_case({}, 9, 21, 24);
  const auto schedule = make_schedule(test.graph, byte_target(), {});
  ASSERT_TRUE(schedule);
  const Node& node = schedule->graph.nodes[schedule->steps[0].node];
  const ContractionParams good = std::get<ContractionParams>(schedule->steps[0].params);
  ASSERT_TRUE(is_legal(*schedule, node, good, byte_target()));
  const auto refuses = [&](const std::string& why, const Target& target,
                           const std::function<void(ContractionParams&)>& change) {
    ContractionParams params = good;
    change(params);
    const Result<void> legal = is_legal(*schedule, node, params, target);
    ASSERT_FALSE(legal) << why;
    EXPECT_NE(legal.error().message().find(why), std::string::npos) << legal.error().message();
  };
  refuses("no dot product", cpu_target(16), [](ContractionParams&) {});
  refuses("no dot product", byte_target(), [](ContractionParams& p) { p.k_dot = 2; });
  refuses("what a loop carries", byte_target(), [](ContractionParams& p) { p.reg_m = 120; });
  refuses("plain tile", byte_target(), [](ContractionParams& p) { p.split_k = 2; });
}

}  // namespace

}  // namespace leat
