// The fixture: the small steps that most cases take.
#include "tests/backend/backend_suite.h"

#include <ostream>

namespace leat {

void PrintTo(const TestedRoute& route, std::ostream* out) { *out << route.name; }

void ConformanceTest::SetUp() {
  const TestedRoute& route = GetParam();
  if (!route.refusal.empty()) GTEST_SKIP() << route.name << ": " << route.refusal;
  const Result<Device*> opened = open_tested_route(route.name);
  ASSERT_OK(opened);
  device_ = *opened;
}

Buffer ConformanceTest::buffer(size_t size_bytes, MemoryKind kind) {
  Result<Buffer> made = device().allocate(size_bytes, kind);
  EXPECT_TRUE(made.has_value()) << made.error().message();
  return made ? std::move(*made) : Buffer();
}

std::unique_ptr<Kernel> ConformanceTest::load(const Result<KernelBinary>& binary) {
  EXPECT_TRUE(binary.has_value()) << binary.error().message();
  if (!binary) return nullptr;
  Result<std::unique_ptr<Kernel>> kernel = device().load(*binary);
  EXPECT_TRUE(kernel.has_value()) << kernel.error().message();
  return kernel ? std::move(*kernel) : nullptr;
}

void ConformanceTest::launch(const Kernel& kernel, const std::vector<const Buffer*>& arguments) {
  std::vector<BufferRange> ranges;
  for (const Buffer* argument : arguments) ranges.push_back(whole(*argument));
  ASSERT_OK(queue().launch(kernel, ranges));
}

void ConformanceTest::submit_and_wait() {
  const Result<uint64_t> value = queue().submit();
  ASSERT_OK(value);
  wait_for(*value);
}

void ConformanceTest::wait_for(uint64_t value) {
  const Result<bool> done = queue().fence().wait(value, kHangTimeoutNs);
  ASSERT_OK(done);
  ASSERT_TRUE(*done) << "The fence does not reach (" << value << ").";
}

}  // namespace leat
