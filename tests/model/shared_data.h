// Real networks and real inputs for the tests of this folder. They are no part of this tree: they
// lie in $LEAT_SHARED_DIR/data (default: ../shared/data beside the tree), whose README.md says
// where each comes from. Without them the tests skip.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "leat/model/onnx_import.h"
#include "leat/run/network.h"

namespace leat {

/// "models/mnist.onnx" as a path, whether it exists or not.
std::string shared_path(const std::string& name);
/// A file of this tree.
std::string source_path(const std::string& name);
bool exists(const std::string& path);

// Leaves the test with a line that names the file.
#define SKIP_WITHOUT(path)                                                                   \
  do {                                                                                       \
    if (!exists(path)) GTEST_SKIP() << "There is no " << (path) << "; see LEAT_SHARED_DIR."; \
  } while (false)

/// The picture as (1, 3, height, width) with channels blue, green, red in 0-255.
Result<HostTensor> read_bgr(const std::string& path, DType dtype);
/// The picture as (1, 1, height, width) in 0-255, f32.
Result<HostTensor> read_grey(const std::string& path);

constexpr int64_t kDigitRows = 28;

/// The MNIST test set. Source of the format: IDX, http://yann.lecun.com/exdb/mnist.
struct Digits {
  std::vector<std::array<uint8_t, kDigitRows * kDigitRows>> images;
  std::vector<uint8_t> labels;
};
std::string digit_images_path();
Result<Digits> read_digits();
/// (1, 1, 28, 28) f32 in 0-255.
HostTensor tensor_of(const Digits& digits, size_t index);

/// One run on one input; the first output.
Result<HostTensor> answer(Network& network, const HostTensor& input);
/// The index of the largest number.
int64_t top_class(const HostTensor& scores);

}  // namespace leat
