// Linux gives the 8 KiB of state to who asks, for all threads of the process from then on; without,
// the first instruction on them is an illegal one. It refuses where a thread's stack for signals is
// too small to hold that state.
// Source: Linux, Documentation/arch/x86/xstate.rst; arch/x86/include/uapi/asm/prctl.h,
// ARCH_REQ_XCOMP_PERM; arch/x86/include/asm/fpu/types.h, XFEATURE_XTILE_DATA.
#include "leat/backend/cpu/cpu_tiles.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace leat {

namespace {

std::string ask() {
#if defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0) return "";
  const char* const why = errno == ENOSPC ? " (a thread's stack for signals is too small)" : "";
  return std::string("arch_prctl(ARCH_REQ_XCOMP_PERM) fails: ") + std::strerror(errno) + why;
#else
  return "there are none";
#endif
}

}  // namespace

const std::string& tiles_refusal() {
  static const std::string refusal = ask();
  return refusal;
}

}  // namespace leat
