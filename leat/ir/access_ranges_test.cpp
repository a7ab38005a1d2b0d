// What is said to be proven must hold in the interpreter, and what people write must be proven.
#include "leat/ir/access_ranges.h"

#include <gtest/gtest.h>

#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "leat/ir/program_samples_test.h"
#include "leat/ir/verify.h"

namespace leat::ir {
namespace {

Program parsed(const std::string& text) {
  Result<Program> program = parse_program(text, "test.ir");
  EXPECT_TRUE(program) << program.error().message() << "\n" << text;
  const Result<void> verified = verify(*program);
  EXPECT_TRUE(verified) << verified.error().message();
  return *program;
}

size_t open_count(const std::string& body, std::vector<std::optional<Range>> contents = {}) {
  const Program program = parsed(kernel_around(body));
  const LaunchRanges ranges = find_ranges(program, contents);
  for (const OpenAccess& access : ranges.open) EXPECT_FALSE(text_of(program, access).empty());
  return ranges.open.size();
}

bool leaves_its_memory(const Program& program) {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<std::span<std::byte>> buffers;
  for (const Parameter& parameter : program.parameters) {
    bytes.emplace_back(
        static_cast<size_t>(parameter.element_count * size_bytes_of(parameter.storage)));
  }
  for (std::vector<std::byte>& buffer : bytes) buffers.emplace_back(buffer);
  const Result<void> run = interpret(program, buffers);
  return !run && run.error().message().find("outside of") != std::string::npos;
}

constexpr const char* kNames = R"(
    %lane : v.i32 = lane_id
    %wave : u.i32 = wave_id
    %group : u.i32 = group_id 0
    %zero : u.i32 = constant 0
    %one : u.i32 = constant 1
    %four : u.i32 = constant 4
    %eight : u.i32 = constant 8
    %seven : u.i32 = constant 7
    %ten : u.i32 = constant 10
    %count : u.i32 = constant 64
    %w4 : u.i32 = mul_i %wave, %four
    %g8 : u.i32 = mul_i %group, %eight
    %base : u.i32 = add_i %g8, %w4
    %i : v.i32 = add_i %lane, %base
)";

struct Case {
  const char* name;
  const char* body;
  size_t open;
};

// x, y, h and n have 64 elements; i is 0 to 15: 4 lanes, 2 waves, 2 workgroups.
const Case kCases[] = {
    {"as it is", "%v : v.f32 = load x[%i]", 0},
    {"a stride of lanes", "%v : v.f32 = load x[%base + lane * 17]", 0},
    {"a stride too large", "%v : v.f32 = load x[%base + lane * 18]", 1},
    {"below", "%a : v.i32 = sub_i %i, %one\n%v : v.f32 = load x[%a]", 1},
    {"a vector at the end", "%v : v.f32x4 = load x[%i]", 0},
    {"a vector too far", "%a : v.i32 = add_i %i, %one\n%v : v.f32x4 = load x[%a]", 1},
    {"masked", R"(%a : v.i32 = mul_i %i, %ten
      %in : v.b1 = lt_i %a, %count
      %v : v.f32 = load x[%a] if %in)",
     0},
    {"masked at the wrong place", R"(%a : v.i32 = mul_i %i, %ten
      %in : v.b1 = le_i %a, %count
      %v : v.f32 = load x[%a] if %in)",
     1},
    {"masked on both sides", R"(%a : v.i32 = sub_i %i, %ten
      %b : v.i32 = mul_i %a, %ten
      %low : v.b1 = le_i %zero, %b
      %high : v.b1 = lt_i %b, %count
      %in : v.b1 = and_b %low, %high
      %v : v.f32 = load x[%b] if %in)",
     0},
    {"masked without sign", R"(%a : v.i32 = sub_i %i, %ten
      %b : v.i32 = mul_i %a, %ten
      %in : v.b1 = lt_u %b, %count
      %v : v.f32 = load x[%b] if %in)",
     0},
    {"a mask of another sum", R"(%a : v.i32 = mul_i %i, %ten
      %c : v.i32 = add_i %a, %four
      %in : v.b1 = lt_i %c, %count
      %d : v.i32 = add_i %a, %four
      %v : v.f32 = load x[%d] if %in)",
     0},
    {"what is loaded", "%k : v.i32 = load n[%i]\n%v : v.f32 = load x[%k]", 1},
    {"what is loaded, masked", R"(%k : v.i32 = load n[%i]
      %in : v.b1 = lt_u %k, %count
      %v : v.f32 = load x[%k] if %in)",
     0},
    {"clamped", R"(%k : v.i32 = load n[%i]
      %last : u.i32 = constant 63
      %a : v.i32 = min_i %k, %last
      %b : v.i32 = max_i %a, %zero
      %v : v.f32 = load x[%b])",
     0},
    {"selected", R"(%k : v.i32 = load n[%i]
      %in : v.b1 = lt_u %k, %count
      %a : v.i32 = select %in, %k, %zero
      %v : v.f32 = load x[%a])",
     0},
    {"row and column", R"(%row : v.i32 = div_i %i, %seven
      %column : v.i32 = rem_i %i, %seven
      %a : v.i32 = mul_i %row, %seven
      %b : v.i32 = add_i %a, %column
      %c : v.i32 = mul_i %b, %four
      %v : v.f32 = load x[%c])",
     0},
    {"low bits", R"(%k : v.i32 = load n[%i]
      %mask : u.i32 = constant 63
      %a : v.i32 = and_i %k, %mask
      %v : v.f32 = load x[%a])",
     0},
    {"a remainder of what may be negative", R"(%k : v.i32 = load n[%i]
      %a : v.i32 = rem_i %k, %seven
      %v : v.f32 = load x[%a])",
     1},
    {"shifted", R"(%two : u.i32 = constant 2
      %a : v.i32 = shl_i %i, %two
      %b : v.i32 = shr_s %a, %two
      %v : v.f32 = load x[%a]
      %u : v.f32 = load x[%b])",
     0},
    {"a loop", R"(loop %k : u.i32 = %zero to %count step %four {
        %v : v.f32 = load x[%k + lane * 1]
        yield
      })",
     0},
    {"a loop with a tail", R"(loop %k : u.i32 = %zero to %count step %ten {
        %v : v.f32 = load x[%k + lane * 1]
        yield
      })",
     0},
    {"a loop past its end", R"(loop %k : u.i32 = %one to %count step %four {
        %v : v.f32 = load x[%k + lane * 1]
        yield
      })",
     1},
    {"a loop from the workgroup on", R"(%end : u.i32 = add_i %g8, %count
      loop %k : u.i32 = %g8 to %count step %eight {
        %v : v.f32 = load x[%k + lane * 1]
        %d : u.i32 = sub_i %k, %g8
        %u : v.f32 = load x[%d + lane * 1]
        yield
      }
      loop %m : u.i32 = %g8 to %end step %eight {
        %d : u.i32 = sub_i %m, %g8
        %u : v.f32 = load x[%d + lane * 1]
        yield
      })",
     0},
    {"what a loop carries", R"(%last : u.i32 = loop %k : u.i32 = %zero to %ten step %one
          carry %at : u.i32 = %zero {
        %v : u.f32 = load x[%at]
        %next : u.i32 = add_i %at, %four
        yield %next
      }
      %v : u.f32 = load x[%last])",
     0},
    {"what a loop carries too far", R"(%last : u.i32 = loop %k : u.i32 = %zero to %ten step %one
          carry %at : u.i32 = %zero {
        %v : u.f32 = load x[%at]
        %next : u.i32 = add_i %at, %eight
        yield %next
      })",
     1},
    {"what grows by itself", R"(%last : u.i32 = loop %k : u.i32 = %zero to %ten step %one
          carry %at : u.i32 = %one {
        %v : u.f32 = load x[%at]
        %next : u.i32 = add_i %at, %at
        yield %next
      })",
     1},
    {"a branch", R"(%k : u.i32 = load n[%zero]
      %in : u.b1 = lt_u %k, %count
      branch %in {
        %v : u.f32 = load x[%k]
      })",
     0},
    {"the other side of a branch", R"(%k : u.i32 = load n[%zero]
      %out : u.b1 = le_i %count, %k
      branch %out {
        %a : u.f32 = load x[%zero]
      } else {
        %b : u.i32 = max_i %k, %zero
        %v : u.f32 = load x[%b]
      })",
     0},
    {"the wrong side of a branch", R"(%k : u.i32 = load n[%zero]
      %in : u.b1 = lt_u %k, %count
      branch %in {
        %a : u.f32 = load x[%zero]
      } else {
        %v : u.f32 = load x[%k]
      })",
     1},
    {"what was known in a branch", R"(%k : u.i32 = load n[%zero]
      %in : u.b1 = lt_u %k, %count
      branch %in {
        %a : u.f32 = load x[%k]
      }
      %v : u.f32 = load x[%k])",
     1},
    {"the other of a mask", R"(%a : v.i32 = mul_i %i, %ten
      %past : v.b1 = le_i %count, %a
      %in : v.b1 = not_b %past
      %v : v.f32 = load x[%a] if %in)",
     0},
    {"either of two masks", R"(%a : v.i32 = mul_i %i, %ten
      %in : v.b1 = lt_i %a, %count
      %some : v.b1 = lt_i %a, %ten
      %or : v.b1 = or_b %in, %some
      %v : v.f32 = load x[%a] if %or)",
     1},
    {"what wraps", R"(%large : u.i32 = constant 2000000000
      %a : v.i32 = mul_i %i, %large
      %b : v.i32 = mul_i %a, %zero
      %c : v.i32 = add_i %a, %large
      %d : v.i32 = sub_i %c, %large
      %e : v.i32 = sub_i %d, %a
      %v : v.f32 = load x[%e])",
     1},
    {"what wraps and is shifted back", R"(%large : u.i32 = constant 1073741824
      %bits : u.i32 = constant 26
      %a : v.i32 = mul_i %i, %large
      %b : v.i32 = shr_u %a, %bits
      %v : v.f32 = load x[%b])",
     1},
    {"low bits of what wraps", R"(%large : u.i32 = constant 1073741823
      %mask : u.i32 = constant 63
      %a : v.i32 = mul_i %i, %large
      %b : v.i32 = and_i %a, %mask
      %v : v.f32 = load x[%b])",
     1},
    {"a counter that reaches the last number", R"(%last : u.i32 = constant 2147483647
      loop %k : u.i32 = %zero to %last step %one {
        %in : u.b1 = lt_i %k, %count
        %v : u.f32 = load x[%k] if %in
        yield
      })",
     0},
    {"a counter that wraps", R"(%last : u.i32 = constant 2147483647
      loop %k : u.i32 = %zero to %last step %four {
        %in : u.b1 = lt_i %k, %count
        %v : u.f32 = load x[%k] if %in
        yield
      })",
     1},
    {"what a loop of such a counter carries", R"(%last : u.i32 = constant 2147483647
      %large : u.i32 = constant 1073741824
      %r : u.i32 = loop %k : u.i32 = %zero to %last step %large carry %at : u.i32 = %zero {
        %v : u.f32 = load x[%at]
        %next : u.i32 = add_i %at, %one
        yield %next
      })",
     1},
    {"local memory", R"(%s : u.i32 = mul_i %wave, %four
      %a : v.i32 = add_i %lane, %s
      %v : v.f32 = load x[%a]
      store_local s[%a], %v)",
     0},
    {"local memory too far", R"(%v : v.f32 = load x[%i]
      %a : v.i32 = add_i %i, %one
      store_local s[%a], %v)",
     1},
};

