// The outline check of a SPIR-V module: one walk over its instructions.
#include "leat/backend/vulkan/spirv_check.h"

#include <fmt/format.h>

#include <cstring>
#include <span>

namespace leat {

namespace {

constexpr uint32_t kMagic = 0x07230203;
constexpr uint32_t kVersionMax = 0x00010600;
constexpr uint32_t kBoundMax = 0x3fffff;  // "universal limits", section 2.17
constexpr size_t kHeaderWords = 5;
constexpr uint32_t kOpMemoryModel = 14;
constexpr uint32_t kOpEntryPoint = 15;
constexpr uint32_t kOpExecutionMode = 16;
constexpr uint32_t kOpFunction = 54;
constexpr uint32_t kOpFunctionEnd = 56;
constexpr uint32_t kExecutionModelGlCompute = 5;
constexpr uint32_t kExecutionModeLocalSize = 17;

struct Outline {
  bool memory_model = false;
  bool entry_point = false;
  uint64_t local_lanes = 0;
  int open_functions = 0;
  int functions = 0;
};

bool is_entry(std::span<const uint32_t> words, std::string_view name) {
  if (words.size() < 4 || words[1] != kExecutionModelGlCompute) return false;
  const char* text = reinterpret_cast<const char*>(words.data() + 3);
  const size_t length_max = (words.size() - 3) * sizeof(uint32_t);
  return std::string_view(text, strnlen(text, length_max)) == name;
}

void take(std::span<const uint32_t> words, std::string_view entry, Outline& outline) {
  switch (words[0] & 0xffffu) {
    case kOpMemoryModel: outline.memory_model = true; return;
    case kOpEntryPoint: outline.entry_point |= is_entry(words, entry); return;
    case kOpExecutionMode:
      if (words.size() == 6 && words[2] == kExecutionModeLocalSize) {
        outline.local_lanes = uint64_t{words[3]} * words[4] * words[5];
      }
      return;
    case kOpFunction: ++outline.functions, ++outline.open_functions; return;
    case kOpFunctionEnd: --outline.open_functions; return;
    default: return;
  }
}

Error refuse(const KernelBinary& binary, std::string_view why) {
  return Error(ErrorKind::invalid_argument,
               fmt::format("Kernel \"{}\" of ({}) bytes is no SPIR-V module: {}.", binary.name,
                           binary.code.size(), why));
}

}  // namespace

Result<void> check_spirv(const KernelBinary& binary) {
  if (binary.code.size() % sizeof(uint32_t) != 0) return refuse(binary, "its size is odd");
  std::vector<uint32_t> words(binary.code.size() / sizeof(uint32_t));
  if (words.size() <= kHeaderWords) return refuse(binary, "it is too short");
  std::memcpy(words.data(), binary.code.data(), binary.code.size());
  if (words[0] != kMagic) return refuse(binary, fmt::format("it starts with ({:#x})", words[0]));
  if (words[1] > kVersionMax)
    return refuse(binary, fmt::format("its version is ({:#x})", words[1]));
  if (words[3] > kBoundMax) return refuse(binary, fmt::format("its id bound is ({})", words[3]));
  Outline outline;
  for (size_t at = kHeaderWords; at < words.size();) {
    const size_t count = words[at] >> 16;
    if (count == 0 || count > words.size() - at) {
      return refuse(binary, fmt::format("the instruction at word ({}) has ({}) words", at, count));
    }
    take(std::span(words).subspan(at, count), binary.entry, outline);
    at += count;
  }
  const uint64_t lanes = uint64_t{binary.wave_lanes} * binary.waves_per_workgroup;
  if (!outline.memory_model) return refuse(binary, "it has no memory model");
  if (outline.functions == 0 || outline.open_functions != 0) {
    return refuse(binary, "its functions are not closed");
  }
  if (!outline.entry_point) {
    return refuse(binary, fmt::format("it has no compute entry point \"{}\"", binary.entry));
  }
  if (outline.local_lanes != lanes) {
    return refuse(binary, fmt::format("its workgroup has ({}) lanes where the kernel has ({})",
                                      outline.local_lanes, lanes));
  }
  return {};
}

}  // namespace leat
