// What the compiler makes of the innermost loop of a convolution, counted in its assembly: a change
// that costs speed on every machine is seen on this one, without a clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>

#include "leat/emit/emit.h"
#include "leat/lower/lower.h"
#include "leat/run/inspect.h"
#include "leat/schedule/schedule.h"
#include "leat/tensor/ops_quantize.h"
#include "tests/replay/network_builder.h"

namespace leat::replay {
namespace {

using Block = std::vector<std::string>;

/// Straight stretches of code: from a label or a branch to the next.
std::vector<Block> blocks_of(const std::string& assembly) {
  static const std::regex label(R"(^[.$\w]+:.*)");
  static const std::regex branch(R"(^(j\w+|b\.\w+|cb\w+|tb\w+|bra|@%\S+\s+bra|s_cbranch\w*)\b.*)");
  std::vector<Block> blocks(1);
  std::istringstream lines(assembly);
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, line.find_first_not_of(" \t"));
    if (std::regex_match(line, label)) {
      blocks.emplace_back();
    } else if (!line.empty() && std::string(".;/#{}").find(line[0]) == std::string::npos) {
      blocks.back().push_back(line);
      if (std::regex_match(line, branch)) blocks.emplace_back();
    }
  }
  return blocks;
}

/// Places where `pattern` occurs; an instruction of RDNA3 may have two.
size_t count(const Block& block, const std::regex& pattern) {
  size_t found = 0;
  for (const std::string& line : block) {
    found += static_cast<size_t>(std::distance(
        std::sregex_iterator(line.begin(), line.end(), pattern), std::sregex_iterator()));
  }
  return found;
}

struct Expected {
  const char* target;
  const char* multiply_add;  // patterns
  const char* load;
  const char* spill;
  size_t multiply_adds;
  size_t loads_max;         // in memory or local memory, broadcasts too
  size_t instructions_max;  // all of the loop
  DType dtype = DType::f32;
};

// A tile of 6 x 2 vectors and k in steps of 4 with 16 registers, 12 or 14 x 2 with 32; on GPUs 8 x
// 8 a lane and k in steps of 16, of which PTX has a quarter (its loop is unrolled by 4) and gfx1100
// all.
constexpr Expected kLoops[] = {
    {"x86-64-v3", "vfmadd", "vbroadcastss|vmovup", R"(\(%rsp)", 48, 32, 86},
    {"x86-64-v4", "vfmadd", R"(vbroadcastss|vmovup|\{1to16\})", R"(\(%rsp)", 24, 14, 44},
    {"cooperlake", "vdpbf16ps", R"(vmovup|vmovdq|vmovap|\{1to16\})", R"(\(%rsp)", 24, 14, 44,
     DType::bf16},
    {"cooperlake", "vpdpbusd", R"(vmovup|vmovdq|vpbroadcastd)", R"(\(%rsp)", 24, 14, 44, DType::i8},
    {"aarch64", "fml[as]", R"(\bld)", R"(\[sp)", 24, 14, 44},
    {"sm_80", R"(fma\.rn\.f32)", R"(ld\.(shared|global))", R"(\.local)", 256, 38, 340},
    {"gfx1100", "fmac?_f32", "ds_load|global_load", "scratch_", 1024, 72, 1100},
};

/// Of bytes it is one of whole numbers.
Result<Graph> convolution(DType dtype) {
  if (dtype == DType::i8) {
    NetworkBuilder net(DType::u8);
    const TensorId x = net.input({1, 32, 27, 27});
    const TensorId w = net.weights({128, 32, 3, 3}, DType::i8);
    const ops::ConvOptions options = {.window = {.pads = {1, 1, 1, 1}}};
    return net.finish({net.keep(ops::conv_integer(net.graph(), "conv", {x, kNoTensor, kNoTensor},
                                                  {w, kNoTensor, kNoTensor}, kNoTensor, options))});
  }
  NetworkBuilder net(dtype);
  const TensorId x =
      net.relu(net.conv(net.input({1, 16, 27, 27}), {.features = 32, .kernel = {1, 1}}));
  return net.finish({net.relu(net.conv(x, {.features = 128, .pad = 1}))});
}

TEST(InnerLoops, HaveMultiplyAddsAndLittleElse) {
  for (const Expected& loop : kLoops) {
    SCOPED_TRACE(loop.target);
    const Target target = plain_target(loop.target).value();
    const ScheduleOptions options = {.external_channels_last = loop.dtype == DType::i8};
    const Schedule schedule =
        make_schedule(convolution(loop.dtype).value(), target, options).value();
    const LoweredKernel kernel = lower(schedule, schedule.steps.back(), target).value();
    const auto text = disassemble(kernel.program, target);
    if (!text) GTEST_SKIP() << text.error().message();
    const std::regex multiply_add(loop.multiply_add);
    const std::vector<Block> blocks = blocks_of(*text);
    // Of equal ones the shortest: another may be the loop of tiles at the edge.
    const Block hottest = *std::ranges::max_element(blocks, {}, [&](const Block& block) {
      return std::pair(count(block, multiply_add), -static_cast<int64_t>(block.size()));
    });
    EXPECT_EQ(count(hottest, multiply_add), loop.multiply_adds);
    EXPECT_LE(count(hottest, std::regex(loop.load)), loop.loads_max);
    EXPECT_EQ(count(hottest, std::regex(loop.spill)), 0u);
    EXPECT_LE(hottest.size(), loop.instructions_max);
  }
}

}  // namespace
}  // namespace leat::replay
