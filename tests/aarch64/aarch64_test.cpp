// Code for AArch64, made here and run by qemu's user emulation, against the interpreter. Slow: each
// program is linked by a cross compiler. Skipped, with the reason, where that or qemu is missing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "leat/backend/cpu/cpu_target.h"
#include "leat/base/half.h"
#include "leat/emit/emit.h"
#include "leat/ir/builder.h"
#include "leat/ir/interpret.h"

namespace leat {
namespace {

namespace fs = std::filesystem;
using ir::Builder;
using ir::Opcode;
using ir::Program;
using ir::ValueId;
using Bytes = std::vector<std::byte>;
using Values = std::vector<ValueId>;

// Reads each file named on the command line into a buffer, runs the kernel, writes them back.
constexpr char kHarness[] = R"(
#include <cstdint>
#include <fstream>
#include <iterator>
#include <vector>
extern "C" void ENTRY(const void* const* buffers, uint32_t first_group, uint32_t end_group);
int main(int count, char** names) {
  std::vector<std::vector<char>> files;
  for (int i = 1; i < count; ++i) {
    std::ifstream file(names[i], std::ios::binary);
    files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::vector<const void*> buffers;
  for (const auto& file : files) buffers.push_back(file.data());
  ENTRY(buffers.data(), 0, GROUPS / 2);
  ENTRY(buffers.data(), GROUPS / 2, GROUPS);
  for (int i = 1; i < count; ++i) {
    std::ofstream(names[i], std::ios::binary).write(files[i - 1].data(), files[i - 1].size());
  }
}
)";

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " > /dev/null 2>&1").c_str()) == 0;
}

class Aarch64Test : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"aarch64-linux-gnu-g++", "qemu-aarch64"}) {
      if (!is_installed(program)) GTEST_SKIP() << program << " is not installed.";
    }
    std::string pattern = (fs::temp_directory_path() / "leat-aarch64-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  void write(const std::string& name, std::span<const std::byte> bytes) {
    std::ofstream file(folder_ / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.good());
  }
  Bytes read(const std::string& name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    Bytes bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
  }

  void build(const Program& program) {
    const Result<KernelBinary> binary = emit_llvm(program, aarch64_target());
    ASSERT_TRUE(binary) << binary.error().message();
    write("kernel.o", binary->code);
    write("harness.cpp", std::as_bytes(std::span(kHarness, sizeof kHarness - 1)));
    const uint32_t groups = program.grid[0] * program.grid[1] * program.grid[2];
    const std::string command = "cd " + folder_.string() +
                                " && aarch64-linux-gnu-g++ -static -O1 " +
                                "-DENTRY=" + binary->entry + " -DGROUPS=" + std::to_string(groups) +
                                " harness.cpp kernel.o -o harness";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }

  void expect_as_interpreted(const Program& program);

 private:
  fs::path folder_;
};

// Whole numbers and quarters between -8 and 8: sums of them are exact in any order.
Bytes random_buffer(const ir::Parameter& parameter, std::mt19937& random) {
  Bytes bytes;
  const auto append = [&](auto value) {
    const auto raw = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  };
  for (int64_t i = 0; i < parameter.element_count; ++i) {
    const float number = static_cast<float>(static_cast<int32_t>(random() % 64) - 32) / 4.0f;
    if (parameter.storage == DType::f16) append(half_from_float(number));
    if (parameter.storage == DType::f32) append(number);
    if (parameter.storage == DType::i32) append(static_cast<int32_t>(random() % 1000) - 500);
  }
  return bytes;
}

void Aarch64Test::expect_as_interpreted(const Program& program) {
  SCOPED_TRACE(program.name);
  std::mt19937 random(1);
  std::vector<Bytes> wanted;
  for (const ir::Parameter& parameter : program.parameters) {
    wanted.push_back(random_buffer(parameter, random));
  }
  ASSERT_NO_FATAL_FAILURE(build(program));
  std::string command = "cd " + folder_.string() + " && qemu-aarch64 ./harness";
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string name = "buffer" + std::to_string(i);
    write(name, wanted[i]);
    command += " " + name;
  }
  const std::vector<std::span<std::byte>> spans(wanted.begin(), wanted.end());
  const Result<void> interpreted = ir::interpret(program, spans);
  ASSERT_TRUE(interpreted) << interpreted.error().message();
  ASSERT_EQ(std::system(command.c_str()), 0);
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_TRUE(read("buffer" + std::to_string(i)) == wanted[i]) << program.parameters[i].name;
  }
}

// y = 2.5 x + y, the tail masked.
Program saxpy(DType storage, int64_t count) {
  const uint32_t lanes = aarch64_target().wave_lanes;
  Builder b("saxpy", lanes, 1);
  b.program().grid = {static_cast<uint32_t>((count + lanes - 1) / lanes), 1, 1};
  const uint32_t x = b.parameter("x", storage, false, count);
  const uint32_t y = b.parameter("y", storage, true, count);
  const ValueId index = b.add(b.mul(b.group_id(0), b.i32(lanes)), b.lane_id());
  const ValueId mask = b.binary(Opcode::lt_i, index, b.i32(count));
  const ValueId sum = b.fma(b.f32(2.5f), b.load(x, index, 1, mask), b.load(y, index, 1, mask));
  b.store(y, index, sum, mask);
  return b.finish();
}

