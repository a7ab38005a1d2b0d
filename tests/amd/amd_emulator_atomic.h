// Values of one lane that lie in one or two registers, as atomics take them.
#pragma once

#include <cstring>

#include "tests/amd/amd_emulator_wave.h"

namespace leat::amd_card {

template <class T>
T lane_value(const Wave& w, uint32_t first, uint32_t lane) {
  uint32_t words[sizeof(T) / 4];
  for (uint32_t k = 0; k < sizeof(T) / 4; ++k) words[k] = w.v[first + k][lane];
  T value;
  std::memcpy(&value, words, sizeof(T));
  return value;
}

template <class T>
void set_lane_value(Wave& w, uint32_t first, uint32_t lane, T value) {
  uint32_t words[sizeof(T) / 4];
  std::memcpy(words, &value, sizeof(T));
  for (uint32_t k = 0; k < sizeof(T) / 4; ++k) w.v[first + k][lane] = words[k];
}

}  // namespace leat::amd_card
