// Push buffers and launch descriptors as text, one method or field a line, for tests, for the check
// and for people.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/backend/nvidia/nvidia_qmd.h"
#include "leat/base/result.h"

namespace leat {

/// A method with one word of data.
struct PushMethod {
  uint32_t subchannel = 0;
  uint32_t method = 0;
  uint32_t data = 0;
};

/// What a push buffer speaks to; the host's methods are the same in both.
enum class PushEngine : uint8_t { compute, copy };

/// Errors: invalid_argument, naming the dword: an unknown header form, a segment that ends inside a
/// method, reserved bits.
Result<std::vector<PushMethod>> read_segment(std::span<const uint32_t> words);

/// The method's name in NVIDIA's headers, or null when Leat does not know it.
const char* name_of_method(PushEngine engine, uint32_t method);
/// "compute SEND_PCAS_A 0x001a2b3c (QMD at 0x1a2b3c00)".
std::string decode_method(PushEngine engine, const PushMethod& method);
/// A line for each method. Errors: as read_segment.
Result<std::string> decode_segment(PushEngine engine, std::span<const uint32_t> words);
/// "name value" for each field that is not zero, in the table's order, then any bits that belong to
/// no known field.
std::string decode_qmd(const Qmd& qmd);
/// An entry of the ring.
std::string decode_ring_entry(uint64_t entry);

}  // namespace leat
