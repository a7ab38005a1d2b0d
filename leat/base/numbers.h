// Arithmetic on sizes and addresses that many folders need.
#pragma once

#include <cstdint>
#include <type_traits>

namespace leat {

/// The smallest multiple of `unit` (> 0) that is not below `value`.
template <typename T>
constexpr T round_up(T value, std::type_identity_t<T> unit) {
  return (value + unit - 1) / unit * unit;
}

/// The halves of a 64-bit number, as packets take them.
constexpr uint32_t low(uint64_t value) { return static_cast<uint32_t>(value); }
constexpr uint32_t high(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

}  // namespace leat
