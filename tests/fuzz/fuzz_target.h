// What bytes of strangers are fed to, one entry for each decoder. Two users: the seeded mutations
// of the gate (fuzz_targets_test.cpp) and libFuzzer (libfuzzer/fuzz_main.cpp, tools/fuzz).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leat {

struct FuzzTarget {
  std::string_view name;  // files to begin with lie in tests/fuzz/seeds/NAME
  /// Decodes, and CHECKs what must hold of the answer; an Error is an answer too. True when the
  /// bytes were taken.
  bool (*feed)(std::string_view bytes);
  /// More to begin with. May be null.
  std::vector<std::string> (*made_seeds)();
  size_t input_bytes_max;
  /// The largest single request of memory that small inputs may cause, from the decoder's limits.
  size_t allocation_bytes_max;
};

std::span<const FuzzTarget> fuzz_targets();

/// The files of tests/fuzz/seeds/NAME and the made ones.
std::vector<std::string> seeds_of(const FuzzTarget& target);

// One a source: target_*.cpp.
bool feed_model(std::string_view bytes);
bool feed_tensor(std::string_view bytes);
bool feed_png(std::string_view bytes);
bool feed_jpeg(std::string_view bytes);
bool feed_npy(std::string_view bytes);
bool feed_labels(std::string_view bytes);
bool feed_text(std::string_view bytes);
bool feed_kernel(std::string_view bytes);
bool feed_cache(std::string_view bytes);
bool feed_pack(std::string_view bytes);
bool feed_arguments(std::string_view bytes);

std::vector<std::string> model_seeds();
std::vector<std::string> tensor_seeds();
std::vector<std::string> png_seeds();
std::vector<std::string> jpeg_seeds();
std::vector<std::string> npy_seeds();
std::vector<std::string> kernel_seeds();
std::vector<std::string> cache_seeds();
std::vector<std::string> pack_seeds();
std::vector<std::string> arguments_seeds();

}  // namespace leat
