// The direct route on the fake kernel driver: a card that is there for the length of a test, and
// kernels for it that LLVM compiles.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "leat/backend/amd/amd_device.h"
#include "leat/backend/amd/amd_os.h"
#include "tests/amd/fake_kfd.h"
#include "tests/device_asserts.h"

namespace leat {

/// The table of calls that lead to `fake`.
AmdOs os_of(amd_card::FakeKfd& fake);

/// The fake with the route's table; it runs by itself from start() on.
struct FakeCard {
  explicit FakeCard(const amd_card::FakeCardOptions& options = {})
      : target(options.target), fake(options), os(os_of(fake)) {
    fake.start();
  }
  ~FakeCard() { fake.stop(); }
  FakeCard(const FakeCard&) = delete;
  FakeCard& operator=(const FakeCard&) = delete;

  Result<std::unique_ptr<Device>> open() { return open_amd_device_on(os, 0, "gpu0:direct"); }
  /// All faults that the fake saw, a line each; empty when there was none.
  std::string faults() const;

  std::string target;
  amd_card::FakeKfd fake;
  AmdOs os;
};

/// The options of gfx1201.
amd_card::FakeCardOptions gfx1201_card();

/// A kernel `name` of buffers: `body` is LLVM IR in which %i is the work-item's number as i64, and
/// %b0, %b1, ... the buffers. `written` has a bool for each buffer.
struct TestKernel {
  std::string name;
  std::vector<bool> written;
  std::string body;
  uint32_t threads = 64;
  uint32_t groups = 1;
  std::string declarations = "";
};
Result<KernelBinary> compile_kernel(const std::string& target, const TestKernel& kernel);

/// b0[i] = b1[i] + b2[i], of f32.
TestKernel add_kernel(uint32_t groups);
/// b0[i] = 2 * b0[i] + 1, of i32.
TestKernel step_kernel(uint32_t groups);

template <typename T>
std::vector<T> values_of(const Buffer& buffer) {
  std::vector<T> values(buffer.size_bytes() / sizeof(T));
  std::memcpy(values.data(), buffer.host_pointer(), buffer.size_bytes());
  return values;
}
template <typename T>
void set_values(const Buffer& buffer, const std::vector<T>& values) {
  std::memcpy(buffer.host_pointer(), values.data(), values.size() * sizeof(T));
}

/// Waits up to ten seconds.
Result<bool> wait_for(Device& device, uint64_t value);

}  // namespace leat
