// Fields of foreign structs by their offset. The mock reads the driver's structs in this way and
// not through the backend's own declarations, so that a mistake there shows.
#pragma once

#include <cstdint>
#include <cstring>

namespace leat::mock {

template <typename T>
T get(const void* data, size_t offset) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + offset, sizeof value);
  return value;
}

template <typename T>
void put(void* data, size_t offset, T value) {
  std::memcpy(static_cast<std::byte*>(data) + offset, &value, sizeof value);
}

}  // namespace leat::mock
