// Products of matrix units in SPIR-V. Validators older than SPV_KHR_cooperative_matrix refuse its
// modules, so the words are checked here: what the module declares, which accesses of local memory
// say that others see them, what the matrices are. Written as SPV_NV_cooperative_matrix, which
// differs in few instructions and which SPIRV-Tools knows longer, the rest passes the validator.
#define SPV_ENABLE_UTILITY_CODE
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <spirv-tools/libspirv.hpp>

#include "leat/emit/emit.h"
#include "leat/emit/spirv_programs_test.h"
#include "leat/emit/spirv_writer.h"

namespace leat::spirv {
namespace {

using ir::Builder;
using ir::Role;
using ir::ValueId;

struct Line {
  spv::Op op = spv::Op::OpNop;
  Words operands;
};

struct Module {
  Words header;
  std::vector<Line> lines;

  std::vector<Line> all(spv::Op op) const {
    std::vector<Line> found;
    for (const Line& line : lines) {
      if (line.op == op) found.push_back(line);
    }
    return found;
  }
  bool has(spv::Op op, const Words& operands) const {
    for (const Line& line : lines) {
      if (line.op == op && line.operands == operands) return true;
    }
    return false;
  }
  bool has(spv::Capability capability) const {
    return has(spv::Op::OpCapability, {static_cast<uint32_t>(capability)});
  }
  /// The line that gives `id`, of those whose second operand is their result.
  const Line* value(Id id) const {
    for (const Line& line : lines) {
      bool has_result = false, has_type = false;
      spv::HasResultAndType(line.op, &has_result, &has_type);
      if (line.op >= kOpTypeCooperativeMatrix && line.op <= kOpCooperativeMatrixMulAdd) {
        has_result = line.op != kOpCooperativeMatrixStore;
        has_type = has_result && line.op != kOpTypeCooperativeMatrix;
      }
      if (has_result && line.operands[has_type ? 1 : 0] == id) return &line;
    }
    return nullptr;
  }
  uint32_t constant(Id id) const {
    const Line* line = value(id);
    CHECK(line != nullptr && line->op == spv::Op::OpConstant);
    return line->operands[2];
  }
  /// The storage class of what a pointer points to.
  spv::StorageClass class_of(Id pointer) const {
    return static_cast<spv::StorageClass>(value(value(pointer)->operands[0])->operands[1]);
  }
};

Module read(const KernelBinary& binary) {
  Words words(binary.code.size() / sizeof(uint32_t));
  std::memcpy(words.data(), binary.code.data(), binary.code.size());
  Module module = {.header = Words(words.begin(), words.begin() + 5), .lines = {}};
  for (size_t at = 5; at < words.size(); at += words[at] >> 16) {
    const auto first = words.begin() + static_cast<std::ptrdiff_t>(at);
    module.lines.push_back({static_cast<spv::Op>(words[at] & 0xffff),
                            Words(first + 1, first + static_cast<std::ptrdiff_t>(*first >> 16))});
  }
  return module;
}

Target matrix_target() {
  Target target = pointers_target();
  target.local_memory_bytes_max = 49152;
  for (const ShaderProduct product :
       {ShaderProduct::f16_16x16x16, ShaderProduct::f16_16x8x16, ShaderProduct::bf16_16x16x16}) {
    target.shader_products |= 1u << static_cast<uint32_t>(product);
  }
  return target;
}

ir::Fragment fragment_of(Role role, DType element, uint16_t n) {
  return {
      .role = role, .element = role == Role::sum ? DType::f32 : element, .m = 16, .n = n, .k = 16};
}

/// Two waves: vectors of halves go to local memory, a loop multiplies, and the sums go out through
/// local memory and straight.
ir::Program product_program(DType element, uint16_t n) {
  Builder b("product", 32, 2);
  const uint32_t x = b.parameter("x", element, false, 4096);
  const uint32_t y = b.parameter("y", DType::f32, true, 1024);
  const uint32_t tile = b.local("tile", element, 4, 256);
  const uint32_t sums = b.local("sums", DType::f32, 4, 128);
  const ValueId lane = b.add(b.mul(b.wave_id(), b.i32(32)), b.lane_id());
  const ValueId mask = b.binary(ir::Opcode::lt_i, lane, b.i32(60));
  for (int i = 0; i < 4; ++i) {
    const ValueId at = b.add(lane, b.i32(64 * i));
    b.store_local(tile, at, b.load(x, at, 4, i == 3 ? mask : ir::kNone));
  }
  b.barrier();
  const ValueId first = b.mul(b.wave_id(), b.i32(256)), row = b.i32(16);
  const std::vector<ValueId> init = {b.fragment_fill(fragment_of(Role::sum, element, n), b.f32(0)),
                                     b.i32(0)};
  const std::vector<ValueId> result =
      b.loop(b.i32(0), b.i32(3), 1, init, false, [&](ValueId i, std::span<const ValueId> carried) {
        const ValueId place = b.add(first, b.mul(i, b.i32(128)));
        const ValueId left =
            b.fragment_load(fragment_of(Role::a, element, n),
                            {.slot = tile, .index = first, .stride = row, .is_local = true});
        const ValueId right = b.fragment_load(
            fragment_of(Role::b, element, n),
            {.slot = tile, .index = place, .stride = row, .by_columns = true, .is_local = true});
        return std::vector<ValueId>{b.mma(left, right, carried[0]), b.add(carried[1], i)};
      });
  b.fragment_store(
      {.slot = sums, .index = b.mul(b.wave_id(), b.i32(256)), .stride = b.i32(n), .is_local = true},
      result[0]);
  b.barrier();
  b.store(y, lane, b.load_local(sums, lane, 4));
  b.fragment_store({.slot = y, .index = b.add(b.i32(512), first), .stride = b.i32(n)}, result[0]);
  return b.finish();
}

Module module_of(const ir::Program& program, const Target& target = matrix_target()) {
  const Result<KernelBinary> binary = emit_spirv(program, target);
  CHECK(binary.has_value());
  return read(*binary);
}

TEST(SpirvFragments, DeclareTheirFrame) {
  const Module module = module_of(product_program(DType::f16, 16));
  EXPECT_EQ(module.header[1], kVersion16);
  for (const spv::Capability capability :
       {spv::Capability::Shader, spv::Capability::GroupNonUniform, spv::Capability::Float16,
        spv::Capability::StorageBuffer16BitAccess, spv::Capability::VulkanMemoryModel,
        static_cast<spv::Capability>(6022)}) {
    EXPECT_TRUE(module.has(capability)) << static_cast<uint32_t>(capability);
  }
  EXPECT_FALSE(module.has(kBFloat16Type));
  EXPECT_TRUE(module.has(spv::Op::OpMemoryModel, {5348, 3}));
  const Line entry = module.all(spv::Op::OpEntryPoint)[0];
  const auto variables = module.all(spv::Op::OpVariable);
  for (const Line& variable : variables) {
    const bool is_own = variable.operands[2] == static_cast<uint32_t>(spv::StorageClass::Function);
    const auto listed =
        std::count(entry.operands.begin() + 4, entry.operands.end(), variable.operands[1]);
    EXPECT_EQ(listed, is_own ? 0 : 1);
  }
  EXPECT_EQ(module.all(spv::Op::OpExtension).size(), 2u);
}

TEST(SpirvFragments, AreMatricesOfASubgroup) {
  for (const uint16_t n : {uint16_t{16}, uint16_t{8}}) {
    const Module module = module_of(product_program(DType::f16, n));
    std::map<uint32_t, Words> by_use;  // scope, rows, columns
    for (const Line& type : module.all(kOpTypeCooperativeMatrix)) {
      by_use[module.constant(type.operands[5])] = {module.constant(type.operands[2]),
                                                   module.constant(type.operands[3]),
                                                   module.constant(type.operands[4])};
    }
    const std::map<uint32_t, Words> wanted = {{0, {3, 16, 16}}, {1, {3, 16, n}}, {2, {3, 16, n}}};
    EXPECT_EQ(by_use, wanted);
    const Line product = module.all(kOpCooperativeMatrixMulAdd)[0];
    ASSERT_EQ(product.operands.size(), 5u);
    for (uint32_t use = 0; use < 3; ++use) {
      const Line* type = module.value(module.value(product.operands[2 + use])->operands[0]);
      EXPECT_EQ(module.constant(type->operands[5]), use);
    }
    // Sums go through a variable, not through a phi.
    for (const Line& phi : module.all(spv::Op::OpPhi)) {
      EXPECT_NE(module.value(phi.operands[0])->op, kOpTypeCooperativeMatrix);
    }
  }
}

// Of a load: what stands before the memory operands.
TEST(SpirvFragments, LocalMemoryIsSeenByTheWorkgroup) {
  const Module module = module_of(product_program(DType::f16, 16));
  constexpr uint32_t kAvailable = 0x28, kVisible = 0x30;
  const auto check = [&](spv::Op op, size_t pointer_at, size_t access_at, uint32_t wanted) {
    size_t count = 0;
    for (const Line& line : module.all(op)) {
      if (module.class_of(line.operands[pointer_at]) != spv::StorageClass::Workgroup) continue;
      ASSERT_EQ(line.operands.size(), access_at + 2);
      EXPECT_EQ(line.operands[access_at], wanted);
      EXPECT_EQ(module.constant(line.operands[access_at + 1]), 2u);
      ++count;
    }
    EXPECT_GT(count, 0u);
  };
  check(spv::Op::OpLoad, 2, 3, kVisible);
  check(spv::Op::OpStore, 0, 2, kAvailable);
  check(kOpCooperativeMatrixLoad, 2, 5, kVisible);
  check(kOpCooperativeMatrixStore, 0, 4, kAvailable);
  for (const Line& barrier : module.all(spv::Op::OpControlBarrier)) {
    EXPECT_EQ(module.constant(barrier.operands[0]), 2u);
    EXPECT_EQ(module.constant(barrier.operands[1]), 2u);
    EXPECT_EQ(module.constant(barrier.operands[2]), 0x108u);
  }
}

TEST(SpirvFragments, RowsOfHalvesAreCountedInPieces) {
  const Module module = module_of(product_program(DType::f16, 16));
  std::vector<uint32_t> layouts;
  for (const Line& load : module.all(kOpCooperativeMatrixLoad)) {
    layouts.push_back(module.constant(load.operands[3]));
    EXPECT_EQ(module.constant(load.operands[4]), 2u);  // 16 halves
    const Line* pointer = module.value(module.value(load.operands[2])->operands[0]);
    EXPECT_EQ(module.value(pointer->operands[2])->op, spv::Op::OpTypeVector);
    EXPECT_EQ(module.value(pointer->operands[2])->operands[2], 4u);
  }
  EXPECT_EQ(layouts, (std::vector<uint32_t>{0, 1}));
  for (const Line& store : module.all(kOpCooperativeMatrixStore)) {
    const bool is_local = module.class_of(store.operands[0]) == spv::StorageClass::Workgroup;
    EXPECT_EQ(module.constant(store.operands[3]), is_local ? 4u : 16u);
    if (is_local) continue;
    EXPECT_EQ(store.operands[4], static_cast<uint32_t>(spv::MemoryAccessMask::Aligned));
    EXPECT_EQ(store.operands[5], 4u);
  }
}

TEST(SpirvFragments, HalvesFromMemoryAreStoredAsTheyWere) {
  const Module module = module_of(product_program(DType::f16, 16));
  for (const Line& convert : module.all(spv::Op::OpFConvert)) {  // widened, and then not used
    const Line* type = module.value(convert.operands[0]);
    EXPECT_EQ(module.value(type->operands[1])->operands[1], 32u);
  }
}

TEST(SpirvFragments, BrainFloatsHaveATypeOfTheirOwn) {
  const Module module = module_of(product_program(DType::bf16, 16));
  EXPECT_TRUE(module.has(static_cast<spv::Capability>(5116)));
  EXPECT_TRUE(module.has(static_cast<spv::Capability>(5118)));
  EXPECT_FALSE(module.has(spv::Capability::Float16));
  for (const Line& type : module.all(kOpTypeCooperativeMatrix)) {
    const Words element = module.value(type.operands[1])->operands;
    const bool is_sum = module.constant(type.operands[5]) == 2;
    EXPECT_EQ(Words(element.begin() + 1, element.end()), is_sum ? Words{32} : (Words{16, 0}));
  }
  EXPECT_EQ(module.all(spv::Op::OpExtension).size(), 3u);
}

TEST(SpirvFragments, OtherProgramsKeepTheirFrame) {
  const Result<KernelBinary> with = emit_spirv(saxpy_program(1000), matrix_target());
  const Result<KernelBinary> without = emit_spirv(saxpy_program(1000), pointers_target());
  ASSERT_TRUE(with && without);
  EXPECT_EQ(with->code, without->code);
}

void expect_refused(const ir::Program& program, const Target& target, const char* what) {
  const Result<KernelBinary> binary = emit_spirv(program, target);
  ASSERT_FALSE(binary.has_value()) << what;
  EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(binary.error().message().find(what), std::string::npos) << binary.error().message();
}

TEST(SpirvFragments, WhatTheTargetLacksIsRefused) {
  expect_refused(product_program(DType::f16, 16), pointers_target(), "(fragment_fill)");
  Target small = matrix_target();
  small.shader_products = 1u << static_cast<uint32_t>(ShaderProduct::f16_16x16x16);
  expect_refused(product_program(DType::bf16, 16), small, "bf16");
  expect_refused(product_program(DType::f16, 8), small, "(mma)");
  Target wide = matrix_target();
  wide.wave_lanes = 64;
  expect_refused(product_program(DType::f16, 16), wide, "a wave of (32) lanes");
  Builder lone("lone", 32, 1);
  const uint32_t y = lone.parameter("y", DType::f32, true, 512);
  const ValueId sum =
      lone.fragment_fill({.role = Role::sum, .m = 32, .n = 8, .k = 16}, lone.f32(0));
  lone.fragment_store({.slot = y, .index = lone.i32(0), .stride = lone.i32(8)}, sum);
  expect_refused(lone.finish(), small, "f32 for products of 32x8x16");
  Builder counting("counting", 32, 1);
  const uint32_t z = counting.parameter("z", DType::f32, true, 256);
  const uint32_t counts = counting.parameter("counts", DType::i32, true, 1);
  const ValueId zero =
      counting.fragment_fill(fragment_of(Role::sum, DType::f16, 16), counting.f32(0));
  counting.fragment_store({.slot = z, .index = counting.i32(0), .stride = counting.i32(16)}, zero);
  counting.atomic_add(counts, counting.i32(0), counting.i32(1));
  expect_refused(counting.finish(), small, "atomic_add beside fragments");
}

/// The module as one of SPV_NV_cooperative_matrix, whose matrices have no use: those of one shape
/// and element would be one type. Loads and stores have the stride first, then whether rows lie
/// behind each other as a truth value.
std::vector<uint32_t> as_older_extension(const Module& module) {
  Words words = module.header;
  const Id yes = words[3]++, no = words[3]++;
  const auto put = [&](spv::Op op, const Words& operands) {
    words.push_back(static_cast<uint32_t>(operands.size() + 1) << 16 | static_cast<uint32_t>(op));
    words.insert(words.end(), operands.begin(), operands.end());
  };
  const auto swap_layout = [&](Words& operands, size_t at) {
    const Id by_columns = module.constant(operands[at]) == 1 ? yes : no;
    operands[at] = operands[at + 1];
    operands[at + 1] = by_columns;
  };
  for (Line line : module.lines) {
    Words& operands = line.operands;
    if (line.op == spv::Op::OpCapability && operands[0] == 6022) operands[0] = 5357;
    if (line.op == spv::Op::OpExtension) {
      std::string name(reinterpret_cast<const char*>(operands.data()));
      if (name == "SPV_KHR_cooperative_matrix") {
        name.replace(4, 3, "NV");
        operands.assign(name.size() / 4 + 1, 0);
        std::memcpy(operands.data(), name.data(), name.size());
      }
    }
    if (line.op == spv::Op::OpFunction) {
      const Id truth = module.all(spv::Op::OpTypeBool)[0].operands[0];
      put(spv::Op::OpConstantTrue, {truth, yes});
      put(spv::Op::OpConstantFalse, {truth, no});
    }
    if (line.op == kOpTypeCooperativeMatrix) {
      operands.pop_back();
      line.op = spv::Op::OpTypeCooperativeMatrixNV;
    } else if (line.op == kOpCooperativeMatrixLoad) {
      swap_layout(operands, 3);
      line.op = spv::Op::OpCooperativeMatrixLoadNV;
    } else if (line.op == kOpCooperativeMatrixStore) {
      swap_layout(operands, 2);
      line.op = spv::Op::OpCooperativeMatrixStoreNV;
    } else if (line.op == kOpCooperativeMatrixMulAdd) {
      line.op = spv::Op::OpCooperativeMatrixMulAddNV;
    }
    put(line.op, operands);
  }
  return words;
}

TEST(SpirvFragments, PassTheValidatorAsTheOlderExtension) {
  const Module module = module_of(product_program(DType::f16, 8));
  spvtools::SpirvTools tools(SPV_ENV_VULKAN_1_3);
  std::string text;
  tools.SetMessageConsumer(
      [&](spv_message_level_t, const char*, const spv_position_t& position, const char* message) {
        text += std::to_string(position.index) + ": " + message + "\n";
      });
  EXPECT_TRUE(tools.Validate(as_older_extension(module)));
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace leat::spirv
