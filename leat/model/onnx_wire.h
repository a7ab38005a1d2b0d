// What a protobuf file would take in memory, counted on its wire format before it is parsed: two
// bytes of a file can ask for an object of two hundred. Source of the format: Protocol Buffers
// documentation, "Encoding".
#pragma once

#include <cstddef>
#include <string_view>

namespace leat {

/// Nesting of messages; protobuf's own default, named.
inline constexpr int kModelNestingMax = 100;
/// What a model's messages may take beside the bytes of its file. The largest graph that is read
/// (kModelNodesMax) takes about 160 MiB; numbers of a weight written as varints, eight times
/// theirs.
inline constexpr size_t kModelObjectBytesMax = size_t{512} << 20;

enum class WireRoot { model, tensor };
enum class WireState {
  good,
  malformed,  // truncated, nested too deeply, or no protobuf file
  too_large,  // by an estimate from above, within a factor of about two
};

WireState check_wire(std::string_view bytes, WireRoot root,
                     size_t object_bytes_max = kModelObjectBytesMax);

}  // namespace leat
