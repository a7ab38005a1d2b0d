// Compiled kernels on disk, so that a second start compiles nothing.
//
// One file per kernel in the cache folder, named by the hash of everything the code depends
// on: the wave program's text, the target, the emitter's version. A file carries a checksum; one
// that is truncated, corrupt or foreign counts as absent and is written anew. Files are written
// beside their name and renamed, so a reader never sees half of one.
#pragma once

#include <optional>
#include <string>

#include "leat/base/kernel_binary.h"

namespace leat {

class KernelCache {
 public:
  /// `folder` empty: nothing is read or written.
  explicit KernelCache(std::string folder) : folder_(std::move(folder)) {}

  std::optional<KernelBinary> find(uint64_t key) const;
  /// Failing to write is no error: the next start compiles again.
  void store(uint64_t key, const KernelBinary& binary) const;

  static uint64_t key_of(const std::string& program_text, const Target& target,
                         const std::string& emitter_version);

 private:
  std::string path_of(uint64_t key) const;
  std::string folder_;
};

}  // namespace leat
