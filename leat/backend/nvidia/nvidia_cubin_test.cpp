#include "leat/backend/nvidia/nvidia_cubin.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "leat/backend/nvidia/generated/nvidia_cubins_test.h"

namespace leat {
namespace {

std::span<const std::byte> test_cubin() { return std::as_bytes(std::span(kTestCubin)); }

TEST(NvidiaCubin, ReadsWhatPtxasWrites) {
  const Result<Cubin> saxpy = read_cubin(test_cubin(), "saxpy_kernel");
  ASSERT_TRUE(saxpy.has_value()) << saxpy.error().message();
  EXPECT_EQ(saxpy->sm_version, 90u);
  EXPECT_EQ(saxpy->parameter_offset, 0x210u);
  EXPECT_EQ(saxpy->parameter_bytes, 24u);
  EXPECT_EQ(saxpy->text.size() % 128, 0u);
  EXPECT_GT(saxpy->register_count, 4u);
  EXPECT_LT(saxpy->register_count, 33u);
  EXPECT_EQ(saxpy->stack_bytes, 0u);
  EXPECT_EQ(saxpy->barrier_count, 0u);
  EXPECT_EQ(saxpy->bank0.size(), 0x210u + 24u);
}

TEST(NvidiaCubin, ReadsStackBarriersAndSharedMemory) {
  const Result<Cubin> stack = read_cubin(test_cubin(), "stack_kernel");
  ASSERT_TRUE(stack.has_value());
  EXPECT_GE(stack->stack_bytes, 256u);  // a table of 64 numbers
  const Result<Cubin> reverse = read_cubin(test_cubin(), "reverse_kernel");
  ASSERT_TRUE(reverse.has_value());
  EXPECT_EQ(reverse->barrier_count, 1u);
  EXPECT_EQ(reverse->shared_bytes, 0x400u);  // the reserve of sm_90 alone; the rest is dynamic
  const Result<Cubin> empty = read_cubin(test_cubin(), "empty_kernel");
  ASSERT_TRUE(empty.has_value());
  EXPECT_EQ(empty->parameter_bytes, 0u);
}

// CUDA 12 writes ABI version 7, with the architecture in the lowest byte.
TEST(NvidiaCubin, ReadsTheArchitectureOfBothAbis) {
  std::vector<std::byte> file(test_cubin().begin(), test_cubin().end());
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof header);
  header.e_ident[EI_ABIVERSION] = 7;
  header.e_flags = 0x00560556;  // sm_86
  std::memcpy(file.data(), &header, sizeof header);
  const Result<Cubin> cubin = read_cubin(file, "saxpy_kernel");
  ASSERT_TRUE(cubin.has_value()) << cubin.error().message();
  EXPECT_EQ(cubin->sm_version, 86u);
}

// Only bank 0 is bound at a launch.
TEST(NvidiaCubin, RefusesOtherConstantBanks) {
  std::vector<std::byte> file(test_cubin().begin(), test_cubin().end());
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const size_t at = text.find(".nv.constant0.stack_kernel");
  ASSERT_NE(at, std::string_view::npos);
  file[at + std::strlen(".nv.constant")] = std::byte{'3'};
  const Result<Cubin> cubin = read_cubin(file, "saxpy_kernel");
  ASSERT_FALSE(cubin.has_value());
  EXPECT_NE(cubin.error().message().find(".nv.constant3."), std::string::npos);
}

TEST(NvidiaCubin, RefusesAnUnknownKernel) {
  const Result<Cubin> none = read_cubin(test_cubin(), "saxpy");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind(), ErrorKind::invalid_argument);
}

TEST(NvidiaCubin, RefusesCutFiles) {
  const std::span<const std::byte> whole = test_cubin();
  Elf64_Ehdr header;
  std::memcpy(&header, whole.data(), sizeof header);
  const size_t end = header.e_shoff + header.e_shnum * sizeof(Elf64_Shdr);
  for (size_t size = 0; size < end; size += 61) {
    EXPECT_FALSE(read_cubin(whole.first(size), "saxpy_kernel").has_value()) << size;
  }
}

}  // namespace
}  // namespace leat
