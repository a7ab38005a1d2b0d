// Compiled kernels on disk, so that a second start compiles nothing.
//
// One file per kernel in the cache folder, named by the hash of everything the code depends
// on: the wave program's text (which the schedule has shaped), the target, the emitter's version,
// and for cubins the driver. A file carries a checksum; one that is truncated, corrupt or foreign
// counts as absent and is written anew, and so does a cubin that is not one, for another chip, or
// without the entry and parameters that are promised. Files are written beside their name and
// renamed, so a reader never sees half of one.
//
// The assembler that made a cubin of PTX is no part of the key but stands in the entry: a machine
// with a warm cache needs none, and could not say which one it would use.
#pragma once

#include <optional>
#include <string>

#include "leat/base/kernel_binary.h"

namespace leat {

class KernelCache {
 public:
  /// `folder` empty: nothing is read or written.
  explicit KernelCache(std::string folder) : folder_(std::move(folder)) {}

  /// A binary for `target`.
  std::optional<KernelBinary> find(uint64_t key, const Target& target) const;
  /// Failing to write is no error: the next start compiles again.
  void store(uint64_t key, const KernelBinary& binary) const;

  static uint64_t key_of(const std::string& program_text, const Target& target,
                         const std::string& emitter_version, const std::string& driver);

 private:
  std::string path_of(uint64_t key) const;
  std::string folder_;
};

}  // namespace leat
