// Bytes are copied in and out, so a buffer may have any alignment.
#include "leat/ir/interpret_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "leat/base/half.h"

namespace leat::ir {
namespace {

constexpr uint32_t kPoisonFloat = 0x7fc0dead;  // a quiet NaN
constexpr uint32_t kPoisonInt = 0xdeadbeef;

AccessId id_of(const RaceShadow& shadow, const AccessPoint& point) {
  return point.varying ? shadow.lane_of(point.wave, point.lane) : shadow.whole_wave(point.wave);
}

bool is_outside(const AccessPoint& point, int64_t element_count) {
  return point.element < 0 || point.element >= element_count;
}

}  // namespace

std::string fault_text(AccessFault fault, const AccessPoint& point, int64_t element_count) {
  const std::string who = point.varying
                              ? fmt::format("wave ({}), lane ({})", point.wave, point.lane)
                              : fmt::format("wave ({})", point.wave);
  switch (fault) {
    case AccessFault::none: return "is right";
    case AccessFault::out_of_bounds:
      return fmt::format("in {} reaches element ({}) outside of 0 to {}", who, point.element,
                         element_count - 1);
    case AccessFault::read_race:
      return fmt::format(
          "in {} reads element ({}), which another lane writes with no barrier between", who,
          point.element);
    case AccessFault::write_race:
      return fmt::format(
          "in {} writes element ({}), which another lane touches with no barrier between", who,
          point.element);
  }
  return "is of no known fault";
}

GlobalBuffer::GlobalBuffer(const Parameter& parameter, std::span<std::byte> bytes,
                           uint32_t wave_lanes)
    : bytes_(bytes),
      element_count_(parameter.element_count),
      is_half_(parameter.storage == DType::f16),
      written_(parameter.written),
      shadow_(written_ ? static_cast<size_t>(element_count_) : 0, wave_lanes) {}

AccessFault GlobalBuffer::load(const AccessPoint& point, uint32_t& word) {
  if (is_outside(point, element_count_)) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  if (written_ && !shadow_.read(element, id_of(shadow_, point))) return AccessFault::read_race;
  if (is_half_) {
    uint16_t half = 0;
    std::memcpy(&half, bytes_.data() + element * 2, 2);
    word = std::bit_cast<uint32_t>(float_from_half(half));
  } else {
    std::memcpy(&word, bytes_.data() + element * 4, 4);
  }
  return AccessFault::none;
}

AccessFault GlobalBuffer::store(const AccessPoint& point, uint32_t word) {
  if (is_outside(point, element_count_)) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  const uint16_t half = is_half_ ? half_from_float(std::bit_cast<float>(word)) : uint16_t{0};
  const void* source = is_half_ ? static_cast<const void*>(&half) : &word;
  const size_t size_bytes = is_half_ ? 2 : 4;
  std::byte* target = bytes_.data() + element * size_bytes;
  const bool same_bits = std::memcmp(target, source, size_bytes) == 0;
  if (!shadow_.write(element, id_of(shadow_, point), same_bits)) return AccessFault::write_race;
  std::memcpy(target, source, size_bytes);
  return AccessFault::none;
}

LocalBuffer::LocalBuffer(const LocalMemory& local, uint32_t wave_lanes)
    : words_(size_t{local.count} * local.width),
      poison_word_(local.scalar == Scalar::f32 ? kPoisonFloat : kPoisonInt),
      shadow_(words_.size(), wave_lanes) {}

void LocalBuffer::poison() { std::ranges::fill(words_, poison_word_); }

AccessFault LocalBuffer::load(const AccessPoint& point, uint32_t& word) {
  if (is_outside(point, element_count())) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  if (!shadow_.read(element, id_of(shadow_, point))) return AccessFault::read_race;
  word = words_[element];
  return AccessFault::none;
}

AccessFault LocalBuffer::store(const AccessPoint& point, uint32_t word) {
  if (is_outside(point, element_count())) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  const bool same_bits = words_[element] == word;
  if (!shadow_.write(element, id_of(shadow_, point), same_bits)) return AccessFault::write_race;
  words_[element] = word;
  return AccessFault::none;
}

}  // namespace leat::ir
