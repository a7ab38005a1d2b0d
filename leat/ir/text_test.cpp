// Text form: what is printed reads back in, and what is wrong is named with its place.
#include "leat/ir/text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

#include "leat/ir/builder.h"
#include "leat/ir/parse.h"
#include "leat/ir/program_samples_test.h"
#include "leat/ir/verify.h"

namespace leat::ir {
namespace {

void expect_round_trip(const Program& program) {
  const std::string text = print_program(program);
  const Result<Program> parsed = parse_program(text, "test");
  ASSERT_TRUE(parsed) << parsed.error().message() << "\n" << text;
  const Result<void> verified = verify(*parsed);
  ASSERT_TRUE(verified) << verified.error().message();
  EXPECT_EQ(print_program(*parsed), text);
}

TEST(Text, RoundTrips) {
  expect_round_trip(sampler());
  expect_round_trip(tiled_matmul({}));
  expect_round_trip(Builder("empty", 1, 1).finish());
}

TEST(Text, ConstantsKeepTheirBits) {
  std::vector<float> values = {0.0f,
                               -0.0f,
                               1.0f,
                               0.1f,
                               1e-45f,
                               3.4e38f,
                               -1e-30f,
                               16777217.0f,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::bit_cast<float>(0x7fc0dead),
                               std::bit_cast<float>(0xffc00001)};
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  }
  Builder b("constants", 1, 1);
  const uint32_t y = b.parameter("y", DType::f32, true, 1000);
  for (size_t i = 0; i < values.size(); ++i)
    b.store(y, b.i32(static_cast<int>(i)), b.f32(values[i]));
  const Program program = b.finish();
  const Result<Program> parsed = parse_program(print_program(program), "test");
  ASSERT_TRUE(parsed) << parsed.error().message();
  ASSERT_EQ(parsed->instructions.size(), program.blocks[0].instructions.size());
  for (size_t i = 0; i < parsed->instructions.size(); ++i) {
    const Instruction& original = program.instructions[program.blocks[0].instructions[i]];
    EXPECT_EQ(parsed->instructions[i].imm, original.imm);
  }
}

TEST(Text, ReadsWhatAPersonWrites) {
  const std::string text = kernel_around(R"(
    %lane: v.i32 = lane_id  # names, comments and any line ends
    %zero: u.i32 = constant 0 %four: u.i32 = constant 4 %one: u.i32 = constant 1
    %start : u.f32 = constant 0.5
    %sum : v.f32 = loop %i : u.i32 = %zero to %four step %one
                   carry %a : v.f32 = %start {
      %x: v.f32 = load x[%i + lane * 4]
      %next: v.f32 = add_f %a, %x
      yield %next
    }
    store y[%zero + lane * 1], %sum)");
  const Result<Program> parsed = parse_program(text, "test");
  ASSERT_TRUE(parsed) << parsed.error().message();
  const Result<void> verified = verify(*parsed);
  EXPECT_TRUE(verified) << verified.error().message();
  expect_round_trip(*parsed);
}

TEST(Text, PrintsOneInstruction) {
  const Program program = tiled_matmul({});
  InstructionId store = 0;
  for (InstructionId id : program.blocks[0].instructions) {
    if (program.instructions[id].op == Opcode::store) store = id;
  }
  const std::string line = print_instruction(program, store);
  EXPECT_EQ(line.find("store c[%"), 0u) << line;
  EXPECT_NE(print_program(program).find("\n  " + line + "\n"), std::string::npos) << line;
  EXPECT_EQ(print_instruction(program, 1000000), "?");
}

struct BadText {
  const char* body;
  const char* message;
};

TEST(Parse, NamesWhatIsWrongInABody) {
  const BadText cases[] = {
      {"%a = lane_id", "10:4: The text has \"=\" where \":\" is expected."},
      {"%a : i32 = lane_id", "10:6: The text has \"i32\" where a type such as"},
      {"%a : v.i32x3 = lane_id", "where a type such as"},
      {"%a : v.i32 = lane", "10:14: The text has \"lane\" where an instruction is expected."},
      {"%a : u.f32 = add_f %b, %b", "10:20: Value \"%b\" is not defined here."},
      {"%a : u.i32 = constant 1 %a : u.i32 = constant 1", "Value \"%a\" is defined twice."},
      {"%a : u.i32 = constant 4294967296", "a whole number (-2147483648 to 2147483647)"},
      {"%a : u.i32 = constant 1.5", "where a whole number"},
      {"%a : u.f32 = constant 1.5x", "where a number"},
      {"%a : u.f32 = constant nan", "where a number"},
      {"%a : u.f32 = constant bits 0x12", "0x and eight hex digits"},
      {"%a : u.b1 = constant 1", "\"true\" or \"false\""},
      {"%a : u.i32 = group_id 3", "an axis (0 to 2)"},
      {"%a : u.i32 = constant 1 %b : u.i32 = add_i %a",
       "Instruction add_i has 1 operands in place of 2."},
      {"lane_id", "Instruction lane_id has 0 results in place of 1."},
      {"%a : u.i32 = barrier", "Instruction barrier has 1 results in place of 0."},
      {"%a : u.i32 = constant 1 store z[%a], %a", "The name \"z\" is not declared as a parameter."},
      {"%a : u.i32 = constant 1 store s[%a], %a", "The name \"s\" is not declared as a parameter."},
      {"%a : u.i32 = constant 1 store_local x[%a], %a", "not declared as a local memory"},
      {"%a : u.i32 = constant 1 store x[%a + lane * %a], %a", "where a stride"},
      {"%a : u.i32 = constant 1 store x[%a", "where \"]\" is expected"},
      {"%a : u.i32 = constant 1 %b : u.i32 = loop %i : u.i32 = %a to %a step %a { yield %a }",
       "The loop has 1 results and carries 0 values."},
      {"%a : u.i32 = constant 1 loop %i : u.i32 = %a to %a step %a { yield %i } store x[%a], %i",
       "Value \"%i\" is not defined here."},
      {"%c : u.b1 = constant true branch %c { } else { } else { }",
       "where an instruction is expected"},
      {"} {", "where the end of the text is expected"},
      {"$", "The text has \"$\""},
      {"\"open", "The text has \"\"\""},
  };
  for (const BadText& bad : cases) {
    const Result<Program> parsed = parse_program(kernel_around(bad.body), "bad.ir");
    ASSERT_FALSE(parsed) << bad.body;
    EXPECT_EQ(parsed.error().kind(), ErrorKind::invalid_argument);
    EXPECT_NE(parsed.error().message().find(bad.message), std::string::npos)
        << bad.body << "\n"
        << parsed.error().message();
    EXPECT_EQ(parsed.error().message().find("bad.ir:"), 0u);
  }
}

TEST(Parse, NamesWhatIsWrongInAHead) {
  const BadText cases[] = {
      {"", "1:1: The text has the end of the text where \"leat-kernel\" is expected."},
      {"leat-kernel 3", "where the version of the text form (1 to 2) is expected"},
      {"leat-kernel 1 kernel name", "where a string in quotes is expected"},
      {"leat-kernel 1 kernel \"\\q\"", "A string has an escape other than"},
      {"leat-kernel 1 kernel \"\\x4\"", "A string has an escape other than"},
      {"leat-kernel 1 kernel \"a\" lanes 0", "the lanes of a wave (1 to 2147483647)"},
      {"leat-kernel 1 kernel \"a\" lanes 99999999999999999999", "the lanes of a wave"},
      {"leat-kernel 1 kernel \"a\" lanes 1 waves 1 grid 1 1 {", "a number of workgroups"},
      {"leat-kernel 1 kernel \"a\" lanes 1 waves 1 grid 1 1 1 parameter x : b1[1] read",
       "a storage type such as"},
      {"leat-kernel 1 kernel \"a\" lanes 1 waves 1 grid 1 1 1 parameter x : f32[-1] read",
       "a number of elements"},
      {"leat-kernel 1 kernel \"a\" lanes 1 waves 1 grid 1 1 1 local x : b1[1]",
       "an element such as"},
      {"leat-kernel 1 kernel \"a\" lanes 1 waves 1 grid 1 1 1 local x : f32[1] local x : f32[1]",
       "The name \"x\" is declared twice."},
      {"leat-kernel 1 kernel \"a\" lanes 1 waves 1 grid 1 1 1", "where \"{\" is expected"},
  };
  for (const BadText& bad : cases) {
    const Result<Program> parsed = parse_program(bad.body, "bad.ir");
    ASSERT_FALSE(parsed) << bad.body;
    EXPECT_NE(parsed.error().message().find(bad.message), std::string::npos)
        << bad.body << "\n"
        << parsed.error().message();
  }
}

TEST(Parse, LimitsNestingAndLists) {
  std::string deep = "%c : u.b1 = constant true ";
  for (int i = 0; i < 100000; ++i) deep += "branch %c { ";
  Result<Program> parsed = parse_program(kernel_around(deep), "deep.ir");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message().find("the limit (64)"), std::string::npos);
  std::string wide = "%c : u.b1 = constant true yield %c";
  for (int i = 0; i < 300; ++i) wide += ", %c";
  parsed = parse_program(kernel_around(wide), "wide.ir");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message().find("the limit (255)"), std::string::npos);
}

