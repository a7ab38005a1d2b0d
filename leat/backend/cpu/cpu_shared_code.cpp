// See cpu_shared_code.h. The file is one in memory (memfd_create(2)). Where the system has none, or
// does not map code from it, it is one in the user's cache, which is removed as soon as it is
// mapped. Source: elf(5), e_type; memfd_create(2); dlopen(3).
#include "leat/backend/cpu/cpu_shared_code.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "leat/base/digest.h"
#include "leat/base/draft.h"
#include "leat/base/files.h"
#include "leat/base/private_folder.h"
#include "leat/base/unique_fd.h"

namespace leat {

struct CpuSharedCode::Object {
  Object(void* opened, UniqueFd opened_file, const std::vector<std::byte>& code)
      : handle(opened), file(std::move(opened_file)), bytes(code) {}
  Object(const Object&) = delete;
  ~Object() { dlclose(handle); }

  void* handle;
  // The loader knows an object by its path: nobody else's may get that number while it is loaded.
  UniqueFd file;
  std::vector<std::byte> bytes;  // tells it from others
};

namespace {

std::string_view text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The handle, or null with the loader's reason.
void* open_path(const std::string& path, std::string& reason) {
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) reason = dlerror();
  return handle;
}

/// `file` is to stay open as long as the handle.
void* open_in_memory(const std::vector<std::byte>& code, UniqueFd& file, std::string& reason) {
  file = UniqueFd(memfd_create("leat-kernels", MFD_CLOEXEC));
  const std::error_code error = file ? write_all(file.get(), text_of(code)) : last_error();
  if (!error) return open_path("/proc/self/fd/" + std::to_string(file.get()), reason);
  reason = error.message();
  return nullptr;
}

void* open_in_cache(const std::vector<std::byte>& code, std::string& reason) {
  const std::string path = cache_folder();
  if (path.empty()) {
    reason = "there is no cache folder";
    return nullptr;
  }
  const Result<PrivateFolder> folder = PrivateFolder::open(path);
  if (!folder) {
    reason = folder.error().message();
    return nullptr;
  }
  // The loader takes a path, and what it leads to runs: nobody else may turn it elsewhere.
  if (const Result<void> own = check_own_place(path); !own) {
    reason = own.error().message();
    return nullptr;
  }
  Digest number;
  fill_random(number);
  const std::string name = std::string(kDraftPrefix) + hex_of(number);
  if (const std::error_code error = folder->write(name, text_of(code))) {
    reason = error.message();
    return nullptr;
  }
  void* const handle = open_path(path + "/" + name, reason);
  folder->remove(name);
  return handle;
}

}  // namespace

bool is_shared_object(const KernelBinary& binary) {
  Elf64_Ehdr header;
  if (binary.code.size() < sizeof header) return false;
  std::memcpy(&header, binary.code.data(), sizeof header);
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_type == ET_DYN;
}

Result<LoadedCode> CpuSharedCode::load(const KernelBinary& binary) {
  std::erase_if(objects_, [](const auto& object) { return object.expired(); });
  std::shared_ptr<const Object> object;
  for (const auto& known : objects_) {
    const std::shared_ptr<const Object> there = known.lock();
    if (there != nullptr && there->bytes == binary.code) object = there;
  }
  if (object == nullptr) {
    std::string in_memory, in_cache;
    UniqueFd file;
    void* handle = open_in_memory(binary.code, file, in_memory);
    if (handle == nullptr) handle = open_in_cache(binary.code, in_cache);
    if (handle == nullptr) {
      return Error(ErrorKind::io, "The code of kernel \"" + binary.name +
                                      "\" cannot be loaded from memory (" + in_memory +
                                      "), nor from the cache (" + in_cache + ").");
    }
    object = std::make_shared<const Object>(handle, std::move(file), binary.code);
    objects_.push_back(object);
  }
  void* const entry = dlsym(object->handle, binary.entry.c_str());
  if (entry == nullptr) {
    return Error(ErrorKind::invalid_argument,
                 "The code of kernel \"" + binary.name + "\" has no (" + binary.entry + ").");
  }
  return LoadedCode(reinterpret_cast<KernelEntry>(entry), std::move(object));
}

}  // namespace leat
