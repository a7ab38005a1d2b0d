// What tests of devices share.
#pragma once

#include <gtest/gtest.h>

#include "leat/device/device.h"

// Fails the test with the error's message.
#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok = (expression);                              \
    ASSERT_TRUE(assert_ok.has_value()) << assert_ok.error().message(); \
  } while (false)

namespace leat {

inline BufferRange whole(const Buffer& buffer) { return {&buffer, 0, buffer.size_bytes()}; }

}  // namespace leat