TEST(AccessRanges, WhatPeopleWriteIsProvenAndNothingElse) {
  for (const Case& c : kCases) {
    EXPECT_EQ(open_count(std::string(kNames) + c.body), c.open) << c.name;
  }
}

TEST(AccessRanges, WhatALaunchIsGivenNarrowsIt) {
  const std::string gather =
      std::string(kNames) + "%k : v.i32 = load n[%i]\n%v : v.f32 = load x[%k]";
  EXPECT_EQ(open_count(gather, {{}, {}, {}, Range{0, 63}}), 0u);
  EXPECT_EQ(open_count(gather, {{}, {}, {}, Range{0, 64}}), 1u);
  EXPECT_EQ(open_count(gather, {{}, {}, {}, Range{-1, 5}}), 1u);
  EXPECT_EQ(open_count(gather, {{}, {}, {}, std::nullopt}), 1u);
  const std::string to_the_end = std::string(kNames) + R"(%end : u.i32 = load n[%zero]
    loop %k : u.i32 = %zero to %end step %four {
      %a : v.i32 = add_i %lane, %k
      %in : v.b1 = lt_i %a, %end
      %v : v.f32 = load x[%k + lane * 1] if %in
      yield
    })";
  EXPECT_EQ(open_count(to_the_end, {{}, {}, {}, Range{64, 64}}), 0u);
  EXPECT_EQ(open_count(to_the_end, {{}, {}, {}, Range{65, 65}}), 1u);
  EXPECT_EQ(open_count(to_the_end), 1u);
}

