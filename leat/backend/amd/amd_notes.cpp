// Source: LLVM's User Guide for AMDGPU Backend, "Note Records" and "Code Object V5 Metadata"; the
// MessagePack specification, "Formats". Floats, extensions and negative numbers occur in no such
// metadata.
#include "leat/backend/amd/amd_notes.h"

#include <elf.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "leat/base/numbers.h"

namespace leat {

namespace {

constexpr uint32_t kMetadataNote = 32;  // NT_AMDGPU_METADATA
constexpr std::string_view kNoteOwner = "AMDGPU";
constexpr int kDepthMax = 16;

/// Reads values in order. Once something is wrong, all that follows is empty.
class PackReader {
 public:
  explicit PackReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool is_good() const { return is_good_; }
  uint64_t read_number() {
    const uint8_t tag = take();
    if (tag < 0x80) return tag;
    if (tag >= 0xcc && tag <= 0xcf) return take_number(size_t{1} << (tag - 0xcc));
    if (tag == 0xc2 || tag == 0xc3) return tag & 1;  // false and true
    return fail();
  }
  std::string_view read_text() {
    const uint8_t tag = take();
    if ((tag & 0xe0) == 0xa0) return take_text(tag & 0x1f);
    if (tag >= 0xd9 && tag <= 0xdb) return take_text(take_number(size_t{1} << (tag - 0xd9)));
    return take_text(fail());
  }
  /// How many values follow, or pairs of them in a map.
  uint64_t read_array() { return read_count(0x90, 0xdc); }
  uint64_t read_map() { return read_count(0x80, 0xde); }

