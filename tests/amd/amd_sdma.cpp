#include "tests/amd/amd_sdma.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/amd/amd_packets_words.h"

namespace leat::amd_card {

namespace {

// SDMA_OP_*, and the words of each packet.
constexpr uint32_t kSdmaNop = 0, kSdmaCopy = 1, kSdmaWrite = 2, kSdmaFence = 5, kSdmaTrap = 6,
                   kSdmaPoll = 8, kSdmaFill = 11, kSdmaGcr = 17;
constexpr uint64_t kCopyBytesMax = uint64_t{1} << 30;  // COPY_LINEAR.COUNT on gfx10.3 and later
constexpr uint32_t kFenceUncached = 3 << 16;           // FENCE.MTYPE: uncached
constexpr uint32_t kFillWords = 2U << 30;              // CONST_FILL.FILLSIZE: whole words

Error bad(std::span<const uint32_t> words, const std::string& text) {
  std::string all;
  for (size_t k = 0; k < std::min<size_t>(words.size(), 7); ++k) {
    all += fmt::format(" {:08x}", words[k]);
  }
  return Error(ErrorKind::device_lost, fmt::format("SDMA packet ({}): {}.", all, text));
}

}  // namespace

Result<uint8_t*> SdmaProcessor::at(std::span<const uint32_t> words, uint64_t va, uint64_t size,
                                   uint8_t access) {
  uint8_t* host = memory_.at(va, size, access);
  if (host != nullptr) return host;
  return bad(words, fmt::format("0x{:x} for {} bytes is {}", va, size, memory_.describe(va)));
}

/// Size in words of the packet whose header is words[0].
Result<uint32_t> SdmaProcessor::size_of(std::span<const uint32_t> words) const {
  switch (words[0] & 0xff) {
    case kSdmaNop: return 1 + (words[0] >> 16 & 0x3fff);
    case kSdmaCopy: return 7;
    case kSdmaWrite:
      if (words.size() < 4) return bad(words, "it is cut short");
      return 5 + (words[3] & 0xfffff);
    case kSdmaFence: return 4;
    case kSdmaTrap: return 2;
    case kSdmaPoll: return 6;
    case kSdmaFill:
    case kSdmaGcr: return 5;
    default: return bad(words, "the opcode is not known");
  }
}

Result<void> SdmaProcessor::copy(std::span<const uint32_t> words) {
  const uint64_t size = uint64_t{words[1]} + 1;
  if (words[0] != kSdmaCopy || size > kCopyBytesMax || words[2] != 0) {
    return bad(words, "only linear copies of up to 1 GiB are known");
  }
  TRY_ASSIGN(uint8_t * source, at(words, address_of(words[3], words[4]), size, kRead));
  TRY_ASSIGN(uint8_t * target, at(words, address_of(words[5], words[6]), size, kWrite));
  std::memmove(target, source, size);
  ++copies_;
  return {};
}

Result<void> SdmaProcessor::fill(std::span<const uint32_t> words) {
  const uint64_t size = uint64_t{words[4]} + 1;
  if (words[0] != (kSdmaFill | kFillWords) || size % 4 != 0 || size > kCopyBytesMax) {
    return bad(words, "only fills of whole words are known");
  }
  TRY_ASSIGN(uint8_t * target, at(words, address_of(words[1], words[2]), size, kWrite));
  for (uint64_t k = 0; k < size; k += 4) std::memcpy(target + k, &words[3], 4);
  return {};
}

Result<void> SdmaProcessor::write_words(std::span<const uint32_t> words) {
  if (words[0] != kSdmaWrite || (words[3] & ~0xfffffU) != 0) return bad(words, "reserved bits");
  const uint64_t size = (words.size() - 4) * 4;
  TRY_ASSIGN(uint8_t * target, at(words, address_of(words[1], words[2]), size, kWrite));
  std::memcpy(target, &words[4], size);
  return {};
}

Result<void> SdmaProcessor::fence(std::span<const uint32_t> words) {
  if (words[0] != (kSdmaFence | kFenceUncached)) return bad(words, "the fence must be uncached");
  const uint64_t va = address_of(words[1], words[2]);
  if (va % 4 != 0) return bad(words, "the address is not a multiple of 4");
  TRY_ASSIGN(uint8_t * target, at(words, va, 4, kWrite));
  std::memcpy(target, &words[3], 4);
  return {};
}

/// Waits for memory: FUNC [30:28] 3 equal, 5 greater or equal; MEM_POLL 31.
Result<void> SdmaProcessor::poll(std::span<const uint32_t> words) {
  const uint32_t function = words[0] >> 28 & 7;
  if ((words[0] & 0x8fffffff) != (kSdmaPoll | 1U << 31) || (function != 3 && function != 5)) {
    return bad(words, "only waits for memory to equal or reach a value are known");
  }
  if (words[4] == 0 || (words[5] & 0xf0000000) != 0) return bad(words, "reserved bits");
  const uint64_t va = address_of(words[1], words[2]);
  if (va % 4 != 0) return bad(words, "the address is not a multiple of 4");
  TRY_ASSIGN(uint8_t * source, at(words, va, 4, kRead));
  uint32_t value;
  std::memcpy(&value, source, 4);
  value &= words[4];
  is_waiting_ = function == 3 ? value != words[3] : value < words[3];
  return {};
}

Result<void> SdmaProcessor::execute(std::span<const uint32_t> words) {
  switch (words[0] & 0xff) {
    case kSdmaNop: return {};
    case kSdmaCopy: return copy(words);
    case kSdmaWrite: return write_words(words);
    case kSdmaFence: return fence(words);
    case kSdmaTrap:
      if (words[0] != kSdmaTrap || (words[1] >> 28) != 0) return bad(words, "reserved bits");
      if (on_interrupt) on_interrupt(words[1]);
      return {};
    case kSdmaPoll: return poll(words);
    case kSdmaFill: return fill(words);
    default: return {};  // GCR_REQ: caches of the copy engine are not modelled
  }
}

Result<void> SdmaProcessor::run_ring(uint64_t ring_va, uint64_t size, uint64_t& read,
                                     uint64_t write) {
  is_waiting_ = false;
  if (write < read || write - read > size || read % 4 != 0 || write % 4 != 0) {
    return Error(ErrorKind::device_lost,
                 fmt::format("SDMA write pointer ({}) does not fit the read "
                             "pointer ({}) in a ring of "
                             "{} bytes.",
                             write, read, size));
  }
  while (read < write) {
    const uint64_t left = std::min(size - read % size, write - read);
    const uint8_t* host = memory_.at(ring_va + read % size, left, kRead);
    if (host == nullptr) return Error(ErrorKind::device_lost, "The SDMA ring is not mapped.");
    std::vector<uint32_t> words(left / 4);
    std::memcpy(words.data(), host, left);
    TRY_ASSIGN(uint32_t count, size_of(words));
    if (count > words.size()) return bad(words, "it is longer than what was submitted");
    TRY(execute(std::span(words).first(count)));
    if (is_waiting_) return {};
    read += uint64_t{count} * 4;
  }
  return {};
}

}  // namespace leat::amd_card
