// The stages as text, and the kernels that measure a device, on targets that need no device; the
// peak on the cpu where this build has it.
#include "leat/run/inspect.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "leat/ir/parse.h"
#include "leat/ir/verify.h"
#include "leat/run/compiling_cpu_test.h"
#include "leat/run/peak.h"
#include "leat/run/probe_kernels.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

Graph exp_graph() {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {5});
  graph.inputs = {x};
  graph.outputs = {ops::unary(graph, "y", ScalarOp::exp, x).value()};
  return graph;
}

TEST(Inspect, EveryStageOfAGraph) {
  const Graph graph = exp_graph();
  const Target target = plain_target("vulkan").value();
  const auto text = [&](std::string_view stage) {
    return inspect_graph(graph, target, stage, "").value();
  };
  EXPECT_NE(text("graph").find("y"), std::string::npos);
  EXPECT_NE(text("schedule").find("y"), std::string::npos);
  EXPECT_NE(text("lower").find("= exp "), std::string::npos);
  EXPECT_EQ(text("expand_math").find("= exp "), std::string::npos);
  EXPECT_NE(text("code"), "");
  EXPECT_FALSE(inspect_graph(graph, target, "lower", "no such kernel"));
  EXPECT_FALSE(inspect_graph(graph, target, "no such stage", ""));
  for (const std::string_view name : stage_names()) EXPECT_NE(text(name), "") << name;
}

TEST(Inspect, KernelsAreReadAndRefused) {
  const Target target = plain_target("opengl").value();
  const std::string text = inspect_graph(exp_graph(), target, "lower", "").value();
  const Result<std::string> again = inspect_kernel(text, "y.ir", target, "lower");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_NE(text.find(*again), std::string::npos) << "the text form reads back in";
  EXPECT_TRUE(inspect_kernel(text, "y.ir", target, "code"));
  EXPECT_FALSE(inspect_kernel(text, "y.ir", target, "schedule"));
  EXPECT_FALSE(inspect_kernel("leat-kernel 1", "y.ir", target, "lower"));
}

/// Loops in loops, each to be written twice.
std::string nested_loops(int depth) {
  std::string text =
      "leat-kernel 1\nkernel \"nest\" lanes 4 waves 1 grid 1 1 1\nparameter x : f32[4] read\n"
      "parameter y : f32[4] write\n{\n%zero : u.i32 = constant 0\n%one : u.i32 = constant 1\n"
      "%two : u.i32 = constant 2\n%a : v.f32 = load x[%zero + lane * 1]\n";
  std::string carried = "%a";
  std::string end = "%sum : v.f32 = add_f %a" + std::to_string(depth - 1) + ", %a\nyield %sum\n";
  for (int d = 0; d < depth; ++d) {
    const std::string n = std::to_string(d);
    text += "%s" + n + " : v.f32 = loop %i" + n +
            " : u.i32 = %zero to %two step %one unroll 2 carry %a" + n + " : v.f32 = " + carried +
            " {\n";
    carried = "%a" + n;
    end += d + 1 < depth ? "}\nyield %s" + std::to_string(depth - 1 - d) + "\n" : "}\n";
  }
  return text + end + "store y[%zero + lane * 1], %s0\n}\n";
}

TEST(Inspect, UnrollingHasALimit) {
  const Target target = plain_target("vulkan").value();
  const Result<std::string> few = inspect_kernel(nested_loops(3), "few.ir", target, "unroll");
  ASSERT_TRUE(few) << few.error().message();
  EXPECT_EQ(few->find("loop"), std::string::npos) << "eight additions";
  const Result<std::string> bomb = inspect_kernel(nested_loops(60), "bomb.ir", target, "code");
  EXPECT_TRUE(bomb) << bomb.error().message();
}

TEST(Inspect, PlainTargetsHaveNames) {
  for (const std::string_view name : plain_target_names()) {
    EXPECT_TRUE(plain_target(name).value().name.ends_with(name));
  }
  EXPECT_FALSE(plain_target("toaster"));
}

TEST(ProbeKernels, EmitForSpirvTargets) {
  for (const char* name : {"vulkan", "opengl"}) {
    const Target target = plain_target(name).value();
    const Result<KernelBinary> empty = empty_kernel(target);
    ASSERT_TRUE(empty) << empty.error().message();
    EXPECT_TRUE(empty->arguments.empty());
    const Result<KernelBinary> count = count_kernel(target);
    ASSERT_TRUE(count) << count.error().message();
    EXPECT_EQ(count->arguments.size(), 1u);
    const Result<FmaKernel> fma = fma_kernel(target);
    ASSERT_TRUE(fma) << fma.error().message();
    EXPECT_EQ(fma->binary.waves_per_workgroup * target.wave_lanes, 128u);
    EXPECT_GT(fma->flop_per_round, 0.0);
  }
}

// Eight tile registers hold all that the peak of matrix units takes.
TEST(ProbeKernels, EmitForUnitsOfCpus) {
  if (const auto device = open_compiling_cpu(1); !device) GTEST_SKIP() << device.error().message();
  const Target tiles = plain_target("sapphirerapids").value();
  const auto units = unit_kernel(tiles, DType::bf16);
  ASSERT_TRUE(units) << units.error().message();
  ASSERT_TRUE(units->has_value());
  EXPECT_EQ((*units)->output_count, 2 * 4 * 256);
  const Target pairs = plain_target("cooperlake").value();
  EXPECT_FALSE(unit_kernel(pairs, DType::bf16).value().has_value());
  const double words = fma_kernel(pairs, DType::bf16).value().flop_per_round;
  EXPECT_EQ(words, 2 * fma_kernel(pairs).value().flop_per_round);
}

TEST(Peak, IsKeptAndOnlyGrows) {
  Result<std::unique_ptr<Device>> device = open_compiling_cpu(1);
  if (!device) GTEST_SKIP() << device.error().message();
  const std::string folder = testing::TempDir() + "leat_peak_" + std::to_string(getpid());
  const Result<double> measured = measured_peak_gflops(**device, folder);
  ASSERT_TRUE(measured) << measured.error().message();
  EXPECT_GT(*measured, 0.0);
  EXPECT_EQ(measured_peak_gflops(**device, folder).value(), *measured) << "read, not measured";
  keep_peak_gflops(**device, folder, *measured / 2);
  EXPECT_EQ(measured_peak_gflops(**device, folder).value(), *measured);
  keep_peak_gflops(**device, folder, *measured * 2);
  EXPECT_EQ(measured_peak_gflops(**device, folder).value(), *measured * 2);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace leat