// It is masked, so what it gives may be 0 although the memory holds none.
TEST(AccessRanges, AnOpenLoadMayGiveZero) {
  const std::string body = std::string(kNames) + R"(%past : v.i32 = add_i %i, %count
    %k : v.i32 = load n[%past]
    %a : v.i32 = sub_i %k, %four
    %v : v.f32 = load x[%a]
    %again : v.i32 = load n[%past]
    %b : v.i32 = sub_i %again, %four
    %u : v.f32 = load x[%b])";
  EXPECT_EQ(open_count(body, {{}, {}, {}, Range{4, 4}}), 4u);
  EXPECT_EQ(open_count(body, {{}, {}, {}, Range{5, 5}}), 4u);
}

// Each truth joins the one before with itself, and would imply twice as much.
TEST(AccessRanges, TruthsOfTruthsTakeNoMemory) {
  std::string body = std::string(kNames) + "%m0 : v.b1 = lt_i %i, %eight\n";
  for (int i = 1; i <= 60; ++i) {
    body += "%m" + std::to_string(i) + " : v.b1 = and_b %m" + std::to_string(i - 1) + ", %m" +
            std::to_string(i - 1) + "\n";
  }
  EXPECT_EQ(open_count(body + "%a : v.i32 = mul_i %i, %eight\n%v : v.f32 = load x[%a] if %m60"),
            0u);
}

