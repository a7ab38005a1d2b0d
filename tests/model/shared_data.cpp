// See shared_data.h. Pictures go through leat/media/picture.h, so that a test sees what `leat run`
// sees.
#include "tests/model/shared_data.h"

#include <zlib.h>

#include <cstring>
#include <filesystem>

#include "leat/base/env.h"
#include "leat/media/picture.h"

namespace leat {

namespace {

constexpr size_t kUnpackedBytesMax = size_t{64} << 20;

Error io_error(const std::string& message) { return Error(ErrorKind::io, message); }

Result<std::string> read_gzip(const std::string& path) {
  const gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return io_error("File \"" + path + "\" cannot be opened.");
  std::string bytes;
  std::array<char, 1 << 16> part;
  int count = 0;
  while ((count = gzread(file, part.data(), part.size())) > 0 && bytes.size() < kUnpackedBytesMax) {
    bytes.append(part.data(), static_cast<size_t>(count));
  }
  gzclose(file);
  if (count != 0) return io_error("File \"" + path + "\" is not gzip data.");
  return bytes;
}

uint32_t big_endian_at(const std::string& bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

}  // namespace

std::string shared_path(const std::string& name) {
  const std::string folder = env("LEAT_SHARED_DIR");
  return (folder.empty() ? source_path("../shared") : folder) + "/data/" + name;
}

std::string source_path(const std::string& name) {
  return std::string(LEAT_SOURCE_DIR) + "/" + name;
}

bool exists(const std::string& path) { return std::filesystem::exists(path); }

Result<HostTensor> read_bgr(const std::string& path, DType dtype) {
  TRY_ASSIGN(const Picture picture, read_picture(path));
  HostTensor tensor = HostTensor::zeros(dtype, {1, 3, picture.height, picture.width});
  int64_t at = 0;
  for (int64_t channel : {2, 1, 0}) {
    for (int64_t y = 0; y < picture.height; ++y) {
      for (int64_t x = 0; x < picture.width; ++x) {
        tensor.set_number(at++, picture.at(y, x, channel));
      }
    }
  }
  return tensor;
}

Result<HostTensor> read_grey(const std::string& path) {
  TRY_ASSIGN(const Picture picture, read_picture(path));
  HostTensor tensor = HostTensor::zeros(DType::f32, {1, 1, picture.height, picture.width});
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      tensor.set_number(y * picture.width + x, picture.luminance(y, x));
    }
  }
  return tensor;
}

std::string digit_images_path() { return shared_path("mnist/t10k-images-idx3-ubyte.gz"); }

Result<Digits> read_digits() {
  constexpr size_t kImageHeader = 16;
  constexpr size_t kLabelHeader = 8;
  constexpr size_t kPixels = kDigitRows * kDigitRows;
  TRY_ASSIGN(const std::string images, read_gzip(digit_images_path()));
  TRY_ASSIGN(const std::string labels, read_gzip(shared_path("mnist/t10k-labels-idx1-ubyte.gz")));
  if (images.size() < kImageHeader || labels.size() < kLabelHeader) {
    return io_error("The digits' files are truncated.");
  }
  const size_t count = big_endian_at(images, 4);
  if (count != big_endian_at(labels, 4) || images.size() != kImageHeader + count * kPixels ||
      labels.size() != kLabelHeader + count) {
    return io_error("The digits' files do not fit each other (" + std::to_string(count) + ").");
  }
  Digits digits;
  digits.images.resize(count);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(digits.images[i].data(), images.data() + kImageHeader + i * kPixels, kPixels);
  }
  digits.labels.assign(labels.begin() + kLabelHeader, labels.end());
  return digits;
}

HostTensor tensor_of(const Digits& digits, size_t index) {
  HostTensor tensor = HostTensor::zeros(DType::f32, {1, 1, kDigitRows, kDigitRows});
  int64_t at = 0;
  for (uint8_t pixel : digits.images[index]) tensor.set_number(at++, pixel);
  return tensor;
}

Result<HostTensor> answer(Network& network, const HostTensor& input) {
  TRY(network.set_input(0, input));
  TRY(network.run());
  return network.output(0);
}

int64_t top_class(const HostTensor& scores) {
  int64_t best = 0;
  for (int64_t i = 1; i < element_count(scores.shape); ++i) {
    if (scores.number(i) > scores.number(best)) best = i;
  }
  return best;
}

}  // namespace leat
