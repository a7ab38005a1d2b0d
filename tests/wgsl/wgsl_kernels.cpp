// Kernels as WGSL, on a real implementation of WebGPU: the wgpu wheel of the Python registry, which
// tools/check installs into build/venv, on whatever Vulkan device there is (lavapipe, in CI). Each
// kernel is lowered as for any target, and must leave in its buffers what the interpreter leaves.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include <nlohmann/json.hpp>

#include "leat/emit/emit.h"
#include "leat/ir/builder.h"
#include "leat/ir/interpret.h"
#include "leat/ir/verify.h"
#include "leat/lower/lower.h"
#include "leat/lower/passes.h"
#include "leat/run/inspect.h"
#include "leat/schedule/schedule.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

namespace fs = std::filesystem;
using ir::Builder;
using ir::Opcode;
using ir::ValueId;
using Bytes = std::vector<std::byte>;

constexpr const char* kPython = LEAT_SOURCE_DIR "/build/venv/bin/python";

// Sums may be formed in another order and without fused multiply-adds (WGSL, "Reassociation and
// Fusion"), and a function's argument reduction loses digits by it: 4e-6 was seen for exp.
constexpr double kToleranceRelative = 2e-5;

struct Kernel {
  std::string name;
  ir::Program program;  // as the emitter gets it
};

Target wgsl() { return plain_target("wgsl").value(); }

Bytes random_buffer(const ir::Parameter& parameter, std::mt19937& random) {
  const size_t count = static_cast<size_t>(parameter.element_count);
  Bytes bytes(count * 4);
  std::uniform_real_distribution<float> number(-2.0f, 2.0f);
  std::uniform_int_distribution<int32_t> whole(-1000, 1000);
  for (size_t i = 0; i < count; ++i) {
    const float f = number(random);
    const int32_t n = whole(random);
    const void* source = &n;
    if (parameter.storage == DType::f32) source = &f;
    std::memcpy(bytes.data() + i * 4, source, 4);
  }
  return bytes;
}