// Whatever the bytes are, the answer is a program or a sentence; and what the verifier then takes
// prints and reads back.
TEST(Parse, SurvivesMutatedTexts) {
  const std::string original = print_program(sampler());
  std::mt19937 random(7);
  int parsed_count = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = original;
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < changes; ++i) {
      const size_t at = random() % text.size();
      const size_t from = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        case 2: text.insert(at, text.substr(from, 1 + random() % 12)); break;
        default: text[at] = text[from];
      }
    }
    const Result<Program> parsed = parse_program(text, "mutated.ir");
    if (!parsed) continue;
    ++parsed_count;
    if (verify(*parsed)) expect_round_trip(*parsed);
  }
  EXPECT_GT(parsed_count, 0);
}

// Each file of tests/text/ir_*.ir says in its first line what must come of it: "# expect: ok",
// which also means that it is printed exactly so, or "# expect: <part of the error>".
TEST(Text, GoldenFiles) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LEAT_SOURCE_DIR "/tests/text")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("ir_") || !name.ends_with(".ir")) continue;
    ++count;
    std::ifstream file(entry.path());
    std::string first_line;
    std::getline(file, first_line);
    std::stringstream rest;
    rest << file.rdbuf();
    ASSERT_EQ(first_line.find("# expect: "), 0u) << name;
    const std::string expected = first_line.substr(10);
    const Result<Program> parsed = parse_program(first_line + "\n" + rest.str(), name);
    std::string outcome = parsed ? "ok" : parsed.error().message();
    if (parsed) {
      const Result<void> verified = verify(*parsed);
      if (!verified) outcome = verified.error().message();
    }
    EXPECT_NE(outcome.find(expected), std::string::npos) << name << ": " << outcome;
    if (outcome == "ok") {
      EXPECT_EQ(print_program(*parsed), rest.str()) << name;
    }
  }
  EXPECT_GE(count, 3);
}

}  // namespace
}  // namespace leat::ir
