#include "leat/backend/nvidia/nvidia_qmd.h"

#include <algorithm>

namespace leat {

namespace {

struct FieldRow {
  const char* name;
  QmdBits bits[3];  // by QmdVersion
};

constexpr FieldRow kFields[] = {
#define LEAT_QMD_FIELD(name, high3, low3, shift3, high4, low4, shift4, high5, low5, shift5) \
  {#name, {{high3, low3, shift3}, {high4, low4, shift4}, {high5, low5, shift5}}},
#include "leat/backend/nvidia/nvidia_qmd.def"
#undef LEAT_QMD_FIELD
};
static_assert(std::size(kFields) == static_cast<size_t>(QmdField::count));

uint32_t program_shift(QmdVersion version) { return version == QmdVersion::v5_0 ? 4 : 0; }
uint32_t bank_shift(QmdVersion version) { return version == QmdVersion::v3_0 ? 0 : 6; }

constexpr uint64_t kProgramAlignment = 128;
constexpr uint64_t kBankAlignment = 256;
constexpr uint64_t kPrefetchUnit = 256;

}  // namespace

QmdBits bits_of(QmdVersion version, QmdField field) {
  return kFields[static_cast<size_t>(field)].bits[static_cast<size_t>(version)];
}

const char* name_of(QmdField field) { return kFields[static_cast<size_t>(field)].name; }

uint32_t qmd_dwords(QmdVersion version) { return version == QmdVersion::v3_0 ? 64 : 96; }

void Qmd::set(QmdField field, uint64_t value) {
  const QmdBits bits = bits_of(version_, field);
  if (bits.low < 0) return;
  CHECK((value & ((uint64_t{1} << bits.shift) - 1)) == 0);
  value >>= bits.shift;
  const auto width = static_cast<uint32_t>(bits.high - bits.low + 1);
  CHECK(value >> width == 0);
  // No field is wider than 32 bits, and none of these crosses a dword.
  const auto low = static_cast<uint32_t>(bits.low);
  const uint64_t mask = ((uint64_t{1} << width) - 1) << low % 32;
  uint32_t& dword = dwords_[low / 32];
  dword = static_cast<uint32_t>((dword & ~mask) | value << low % 32);
}

void Qmd::set_pair(QmdField lower, QmdField upper, uint64_t value) {
  set(lower, value & 0xffffffff);
  set(upper, value >> 32);
}

uint64_t Qmd::get_pair(QmdField lower, QmdField upper) const {
  return get(lower) | get(upper) << 32;
}

void Qmd::set_program(uint64_t address) {
  const uint32_t shift = program_shift(version_);
  CHECK(address % kProgramAlignment == 0);
  set_pair(QmdField::program_address_lower, QmdField::program_address_upper, address >> shift);
}

uint64_t Qmd::program() const {
  return get_pair(QmdField::program_address_lower, QmdField::program_address_upper)
         << program_shift(version_);
}

void Qmd::set_bank0(uint64_t address, uint32_t size_bytes) {
  CHECK(address % kBankAlignment == 0);
  set(QmdField::bank0_valid, 1);
  set_pair(QmdField::bank0_address_lower, QmdField::bank0_address_upper,
           address >> bank_shift(version_));
  set(QmdField::bank0_size, size_bytes);
}

uint64_t Qmd::bank0() const {
  return get_pair(QmdField::bank0_address_lower, QmdField::bank0_address_upper)
         << bank_shift(version_);
}

void Qmd::set_grid(const std::array<uint32_t, 3>& workgroups) {
  set(QmdField::grid_width, workgroups[0]);
  set(QmdField::grid_height, workgroups[1]);
  set(QmdField::grid_depth, workgroups[2]);
}

void Qmd::set_release(uint64_t address, uint64_t payload) {
  constexpr uint32_t kTwoWords = 2;
  CHECK(address % sizeof payload == 0);
  set(QmdField::release0_enable, 1);
  set(QmdField::release0_structure_size, kTwoWords);
  set(QmdField::release0_payload64, 1);
  set_pair(QmdField::release0_address_lower, QmdField::release0_address_upper, address);
  set_pair(QmdField::release0_payload_lower, QmdField::release0_payload_upper, payload);
}

uint64_t Qmd::release_address() const {
  return get_pair(QmdField::release0_address_lower, QmdField::release0_address_upper);
}

uint64_t Qmd::release_payload() const {
  return get_pair(QmdField::release0_payload_lower, QmdField::release0_payload_upper);
}

void Qmd::set_prefetch(uint64_t address, uint64_t size_bytes) {
  constexpr uint64_t kBlocksMax = 0x1ff;
  CHECK(address % kPrefetchUnit == 0);
  set_pair(QmdField::prefetch_address_lower, QmdField::prefetch_address_upper,
           address / kPrefetchUnit);
  set(QmdField::prefetch_size,
      std::min((size_bytes + kPrefetchUnit - 1) / kPrefetchUnit, kBlocksMax));
}

uint64_t Qmd::prefetch_address() const {
  return get_pair(QmdField::prefetch_address_lower, QmdField::prefetch_address_upper) *
         kPrefetchUnit;
}

uint64_t Qmd::prefetch_size_bytes() const { return get(QmdField::prefetch_size) * kPrefetchUnit; }

void Qmd::set_dependent(uint64_t address, const Qmd& next) {
  constexpr uint32_t kSchedule = 1;
  constexpr uint32_t kAfter = 1;  // PROGRAM_PREFETCH_TYPE_PREFETCH_POST
  set_prefetch(next.prefetch_address(), next.prefetch_size_bytes());
  set(QmdField::prefetch_type, kAfter);
  CHECK(address % kQmdAlignment == 0);
  set(QmdField::dependent0_enable, 1);
  set(QmdField::dependent0_action, kSchedule);
  set(QmdField::dependent0_prefetch, 1);
  set(QmdField::dependent0_pointer, address);
}

uint64_t Qmd::get(QmdField field) const {
  const QmdBits bits = bits_of(version_, field);
  if (bits.low < 0) return 0;
  const auto width = static_cast<uint32_t>(bits.high - bits.low + 1);
  const auto low = static_cast<uint32_t>(bits.low);
  const uint64_t value = dwords_[low / 32] >> low % 32 & ((uint64_t{1} << width) - 1);
  return value << bits.shift;
}

}  // namespace leat