// Each count one smaller than what is touched; the interpreter says whether it is.
TEST(AccessRanges, NothingIsProvenThatTheInterpreterRefuses) {
  size_t refused = 0, proven = 0;
  const auto look = [&](const Program& program) {
    const bool is_proven = find_ranges(program, {}).open.empty();
    const bool leaves = leaves_its_memory(program);
    EXPECT_FALSE(is_proven && leaves);
    refused += leaves ? 1 : 0;
    proven += is_proven ? 1 : 0;
  };
  for (const int64_t n : {1, 3, 4, 10, 12}) {
    for (const int64_t k : {1, 2, 7, 8, 15}) {
      const Program whole = tiled_matmul({.m = 16, .n = n, .k = k});
      EXPECT_TRUE(find_ranges(whole, {}).open.empty()) << n << " " << k;
      for (size_t i = 0; i < whole.parameters.size(); ++i) {
        Program smaller = whole;
        --smaller.parameters[i].element_count;
        look(smaller);
      }
      Program wider = whole;
      ++wider.grid[1];
      look(wider);
    }
  }
  EXPECT_GE(refused, 90u);
  EXPECT_EQ(proven, 0u);
}

TEST(AccessRanges, CountsOperations) {
  const Program program = tiled_matmul({.m = 16, .n = 8, .k = 8});
  const LaunchRanges ranges = find_ranges(program, {});
  ASSERT_TRUE(ranges.flop);
  EXPECT_EQ(*ranges.flop, 2.0 * 16 * 8 * 8);
  const std::string by_data = std::string(kNames) + R"(%end : u.i32 = load n[%zero]
    %zf : u.f32 = constant 0
    %s : u.f32 = loop %k : u.i32 = %zero to %end step %one carry %a : u.f32 = %zf {
      %b : u.f32 = add_f %a, %a
      yield %b
    })";
  EXPECT_FALSE(find_ranges(parsed(kernel_around(by_data)), {}).flop);
}

}  // namespace
}  // namespace leat::ir
