// Bytes are copied in and out, so a buffer may have any alignment.
#include "leat/ir/interpret_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "leat/ir/storage.h"

namespace leat::ir {
namespace {

constexpr uint64_t kPoisonFloat = 0x7fc0dead;  // a quiet NaN
constexpr uint64_t kPoisonDouble = 0x7ff8dead7ff8dead;
constexpr uint64_t kPoisonInt = 0xdeadbeefdeadbeef;

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
    case AccessFault::not_arrived:
      return fmt::format("in {} touches element ({}) before an asynchronous copy to it has arrived",
                         who, point.element);
    case AccessFault::not_written:
      return fmt::format("in {} reads element ({}), which its workgroup has not written", who,
                         point.element);
  }
  return "is of no known fault";
}

GlobalBuffer::GlobalBuffer(const Parameter& parameter, std::span<std::byte> bytes,
                           uint32_t wave_lanes, const GroupOrder* order)
    : bytes_(bytes),
      element_count_(parameter.element_count),
      storage_(parameter.storage),
      element_bytes_(static_cast<size_t>(size_bytes_of(storage_))),
      written_(parameter.written),
      touched_(written_ ? static_cast<size_t>(element_count_) : 0, false),
      shadow_(touched_.size(), wave_lanes, order) {}

uint64_t GlobalBuffer::bits_at(size_t element) const {
  uint64_t bits = 0;
  std::memcpy(&bits, bytes_.data() + element * element_bytes_, element_bytes_);
  return bits;
}

void GlobalBuffer::set_bits(size_t element, uint64_t bits) {
  std::memcpy(bytes_.data() + element * element_bytes_, &bits, element_bytes_);
  touched_[element] = true;
}

AccessFault GlobalBuffer::load(const AccessPoint& point, uint64_t& word) {
  uint64_t bits = 0;
  const AccessFault fault = load_bits(point, bits);
  if (fault == AccessFault::none) word = widened(storage_, bits);
  return fault;
}

AccessFault GlobalBuffer::load_bits(const AccessPoint& point, uint64_t& bits) {
  if (is_outside(point, element_count_)) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  if (written_ && !shadow_.read(element, id_of(shadow_, point))) return AccessFault::read_race;
  bits = bits_at(element);
  return AccessFault::none;
}

AccessFault GlobalBuffer::store(const AccessPoint& point, uint64_t word) {
  if (is_outside(point, element_count_)) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  const uint64_t bits = narrowed(storage_, word);
  const bool same_bits = bits_at(element) == bits;
  if (!shadow_.write(element, id_of(shadow_, point), same_bits)) return AccessFault::write_race;
  set_bits(element, bits);
  return AccessFault::none;
}

AccessFault GlobalBuffer::add(const AccessPoint& point, uint64_t word, uint64_t& before) {
  if (is_outside(point, element_count_)) return AccessFault::out_of_bounds;
  const size_t element = static_cast<size_t>(point.element);
  if (!shadow_.add(element, id_of(shadow_, point))) return AccessFault::write_race;
  before = bits_at(element);
  const auto as_float = [](uint64_t value) {
    return std::bit_cast<float>(static_cast<uint32_t>(value));
  };
  const uint64_t sum = storage_ == DType::f32
                           ? std::bit_cast<uint32_t>(as_float(before) + as_float(word))
                           : before + word;
  set_bits(element, sum);
  return AccessFault::none;
}

AccessFault GlobalBuffer::arrive(const AccessPoint& point, int32_t count, bool& is_last) {
  uint64_t before = 0;
  const AccessFault fault = add(point, 1, before);
  if (fault != AccessFault::none) return fault;
  is_last = static_cast<uint32_t>(before) + 1 == static_cast<uint32_t>(count);
  if (is_last) set_bits(static_cast<size_t>(point.element), 0);
  return AccessFault::none;
}

LocalBuffer::LocalBuffer(const LocalMemory& local, uint32_t wave_lanes, bool refuses_unwritten)
    : elements_(size_t{local.count} * local.width),
      coming_(elements_.size(), false),
      unwritten_(refuses_unwritten ? elements_.size() : 0, true),
      storage_(local.storage),
      shadow_(elements_.size(), wave_lanes) {}

void LocalBuffer::poison() {
  const bool is_wide = storage_ == DType::f64;
  const uint64_t value = is_float(storage_) ? (is_wide ? kPoisonDouble : kPoisonFloat) : kPoisonInt;
  std::ranges::fill(elements_, narrowed(storage_, value));
  coming_.assign(elements_.size(), false);
  unwritten_.assign(unwritten_.size(), true);
}

AccessFault LocalBuffer::check(const AccessPoint& point) const {
  if (is_outside(point, element_count())) return AccessFault::out_of_bounds;
  return coming_[static_cast<size_t>(point.element)] ? AccessFault::not_arrived : AccessFault::none;
}

AccessFault LocalBuffer::load(const AccessPoint& point, uint64_t& word) {
  if (const AccessFault fault = check(point); fault != AccessFault::none) return fault;
  const size_t element = static_cast<size_t>(point.element);
  if (!shadow_.read(element, id_of(shadow_, point))) return AccessFault::read_race;
  if (!unwritten_.empty() && unwritten_[element]) return AccessFault::not_written;
  word = widened(storage_, elements_[element]);
  return AccessFault::none;
}

AccessFault LocalBuffer::store(const AccessPoint& point, uint64_t word) {
  if (const AccessFault fault = check(point); fault != AccessFault::none) return fault;
  const size_t element = static_cast<size_t>(point.element);
  const uint64_t bits = narrowed(storage_, word);
  const bool same_bits = elements_[element] == bits;
  if (!shadow_.write(element, id_of(shadow_, point), same_bits)) return AccessFault::write_race;
  elements_[element] = bits;
  if (!unwritten_.empty()) unwritten_[element] = false;
  return AccessFault::none;
}

AccessFault LocalBuffer::start_copy(const AccessPoint& point) {
  if (const AccessFault fault = check(point); fault != AccessFault::none) return fault;
  const size_t element = static_cast<size_t>(point.element);
  if (!shadow_.write(element, id_of(shadow_, point), false)) return AccessFault::write_race;
  coming_[element] = true;
  return AccessFault::none;
}

AccessFault LocalBuffer::finish_copy(const AccessPoint& point, uint64_t bits) {
  const size_t element = static_cast<size_t>(point.element);
  coming_[element] = false;
  if (!shadow_.write(element, id_of(shadow_, point), false)) return AccessFault::write_race;
  elements_[element] = bits;
  if (!unwritten_.empty()) unwritten_[element] = false;
  return AccessFault::none;
}

}  // namespace leat::ir
