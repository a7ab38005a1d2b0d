// Packets as text, a line for each register or packet, for tests, for the check and for people.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat {

struct AmdPacket {
  size_t index = 0;  // of its first dword
  uint32_t opcode = 0;
  std::span<const uint32_t> body;  // empty for a packet of one word

  uint64_t address(size_t dword) const { return uint64_t{body[dword + 1]} << 32 | body[dword]; }
};

/// Errors: invalid_argument, naming the dword: no header, a packet that is not of this route or not
/// of its length.
Result<std::vector<AmdPacket>> read_packets(std::span<const uint32_t> words);

/// A line for each register that is set and each other packet. Errors: as read_packets.
Result<std::string> decode_packets(std::span<const uint32_t> words);
/// The register's name, or null when it is none that this route sets.
const char* name_of_register(uint32_t offset);

}  // namespace leat
