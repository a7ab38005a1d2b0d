// How a device's memory and the host's lie to each other, and the causes for which bytes are copied
// all the same. Plain data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace leat {

/// `unified`: there is one memory. `discrete_window`: the device has its own, and the host can map
/// it (a large BAR). `discrete`: the device has its own, and only the device reaches it.
enum class MemoryModel : uint8_t { unified, discrete_window, discrete };
std::string_view name_of(MemoryModel model);

/// What a device says of its memory. Mapped memory is coherent everywhere: a backend takes no
/// other.
struct MemoryFacts {
  MemoryModel model = MemoryModel::unified;
  uint64_t window_bytes = 0;          // device memory that the host can map; 0 without a window
  bool imports_host = false;          // import_host works
  size_t import_alignment_bytes = 1;  // of address and size of imported host memory
  bool imports_dma_buf = false;
  bool exports_dma_buf = false;
};

/// Why bytes were moved that a kernel neither read nor wrote.
enum class CopyCause : uint8_t {
  weights,          // constants to the device, once at load
  input_tensor,     // from a caller's tensor into an input's buffer; none when written in place
  input_reordered,  // on the host, to the order in which the device wants them
  input_staged,     // through a second buffer, because the host cannot reach the first
  output_tensor,    // from an output's buffer into a tensor for the caller; none when read in place
  output_reordered,  // on the host, from the device's order
  output_staged,     // through a second buffer
  receipt,           // by the device: the slot's ticket, 8 bytes a run
};
inline constexpr size_t kCopyCauses = 8;
std::string_view name_of(CopyCause cause);

/// Bytes copied, by cause.
struct CopyCounts {
  std::array<uint64_t, kCopyCauses> bytes = {};

  uint64_t& operator[](CopyCause cause) { return bytes[static_cast<size_t>(cause)]; }
  uint64_t operator[](CopyCause cause) const { return bytes[static_cast<size_t>(cause)]; }
  /// Bytes of tensors on the hot path: neither weights, which are moved once, nor receipts.
  uint64_t hot_bytes() const;
  /// What went through a second buffer.
  uint64_t staged_bytes() const {
    return (*this)[CopyCause::input_staged] + (*this)[CopyCause::output_staged];
  }
};

}  // namespace leat
