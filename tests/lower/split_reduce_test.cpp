// Long reductions in parts: the steps that the schedule makes of them, and that the interpreter
// gets the same numbers as from one.
#include <gtest/gtest.h>

#include <algorithm>

#include "leat/schedule/reduction_strides.h"
#include "leat/tensor/ops.h"
#include "tests/lower/lowered_case.h"

namespace leat {

using namespace ops;
using namespace testing;

namespace {

constexpr Reduction kReductions[] = {
    Reduction::sum,     Reduction::mean,        Reduction::max, Reduction::min,       Reduction::l1,
    Reduction::log_sum, Reduction::log_sum_exp, Reduction::l2,  Reduction::sum_square};

/// x and what may be made of it; inputs are positive, so that a logarithm of their sum exists.
Case case_of(const Shape& shape, int64_t terms) {
  Case test;
  test.graph.inputs = {test.graph.add_tensor("x", DType::f32, shape)};
  HostTensor x = random_tensor(shape, 11);
  for (int64_t i = 0; i < element_count(shape); ++i) x.set_number(i, std::abs(x.number(i)));
  test.inputs = {std::move(x)};
  test.terms = terms;
  return test;
}

Case reduction_case(const Shape& shape, const Ints& axes, bool keep_dims, Reduction reduction) {
  int64_t terms = 1;
  for (int64_t axis : axes) terms *= shape[static_cast<size_t>(axis)];
  Case test = case_of(shape, terms);
  test.graph.outputs = {reduce(test.graph, "y", reduction, test.graph.inputs[0],
                               {.axes = axes, .keep_dims = keep_dims})
                            .value()};
  return test;
}

Schedule schedule_of(const Case& test, const Target& target, const ScheduleOptions& options = {}) {
  auto schedule = make_schedule(test.graph, target, options);
  CHECK(schedule.has_value());
  return std::move(*schedule);
}

size_t parts_in(const Schedule& schedule) {
  return static_cast<size_t>(std::ranges::count_if(schedule.steps, [&](const Step& step) {
    return schedule.graph.nodes[step.node].name.ends_with(".part");
  }));
}

/// Splits whatever can be split so.
template <uint32_t parts, bool lanes_reduce = false>
KernelParams forced(const Schedule& schedule, const Node& node, const Target& target,
                    Splitting splitting) {
  KernelParams params = choose_by_model(schedule, node, target, splitting);
  auto* reduction = std::get_if<MapReduceParams>(&params);
  if (!is_associative(node) || reduction == nullptr) return params;
  const Shape& reduce = node.reduce;
  const bool leaves_some = element_count(reduce) > parts;
  const bool may_split = splitting == Splitting::allowed && leaves_some;
  if (may_split && parts_of_axes(reduce, parts)) reduction->split = parts;
  reduction->lanes_reduce = lanes_reduce ? 1 : 0;
  if (lanes_reduce) reduction->waves = reduction->per_lane = 1;
  return params;
}

TEST(SplitReduce, AllReductionsInTwoSteps) {
  for (const Reduction reduction : kReductions) {
    const Case test = reduction_case({2, 4, 64, 48}, {2, 3}, true, reduction);
    check_on_all_targets(test, "reduction " + std::to_string(static_cast<int>(reduction)));
    const Schedule schedule = schedule_of(test, gpu_target(32));
    const bool has_maximum = reduction == Reduction::log_sum_exp;
    EXPECT_EQ(schedule.steps.size(), has_maximum ? 4u : 2u);
    EXPECT_EQ(parts_in(schedule), schedule.steps.size() / 2);
    EXPECT_EQ(parts_in(schedule_of(test, cpu_target(8))), 0u);
    if (HasFatalFailure()) return;
  }
}

TEST(SplitReduce, AxesInAllPlaces) {
  struct Row {
    Shape shape;
    Ints axes;
    bool is_split;  // on a GPU of four multiprocessors
  };
  const Row rows[] = {
      {{4096, 5}, {0}, true},
      {{5, 4096}, {1}, false},  // in vectors: few rounds
      {{3, 16384}, {1}, true},
      {{6, 2048, 5}, {1}, false},
      {{3, 40, 4, 40, 2}, {1, 3}, true},
      {{1, 1, 40, 50}, {1, 2, 3}, true},
      {{4096}, {0}, false},
      {{16384}, {0}, true},
      {{127, 131}, {0, 1}, true},
      {{16411, 2}, {0}, false},  // a prime
  };
  for (const Row& row : rows) {
    for (bool keep_dims : {true, false}) {
      const std::string what = to_string(row.shape);
      const Case test = reduction_case(row.shape, row.axes, keep_dims, Reduction::mean);
      check_on_all_targets(test, what);
      EXPECT_EQ(parts_in(schedule_of(test, gpu_target(32))), row.is_split ? 1u : 0u) << what;
      if (HasFatalFailure()) return;
    }
  }
}

TEST(SplitReduce, ShortOnesAndThoseThatFillTheChipStayWhole) {
  const Case few = reduction_case({1, 8, 8, 16}, {2, 3}, true, Reduction::sum);
  EXPECT_EQ(schedule_of(few, gpu_target(32)).steps.size(), 1u);
  const Case many = reduction_case({1024, 64, 16}, {1}, true, Reduction::sum);
  EXPECT_EQ(schedule_of(many, gpu_target(32)).steps.size(), 1u);
  const Case long_one = reduction_case({1, 8, 96, 96}, {2, 3}, true, Reduction::sum);
  EXPECT_EQ(schedule_of(long_one, gpu_target(32)).steps.size(), 2u);
  Target unknown = gpu_target(32);
  unknown.compute_units = 1;
  EXPECT_EQ(schedule_of(long_one, unknown).steps.size(), 1u);
  Target software = software_target(32);
  EXPECT_EQ(schedule_of(long_one, software).steps.size(), 1u);
}

TEST(SplitReduce, ProductsPositionsAndWholeNumbersStayWhole) {
  const Case product = reduction_case({4, 4096}, {0}, true, Reduction::product);
  EXPECT_EQ(parts_in(schedule_of(product, gpu_target(32))), 0u);
  Case position = case_of({16384, 3}, 1);
  position.graph.outputs = {
      arg_max(position.graph, "y", position.graph.inputs[0], {.axis = 0}).value()};
  check(position, gpu_target(32), {}, "position of the maximum");
  // The maximum is split, its position, a minimum of whole numbers, is not.
  const Schedule schedule = schedule_of(position, gpu_target(32));
  ASSERT_EQ(schedule.steps.size(), 3u);
  EXPECT_EQ(parts_in(schedule), 1u);
  const Node& last = schedule.graph.nodes[schedule.steps.back().node];
  EXPECT_EQ(last.reduce_op, ReduceOp::min);
  EXPECT_EQ(last.reduce, Shape{16384});
}

/// conv, then an instance normalisation with all that follows it, in channels-last order.
Case norm_case(int64_t channels, int64_t height, int64_t width) {
  Case test = case_of({2, 3, height, width}, 3 * height * width);
  Graph& g = test.graph;
  const TensorId w = g.add_constant("w", random_tensor({channels, 3, 1, 1}, 12));
  const TensorId y = conv(g, "conv", g.inputs[0], w, kNoTensor, {}).value();
  const TensorId scale = g.add_constant("scale", random_tensor({channels}, 13));
  const TensorId bias = g.add_constant("bias", random_tensor({channels}, 14));
  const TensorId z = instance_norm(g, "norm", y, scale, bias).value();
  g.outputs = {activation(g, "relu", Activation::relu, z).value(), y};
  return test;
}

TEST(SplitReduce, InstanceNormalisationOfChannelsLast) {
  for (const int64_t channels : {3, 8, 32}) {
    const Case test = norm_case(channels, 40, 56);
    check_on_all_targets(test, "channels " + std::to_string(channels));
    // Outputs are in the order of the channels, which lie side by side.
    const Schedule schedule = schedule_of(test, gpu_target(32), {.external_channels_last = true});
    EXPECT_EQ(parts_in(schedule), 2u);
    for (const Step& step : schedule.steps) {
      const Node& node = schedule.graph.nodes[step.node];
      if (!node.name.ends_with("mean.part")) continue;
      EXPECT_EQ(std::get<MapReduceParams>(step.params).lanes_reduce, 0u);
      EXPECT_EQ(node.extents[1], 2 * channels);
      EXPECT_EQ(reduced_strides(schedule, node)->at(1), 1);
    }
  }
}

TEST(SplitReduce, SoftmaxOverALongAxis) {
  for (const int64_t axis : {0, 1}) {
    Case test = case_of(axis == 0 ? Shape{8192, 32} : Shape{3, 20480}, 20480);
    test.graph.outputs = {
        softmax(test.graph, "softmax", test.graph.inputs[0], {.axis = axis}).value()};
    check_on_all_targets(test, "softmax over axis " + std::to_string(axis));
    const Schedule schedule = schedule_of(test, gpu_target(32));
    EXPECT_EQ(parts_in(schedule), 2u);
    for (const Step& step : schedule.steps) {
      if (!schedule.graph.nodes[step.node].name.ends_with(".part")) continue;
      EXPECT_EQ(std::get<MapReduceParams>(step.params).lanes_reduce, axis == 1 ? 1u : 0u);
    }
  }
}

/// Two means that are parts of one tensor, each with a scale of its own and something else added.
Case concat_case() {
  Case test = case_of({2, 3, 64, 64}, 4096);
  Graph& g = test.graph;
  const TensorId added = g.add_tensor("added", DType::f32, {2, 3, 1, 1});
  g.inputs.push_back(added);
  test.inputs.push_back(random_tensor({2, 3, 1, 1}, 15));
  std::vector<TensorId> parts;
  for (const Reduction reduction : {Reduction::mean, Reduction::max}) {
    const TensorId y = reduce(g, "y", reduction, g.inputs[0], {.axes = Ints{2, 3}}).value();
    const TensorId scale = g.add_constant("scale", random_tensor({3, 1, 1}, 16));
    const TensorId z = binary(g, "z", ScalarOp::mul, y, scale).value();
    parts.push_back(binary(g, "sum", ScalarOp::add, z, added).value());
  }
  g.outputs = {concat(g, "concat", parts, 1).value()};
  return test;
}

TEST(SplitReduce, EpiloguesAndViews) {
  const Case test = concat_case();
  check_on_all_targets(test, "two in one tensor");
  EXPECT_EQ(schedule_of(test, gpu_target(32)).steps.size(), 4u);
  // x, scale and added beside the parts and the output are too many.
  Target target = gpu_target(32);
  target.buffer_bindings_max = 4;
  check(test, target, {}, "four bindings");
  EXPECT_EQ(parts_in(schedule_of(test, target)), 0u);
}

TEST(Lower, NormalisedRows) {
  for (const int64_t length : {1, 3, 31, 32, 33, 300, 1100}) {
    for (const bool has_bias : {false, true}) {
      Case test = case_of({3, length}, 3 * length);
      Graph& g = test.graph;
      const TensorId scale = g.add_constant("scale", random_tensor({length}, 5));
      const TensorId bias = g.add_constant("bias", random_tensor({length}, 6));
      const TensorId x = g.inputs[0];
      g.outputs = {layer_norm(g, "layer", x, scale, has_bias ? bias : kNoTensor, 1, 0.1).value().y,
                   rms_norm(g, "root", x, scale, -1, 0.1).value()};
      check_on_all_targets(test, "rows of " + std::to_string(length));
    }
  }
}

/// Windows with borders, normalisations over odd regions, a reduction of an expression of two.
Case odd_case() {
  Case test = case_of({2, 6, 8, 12}, 6 * 8 * 12);
  Graph& g = test.graph;
  const TensorId x = g.inputs[0];
  const TensorId one = g.add_constant("one", random_tensor({6}, 17));
  Window window;
  window.kernel = {4, 6};
  window.pads = {1, 2, 1, 2};
  g.outputs = {max_pool(g, "max_pool", x, window).value(),
               average_pool(g, "average_pool", x, window, false).value(),
               global_average_pool(g, "gap", x).value(),
               lrn(g, "lrn", x, {.size = 4}).value(),
               softmax(g, "softmax", x, {.axis = 1}).value(),
               group_norm(g, "group_norm", x, one, one, {.groups = 3}).value(),
               mean_variance_norm(g, "mvn_3", x, {3}).value(),
               mean_variance_norm(g, "mvn", x, {0, 2, 3}).value(),
               lp_norm(g, "lp_norm", x, {.axis = 2}).value()};
  return test;
}

TEST(SplitReduce, AnyNumberOfParts) {
  const ChooseFunction choices[] = {forced<2>,  forced<3>,       forced<4>,        forced<6>,
                                    forced<12>, forced<24>,      forced<16>,       forced<96>,
                                    forced<48>, forced<4, true>, forced<16, true>, forced<8, true>};
  for (const Target& target : {cpu_target(8), gpu_target(32), gpu_target(4)}) {
    for (size_t i = 0; i < std::size(choices); ++i) {
      const std::string what = target.name + ", choice " + std::to_string(i);
      Chooser chooser(target, choices[i]);
      EXPECT_GT(parts_in(schedule_of(odd_case(), target, {.chooser = &chooser})), 0u) << what;
      check(odd_case(), target, {.chooser = &chooser}, what);
      check(norm_case(5, 8, 12), target, {.chooser = &chooser, .external_channels_last = true},
            what);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(SplitReduce, PartsOfAxes) {
  EXPECT_EQ(parts_of_axes({12, 10}, 1), (Shape{1, 1}));
  EXPECT_EQ(parts_of_axes({12, 10}, 4), (Shape{4, 1}));
  EXPECT_EQ(parts_of_axes({12, 10}, 12), (Shape{12, 1}));
  EXPECT_EQ(parts_of_axes({12, 10}, 60), (Shape{12, 5}));
  EXPECT_EQ(parts_of_axes({1, 12, 1, 10}, 24), (Shape{1, 12, 1, 2}));
  EXPECT_EQ(parts_of_axes({12, 10}, 5), std::nullopt);
  EXPECT_EQ(parts_of_axes({12, 10}, 36), std::nullopt);
  EXPECT_EQ(parts_of_axes({12, 10}, 240), std::nullopt);
}

}  // namespace

}  // namespace leat
