// The matrix product's inner loop must live in registers: no stack traffic, broadcasts straight
// from memory, one fused multiply-add for each of the accumulators. The assembly text is looked at.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "leat/emit/emit.h"
#include "leat/emit/llvm_machine_test.h"
#include "leat/ir/rewrite.h"

namespace leat::llvm_test {
namespace {

using ir::Builder;
using ir::Instruction;
using ir::kNone;
using ir::Opcode;
using ir::Program;
using ir::ValueId;

struct Tile {
  int64_t rows;
  int64_t columns;  // in waves
  int unroll;
  bool padded;  // rows of A outside their buffer are masked off, in a loop around the inner one
};

// c = a * b for one tile a workgroup: rows of A are broadcast, B is loaded lane by lane.
Program product(const Target& target, const Tile& tile) {
  constexpr int64_t kDepth = 256;
  constexpr int64_t kGroups = 8;
  const int64_t lanes = target.wave_lanes;
  const int64_t width = tile.columns * lanes;
  Builder b("product", target.wave_lanes, 1);
  b.program().grid = {kGroups, 1, 1};
  const uint32_t a = b.parameter("a", DType::f32, false, kGroups * tile.rows * kDepth);
  const uint32_t weights = b.parameter("weights", DType::f32, false, 3 * kDepth * width);
  const uint32_t c = b.parameter("c", DType::f32, true, kGroups * tile.rows * width);
  const ValueId first_row = b.mul(b.group_id(0), b.i32(tile.rows));
  std::vector<ValueId> sums(static_cast<size_t>(tile.rows * tile.columns), b.f32(0.0f));
  const auto inner = [&](ValueId tap, std::span<const ValueId> start) {
    return b.loop(
        b.i32(0), b.i32(kDepth), 1, start, true,
        [&](ValueId k, std::span<const ValueId> carried) {
          std::vector<ValueId> columns;
          const ValueId place = b.add(b.mul(tap, b.i32(kDepth)), k);
          for (int64_t j = 0; j < tile.columns; ++j) {
            const ValueId column = b.add(b.lane_id(), b.i32(j * lanes));
            columns.push_back(b.load(weights, b.add(b.mul(place, b.i32(width)), column)));
          }
          std::vector<ValueId> next;
          for (int64_t i = 0; i < tile.rows; ++i) {
            const ValueId row = b.add(b.add(first_row, b.i32(i - 1)), tap);
            const ValueId mask =
                tile.padded ? b.binary(Opcode::lt_u, row, b.i32(kGroups * tile.rows)) : kNone;
            const ValueId real_row = tile.padded ? row : b.add(first_row, b.i32(i));
            const ValueId value = b.load(a, b.add(b.mul(real_row, b.i32(kDepth)), k), 1, mask);
            for (const ValueId column : columns) {
              next.push_back(b.fma(value, column, carried[next.size()]));
            }
          }
          return next;
        },
        tile.unroll);
  };
  sums = tile.padded ? b.loop(b.i32(0), b.i32(3), 1, sums, true, inner) : inner(b.i32(0), sums);
  for (int64_t i = 0; i < tile.rows; ++i) {
    for (int64_t j = 0; j < tile.columns; ++j) {
      const ValueId column = b.add(b.lane_id(), b.i32(j * lanes));
      const ValueId row = b.mul(b.add(first_row, b.i32(i)), b.i32(width));
      b.store(c, b.add(row, column), sums[static_cast<size_t>(i * tile.columns + j)]);
    }
  }
  return b.finish();
}

// The lines from the label that the innermost loop jumps back to up to that jump: of all such
// stretches the one with the most multiply-adds a line.
std::vector<std::string> inner_loop(const std::string& assembly) {
  std::vector<std::string> lines;
  std::istringstream stream(assembly);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::vector<std::string> best;
  for (size_t end = 0; end < lines.size(); ++end) {
    const size_t jump = lines[end].find(".LBB");
    if (jump == 0 || jump == std::string::npos) continue;
    const std::string label = lines[end].substr(jump) + ":";
    const auto begin = std::find(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(end), label);
    const std::vector<std::string> body(begin, lines.begin() + static_cast<ptrdiff_t>(end));
    const bool is_inner = std::ranges::count_if(body, [](const std::string& line) {
                            return line.starts_with(".LBB");
                          }) == 1;
    if (is_inner && body.size() > best.size()) best = body;
  }
  return best;
}

int64_t count_of(const std::vector<std::string>& lines, const std::string& text) {
  return std::ranges::count_if(
      lines, [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// As lower/unroll leaves it.
Program unrolled(const Program& program) {
  const auto keep = [](Builder&, const Instruction&,
                       std::span<const ValueId>) -> std::optional<ValueId> { return std::nullopt; };
  return ir::rewrite(program, keep, [](const Instruction& loop, const ir::LoopPlace&) {
    return std::max<int64_t>(loop.imm, 1);
  });
}

void expect_in_registers(const Target& target, const Tile& tile) {
  const Result<std::string> assembly = assembly_llvm(unrolled(product(target, tile)), target);
  ASSERT_TRUE(assembly) << assembly.error().message();
  const std::vector<std::string> loop = inner_loop(*assembly);
  SCOPED_TRACE(testing::Message() << target.name << " " << tile.rows << "x" << tile.columns << "\n"
                                  << joined(loop));
  EXPECT_EQ(count_of(loop, "vfmadd"), tile.unroll * tile.rows * tile.columns);
  EXPECT_EQ(count_of(loop, "rsp"), 0);
  EXPECT_EQ(count_of(loop, "vbroadcastss") + count_of(loop, "{1to"), tile.unroll * tile.rows);
  EXPECT_EQ(count_of(loop, "cmov"), 0);
  EXPECT_EQ(count_of(loop, "vmovaps"), 0);
}

TEST(LlvmRegisters, Avx2) {
  expect_in_registers(avx2_target(), {6, 2, 1, false});
  expect_in_registers(avx2_target(), {4, 3, 1, false});
  for (const int unroll : {1, 4}) expect_in_registers(avx2_target(), {4, 2, unroll, false});
}

TEST(LlvmRegisters, Avx2PaddedRows) {
  expect_in_registers(avx2_target(), {6, 2, 1, true});
  expect_in_registers(avx2_target(), {4, 3, 1, true});
}

TEST(LlvmRegisters, Avx512) {
  expect_in_registers(avx512_target(), {14, 2, 1, false});
  expect_in_registers(avx512_target(), {9, 3, 1, false});
}

// Products of 32-register NEON: lanes of a vector are multiplied, so broadcasts do not appear.
TEST(LlvmRegisters, Neon) {
  const Target target = neon_target();
  const Result<std::string> assembly = assembly_llvm(product(target, {8, 3, 1, false}), target);
  ASSERT_TRUE(assembly) << assembly.error().message();
  const std::vector<std::string> loop = inner_loop(*assembly);
  SCOPED_TRACE(joined(loop));
  EXPECT_EQ(count_of(loop, "fmla"), 24);
  EXPECT_EQ(count_of(loop, "[sp"), 0);
}

}  // namespace
}  // namespace leat::llvm_test
