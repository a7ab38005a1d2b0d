// See build_identity.h. The loader knows where each object's notes lie in memory.
#include "leat/base/build_identity.h"

#include <elf.h>
#include <link.h>

#include <cstring>

#include "leat/base/digest.h"

namespace leat {

namespace {

struct Search {
  uintptr_t address = 0;
  std::string id;
};

size_t aligned(size_t size_bytes) { return (size_bytes + 3) & ~size_t{3}; }

std::string id_in_notes(const std::byte* notes, size_t size_bytes) {
  ElfW(Nhdr) note;
  while (size_bytes >= sizeof note) {
    std::memcpy(&note, notes, sizeof note);
    const size_t content = sizeof note + aligned(note.n_namesz);
    const size_t end = content + aligned(note.n_descsz);
    if (end > size_bytes) break;
    const bool is_gnu = note.n_namesz == 4 && std::memcmp(notes + sizeof note, "GNU", 4) == 0;
    if (is_gnu && note.n_type == NT_GNU_BUILD_ID) return hex_of({notes + content, note.n_descsz});
    notes += end;
    size_bytes -= end;
  }
  return "";
}

int look_at(dl_phdr_info* object, size_t, void* data) {
  Search& search = *static_cast<Search*>(data);
  bool is_it = false;
  std::string id;
  for (size_t i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + part.p_vaddr;
    const bool holds = search.address >= begin && search.address - begin < part.p_memsz;
    if (part.p_type == PT_LOAD && holds) is_it = true;
    if (part.p_type == PT_NOTE && id.empty()) {
      id = id_in_notes(reinterpret_cast<const std::byte*>(begin), part.p_memsz);
    }
  }
  if (is_it) search.id = std::move(id);
  return is_it ? 1 : 0;  // 1 ends the search
}

}  // namespace

std::string build_id_of(const void* code) {
  Search search{reinterpret_cast<uintptr_t>(code), ""};
  dl_iterate_phdr(look_at, &search);
  return search.id;
}

}  // namespace leat
