// Source: as nvidia_methods.h; names as in NVIDIA/open-gpu-doc.
#include "leat/backend/nvidia/nvidia_decode.h"

#include <fmt/format.h>

#include "leat/backend/nvidia/nvidia_methods.h"
#include "leat/route/packet_text.h"

namespace leat {

namespace {

constexpr NumberName kHostMethods[] = {
    {0x00, "SET_OBJECT"},     {0x08, "NOP"},
    {0x5C, "SEM_ADDR_LO"},    {0x60, "SEM_ADDR_HI"},
    {0x64, "SEM_PAYLOAD_LO"}, {0x68, "SEM_PAYLOAD_HI"},
    {0x6C, "SEM_EXECUTE"},    {0x78, "WFI"},
};
constexpr NumberName kComputeMethods[] = {
    {0x100, "NO_OPERATION"},
    {0x110, "WAIT_FOR_IDLE"},
    {0x244, "INVALIDATE_TEXTURE_HEADER_CACHE_NO_WFI"},
    {0x298, "INVALIDATE_SKED_CACHES"},
    {0x2A0, "SET_SHADER_SHARED_MEMORY_WINDOW_A"},
    {0x2A4, "SET_SHADER_SHARED_MEMORY_WINDOW_B"},
    {0x2B4, "SEND_PCAS_A"},
    {0x2C0, "SEND_SIGNALING_PCAS2_B"},
    {0x2E4, "SET_SHADER_LOCAL_MEMORY_NON_THROTTLED_A"},
    {0x2E8, "SET_SHADER_LOCAL_MEMORY_NON_THROTTLED_B"},
    {0x2EC, "SET_SHADER_LOCAL_MEMORY_NON_THROTTLED_C"},
    {0x790, "SET_SHADER_LOCAL_MEMORY_A"},
    {0x794, "SET_SHADER_LOCAL_MEMORY_B"},
    {0x7B0, "SET_SHADER_LOCAL_MEMORY_WINDOW_A"},
    {0x7B4, "SET_SHADER_LOCAL_MEMORY_WINDOW_B"},
    {0x1424, "INVALIDATE_SAMPLER_CACHE_NO_WFI"},
    {0x1698, "INVALIDATE_SHADER_CACHES_NO_WFI"},
};
constexpr NumberName kCopyMethods[] = {
    {0x300, "LAUNCH_DMA"},       {0x400, "OFFSET_IN_UPPER"},  {0x404, "OFFSET_IN_LOWER"},
    {0x408, "OFFSET_OUT_UPPER"}, {0x40C, "OFFSET_OUT_LOWER"}, {0x418, "LINE_LENGTH_IN"},
    {0x41C, "LINE_COUNT"},
};

std::string decode_semaphore(uint32_t data) {
  constexpr const char* kOperations[] = {
      "acquire equal", "release",     "acquire strict", "acquire circular",
      "acquire and",   "acquire nor", "reduction",      "?"};
  std::string text = kOperations[data & 7];
  if ((data & method::kSemSwitchGroup) != 0) text += ", switch group";
  if ((data & method::kSemReleaseWfi) != 0) text += ", wait for idle";
  if ((data & method::kSemPayload64) != 0) text += ", 64-bit";
  if ((data & method::kSemTimestamp) != 0) text += ", timestamp";
  return text;
}

std::string decode_launch_dma(uint32_t data) {
  constexpr const char* kTransfers[] = {"none", "pipelined", "non-pipelined", "?"};
  return fmt::format("{}{}, source {}, target {}", kTransfers[data & 3],
                     (data & 4) != 0 ? ", flush" : "", (data & 0x80) != 0 ? "pitch" : "blocked",
                     (data & 0x100) != 0 ? "pitch" : "blocked");
}

std::string decode_invalidate(uint32_t data) {
  std::string text;
  if ((data & method::kInvalidateInstruction) != 0) text += " instruction";
  if ((data & method::kInvalidateData) != 0) text += " data";
  if ((data & method::kInvalidateConstant) != 0) text += " constant";
  return text.empty() ? "nothing" : text.substr(1);
}

/// What the data means, or nothing.
std::string explain(PushEngine engine, const PushMethod& method) {
  if (method.method == method::kSemExecute) return decode_semaphore(method.data);
  if (engine == PushEngine::copy) {
    return method.method == method::kLaunchDma ? decode_launch_dma(method.data) : "";
  }
  if (method.method == method::kSendPcasA) {
    return fmt::format("QMD at 0x{:x}", uint64_t{method.data} << 8);
  }
  if (method.method == method::kSendSignalingPcas2B) {
    return method.data == method::kPcasPrefetchSchedule ? "prefetch, schedule" : "";
  }
  if (method.method == method::kInvalidateShaderCaches) return decode_invalidate(method.data);
  return "";
}

Error bad_word(size_t index, uint32_t word, const char* what) {
  return bad_dword("the push buffer", index, word, what);
}

}  // namespace

Result<std::vector<PushMethod>> read_segment(std::span<const uint32_t> words) {
  std::vector<PushMethod> methods;
  for (size_t i = 0; i < words.size();) {
    const uint32_t word = words[i];
    const uint32_t form = word >> 29, count = word >> 16 & 0x1fff;
    const uint32_t subchannel = word >> 13 & 7, first = (word & 0xfff) << 2;
    if ((word & 0x1000) != 0) return bad_word(i, word, "has a reserved bit set");
    ++i;
    if (form == method::kImmediate) {
      methods.push_back({subchannel, first, count});
      continue;
    }
    if (form == method::kEndSegment) break;
    if (form != method::kIncrementing && form != method::kNonIncrementing &&
        form != method::kIncrementOnce) {
      return bad_word(i - 1, word, "is no method header");
    }
    if (count == 0 || count > words.size() - i) return bad_word(i - 1, word, "counts wrongly");
    for (uint32_t k = 0; k < count; ++k) {
      const uint32_t step = form == method::kIncrementing    ? k
                            : form == method::kIncrementOnce ? (k > 0 ? 1u : 0u)
                                                             : 0u;
      methods.push_back({subchannel, first + 4 * step, words[i + k]});
    }
    i += count;
  }
  return methods;
}

const char* name_of_method(PushEngine engine, uint32_t method) {
  if (method < 0x100) return find_name(kHostMethods, method);
  return engine == PushEngine::compute ? find_name(kComputeMethods, method)
                                       : find_name(kCopyMethods, method);
}

std::string decode_method(PushEngine engine, const PushMethod& method) {
  const char* name = name_of_method(engine, method.method);
  const char* owner = method.method < 0x100 && method.method != method::kSetObject ? "host"
                      : engine == PushEngine::compute                              ? "compute"
                                                                                   : "copy";
  return packet_line(owner, name, method.method, method.data, explain(engine, method));
}

Result<std::string> decode_segment(PushEngine engine, std::span<const uint32_t> words) {
  TRY_ASSIGN(const std::vector<PushMethod> methods, read_segment(words));
  std::string text;
  for (const PushMethod& method : methods) text += decode_method(engine, method) + "\n";
  return text;
}

std::string decode_qmd(const Qmd& qmd) {
  std::string text;
  Qmd rest = qmd;
  for (size_t i = 0; i < static_cast<size_t>(QmdField::count); ++i) {
    const auto field = static_cast<QmdField>(i);
    if (qmd.get(field) != 0) text += fmt::format("{} 0x{:x}\n", name_of(field), qmd.get(field));
    rest.set(field, 0);
  }
  const std::span<const uint32_t> dwords = std::as_const(rest).dwords();
  for (size_t i = 0; i < dwords.size(); ++i) {
    if (dwords[i] != 0) text += fmt::format("unknown bits in dword {}: 0x{:08x}\n", i, dwords[i]);
  }
  return text;
}

std::string decode_ring_entry(uint64_t entry) {
  constexpr uint64_t kAddressBits = 0xfffffffffcull;
  return fmt::format("segment at 0x{:x}, {} dwords{}", entry & kAddressBits,
                     entry >> 42 & method::kSegmentDwordsMax, entry >> 63 != 0 ? ", sync" : "");
}

}  // namespace leat
