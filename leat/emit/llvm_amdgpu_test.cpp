// Objects for AMD GPUs: what a loader looks for in them is there, no kernel asks for what a
// dispatch does not give, and no sample program spills.
#include <gtest/gtest.h>
#include <llvm/BinaryFormat/ELF.h>
#include <llvm/Object/ELFObjectFile.h>

#include <cstring>

#include "leat/base/amd_target.h"
#include "leat/emit/emit.h"
#include "leat/emit/spirv_programs_test.h"
#include "leat/emit/supported.h"
#include "leat/ir/builder.h"

namespace leat {
namespace {

using ir::Builder;
using ir::Opcode;
using ir::ValueId;

Target target_of(std::string_view name) {
  const Result<Target> target = amd_target(name);
  EXPECT_TRUE(target) << target.error().message();
  return target ? *target : Target{};
}

std::string assembly_of(const ir::Program& program, const Target& target) {
  const Result<std::string> text = assembly_llvm(program, target);
  EXPECT_TRUE(text) << text.error().message();
  return text ? *text : "";
}

size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The samples whose waves are the target's and that need no more than it has.
std::vector<spirv::NamedProgram> samples_for(const Target& target) {
  std::vector<spirv::NamedProgram> samples;
  for (const spirv::NamedProgram& sample : spirv::all_programs()) {
    const ir::Program program = sample.make();
    if (program.wave_lanes != target.wave_lanes || !check_supported(program, target)) continue;
    samples.push_back(sample);
  }
  return samples;
}

/// Turns the values of two waves around through local memory and adds them up.
ir::Program exchange_program(uint32_t lanes) {
  Builder b("exchange", lanes, 2);
  const uint32_t x = b.parameter("x", DType::f32, false, 2 * lanes);
  const uint32_t y = b.parameter("y", DType::f32, true, 2 * lanes);
  const uint32_t tile = b.local("tile", DType::f32, 1, 2 * lanes);
  const ValueId place = b.add(b.mul(b.wave_id(), b.i32(lanes)), b.lane_id());
  b.store_local(tile, place, b.load(x, place));
  b.barrier();
  const ValueId other = b.load_local(tile, b.sub(b.i32(2 * lanes - 1), place));
  b.store(y, place, b.add(other, b.reduce(Opcode::reduce_add, other)));
  return b.finish();
}

/// A masked load of a buffer that is not read where the mask is off.
ir::Program masked_program() {
  Builder b("masked", 32, 1);
  const uint32_t x = b.parameter("x", DType::f32, false, 20);
  const uint32_t y = b.parameter("y", DType::f32, true, 32);
  const ValueId inside = b.binary(Opcode::lt_i, b.lane_id(), b.i32(20));
  b.store(y, b.lane_id(), b.load(x, b.lane_id(), 1, inside));
  return b.finish();
}

struct Descriptor {
  uint32_t group_bytes = 0, private_bytes = 0, kernarg_bytes = 0, properties = 0;
};

/// Source of the offsets: LLVM's User Guide for AMDGPU Backend, "Kernel Descriptor".
Descriptor descriptor_of(const char* bytes) {
  Descriptor descriptor;
  std::memcpy(&descriptor.group_bytes, bytes, 4);
  std::memcpy(&descriptor.private_bytes, bytes + 4, 4);
  std::memcpy(&descriptor.kernarg_bytes, bytes + 8, 4);
  std::memcpy(&descriptor.properties, bytes + 56, 2);
  return descriptor;
}

struct Chip {
  const char* name;
  unsigned machine;     // low byte of e_flags: llvm/BinaryFormat/ELF.h
  uint32_t properties;  // what the dispatch must give: the argument block; 0x400: waves of 32;
                        // 0x1, gfx10 and gfx90a: a buffer descriptor of private memory
};

class AmdgpuObject : public testing::TestWithParam<Chip> {};

TEST_P(AmdgpuObject, HasKernelDescriptorAndNote) {
  const Target target = target_of(GetParam().name);
  const Result<KernelBinary> binary = emit(exchange_program(target.wave_lanes), target);
  ASSERT_TRUE(binary) << binary.error().message();
  EXPECT_EQ(binary->entry, "leat_exchange");
  EXPECT_EQ(binary->local_memory_bytes, 8 * target.wave_lanes);

  const llvm::StringRef code(reinterpret_cast<const char*>(binary->code.data()),
                             binary->code.size());
  auto file = llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(code, "object"));
  ASSERT_TRUE(bool(file));
  const auto* elf = llvm::dyn_cast<llvm::object::ELF64LEObjectFile>(file->get());
  ASSERT_NE(elf, nullptr);
  const auto& header = elf->getELFFile().getHeader();
  EXPECT_EQ(header.e_machine, llvm::ELF::EM_AMDGPU);
  EXPECT_EQ(header.e_type, llvm::ELF::ET_REL);
  EXPECT_EQ(header.e_flags & llvm::ELF::EF_AMDGPU_MACH, GetParam().machine);
  EXPECT_EQ(header.e_ident[llvm::ELF::EI_ABIVERSION], llvm::ELF::ELFABIVERSION_AMDGPU_HSA_V5);

