// A text printed with its notes: names, comments and blank lines stay, the rest is as the printer
// has it.
#include "leat/ir/source_notes.h"

#include <gtest/gtest.h>

#include "leat/ir/parse.h"
#include "leat/ir/program_samples_test.h"
#include "leat/ir/text.h"

namespace leat::ir {
namespace {

std::string formatted(const std::string& text) {
  SourceNotes notes;
  const Result<Program> program = parse_program(text, "test.ir", notes);
  EXPECT_TRUE(program) << program.error().message();
  if (!program) return "";
  note_comments(text, notes);
  const std::string result = print_program(*program, notes);
  const Result<Program> again = parse_program(result, "again.ir");
  EXPECT_TRUE(again) << again.error().message();
  EXPECT_EQ(print_program(*again), print_program(*program));
  return result;
}

constexpr const char* kWritten = R"(
# Above all.
leat-kernel 1   # the version
   kernel "a # b"  lanes 4 waves 1
     grid 1 1 1


# What is read.
parameter x : f32[8] read    # x
parameter y:f32[8] write
local t : f32[4]

# The body.
{ # open
  %lane : v.i32 = lane_id %zero:u.i32=constant 0 # two in a line

  # A loop.
%one : u.i32 = constant 1
  loop %i : u.i32 = %zero to %one
    step %one { # for each
    %v : v.f32 = load x[%i + lane * 1]   # read
    store y[%i + lane * 1], %v
    yield
    # done
  } # after the loop
  %c : u.b1 = constant true
  branch %c {
    barrier
    # then
  } else { # else
    # nothing
  }
  # the end
} # all
# Below.
)";

TEST(SourceNotes, NamesAndCommentsStay) {
  EXPECT_EQ(formatted(kWritten), R"(# Above all.
leat-kernel 1  # the version
kernel "a # b" lanes 4 waves 1 grid 1 1 1

# What is read.
parameter x : f32[8] read  # x
parameter y : f32[8] write
local t : f32[4]

# The body.
{  # open
  %lane : v.i32 = lane_id
  %zero : u.i32 = constant 0  # two in a line

  # A loop.
  %one : u.i32 = constant 1
  loop %i : u.i32 = %zero to %one step %one {  # for each
    %v : v.f32 = load x[%i + lane * 1]  # read
    store y[%i + lane * 1], %v
    yield
    # done
  }  # after the loop
  %c : u.b1 = constant true
  branch %c {
    barrier
    # then
  } else {  # else
    # nothing
  }
  # the end
}  # all
# Below.
)");
}

TEST(SourceNotes, TwiceIsAsOnce) {
  const std::string printed = print_program(sampler());
  EXPECT_EQ(formatted(printed), printed);
  const std::string written = kernel_around("%a : u.i32 = constant 1 # one\n\n\n# two\n");
  const std::string once = formatted(written);
  EXPECT_EQ(formatted(once), once);
  EXPECT_NE(once.find("constant 1  # one"), std::string::npos) << once;
}

TEST(SourceNotes, SentencesNameValues) {
  const std::string text = kernel_around("%other : v.i32 = lane_id\n%first : u.i32 = constant 3\n");
  SourceNotes notes;
  const Result<Program> program = parse_program(text, "test.ir", notes);
  ASSERT_TRUE(program);
  EXPECT_EQ(with_names("\"%1 = constant 3\", %0, 100 %, %77", *program, notes),
            "\"%first = constant 3\", %other, 100 %, %77");
}

}  // namespace
}  // namespace leat::ir
