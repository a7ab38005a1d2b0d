// The plan's own promises: parameters read back, what is illegal is refused with the field's name,
// the chooser is asked once for each distinct kernel, long graphs cost what their nodes cost.
#include "leat/schedule/schedule.h"

#include <gtest/gtest.h>

#include "leat/schedule/kernel_key.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/ops_quantize.h"

namespace leat {
namespace {

using namespace ops;

Target gpu() {
  Target target;
  target.name = "gpu";
  target.compute_units = 16;
  return target;
}

Graph matmul_graph(int64_t m, int64_t k, int64_t n) {
  Graph graph;
  graph.inputs = {graph.add_tensor("a", DType::f32, {m, k}),
                  graph.add_tensor("b", DType::f32, {k, n})};
  graph.outputs = {matmul(graph, "y", graph.inputs[0], graph.inputs[1]).value()};
  return graph;
}

/// The plan of a product with parameters that `change` made of the model's.
Result<Schedule> schedule_with(const Target& target, auto change) {
  Chooser chooser(target, [&](const Schedule& schedule, const Node& node, const Target& of,
                              Splitting splitting) {
    KernelParams params = choose_by_model(schedule, node, of, splitting);
    auto* product = std::get_if<ContractionParams>(&params);
    if (splitting == Splitting::allowed && product != nullptr) change(*product);
    return params;
  });
  return make_schedule(matmul_graph(64, 256, 64), target, {.chooser = &chooser});
}

// A chain of views is cut where its expressions would grow beyond what compiles fast.
TEST(Fuse, AChainOfPadsIsCut) {
  Graph graph;
  graph.inputs = {graph.add_tensor("x", DType::f32, {4, 4})};
  TensorId x = graph.inputs[0];
  for (int i = 0; i < 400; ++i) {
    const std::string number = std::to_string(i);
    x = pad(graph, "pad" + number, x, {.pads = {0, 1, 0, 1}}).value();
    x = slice(graph, "s" + number, x, {.starts = {0}, .ends = {4}, .axes = {1}}).value();
  }
  graph.outputs = {x};
  const auto schedule = make_schedule(graph, gpu(), {});
  ASSERT_TRUE(schedule);
  for (const Node& node : schedule->graph.nodes) EXPECT_LE(node.exprs.size(), 512u);
}

// The bytes are converted where they are read, on a target that stores bytes.
TEST(Fuse, ACastOfBytesIsAFactorOfTheProduct) {
  for (const CodeFormat format : {CodeFormat::cubin, CodeFormat::spirv_pointers}) {
    Target target = gpu();
    target.format = format;
    Graph graph;
    graph.inputs = {graph.add_tensor("a", DType::f32, {64, 32}),
                    graph.add_tensor("b", DType::i8, {32, 48})};
    const TensorId b = cast(graph, "cast", graph.inputs[1], DType::f32).value();
    graph.outputs = {matmul(graph, "y", graph.inputs[0], b).value()};
    const auto schedule = make_schedule(graph, target, {});
    ASSERT_TRUE(schedule);
    const bool has_bytes = format == CodeFormat::cubin;
    EXPECT_EQ(schedule->steps.size(), has_bytes ? 1u : 2u);
    EXPECT_EQ(schedule->placements[graph.inputs[1]].storage, has_bytes ? DType::i8 : DType::i32);
  }
}

// Weights of bytes stay bytes in memory where a product widens them, and are floats from the start
// where several read them.
TEST(Fuse, DequantisedWeightsAreNotFoldedToFloats) {
  for (const bool is_shared : {false, true}) {
    Target target = gpu();
    target.format = CodeFormat::native_object;
    target.uniform_loads_broadcast = true;
    Graph graph;
    graph.inputs = {graph.add_tensor("a", DType::f32, {512, 512})};
    const TensorId weights =
        graph.add_constant("weights", HostTensor::zeros(DType::i8, {512, 512}));
    const TensorId scale = graph.add_constant("scale", HostTensor::zeros(DType::f32, {512}));
    const TensorId b =
        dequantize(graph, "b", weights, scale, kNoTensor, DType::f32, {.axis = 1}).value();
    EXPECT_EQ(graph.tensors[b].constant, nullptr);
    graph.outputs = {matmul(graph, "y", graph.inputs[0], b).value()};
    if (is_shared) {
      graph.outputs.push_back(binary(graph, "z", ScalarOp::add, graph.inputs[0], b).value());
    }
    const auto schedule = make_schedule(graph, target, {});
    ASSERT_TRUE(schedule);
    EXPECT_EQ(schedule->steps.size(), graph.outputs.size());
    EXPECT_EQ(schedule->placements[weights].space == Space::weights, !is_shared);
    const int64_t bytes = 512 * 512;
    EXPECT_EQ(schedule->memory.weights_bytes < 2 * bytes, !is_shared);
  }
}

// Eleven tensors are added up on a target whose kernels have few buffers.
TEST(SplitWide, NoKernelHasMoreBuffersThanTheTarget) {
  for (const uint32_t buffers : {4u, 5u, 8u, 12u}) {
    Target target = gpu();
    target.buffer_bindings_max = buffers;
    Graph graph;
    std::vector<TensorId> all;
    std::vector<HostTensor> values;
    for (int i = 0; i < 11; ++i) {
      all.push_back(graph.add_tensor("x" + std::to_string(i), DType::f32, {6, 5}));
      values.push_back(HostTensor::zeros(DType::f32, {6, 5}));
      for (int64_t e = 0; e < 30; ++e)
        values.back().set_number(e, static_cast<double>(e % (i + 3)));
    }
    graph.inputs = all;
    graph.outputs = {variadic(graph, "y", Variadic::sum, all).value()};
    const auto want = evaluate(graph, values);
    const auto schedule = make_schedule(graph, target, {});
    ASSERT_TRUE(schedule && want);
    for (const Node& node : schedule->graph.nodes) {
      EXPECT_LE(node.inputs.size() + node.results.size(), buffers) << node.name;
    }
    const auto got = evaluate(schedule->graph, values);
    ASSERT_TRUE(got);
    EXPECT_EQ((*got)[0].bytes, (*want)[0].bytes) << buffers;
  }
}

Graph doubled(DType dtype, const Shape& shape) {
  Graph graph;
  graph.inputs = {graph.add_tensor("x", dtype, shape)};
  const TensorId f64 = cast(graph, "f64", graph.inputs[0], DType::f64).value();
  graph.outputs = {binary(graph, "y", ScalarOp::add, f64, f64).value()};
  return graph;
}

TEST(Schedule, DoublesAreF32WhereTheTargetHasNone) {
  Target target = gpu();
  target.format = CodeFormat::spirv_pointers;
  for (const bool has_f64 : {true, false}) {
    target.shader_64bit = has_f64;
    const Graph graph = doubled(DType::f32, {5});
    const auto schedule = make_schedule(graph, target, {});
    ASSERT_TRUE(schedule);
    EXPECT_EQ(schedule->f64_as_f32, !has_f64);
    const DType wanted = has_f64 ? DType::f64 : DType::f32;
    EXPECT_EQ(schedule->placements[schedule->graph.outputs[0]].storage, wanted);
    const auto strict = make_schedule(graph, target, {.strict = true});
    EXPECT_EQ(strict.has_value(), has_f64);
    EXPECT_TRUE(has_f64 || strict.error().kind() == ErrorKind::unsupported);
  }
}

TEST(Schedule, ElementsOfFewBitsLieInWordsWhereNoKernelWritesThem) {
  const Graph graph = doubled(DType::i4, {3, 5});
  const auto schedule = make_schedule(graph, gpu(), {});
  ASSERT_TRUE(schedule);
  const Placement& input = schedule->placements[graph.inputs[0]];
  EXPECT_TRUE(input.is_in_words());
  EXPECT_EQ(input.size_bytes(), 8u);

  Graph written;
  written.inputs = {written.add_tensor("x", DType::f32, {3, 5})};
  written.outputs = {cast(written, "y", written.inputs[0], DType::i4).value()};
  const auto bytes = make_schedule(written, gpu(), {});
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->placements[written.outputs[0]].storage, DType::i8);
}

// A kernel of its own would get a buffer of no bytes.
TEST(Schedule, WhatWritesNoElementHasNoKernel) {
  for (const int64_t k : {0, 1}) {
    Graph graph;
    graph.inputs = {graph.add_tensor("x", DType::f32, {3, 5})};
    const auto found = top_k(graph, "y", graph.inputs[0], {.k = k, .axis = 1});
    ASSERT_TRUE(found);
    graph.outputs = {found->values, found->indices};
    const auto schedule = make_schedule(graph, gpu(), {});
    ASSERT_TRUE(schedule);
    EXPECT_EQ(schedule->steps.empty(), k == 0);
  }
}

TEST(KernelParams, ReadBackAsTheyPrint) {
  const ContractionParams contraction = {.lane_m = 4,
                                         .lane_n = 16,
                                         .lane_fold = 2,
                                         .waves_m = 3,
                                         .waves_n = 5,
                                         .reg_m = 8,
                                         .reg_n = 6,
                                         .vec_m = 4,
                                         .vec_n = 2,
                                         .k_step = 7,
                                         .stages = 1,
                                         .split_k = 9,
                                         .last_adds = 1,
                                         .group_m = 11};
  EXPECT_EQ(parse_contraction_params(to_string(contraction)).value(), contraction);
  const MapReduceParams reduction = {2, 3, 1, 5, 7};
  EXPECT_EQ(parse_map_reduce_params(to_string(reduction)).value(), reduction);
  for (std::string_view text : {"", "lanes 4", "waves 1 per_lane 1 lanes_reduce 0 split 1 unroll x",
                                "waves 1 per_lane 1 lanes_reduce 0 split 1 unroll 8 "}) {
    EXPECT_FALSE(parse_map_reduce_params(text)) << text;
  }
}

TEST(IsLegal, NamesTheFieldThatIsNot) {
  struct Row {
    std::string_view named;
    void (*change)(ContractionParams&);
  };
  const Row rows[] = {
      {"regs (256)", [](ContractionParams& p) { p.reg_m = 16, p.reg_n = 16; }},
      {"lanes (31)", [](ContractionParams& p) { p.lane_m = 31, p.lane_n = 1, p.lane_fold = 1; }},
      {"vec_n (3)", [](ContractionParams& p) { p.reg_n = 3, p.vec_n = 3; }},
      {"vec_m (4)", [](ContractionParams& p) { p.reg_m = 6, p.vec_m = 4; }},
      {"fold (3)", [](ContractionParams& p) { p.lane_fold = 3; }},
      {"fold (0)", [](ContractionParams& p) { p.lane_fold = 0; }},
      {"waves (512)", [](ContractionParams& p) { p.waves_m = 16, p.waves_n = 1, p.stages = 0; }},
      {"stages (3)", [](ContractionParams& p) { p.stages = 3; }},
      {"stages (", [](ContractionParams& p) { p.stages = 2, p.k_step = 4096; }},
      {"split (3)", [](ContractionParams& p) { p.split_k = 3; }},
      {"last_adds (2)", [](ContractionParams& p) { p.last_adds = 2; }},
      {"k (0)", [](ContractionParams& p) { p.k_step = 0; }},
      {"group (0)", [](ContractionParams& p) { p.group_m = 0; }},
  };
  for (const Row& row : rows) {
    const Result<Schedule> schedule = schedule_with(gpu(), row.change);
    ASSERT_FALSE(schedule) << row.named;
    EXPECT_EQ(schedule.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(schedule.error().message().find(row.named), std::string::npos)
        << schedule.error().message();
  }
  EXPECT_TRUE(schedule_with(gpu(), [](ContractionParams&) {}));
}

TEST(Candidates, AreLegalAndHoldTheModelsChoice) {
  for (const Shape& shape : {Shape{1, 512, 1000}, Shape{512, 512, 512}, Shape{4096, 64, 3}}) {
    Chooser chooser(gpu(), [&](const Schedule& schedule, const Node& node, const Target& target,
                               Splitting splitting) {
      const auto all = candidates(schedule, node, target, splitting);
      EXPECT_FALSE(all.empty());
      for (const Candidate& c : all) EXPECT_TRUE(is_legal(schedule, node, c.params, target));
      return choose_by_model(schedule, node, target, splitting);
    });
    const Graph graph = matmul_graph(shape[0], shape[1], shape[2]);
    ASSERT_TRUE(make_schedule(graph, gpu(), {.chooser = &chooser}));
    EXPECT_GT(chooser.kernel_count(), 0u);
  }
}

/// x, then `count` times a Softmax and a Neg.
Graph alternating(int64_t count) {
  Graph graph;
  graph.inputs = {graph.add_tensor("x", DType::f32, {8, 64})};
  TensorId x = graph.inputs[0];
  for (int64_t i = 0; i < count; ++i) {
    x = softmax(graph, "", x, {}).value();
    x = unary(graph, "", ScalarOp::neg, x).value();
  }
  graph.outputs = {x};
  return graph;
}

TEST(Chooser, IsAskedOnceForEachDistinctKernel) {
  size_t asked = 0;
  const auto schedule_of = [&](int64_t count) {
    asked = 0;
    Chooser chooser(gpu(), [&](const Schedule& schedule, const Node& node, const Target& target,
                               Splitting splitting) {
      ++asked;
      return choose_by_model(schedule, node, target, splitting);
    });
    return make_schedule(alternating(count), gpu(), {.chooser = &chooser}).value().steps.size();
  };
  const size_t steps_of_one = schedule_of(1);
  const size_t asked_of_one = asked;
  EXPECT_EQ(schedule_of(200), 200 * steps_of_one);
  EXPECT_EQ(asked, asked_of_one);
}

// A target without narrow storage holds both as i32, but sums wrap at 8 and at 16 bits.
TEST(KernelKey, RunningSumsOfOtherTypesAreOtherKernels) {
  const auto key_of = [](DType dtype) {
    Graph graph;
    graph.inputs = {graph.add_tensor("x", dtype, {4, 9})};
    graph.outputs = {cumsum(graph, "y", graph.inputs[0], {.axis = 1}).value()};
    Schedule schedule = make_schedule(graph, gpu(), {}).value();
    for (Placement& placement : schedule.placements) placement.storage = DType::i32;
    return kernel_key(schedule, schedule.graph.nodes[schedule.steps.at(0).node]);
  };
  EXPECT_EQ(key_of(DType::i8), key_of(DType::i8));
  EXPECT_NE(key_of(DType::i8), key_of(DType::i16));
}

TEST(Schedule, StepsAreTakenInTheirOrder) {
  std::vector<PlanStep> seen;
  const auto after = [&](PlanStep step, const Schedule&) { seen.push_back(step); };
  ASSERT_TRUE(make_schedule(alternating(1), gpu(), {.after_step = after}));
  EXPECT_TRUE(std::ranges::equal(seen, plan_steps()));
}

// Quadratic, these took minutes.
TEST(Schedule, LongGraphsTakeTimeInProportion) {
  Graph chain;
  chain.inputs = {chain.add_tensor("x", DType::f32, {4})};
  TensorId x = chain.inputs[0];
  for (int i = 0; i < 20000; ++i) x = unary(chain, "n", ScalarOp::neg, x).value();
  chain.outputs = {x};
  const auto schedule = make_schedule(chain, gpu(), {});
  ASSERT_TRUE(schedule);
  EXPECT_LT(schedule->steps.size(), 200u);
}

}  // namespace
}  // namespace leat