// c = a * b in tiles of 6 rows and two vectors; the rows before the first of a are zeros.
Program product(DType storage) {
  constexpr int64_t kRows = 6, kDepth = 40, kGroups = 3;
  const uint32_t lanes = aarch64_target().wave_lanes;
  const int64_t width = 2 * lanes;
  Builder b("product", lanes, 1);
  b.program().grid = {kGroups, 1, 1};
  const uint32_t a = b.parameter("a", storage, false, kGroups * kRows * kDepth);
  const uint32_t weights = b.parameter("weights", storage, false, kDepth * width);
  const uint32_t c = b.parameter("c", DType::f32, true, kGroups * kRows * width);
  const ValueId first_row = b.mul(b.group_id(0), b.i32(kRows));
  const Values zeros(kRows * 2, b.f32(0.0f));
  const Values sums = b.loop(
      b.i32(0), b.i32(kDepth), 1, zeros, true, [&](ValueId k, std::span<const ValueId> carried) {
        Values next;
        for (int64_t i = 0; i < kRows; ++i) {
          const ValueId row = b.add(first_row, b.i32(i - 1));
          const ValueId mask = b.binary(Opcode::le_i, b.i32(0), row);
          const ValueId value = b.load(a, b.add(b.mul(row, b.i32(kDepth)), k), 1, mask);
          for (int64_t j = 0; j < 2; ++j) {
            const ValueId column = b.add(b.lane_id(), b.i32(j * lanes));
            const ValueId weight = b.load(weights, b.add(b.mul(k, b.i32(width)), column));
            next.push_back(b.fma(value, weight, carried[next.size()]));
          }
        }
        return next;
      });
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const ValueId column = b.add(b.lane_id(), b.i32(j * lanes));
      const ValueId row = b.mul(b.add(first_row, b.i32(i)), b.i32(width));
      b.store(c, b.add(row, column), sums[static_cast<size_t>(i * 2 + j)]);
    }
  }
  return b.finish();
}

// Whole numbers, divisions by zero too, conversions, gathers, masks, reductions, short vectors.
Program mixture() {
  const uint32_t lanes = aarch64_target().wave_lanes;
  Builder b("mixture", lanes, 1);
  constexpr int64_t kGroups = 5, kOut = 4096;
  b.program().grid = {kGroups, 1, 1};
  const uint32_t x = b.parameter("x", DType::i32, false, kGroups * 2 * lanes);
  const uint32_t f = b.parameter("f", DType::f16, false, kGroups * 4 * lanes);
  const uint32_t y = b.parameter("y", DType::i32, true, kOut);
  const uint32_t z = b.parameter("z", DType::f32, true, kOut);
  const ValueId index = b.add(b.mul(b.group_id(0), b.i32(lanes)), b.lane_id());
  const ValueId p = b.load(x, index);
  const ValueId q =
      b.binary(Opcode::rem_i, b.load(x, b.add(index, b.i32(kGroups * lanes))), b.i32(3));
  int64_t row = 0;
  const auto place = [&] { return b.add(index, b.i32(row++ * kGroups * lanes)); };
  for (const Opcode op : {Opcode::div_i, Opcode::rem_i, Opcode::shl_i, Opcode::shr_s, Opcode::shr_u,
                          Opcode::min_i, Opcode::max_i, Opcode::mul_i, Opcode::lt_u}) {
    ValueId value = b.binary(op, p, q);
    if (op == Opcode::lt_u) value = b.convert(Opcode::int_from_bool, value);
    b.store(y, place(), value);
  }
  const ValueId four = b.load(f, index, 4);
  b.store(z, b.add(index, b.i32(256)), b.mul(four, b.f32(0.5f)));
  row = 0;
  const ValueId odd =
      b.load(f, b.binary(Opcode::xor_i, index, b.i32(1)), 1, b.binary(Opcode::lt_i, b.i32(0), p));
  for (const Opcode op : {Opcode::floor, Opcode::ceil, Opcode::round_even, Opcode::abs}) {
    b.store(z, place(), b.unary(op, odd));
  }
  b.store(z, place(), b.reduce(Opcode::reduce_add, odd));
  b.store(y, b.add(index, b.i32(2048)), b.convert(Opcode::int_from_float, b.mul(odd, b.f32(1e9f))),
          b.binary(Opcode::lt_i, q, b.i32(1)));
  return b.finish();
}

TEST_F(Aarch64Test, SlowSaxpy) {
  for (const DType storage : {DType::f32, DType::f16}) expect_as_interpreted(saxpy(storage, 1001));
}

TEST_F(Aarch64Test, SlowMatrixProduct) {
  for (const DType storage : {DType::f32, DType::f16}) expect_as_interpreted(product(storage));
}

TEST_F(Aarch64Test, SlowMixture) { expect_as_interpreted(mixture()); }

}  // namespace
}  // namespace leat
