// See cpu_code_rights.h. Does to one page what the JIT does to a kernel's.
// Source: prctl(2), PR_SET_MDWE; systemd.exec(5), MemoryDenyWriteExecute=.
#include "leat/backend/cpu/cpu_code_rights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace leat {

Result<void> check_code_rights() {
  const auto size_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const page =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return Error(ErrorKind::out_of_memory,
                 std::string("A page of memory cannot be had: ") + std::strerror(errno) + ".");
  }
  const int refused = mprotect(page, size_bytes, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
  munmap(page, size_bytes);
  if (refused == 0) return {};
  return Error(ErrorKind::unsupported,
               "This process may not run code that it makes (mprotect: " +
                   std::string(std::strerror(refused)) +
                   "), as under systemd's MemoryDenyWriteExecute or SELinux; packed models (leat "
                   "pack) and other devices need no such right.");
}

}  // namespace leat
