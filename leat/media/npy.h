// NumPy's array files (.npy), versions 1 to 3. Files are hostile: the header's size, the shape and
// the number of bytes are checked before memory is taken. Either order of bytes and of axes is
// read; little-endian and C order are written. Source: NumPy documentation, numpy.lib.format.
#pragma once

#include <string>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat {

// Limits: an array takes its own bytes twice while it is read; a header its number of bytes.
inline constexpr size_t kNpyFileBytesMax = size_t{16} << 30;
inline constexpr size_t kNpyHeaderBytesMax = 65536;
inline constexpr size_t kNpyRankMax = 32;  // NumPy's own limit

/// Errors: io; invalid_argument, naming `path` and what is wrong.
Result<HostTensor> read_npy(const std::string& path);
Result<HostTensor> parse_npy(std::string_view bytes, const std::string& path);

/// Version 1. bf16, which NumPy lacks, is widened to f32.
std::string npy_bytes(const HostTensor& tensor);

}  // namespace leat
