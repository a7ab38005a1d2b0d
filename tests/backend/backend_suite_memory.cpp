// Conformance: memory and copies.
#include <numeric>

#include "tests/backend/backend_suite.h"

namespace leat {
namespace {

class MemoryConformance : public ConformanceTest {};

std::vector<uint8_t> pattern(size_t size_bytes, uint32_t seed) {
  std::vector<uint8_t> bytes(size_bytes);
  for (uint8_t& byte : bytes) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<uint8_t>(seed >> 24);
  }
  return bytes;
}

TEST_P(MemoryConformance, RefusesSizeZero) {
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
    const Result<Buffer> none = device().allocate(0, kind);
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().kind(), ErrorKind::invalid_argument);
  }
}

TEST_P(MemoryConformance, RefusesWhatNoMachineHas) {
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
    const Result<Buffer> none = device().allocate(size_t{1} << 60, kind);
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().kind(), ErrorKind::out_of_memory) << none.error().message();
  }
}

TEST_P(MemoryConformance, ContentsComeBack) {
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
    for (const size_t size_bytes : {size_t{1}, size_t{255}, size_t{4096}, size_t{1} << 20}) {
      const std::vector<uint8_t> bytes = pattern(size_bytes, static_cast<uint32_t>(size_bytes));
      const Buffer made = buffer_of(bytes, kind);
      ASSERT_TRUE(made);
      EXPECT_EQ(made.size_bytes(), size_bytes);
      EXPECT_TRUE(read<uint8_t>(made, size_bytes) == bytes) << size_bytes << " bytes";
    }
  }
}

TEST_P(MemoryConformance, SixtyFourMegabytesComeBack) {
  const std::vector<uint8_t> bytes = pattern(size_t{64} << 20, 64);
  const Buffer made = buffer_of(bytes, MemoryKind::device);
  ASSERT_TRUE(made);
  EXPECT_TRUE(read<uint8_t>(made, bytes.size()) == bytes);
}

TEST_P(MemoryConformance, SharedMemoryIsMapped) {
  const Buffer a = buffer(1000);
  const Buffer b = buffer(1000);
  ASSERT_TRUE(a && b);
  ASSERT_NE(a.host_pointer(), nullptr);
  ASSERT_NE(b.host_pointer(), nullptr);
  std::memset(a.host_pointer(), 1, 1000);
  std::memset(b.host_pointer(), 2, 1000);
  EXPECT_EQ(a.host_pointer()[999], std::byte{1});
  EXPECT_EQ(b.host_pointer()[0], std::byte{2});
}

TEST_P(MemoryConformance, ManyBuffersLiveTogether) {
  std::vector<Buffer> buffers;
  for (uint32_t i = 0; i < 100; ++i) {
    buffers.push_back(buffer_of(pattern(1000 + i, i), MemoryKind::device));
  }
  for (uint32_t i = 0; i < 100; i += 2) buffers[i] = Buffer();
  for (uint32_t i = 0; i < 100; i += 2) {
    buffers[i] = buffer_of(pattern(1000 + i, i + 1000), MemoryKind::device);
  }
  for (uint32_t i = 0; i < 100; ++i) {
    const uint32_t seed = i % 2 == 0 ? i + 1000 : i;
    EXPECT_TRUE(read<uint8_t>(buffers[i], 1000 + i) == pattern(1000 + i, seed)) << "buffer " << i;
  }
}

TEST_P(MemoryConformance, AMovedBufferHasOneOwner) {
  Buffer a = buffer_of(pattern(64, 1));
  ASSERT_TRUE(a);
  Buffer b = std::move(a);
  EXPECT_FALSE(a);
  EXPECT_TRUE(read<uint8_t>(b, 64) == pattern(64, 1));
}

TEST_P(MemoryConformance, CopyTouchesItsRangeOnly) {
  const std::vector<uint8_t> from = pattern(4096, 5);
  std::vector<uint8_t> expected(4096, 0xee);
  for (const MemoryKind kind : {MemoryKind::device, MemoryKind::shared}) {
    const Buffer source = buffer_of(from, kind);
    const Buffer target = buffer_of(expected, MemoryKind::device);
    ASSERT_TRUE(source && target);
    ASSERT_OK(queue().copy({&target, 1000, 600}, {&source, 300, 600}));
    submit_and_wait();
    std::vector<uint8_t> wanted = expected;
    std::copy_n(from.begin() + 300, 600, wanted.begin() + 1000);
    EXPECT_TRUE(read<uint8_t>(target, 4096) == wanted);
  }
}

TEST_P(MemoryConformance, CopiesRunInOrder) {
  const std::vector<uint8_t> start = pattern(5000, 9);
  const Buffer a = buffer_of(start, MemoryKind::device);
  const Buffer b = buffer(5000, MemoryKind::device);
  const Buffer c = buffer(5000, MemoryKind::shared);
  ASSERT_TRUE(a && b && c);
  ASSERT_OK(queue().copy(whole(b), whole(a)));
  ASSERT_OK(queue().copy({&a, 0, 2500}, {&b, 2500, 2500}));
  ASSERT_OK(queue().copy(whole(c), whole(a)));
  submit_and_wait();
  std::vector<uint8_t> wanted = start;
  std::copy_n(start.begin() + 2500, 2500, wanted.begin());
  EXPECT_TRUE(read<uint8_t>(c, 5000) == wanted);
}

TEST_P(MemoryConformance, RefusesCopiesThatLeaveTheirBuffer) {
  const Buffer a = buffer(1000);
  const Buffer b = buffer(1000);
  ASSERT_TRUE(a && b);
  const BufferRange good = {&a, 0, 500};
  const BufferRange bad_ranges[] = {{&b, 501, 500}, {&b, 2000, 500}, {&b, SIZE_MAX - 100, 500}};
  for (const BufferRange& bad : bad_ranges) {
    for (const Result<void>& result : {queue().copy(good, bad), queue().copy(bad, good)}) {
      ASSERT_FALSE(result.has_value());
      EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backend, MemoryConformance, testing::ValuesIn(tested_routes()),
                         [](const auto& test) { return test.param.test_name; });

}  // namespace
}  // namespace leat
