// A program may have more rights than whoever started it (setuid, setgid, file capabilities), so
// that it reaches a device. It must not lend them: what is named on its command line is read and
// written with the rights of whoever named it.
// The rights to files are a thread's own; a thread that is started has those of who starts it.
#pragma once

#include <linux/capability.h>
#include <sys/types.h>

#include <optional>

namespace leat {

/// Whether this program has more rights than whoever started it.
bool has_borrowed_rights();

/// From here on this thread reaches files with the rights of whoever started the program; first of
/// all in main(). Nothing without borrowed rights.
void lay_down_file_rights();

/// While it lives, this thread has again what was laid down: for device files and drivers.
class BorrowedFileRights {
 public:
  BorrowedFileRights();
  BorrowedFileRights(const BorrowedFileRights&) = delete;
  ~BorrowedFileRights();

 private:
  struct Rights {
    uid_t user;
    gid_t group;
    __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];
  };
  std::optional<Rights> before_;
};

/// Whose files this thread makes.
uid_t file_user();

}  // namespace leat
