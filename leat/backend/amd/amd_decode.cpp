// Source: as amd_pm4.h.
#include "leat/backend/amd/amd_decode.h"

#include <fmt/format.h>

#include <algorithm>

#include "leat/backend/amd/amd_pm4.h"
#include "leat/route/packet_text.h"

namespace leat {

namespace {

struct PacketFacts {
  uint32_t opcode;
  const char* name;
  uint32_t body_least, body_most;
};
constexpr PacketFacts kPackets[] = {
    {pm4::kNop, "NOP", 1, 0x3fff},
    {pm4::kDispatchDirect, "DISPATCH_DIRECT", 4, 4},
    {pm4::kWaitRegMem, "WAIT_REG_MEM", 6, 6},
    {pm4::kWaitRegMem64, "WAIT_REG_MEM64", 8, 8},
    {pm4::kIndirectBuffer, "INDIRECT_BUFFER", 3, 3},
    {pm4::kEventWrite, "EVENT_WRITE", 1, 1},
    {pm4::kReleaseMem, "RELEASE_MEM", 7, 7},
    {pm4::kDmaData, "DMA_DATA", 6, 6},
    {pm4::kAcquireMem, "ACQUIRE_MEM", 7, 7},
    {pm4::kSetShReg, "SET_SH_REG", 2, 17},
};

constexpr NumberName kRegisters[] = {
    {0x204, "COMPUTE_START_X"},
    {0x205, "COMPUTE_START_Y"},
    {0x206, "COMPUTE_START_Z"},
    {0x207, "COMPUTE_NUM_THREAD_X"},
    {0x208, "COMPUTE_NUM_THREAD_Y"},
    {0x209, "COMPUTE_NUM_THREAD_Z"},
    {0x20c, "COMPUTE_PGM_LO"},
    {0x20d, "COMPUTE_PGM_HI"},
    {0x210, "COMPUTE_DISPATCH_SCRATCH_BASE_LO"},
    {0x211, "COMPUTE_DISPATCH_SCRATCH_BASE_HI"},
    {0x212, "COMPUTE_PGM_RSRC1"},
    {0x213, "COMPUTE_PGM_RSRC2"},
    {0x215, "COMPUTE_RESOURCE_LIMITS"},
    {0x216, "COMPUTE_STATIC_THREAD_MGMT_SE0"},
    {0x217, "COMPUTE_STATIC_THREAD_MGMT_SE1"},
    {0x218, "COMPUTE_TMPRING_SIZE"},
    {0x219, "COMPUTE_STATIC_THREAD_MGMT_SE2"},
    {0x21a, "COMPUTE_STATIC_THREAD_MGMT_SE3"},
    {0x228, "COMPUTE_PGM_RSRC3"},
    {0x22b, "COMPUTE_STATIC_THREAD_MGMT_SE4"},
    {0x22c, "COMPUTE_STATIC_THREAD_MGMT_SE5"},
    {0x22d, "COMPUTE_STATIC_THREAD_MGMT_SE6"},
    {0x22e, "COMPUTE_STATIC_THREAD_MGMT_SE7"},
    {0x240, "COMPUTE_USER_DATA_0"},
    {0x241, "COMPUTE_USER_DATA_1"},
};

const PacketFacts* facts_of(uint32_t opcode) {
  const auto* facts = std::ranges::find(kPackets, opcode, &PacketFacts::opcode);
  return facts == std::end(kPackets) ? nullptr : facts;
}

Error bad_word(size_t index, uint32_t word, const char* what) {
  return bad_dword("the packets", index, word, what);
}

std::string explain_release(const AmdPacket& packet) {
  const uint64_t value = packet.address(4);
  if (packet.body[1] == pm4::kReleaseClock) {
    return fmt::format("clock to 0x{:x}", packet.address(2));
  }
  return fmt::format("{} to 0x{:x}", value, packet.address(2));
}

/// What the packet means, or nothing.
std::string explain(const AmdPacket& packet) {
  switch (packet.opcode) {
    case pm4::kDispatchDirect:
      return fmt::format("{} x {} x {} workgroups", packet.body[0], packet.body[1], packet.body[2]);
    case pm4::kEventWrite: return packet.body[0] == pm4::kPartialFlush ? "CS_PARTIAL_FLUSH" : "";
    case pm4::kAcquireMem: return fmt::format("GCR 0x{:x}", packet.body[6]);
    case pm4::kReleaseMem: return explain_release(packet);
    case pm4::kIndirectBuffer:
      return fmt::format("{} dwords at 0x{:x}", packet.body[2] & pm4::kBufferDwordsMax,
                         packet.address(0));
    case pm4::kWaitRegMem: return fmt::format("0x{:x} is {}", packet.address(1), packet.body[3]);
    case pm4::kWaitRegMem64:
      return fmt::format("0x{:x} has come to {}", packet.address(1), packet.address(3));
    case pm4::kDmaData:
      return fmt::format("{} bytes from 0x{:x} to 0x{:x}", packet.body[5] & ~pm4::kDmaRawWait,
                         packet.address(1), packet.address(3));
    default: return "";
  }
}

std::string decode(const AmdPacket& packet) {
  std::string text;
  if (packet.opcode == pm4::kSetShReg) {
    for (uint32_t i = 1; i < packet.body.size(); ++i) {
      const uint32_t offset = packet.body[0] + i - 1;
      text += packet_line("SET_SH_REG", name_of_register(offset), offset, packet.body[i], "");
      text += "\n";
    }
    return text;
  }
  text = facts_of(packet.opcode)->name;
  for (const uint32_t word : packet.body) text += fmt::format(" {:08x}", word);
  const std::string meaning = explain(packet);
  if (!meaning.empty()) text += fmt::format(" ({})", meaning);
  return text + "\n";
}

}  // namespace

const char* name_of_register(uint32_t offset) { return find_name(kRegisters, offset); }

Result<std::vector<AmdPacket>> read_packets(std::span<const uint32_t> words) {
  std::vector<AmdPacket> packets;
  for (size_t i = 0; i < words.size();) {
    const uint32_t word = words[i];
    if (word == pm4::kNopWord) {
      packets.push_back({i++, pm4::kNop, {}});
      continue;
    }
    if (word >> 30 != 3) return bad_word(i, word, "is no header of type 3");
    const uint32_t opcode = word >> 8 & 0xff, size = (word >> 16 & 0x3fff) + 1;
    const PacketFacts* facts = facts_of(opcode);
    if (facts == nullptr) return bad_word(i, word, "is a packet that this route does not send");
    if (size < facts->body_least || size > facts->body_most || size > words.size() - i - 1) {
      return bad_word(i, word, "counts wrongly");
    }
    packets.push_back({i, opcode, words.subspan(i + 1, size)});
    i += 1 + size;
  }
  return packets;
}

Result<std::string> decode_packets(std::span<const uint32_t> words) {
  TRY_ASSIGN(const std::vector<AmdPacket> packets, read_packets(words));
  std::string text;
  for (const AmdPacket& packet : packets) text += decode(packet);
  return text;
}

}  // namespace leat
