// Compiled kernels on disk, so that a second start compiles nothing.
//
// One entry per kernel in the cache (cache_store.h), named by the hash of everything the code
// depends on: the step's key, which lowering follows (kernel_key.h), or the wave program's text;
// all of the target, the build of the compiler, and for cubins the driver. Damaged or foreign
// entries count as absent and are written anew, and so does a cubin that is not one, for another
// chip, or without the entry and parameters that are promised.
//
// The assembler that made a cubin of PTX is no part of the key but stands in the entry: a machine
// with a warm cache needs none, and could not say which one it would use.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "leat/base/cache_store.h"
#include "leat/base/kernel_binary.h"

namespace leat {

class KernelCache {
 public:
  /// `build` is emitter_version() for the targets to come. With either empty, or a folder that is
  /// not to be trusted, nothing is read or written.
  KernelCache(const std::string& folder, std::string build);

  /// A binary for `target`.
  std::optional<KernelBinary> find(const CacheKey& key, const Target& target) const;
  /// Failing to write is no error: the next start compiles again.
  void store(const CacheKey& key, const KernelBinary& binary);

  /// `identity` decides the program.
  CacheKey key_of(std::string_view identity, const Target& target, std::string_view driver) const;

 private:
  std::string build_;
  std::optional<CacheStore> store_;
};

}  // namespace leat