/// A folder of kernels and their buffers, run by one call of Python.
class WgslFolder {
 public:
  WgslFolder() {
    std::string pattern = (fs::temp_directory_path() / "leat_wgsl_XXXXXX").string();
    CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~WgslFolder() { fs::remove_all(path_); }

  void write(const std::string& name, std::span<const std::byte> bytes) {
    std::ofstream file(path_ / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.good());
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void add(const nlohmann::json& kernel) { kernels_.push_back(kernel); }

  /// What Python says is in the file "log".
  int run() {
    const std::string list = kernels_.dump();
    write("kernels.json", std::as_bytes(std::span(list)));
    const std::string command = std::string("XDG_RUNTIME_DIR=") + path_.string() + " " + kPython +
                                " " LEAT_SOURCE_DIR "/tests/wgsl/run_kernels.py " + path_.string() +
                                " > " + (path_ / "log").string() + " 2>&1";
    return std::system(command.c_str());
  }

 private:
  fs::path path_;
  nlohmann::json kernels_ = nlohmann::json::array();
};

void expect_close(const Kernel& kernel, const ir::Parameter& parameter, const Bytes& wanted,
                  const std::string& got) {
  ASSERT_EQ(got.size(), wanted.size()) << kernel.name;
  for (size_t at = 0; at < wanted.size(); at += 4) {
    if (parameter.storage == DType::i32) {
      ASSERT_EQ(std::memcmp(&wanted[at], &got[at], 4), 0) << kernel.name << " " << at / 4;
      continue;
    }
    float w = 0, g = 0;
    std::memcpy(&w, &wanted[at], 4);
    std::memcpy(&g, &got[at], 4);
    const double limit = kToleranceRelative * std::max(1.0, std::abs(double{w}));
    ASSERT_LE(std::abs(double{w} - double{g}), limit)
        << kernel.name << ", " << parameter.name << "[" << at / 4 << "]: " << g << ", not " << w;
  }
}

/// Runs all kernels both ways, from the same bytes.
void expect_as_interpreted(const std::vector<Kernel>& kernels) {
  if (!fs::exists(kPython)) GTEST_SKIP() << "tools/check puts WebGPU's wheel into build/venv.";
  WgslFolder folder;
  std::mt19937 random(7);
  std::vector<std::vector<Bytes>> wanted;
  for (size_t k = 0; k < kernels.size(); ++k) {
    const ir::Program& program = kernels[k].program;
    const Result<KernelBinary> binary = emit(program, wgsl());
    ASSERT_TRUE(binary) << binary.error().message();
    const std::string stem = "k" + std::to_string(k);
    folder.write(stem + ".wgsl", binary->code);
    nlohmann::json entry = {{"name", kernels[k].name},
                            {"code", stem + ".wgsl"},
                            {"workgroups", binary->grid},
                            {"arguments", nlohmann::json::array()}};
    wanted.emplace_back();
    for (const ir::Parameter& parameter : program.parameters) {
      const std::string name = stem + "_" + std::to_string(wanted.back().size());
      wanted.back().push_back(random_buffer(parameter, random));
      folder.write(name, wanted.back().back());
      entry["arguments"].push_back({{"file", name}, {"written", parameter.written}});
    }
    folder.add(entry);
    const std::vector<std::span<std::byte>> spans(wanted.back().begin(), wanted.back().end());
    const Result<void> interpreted = ir::interpret(program, spans);
    ASSERT_TRUE(interpreted) << kernels[k].name << ": " << interpreted.error().message();
  }
  ASSERT_EQ(folder.run(), 0) << folder.read("log");
  for (size_t k = 0; k < kernels.size(); ++k) {
    for (size_t p = 0; p < wanted[k].size(); ++p) {
      const std::string name = "k" + std::to_string(k) + "_" + std::to_string(p);
      expect_close(kernels[k], kernels[k].program.parameters[p], wanted[k][p], folder.read(name));
    }
  }
}

/// The kernels that a graph becomes.
std::vector<Kernel> kernels_of(const Graph& graph) {
  const Schedule schedule = make_schedule(graph, wgsl(), {}).value();
  std::vector<Kernel> kernels;
  for (const Step& step : schedule.steps) {
    LoweredKernel lowered = lower(schedule, step, wgsl()).value();
    kernels.push_back({schedule.graph.nodes[step.node].name, std::move(lowered.program)});
  }
  return kernels;
}

Kernel legalised(ir::Program program) {
  CHECK(ir::verify(program).has_value());
  CHECK(run_passes(program, wgsl()).has_value());
  const std::string name = program.name;
  return {name, std::move(program)};
}

bool has(const ir::Program& program, Opcode op) {
  for (const ir::Block& block : program.blocks) {
    for (const ir::InstructionId id : block.instructions) {
      if (program.instructions[id].op == op) return true;
    }
  }
  return false;
}

TEST(Wgsl, Elementwise) {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {7, 33});
  const TensorId y = graph.add_tensor("y", DType::f32, {33});
  graph.inputs = {x, y};
  const TensorId sum = ops::binary(graph, "sum", ScalarOp::add, x, y).value();
  const TensorId power = ops::unary(graph, "power", ScalarOp::exp, sum).value();
  const TensorId ratio = ops::binary(graph, "ratio", ScalarOp::div, sum, power).value();
  graph.outputs = {ops::unary(graph, "out", ScalarOp::tanh, ratio).value()};
  expect_as_interpreted(kernels_of(graph));
}

TEST(Wgsl, Reductions) {
  Graph graph;
  const TensorId x = graph.add_tensor("x", DType::f32, {5, 700});
  graph.inputs = {x};
  graph.outputs = {
      ops::softmax(graph, "out", x, {}).value(),
      ops::reduce(graph, "most", ops::Reduction::max, x, {.axes = ops::Ints{1}}).value(),
      ops::reduce(graph, "all", ops::Reduction::sum, x, {.axes = ops::Ints{0, 1}}).value()};
  expect_as_interpreted(kernels_of(graph));
}

TEST(Wgsl, MatrixProduct) {
  Graph graph;
  const TensorId a = graph.add_tensor("a", DType::f32, {5, 37});
  const TensorId b = graph.add_tensor("b", DType::f32, {37, 11});
  graph.inputs = {a, b};
  graph.outputs = {ops::matmul(graph, "product", a, b).value()};
  expect_as_interpreted(kernels_of(graph));
}

TEST(Wgsl, StagedContraction) {
  Graph graph;
  const TensorId a = graph.add_tensor("a", DType::f32, {128, 128});
  const TensorId b = graph.add_tensor("b", DType::f32, {128, 128});
  graph.inputs = {a, b};
  graph.outputs = {ops::matmul(graph, "product", a, b).value()};
  const std::vector<Kernel> kernels = kernels_of(graph);
  ASSERT_TRUE(has(kernels[0].program, Opcode::barrier)) << "not staged";
  ASSERT_FALSE(kernels[0].program.locals.empty());
  expect_as_interpreted(kernels);
}

// A target that has no 16-bit storage keeps the tensors of an f16 graph in f32.
TEST(Wgsl, HalfIsKeptAsFloat) {
  Graph graph;
  const TensorId a = graph.add_tensor("a", DType::f16, {16, 24});
  const TensorId b = graph.add_tensor("b", DType::f16, {24, 16});
  graph.inputs = {a, b};
  const TensorId product = ops::matmul(graph, "product", a, b).value();
  graph.outputs = {ops::activation(graph, "out", ops::Activation::relu, product).value()};
  const std::vector<Kernel> kernels = kernels_of(graph);
  for (const Kernel& kernel : kernels) {
    for (const ir::Parameter& parameter : kernel.program.parameters) {
      EXPECT_EQ(parameter.storage, DType::f32) << parameter.name;
    }
  }
  expect_as_interpreted(kernels);
}

Kernel int_kernel(uint8_t width) {
  Builder b("int_ops_" + std::to_string(width), 32, 1);
  const uint32_t x = b.parameter("x", DType::i32, false, 1024);
  const uint32_t y = b.parameter("y", DType::i32, true, 1024);
  const ValueId index = b.lane_id();
  const ValueId a = b.load(x, index, width);
  const ValueId c = b.binary(Opcode::or_i, b.load(x, b.add(index, b.i32(32)), width), b.i32(1));
  ValueId sum = a;
  for (const Opcode op : {Opcode::add_i, Opcode::sub_i, Opcode::mul_i, Opcode::div_i, Opcode::rem_i,
                          Opcode::min_i, Opcode::max_i, Opcode::and_i, Opcode::or_i, Opcode::xor_i,
                          Opcode::shl_i, Opcode::shr_s, Opcode::shr_u}) {
    sum = b.binary(Opcode::xor_i, sum, b.binary(op, a, c));
  }
  sum = b.add(sum, b.unary(Opcode::popcount, c));
  const ValueId p = b.binary(Opcode::lt_i, a, c), q = b.binary(Opcode::le_i, a, c);
  const ValueId r = b.binary(Opcode::lt_u, a, c), s = b.binary(Opcode::eq_i, a, c);
  const ValueId all =
      b.binary(Opcode::xor_b, b.binary(Opcode::and_b, p, b.not_b(q)), b.binary(Opcode::or_b, r, s));
  b.store(y, index, b.select(all, sum, b.convert(Opcode::int_from_bool, all)));
  return legalised(b.finish());
}

/// Local memory that is accessed by vectors and by scalars; loops that carry values, an else.
Kernel exchange_kernel() {
  Builder b("exchange", 32, 2);
  const uint32_t x = b.parameter("x", DType::f32, false, 1024);
  const uint32_t y = b.parameter("y", DType::f32, true, 1024);
  const uint32_t z = b.parameter("z", DType::i32, true, 256);
  const uint32_t tile = b.local("tile", DType::f32, 4, 64);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  b.store_local(tile, index, b.load(x, index, 4));
  b.barrier();
  const std::vector<ValueId> init = {b.f32(0.0f), b.i32(1)};
  const auto body = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId place = b.binary(Opcode::xor_i, index, i);
    const ValueId one = b.load_local(tile, b.mul(place, b.i32(3)));
    return std::vector<ValueId>{b.add(carried[0], one), b.add(carried[1], b.mul(i, carried[1]))};
  };
  const std::vector<ValueId> sums =
      b.loop(b.i32(0), b.i32(13), 1, init, std::vector<bool>{true, false}, body, 4);
  const ValueId own = b.binary(Opcode::and_i, b.mul(index, b.i32(5)), b.i32(7));
  const std::vector<ValueId> one = {b.f32(1.0f)};
  const auto growth = [&](ValueId i, std::span<const ValueId> carried) {
    const ValueId next = b.mul(carried[0], b.f32(1.5f));
    return std::vector<ValueId>{b.select(b.binary(Opcode::lt_i, i, own), next, carried[0])};
  };
  const ValueId grown = b.loop(b.i32(0), b.rounds(own), 1, one, true, growth)[0];
  b.store(y, index, b.mul(b.load_local(tile, b.sub(b.i32(63), index), 4), b.mul(sums[0], grown)));
  b.branch(
      b.binary(Opcode::eq_i, b.wave_id(), b.i32(0)),
      [&] { b.store(z, b.lane_id(), b.add(b.lane_id(), sums[1])); },
      [&] {
        const ValueId mask = b.binary(Opcode::lt_i, b.lane_id(), b.i32(9));
        b.store(z, b.add(b.lane_id(), b.i32(32)), b.lane_id(), mask);
      });
  return legalised(b.finish());
}

