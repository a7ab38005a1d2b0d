#include "tests/wire/mock_device.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "leat/backend/nvidia/nvidia_device.h"
#include "leat/ir/parse.h"
#include "leat/ir/verify.h"
#include "tests/wire/mock_cubin.h"

namespace leat::mock {

Result<std::unique_ptr<MockDevice>> MockDevice::open(const ChipOptions& options) {
  setenv("LEAT_NVIDIA_CHECK", "1", 1);
  std::unique_ptr<MockDevice> device(new MockDevice(options));
  TRY_ASSIGN(device->inner_, open_nvidia_device_on(device->gpu_->os(), 0, "mock:direct"));
  device->target_ = device->inner_->target();
  device->target_.name = "mock";
  device->target_.format = CodeFormat::interpreted;
  return device;
}

MockDevice::~MockDevice() {
  inner_.reset();
  EXPECT_EQ(gpu_->server().live_objects(), 0u);
  EXPECT_EQ(gpu_->server().open_descriptors(), 0u);
  if (expects_broken_rules_) return;
  for (const std::string& rule : gpu_->engines().broken_rules()) ADD_FAILURE() << rule;
}

Result<std::unique_ptr<Kernel>> MockDevice::load(const KernelBinary& binary) {
  if (binary.format != CodeFormat::interpreted) {
    return Error(ErrorKind::invalid_argument, "The mock runs wave programs in text form only.");
  }
  const std::string_view text(reinterpret_cast<const char*>(binary.code.data()),
                              binary.code.size());
  TRY_ASSIGN(const ir::Program program, ir::parse_program(text, binary.name));
  TRY(ir::verify(program));
  return inner_->load(wrap_program(binary));
}

}  // namespace leat::mock
