// The launch descriptor (QMD): one table of fields with their bits in the three versions that Leat
// writes. Writer, decoder, check and mock's reader all go by it.
// Source: NVIDIA/open-gpu-doc classes/compute/clc6c0qmd.h (3.0), clcbc0qmd.h (4.0), clcdc0qmd.h
// and clcec0qmd.h (5.0).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "leat/backend/nvidia/nvidia_card.h"

namespace leat {

enum class QmdField : uint8_t {
#define LEAT_QMD_FIELD(name, ...) name,
#include "leat/backend/nvidia/nvidia_qmd.def"
#undef LEAT_QMD_FIELD
  count
};

struct QmdBits {
  int16_t high = -1;  // -1: the version lacks the field
  int16_t low = -1;
  uint8_t shift = 0;  // the field holds value >> shift
};

QmdBits bits_of(QmdVersion version, QmdField field);
const char* name_of(QmdField field);
/// 64 or 96.
uint32_t qmd_dwords(QmdVersion version);

inline constexpr uint32_t kQmdDwordsMax = 96;
inline constexpr uint64_t kQmdAlignment = 256;

/// A QMD in host memory.
class Qmd {
 public:
  explicit Qmd(QmdVersion version) : version_(version) {}
  QmdVersion version() const { return version_; }
  /// Must fit the field's bits (after its shift); a field that the version lacks is left out.
  void set(QmdField field, uint64_t value);
  uint64_t get(QmdField field) const;
  void set_grid(const std::array<uint32_t, 3>& workgroups);
  // Addresses stand in two fields, shifted as the version wants.
  void set_program(uint64_t address);
  void set_bank0(uint64_t address, uint32_t size_bytes);
  /// Release 0: a 64-bit payload at `address` once the grid is done and its writes are visible.
  void set_release(uint64_t address, uint64_t payload);
  /// Brings so much code, in whole blocks of 256 bytes and as much as the field can say, into the
  /// instruction cache as the grid is launched. The code starts at a multiple of 256.
  void set_prefetch(uint64_t address, uint64_t size_bytes);
  /// Schedules `next`, which lies at `address`, once this one is done, and brings its code instead
  /// of this one's into the instruction cache as this one ends.
  void set_dependent(uint64_t address, const Qmd& next);
  uint64_t program() const;
  uint64_t bank0() const;
  uint64_t prefetch_address() const;
  uint64_t prefetch_size_bytes() const;
  uint64_t release_address() const;
  uint64_t release_payload() const;
  std::span<uint32_t> dwords() { return {dwords_.data(), qmd_dwords(version_)}; }
  std::span<const uint32_t> dwords() const { return {dwords_.data(), qmd_dwords(version_)}; }

 private:
  void set_pair(QmdField lower, QmdField upper, uint64_t value);
  uint64_t get_pair(QmdField lower, QmdField upper) const;

  QmdVersion version_;
  std::array<uint32_t, kQmdDwordsMax> dwords_ = {};
};

}  // namespace leat
