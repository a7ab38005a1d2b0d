// What a queue checks of a launch and a copy before it takes them, and a device of a buffer: once
// for all routes. Inline, since launches are the hot path; the sentences are not.
#pragma once

#include <span>

#include "leat/device/device.h"

namespace leat {

/// Errors: invalid_argument, naming sizes and limit.
Error argument_too_large(const Kernel& kernel, uint64_t size_bytes, uint64_t bytes_max);
Error copy_sizes_differ(const BufferRange& target, const BufferRange& source);

/// What check_range() finds nothing wrong with; a few compares, where that makes a Result.
inline bool is_in_buffer(const BufferRange& range, const Device* owner) {
  const size_t size_bytes = range.buffer != nullptr ? range.buffer->size_bytes() : 0;
  return range.buffer != nullptr && range.buffer->device() != nullptr &&
         (owner == nullptr || range.buffer->device() == owner) &&
         range.offset_bytes <= size_bytes && range.size_bytes <= size_bytes - range.offset_bytes;
}

/// That so many workgroups can be launched, and that each argument lies in its buffer, which is
/// `owner`'s where that is given, and is no larger than `bytes_max` (the target's
/// argument_bytes_max). Number and alignment are the caller's duty. Errors: invalid_argument.
inline Result<void> check_launch(const Kernel& kernel, std::span<const BufferRange> arguments,
                                 uint32_t groups_x, const Device* owner,
                                 uint64_t bytes_max = UINT64_MAX) {
  CHECK(arguments.size() == kernel.arguments().size());
  const Grid& most = kernel.grid();
  CHECK(groups_x == most[0] ||
        (groups_x > 0 && groups_x < most[0] && most[1] == 1 && most[2] == 1));
  for (const BufferRange& range : arguments) {
    CHECK(range.offset_bytes % kBufferAlignment == 0);
    if (!is_in_buffer(range, owner)) TRY(check_range(range, owner));
    if (range.size_bytes > bytes_max) {
      return argument_too_large(kernel, range.size_bytes, bytes_max);
    }
  }
  return {};
}

/// That a buffer can be of so many bytes. Errors: invalid_argument.
Result<void> check_size(size_t size_bytes);

/// That both ranges lie in their buffers, as above, and are of one size. Errors: invalid_argument.
inline Result<void> check_copy(const BufferRange& target, const BufferRange& source,
                               const Device* owner) {
  TRY(check_range(target, owner));
  TRY(check_range(source, owner));
  if (target.size_bytes != source.size_bytes) return copy_sizes_differ(target, source);
  return {};
}

}  // namespace leat
