// See borrowed_rights.h. Sources: capabilities(7), "Effect of user ID changes on capabilities";
// setfsuid(2).
#include "leat/base/borrowed_rights.h"

#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace leat {

namespace {

constexpr uint32_t kFileCapabilities = CAP_TO_MASK(CAP_CHOWN) | CAP_TO_MASK(CAP_DAC_OVERRIDE) |
                                       CAP_TO_MASK(CAP_DAC_READ_SEARCH) | CAP_TO_MASK(CAP_FOWNER) |
                                       CAP_TO_MASK(CAP_FSETID) | CAP_TO_MASK(CAP_LINUX_IMMUTABLE) |
                                       CAP_TO_MASK(CAP_MKNOD);  // all below 32

// glibc has no call for these; both are of this thread.
bool capabilities(long call, __user_cap_data_struct* data) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  return syscall(call, &header, data) == 0;
}

/// Set in main(), before there are other threads.
bool& are_laid_down() {
  static bool are = false;
  return are;
}

void set_file_ids(uid_t user, gid_t group) {
  setfsuid(user);
  setfsgid(group);
}

}  // namespace

bool has_borrowed_rights() {
  return getauxval(AT_SECURE) != 0 || geteuid() != getuid() || getegid() != getgid();
}

uid_t file_user() { return static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1))); }

void lay_down_file_rights() {
  if (!has_borrowed_rights()) return;
  are_laid_down() = true;
  set_file_ids(getuid(), getgid());
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (!capabilities(SYS_capget, data)) return;
  data[0].effective &= ~kFileCapabilities;
  capabilities(SYS_capset, data);
}

BorrowedFileRights::BorrowedFileRights() {
  if (!are_laid_down()) return;
  Rights now = {file_user(), static_cast<gid_t>(setfsgid(static_cast<gid_t>(-1))), {}};
  if (!capabilities(SYS_capget, now.capabilities)) return;
  before_ = now;
  set_file_ids(geteuid(), getegid());
  now.capabilities[0].effective |= now.capabilities[0].permitted & kFileCapabilities;
  capabilities(SYS_capset, now.capabilities);
}

BorrowedFileRights::~BorrowedFileRights() {
  if (!before_) return;
  set_file_ids(before_->user, before_->group);
  capabilities(SYS_capset, before_->capabilities);
}

}  // namespace leat
