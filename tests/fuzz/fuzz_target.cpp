// The table of targets, and their files.
#include "tests/fuzz/fuzz_target.h"

#include <algorithm>
#include <filesystem>

#include "leat/base/files.h"

namespace leat {
namespace {

constexpr size_t kMib = size_t{1} << 20;
constexpr size_t kSeedBytesMax = 65536;

// Packed models: networks are made of those whose tensors are small together (target_pack.cpp).
// Pictures: a small file may hold a PNG of kPngExpansionMax times its bytes, three for each grey
// pixel. A model folds constants of up to 65536 elements of 8 bytes, or four times its inputs.
constexpr FuzzTarget kTargets[] = {
    {"model", feed_model, model_seeds, 65536, 16 * kMib},
    {"tensor", feed_tensor, tensor_seeds, 65536, 16 * kMib},
    {"png", feed_png, png_seeds, 65536, 256 * kMib},
    {"jpeg", feed_jpeg, jpeg_seeds, 65536, 256 * kMib},
    {"npy", feed_npy, npy_seeds, 4096, 16 * kMib},
    {"labels", feed_labels, nullptr, 4096, 128 * kMib},
    {"text", feed_text, nullptr, 4096, kMib},
    {"kernel", feed_kernel, kernel_seeds, 16384, 16 * kMib},
    {"cache", feed_cache, cache_seeds, 65536, kMib},
    {"pack", feed_pack, pack_seeds, 65536, kMib},
    {"arguments", feed_arguments, arguments_seeds, 4096, 16 * kMib},
};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

std::vector<std::string> seeds_of(const FuzzTarget& target) {
  std::vector<std::string> seeds;
  if (target.made_seeds != nullptr) seeds = target.made_seeds();
  const std::filesystem::path folder =
      std::filesystem::path(LEAT_SOURCE_DIR) / "tests/fuzz/seeds" / target.name;
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path().string());
  }
  std::ranges::sort(paths);
  for (const std::string& path : paths) seeds.push_back(read_file(path, kSeedBytesMax).value());
  return seeds;
}

}  // namespace leat