  /// Passes over one value.
  void skip(int depth = 0) {
    const uint8_t tag = peek();
    if (depth > kDepthMax) {
      fail();
    } else if ((tag & 0xf0) == 0x80 || tag == 0xde || tag == 0xdf) {
      for (uint64_t left = 2 * read_map(); left > 0 && is_good_; --left) skip(depth + 1);
    } else if ((tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd) {
      for (uint64_t left = read_array(); left > 0 && is_good_; --left) skip(depth + 1);
    } else if ((tag & 0xe0) == 0xa0 || (tag >= 0xd9 && tag <= 0xdb)) {
      (void)read_text();
    } else {
      (void)read_number();
    }
  }

 private:
  uint64_t fail() {
    is_good_ = false;
    return 0;
  }
  uint8_t peek() { return static_cast<uint8_t>(take_number(1, false)); }
  uint8_t take() { return static_cast<uint8_t>(take_number(1)); }
  /// Big endian.
  uint64_t take_number(size_t size_bytes, bool moves = true) {
    if (!is_good_ || bytes_.size() - at_ < size_bytes) return fail();
    uint64_t value = 0;
    for (size_t i = 0; i < size_bytes; ++i) {
      value = value << 8 | static_cast<uint8_t>(bytes_[at_ + i]);
    }
    if (moves) at_ += size_bytes;
    return value;
  }
  std::string_view take_text(uint64_t size_bytes) {
    if (!is_good_ || bytes_.size() - at_ < size_bytes) {
      fail();
      return {};
    }
    const char* text = reinterpret_cast<const char*>(bytes_.data()) + at_;
    at_ += size_bytes;
    return {text, size_bytes};
  }
  uint64_t read_count(uint8_t small, uint8_t large) {
    const uint8_t tag = take();
    if ((tag & 0xf0) == small) return tag & 0xf;
    if (tag == large) return take_number(2);
    if (tag == large + 1) return take_number(4);
    return fail();
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  bool is_good_ = true;
};

void read_argument(PackReader& reader, AmdNotedArgument& argument) {
  for (uint64_t left = reader.read_map(); left > 0 && reader.is_good(); --left) {
    const std::string_view key = reader.read_text();
    if (key == ".offset") {
      argument.offset_bytes = reader.read_number();
    } else if (key == ".size") {
      argument.size_bytes = reader.read_number();
    } else if (key == ".value_kind") {
      argument.kind = reader.read_text();
    } else {
      reader.skip();
    }
  }
}

void read_arguments(PackReader& reader, AmdKernelNotes& kernel) {
  for (uint64_t left = reader.read_array(); left > 0 && reader.is_good(); --left) {
    read_argument(reader, kernel.arguments.emplace_back());
  }
}

void read_kernel(PackReader& reader, AmdKernelNotes& kernel) {
  struct Field {
    std::string_view key;
    uint64_t AmdKernelNotes::*member;
  };
  constexpr Field kNumbers[] = {
      {".kernarg_segment_size", &AmdKernelNotes::kernarg_bytes},
      {".group_segment_fixed_size", &AmdKernelNotes::group_bytes},
      {".private_segment_fixed_size", &AmdKernelNotes::private_bytes},
      {".wavefront_size", &AmdKernelNotes::wave_lanes},
      {".sgpr_count", &AmdKernelNotes::sgprs},
      {".vgpr_count", &AmdKernelNotes::vgprs},
      {".sgpr_spill_count", &AmdKernelNotes::sgpr_spills},
      {".vgpr_spill_count", &AmdKernelNotes::vgpr_spills},
      {".max_flat_workgroup_size", &AmdKernelNotes::workgroup_size_max},
  };
  for (uint64_t left = reader.read_map(); left > 0 && reader.is_good(); --left) {
    const std::string_view key = reader.read_text();
    const Field* number = std::ranges::find(kNumbers, key, &Field::key);
    if (number != std::end(kNumbers)) {
      kernel.*number->member = reader.read_number();
    } else if (key == ".symbol") {
      kernel.symbol = reader.read_text();
    } else if (key == ".uses_dynamic_stack") {
      kernel.has_dynamic_stack = reader.read_number() != 0;
    } else if (key == ".args") {
      read_arguments(reader, kernel);
    } else {
      reader.skip();
    }
  }
}

/// The descriptor of the first metadata note: u32 sizes of name and data, u32 type, both padded.
std::optional<std::span<const std::byte>> find_metadata(std::span<const std::byte> notes) {
  for (uint64_t at = 0;;) {
    const auto header = read_at<Elf64_Nhdr>(notes, at);
    if (!header) return std::nullopt;
    const uint64_t name = at + sizeof(*header);
    const uint64_t data = name + round_up(uint64_t{header->n_namesz}, 4);
    if (data > notes.size() || header->n_descsz > notes.size() - data) return std::nullopt;
    const std::string_view owner(reinterpret_cast<const char*>(notes.data()) + name,
                                 header->n_namesz);
    if (header->n_type == kMetadataNote && owner.starts_with(kNoteOwner)) {
      return notes.subspan(data, header->n_descsz);
    }
    at = data + round_up(uint64_t{header->n_descsz}, 4);
  }
}

}  // namespace

Result<AmdKernelNotes> read_amd_notes(const ElfFile& file, const std::string& symbol) {
  std::optional<std::span<const std::byte>> metadata;
  for (const ElfSection& section : file.sections()) {
    if (section.type == SHT_NOTE && !metadata) metadata = find_metadata(section.bytes);
  }
  if (!metadata) return file.error("has no metadata");
  PackReader reader(*metadata);
  std::string target;
  std::optional<AmdKernelNotes> found;
  for (uint64_t left = reader.read_map(); left > 0 && reader.is_good(); --left) {
    const std::string_view key = reader.read_text();
    if (key == "amdhsa.target") {
      target = reader.read_text();
    } else if (key == "amdhsa.kernels") {
      for (uint64_t kernels = reader.read_array(); kernels > 0 && reader.is_good(); --kernels) {
        AmdKernelNotes kernel;
        read_kernel(reader, kernel);
        if (kernel.symbol == symbol) found = std::move(kernel);
      }
    } else {
      reader.skip();
    }
  }
  if (!reader.is_good()) return file.error("has metadata that is no MessagePack");
  if (!found) return file.error("has no metadata of (" + symbol + ")");
  found->target = target;
  return *found;
}

}  // namespace leat
