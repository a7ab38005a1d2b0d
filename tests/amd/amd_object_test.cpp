// Code objects as the direct route takes them apart: those that LLVM writes for each chip, and what
// is refused.
#include "leat/backend/amd/amd_object.h"

#include <elf.h>

#include "tests/amd/amd_fake_card.h"

namespace leat {
namespace {

constexpr const char* kDriven[] = {"gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1150",
                                   "gfx1151", "gfx1152", "gfx1200", "gfx1201"};

/// With a table of constants in .rodata, which code reaches by relocations.
TestKernel table_kernel() {
  return {.name = "look_up",
          .written = {true, false},
          .body = R"(  %in = getelementptr i32, ptr addrspace(1) %b1, i64 %i
  %k = load i32, ptr addrspace(1) %in
  %q = getelementptr [5 x i32], ptr addrspace(4) @primes, i32 0, i32 %k
  %y = load i32, ptr addrspace(4) %q
  %out = getelementptr i32, ptr addrspace(1) %b0, i64 %i
  store i32 %y, ptr addrspace(1) %out)",
          .declarations =
              "@primes = internal unnamed_addr addrspace(4) constant [5 x i32] "
              "[i32 2, i32 3, i32 5, i32 7, i32 11]"};
}

TEST(AmdObject, OfEveryChip) {
  for (const char* name : kDriven) {
    const AmdChip& chip = *find_amd_chip(std::string(name));
    for (const TestKernel& kernel : {step_kernel(1), table_kernel()}) {
      const Result<KernelBinary> binary = compile_kernel(name, kernel);
      ASSERT_OK(binary);
      const Result<AmdObject> object = read_amd_object(*binary, chip);
      ASSERT_OK(object);
      EXPECT_EQ(object->descriptor.kernarg_bytes, 8 * kernel.written.size()) << name;
      EXPECT_EQ(object->descriptor.properties, 0x408) << name;
      EXPECT_EQ(object->entry_offset % 256, 0u);
      EXPECT_EQ(object->notes.arguments.size(), kernel.written.size());
      EXPECT_EQ(object->notes.vgpr_spills, 0u);
    }
  }
}

TEST(AmdObject, ConstantsAreLinked) {
  FakeCard card;
  Result<std::unique_ptr<Device>> device = card.open();
  ASSERT_OK(device);
  const Result<KernelBinary> binary = compile_kernel(card.target, table_kernel());
  ASSERT_OK(binary);
  Result<std::unique_ptr<Kernel>> kernel = (*device)->load(*binary);
  ASSERT_OK(kernel);
  Result<Buffer> out = (*device)->allocate(256, MemoryKind::shared);
  Result<Buffer> in = (*device)->allocate(256, MemoryKind::shared);
  ASSERT_OK(out);
  ASSERT_OK(in);
  std::vector<int32_t> indices(64);
  for (size_t i = 0; i < 64; ++i) indices[i] = int32_t(i % 5);
  set_values(*in, indices);
  const BufferRange arguments[] = {whole(*out), whole(*in)};
  ASSERT_OK((*device)->queue().launch(**kernel, arguments));
  const Result<uint64_t> value = (*device)->queue().submit();
  ASSERT_OK(value);
  const Result<bool> done = wait_for(**device, *value);
  ASSERT_OK(done);
  constexpr int32_t kPrimes[] = {2, 3, 5, 7, 11};
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(values_of<int32_t>(*out)[i], kPrimes[i % 5]);
  EXPECT_EQ(card.faults(), "");
}

std::string refusal_of(const KernelBinary& binary, const char* chip) {
  const Result<AmdObject> object = read_amd_object(binary, *find_amd_chip(std::string(chip)));
  return object ? "" : object.error().message();
}

TEST(AmdObject, WhatIsNotServedIsRefused) {
  const auto contains = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" lacks " << part;
  };
  const Result<KernelBinary> good = compile_kernel("gfx1100", step_kernel(1));
  ASSERT_OK(good);
  contains(refusal_of(*good, "gfx1201"), "no relocatable object of version 5 for gfx1201");
  KernelBinary changed = *good;
  changed.entry = "other";
  contains(refusal_of(changed, "gfx1100"), "no symbol (other.kd)");
  changed = *good;
  changed.arguments.push_back({});
  contains(refusal_of(changed, "gfx1100"), "takes (1) arguments in (8) bytes and not (2)");
  changed = *good;
  changed.waves_per_workgroup = 4;
  contains(refusal_of(changed, "gfx1100"), "workgroups of (64) lanes at most and not for (128)");
  changed = *good;
  changed.code.resize(60);
  contains(refusal_of(changed, "gfx1100"), "is no 64-bit ELF file");
  TestKernel global = step_kernel(1);
  global.declarations = "@count = addrspace(1) global i32 5";
  const Result<KernelBinary> variables = compile_kernel("gfx1100", global);
  ASSERT_OK(variables);
  contains(refusal_of(*variables, "gfx1100"), "has variables");
}

// No byte of a damaged object may lead outside of it; what is accepted all the same is a code byte
// or a name that nobody reads.
TEST(AmdObject, DamagedBytesAreNoCrash) {
  const Result<KernelBinary> good = compile_kernel("gfx1100", table_kernel());
  ASSERT_OK(good);
  size_t refused = 0;
  for (size_t i = 0; i < good->code.size(); ++i) {
    for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      KernelBinary damaged = *good;
      damaged.code[i] ^= flip;
      refused += refusal_of(damaged, "gfx1100").empty() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, good->code.size() / 4);
  for (size_t size = 0; size < good->code.size(); size += 7) {
    KernelBinary cut = *good;
    cut.code.resize(size);
    EXPECT_NE(refusal_of(cut, "gfx1100"), "");
  }
}

}  // namespace
}  // namespace leat