Kernel conversion_kernel() {
  Builder b("conversions", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 32);
  const uint32_t y = b.parameter("y", DType::i32, true, 160);
  const ValueId a = b.load(x, b.lane_id());
  const ValueId huge = b.mul(a, b.f32(3e9f));
  const ValueId none = b.f32(std::nanf(""));
  const ValueId is_small = b.binary(Opcode::lt_f, a, b.f32(0.5f));
  int64_t place = 0;
  for (const ValueId value : {a, huge, b.select(is_small, none, a), b.unary(Opcode::floor, huge)}) {
    b.store(y, b.add(b.lane_id(), b.i32(place)), b.convert(Opcode::int_from_float, value));
    place += 32;
  }
  b.store(y, b.add(b.lane_id(), b.i32(place)), b.convert(Opcode::bits_from_float, a));
  return legalised(b.finish());
}

Kernel shuffle_kernel() {
  Builder b("shuffles", 32, 2);
  const uint32_t x = b.parameter("x", DType::i32, false, 64);
  const uint32_t y = b.parameter("y", DType::i32, true, 320);
  const ValueId index = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  const ValueId a = b.load(x, index);
  int64_t place = 0;
  const auto store = [&](ValueId value) {
    b.store(y, b.add(index, b.i32(place)), value);
    place += 64;
  };
  store(b.shuffle(a, a));
  store(b.add(b.lane_id(), b.shuffle(a, b.i32(7))));
  for (const Opcode op : {Opcode::shuffle_xor, Opcode::shuffle_up, Opcode::shuffle_down}) {
    store(b.shuffle(op, a, 5));
  }
  return legalised(b.finish());
}

