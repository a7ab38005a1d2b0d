// Conformance: memory that the caller has used in place, memory handed on as a file descriptor, and
// the device's own memory seen through a window. A route that cannot do one of them says so.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "tests/backend/backend_suite.h"
#include "tests/backend/backend_suite_kernels.h"

namespace leat {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kCount = kPage / sizeof(int32_t);

/// Skips with the device's reason when it says that it cannot.
#define SKIP_IF_UNSUPPORTED(result)                                                   \
  do {                                                                                \
    if (!(result).has_value() && (result).error().kind() == ErrorKind::unsupported) { \
      GTEST_SKIP() << (result).error().message();                                     \
    }                                                                                 \
    ASSERT_OK(result);                                                                \
  } while (false)

class SharingConformance : public ConformanceTest {
 protected:
  /// x = 3x + 1 on every number of the buffer's first page.
  void triple(const Buffer& x) {
    const auto kernel = load(triple_kernel(device().target(), kCount, 1));
    ASSERT_NE(kernel, nullptr);
    const BufferRange arguments[] = {{&x, 0, kPage}};
    ASSERT_OK(queue().launch(*kernel, arguments));
    submit_and_wait();
  }
};

TEST_P(SharingConformance, FactsAgreeWithWhatWorks) {
  const MemoryFacts facts = device().memory_facts();
  EXPECT_EQ(facts.model == MemoryModel::unified, device().info().unified_memory);
  EXPECT_EQ(facts.window_bytes > 0, facts.model == MemoryModel::discrete_window);
  EXPECT_GE(facts.import_alignment_bytes, 1u);
  const Result<Buffer> none = device().import_host({});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind() == ErrorKind::unsupported, !facts.imports_host);
}

TEST_P(SharingConformance, HostMemoryIsUsedInPlace) {
  const size_t alignment = std::max(device().memory_facts().import_alignment_bytes, kPage);
  const size_t size_bytes = 4 * alignment;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(alignment, size_bytes));
  auto* const numbers = static_cast<int32_t*>(memory.get());
  for (size_t i = 0; i < kCount; ++i) numbers[i] = static_cast<int32_t>(i);
  const std::span<std::byte> bytes(static_cast<std::byte*>(memory.get()), size_bytes);
  const Result<Buffer> x = device().import_host(bytes);
  SKIP_IF_UNSUPPORTED(x);
  EXPECT_EQ(x->host_pointer(), bytes.data());
  EXPECT_EQ(x->size_bytes(), size_bytes);
  triple(*x);
  if (!runs_kernels()) return;
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(numbers[i], static_cast<int32_t>(3 * i + 1)) << i;
}

TEST_P(SharingConformance, UnalignedHostMemoryIsRefused) {
  const MemoryFacts facts = device().memory_facts();
  if (!facts.imports_host) GTEST_SKIP() << "The device imports no host memory.";
  std::vector<std::byte> memory(4 * facts.import_alignment_bytes + kPage);
  auto* const base = memory.data();
  const size_t past = reinterpret_cast<uintptr_t>(base) % facts.import_alignment_bytes;
  const size_t odd = past == 1 ? 0 : (1 + facts.import_alignment_bytes - past);
  const Result<Buffer> x = device().import_host(
      {base + odd % facts.import_alignment_bytes, 2 * facts.import_alignment_bytes});
  ASSERT_FALSE(x.has_value());
  EXPECT_EQ(x.error().kind(), ErrorKind::invalid_argument);
}

TEST_P(SharingConformance, AFileDescriptorIsUsedInPlace) {
  const Result<Buffer> refused = device().import_dma_buf(-1, kPage);
  ASSERT_FALSE(refused.has_value());
  if (refused.error().kind() == ErrorKind::unsupported) GTEST_SKIP() << refused.error().message();
  if (device().memory_facts().exports_dma_buf) GTEST_SKIP() << "Tested with a dma-buf of its own.";
  const int fd = memfd_create("leat_test", 0);  // stands in for a dma-buf: a file of pages
  ASSERT_GE(fd, 0);
  ASSERT_EQ(ftruncate(fd, kPage), 0);
  void* const seen = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(seen, MAP_FAILED);
  static_cast<int32_t*>(seen)[7] = 5;
  {
    EXPECT_FALSE(device().import_dma_buf(fd, 2 * kPage).has_value());  // larger than the file
    const Result<Buffer> x = device().import_dma_buf(fd, kPage);
    ASSERT_OK(x);
    triple(*x);
  }
  if (runs_kernels()) {
    EXPECT_EQ(static_cast<int32_t*>(seen)[7], 16);
  }
  munmap(seen, kPage);
  close(fd);
}

TEST_P(SharingConformance, ExportedMemoryIsTheSameMemory) {
  const Result<Buffer> made = device().allocate_exportable(kPage);
  SKIP_IF_UNSUPPORTED(made);
  const Result<int> fd = device().export_dma_buf(*made);
  ASSERT_OK(fd);
  const Result<Buffer> again = device().import_dma_buf(*fd, kPage);
  ASSERT_OK(again);
  write(*made, std::vector<int32_t>(kCount, 4));
  triple(*again);
  EXPECT_EQ(read<int32_t>(*made, kCount), std::vector<int32_t>(kCount, 13));
  close(*fd);
}

TEST_P(SharingConformance, TheWindowShowsTheDevicesOwnMemory) {
  const Result<Buffer> x = device().allocate_window(kPage);
  SKIP_IF_UNSUPPORTED(x);
  ASSERT_NE(x->host_pointer(), nullptr);
  const std::vector<int32_t> fours(kCount, 4);
  std::memcpy(x->host_pointer(), fours.data(), kPage);
  triple(*x);
  EXPECT_EQ(read<int32_t>(*x, kCount), std::vector<int32_t>(kCount, 13));
}

TEST_P(SharingConformance, EveryDeviceHasAPoolOfFences) {
  FencePool& pool = device().fences();
  EXPECT_EQ(pool.size(), kFencesDefault);
  PooledFence* const fence = pool.acquire();
  ASSERT_NE(fence, nullptr);
  const uint64_t value = fence->arm();
  const Result<uint64_t> submitted = queue().submit();
  ASSERT_OK(submitted);
  fence->bind({&queue().fence(), *submitted});
  const Result<bool> done = fence->wait(value, kHangTimeoutNs);
  ASSERT_OK(done);
  EXPECT_TRUE(*done);
  EXPECT_EQ(fence->poll(), value);
  pool.release(*fence);
}

INSTANTIATE_TEST_SUITE_P(Backend, SharingConformance, testing::ValuesIn(tested_routes()),
                         [](const auto& test) { return test.param.test_name; });

}  // namespace
}  // namespace leat
