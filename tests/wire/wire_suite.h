// The fixture of the wire tests: the direct route on the mock, and a few small kernels.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "tests/wire/mock_device.h"

// Fails the test with the error's message.
#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok = (expression);                              \
    ASSERT_TRUE(assert_ok.has_value()) << assert_ok.error().message(); \
  } while (false)

namespace leat {

/// One wave that touches no memory.
KernelBinary empty_program();
/// x[i] = x[i] + addend for one wave's lanes. Argument: x.
KernelBinary add_program(int32_t addend);
/// out[i] = in[i] + addend for one wave's lanes. Arguments: in, out.
KernelBinary move_program(int32_t addend);

class WireTest : public testing::Test {
 protected:
  static constexpr int32_t kLanes = 32;

  void open(const mock::ChipOptions& options = {});
  Queue& queue() { return device_->queue(); }
  mock::Nvidia& gpu() { return device_->gpu(); }
  mock::MockDevice& device() { return *device_; }
  std::unique_ptr<Kernel> load(const KernelBinary& binary);
  /// kLanes numbers, shared.
  Buffer numbers(int32_t value);
  static int32_t first(const Buffer& buffer);
  void launch(const Kernel& kernel, const std::vector<const Buffer*>& buffers);
  void submit_and_wait();
  void wait_for(const Result<uint64_t>& value);
  std::unique_ptr<RecordedList> record(const std::function<void()>& commands);

 private:
  std::unique_ptr<mock::MockDevice> device_;
};

}  // namespace leat