  bool has_code = false, has_descriptor = false, has_note = false;
  for (const llvm::object::ELFSymbolRef symbol : elf->symbols()) {
    const std::string name = symbol.getName()->str();
    has_code = has_code || (name == "leat_exchange" && symbol.getELFType() == llvm::ELF::STT_FUNC);
    if (name != "leat_exchange.kd") continue;
    has_descriptor = true;
    EXPECT_EQ(symbol.getSize(), 64u);
    const llvm::StringRef section = *(*symbol.getSection())->getContents();
    const Descriptor descriptor = descriptor_of(section.data() + *symbol.getAddress());
    EXPECT_EQ(descriptor.group_bytes, 0u);  // the dispatch adds local_memory_bytes
    EXPECT_EQ(descriptor.private_bytes, 0u);
    EXPECT_EQ(descriptor.kernarg_bytes, 16u);
    EXPECT_EQ(descriptor.properties, GetParam().properties);
  }
  for (const llvm::object::SectionRef& section : elf->sections()) {
    const bool is_note = *section.getName() == ".note";
    has_note = has_note || (is_note && section.getContents()->contains("amdhsa.kernels"));
  }
  EXPECT_TRUE(has_code && has_descriptor && has_note);
}

TEST_P(AmdgpuObject, NoSampleSpillsOrAsksForMoreThanItsBuffers) {
  const Target target = target_of(GetParam().name);
  for (const spirv::NamedProgram& sample : samples_for(target)) {
    const std::string text = assembly_of(sample.make(), target);
    EXPECT_EQ(count_of(text, ".private_segment_fixed_size: 0\n"), 1u) << sample.name;
    EXPECT_EQ(count_of(text, ".vgpr_spill_count: 0\n"), 1u) << sample.name;
    EXPECT_EQ(count_of(text, ".sgpr_spill_count: 0\n"), 1u) << sample.name;
    for (const char* hidden : {"hidden_", "dispatch_ptr 1", "queue_ptr 1", "dispatch_id 1"}) {
      EXPECT_EQ(count_of(text, hidden), 0u) << sample.name << " " << hidden;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Chips, AmdgpuObject,
                         testing::Values(Chip{"gfx1100", 0x41, 0x408}, Chip{"gfx1101", 0x46, 0x408},
                                         Chip{"gfx1151", 0x4a, 0x408}, Chip{"gfx1201", 0x4e, 0x408},
                                         Chip{"gfx1010", 0x33, 0x409}, Chip{"gfx1030", 0x36, 0x409},
                                         Chip{"gfx90a", 0x3f, 0x9}, Chip{"gfx942", 0x4c, 0x8}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Amdgpu, EveryChipIsKnownToLlvm) {
  for (const std::string_view name : amd_target_names()) {
    const Target target = target_of(name);
    EXPECT_NE(assembly_of(exchange_program(target.wave_lanes), target).find(name),
              std::string::npos);
  }
  EXPECT_FALSE(amd_target("gfx1"));
}

// In CU mode a barrier waits for local memory and leaves the first-level cache alone.
TEST(Amdgpu, ABarrierOrdersLocalMemoryOnly) {
  const std::string text = assembly_of(exchange_program(32), target_of("gfx1100"));
  EXPECT_NE(text.find(".amdhsa_workgroup_processor_mode 0"), std::string::npos);
  EXPECT_EQ(count_of(text, "\ts_barrier"), 1u) << text;
  EXPECT_EQ(count_of(text, "_gl0_inv"), 0u) << text;
  EXPECT_EQ(count_of(text, "\tds_bpermute_b32"), 5u) << text;
}

TEST(Amdgpu, AMaskedLoadIsNoBranch) {
  const std::string text = assembly_of(masked_program(), target_of("gfx1100"));
  EXPECT_EQ(count_of(text, "global_load_b32"), 1u) << text;
  EXPECT_EQ(count_of(text, "s_cbranch"), 0u) << text;
}

}  // namespace
}  // namespace leat