TEST(Wgsl, WritesOfEveryKind) {
  expect_as_interpreted({int_kernel(1), int_kernel(2), int_kernel(4), exchange_kernel(),
                         conversion_kernel(), shuffle_kernel()});
}

void expect_refused(const ir::Program& program, std::string_view reason) {
  const Result<KernelBinary> binary = emit(program, wgsl());
  ASSERT_FALSE(binary) << program.name;
  EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(binary.error().message().find(reason), std::string::npos) << binary.error().message();
}

/// y = x in the given storage.
ir::Program copy_program(DType storage) {
  Builder b("copy", 32, 1);
  const uint32_t x = b.parameter("x", storage, false, 32);
  const uint32_t y = b.parameter("y", storage, true, 32);
  b.store(y, b.lane_id(), b.load(x, b.lane_id()));
  return legalised(b.finish()).program;
}

TEST(Wgsl, RefusesWhatNoPassMakesGood) {
  for (const DType storage :
       {DType::f16, DType::bf16, DType::i8, DType::u8, DType::i16, DType::f64}) {
    expect_refused(copy_program(storage), "which Target \"wgsl\" cannot access");
  }
  Builder b("count", 32, 1);
  const uint32_t y = b.parameter("y", DType::i32, true, 32);
  b.atomic_add(y, b.lane_id(), b.i32(1));
  expect_refused(legalised(b.finish()).program, "(atomic_add)");
}

}  // namespace
}  // namespace leat
