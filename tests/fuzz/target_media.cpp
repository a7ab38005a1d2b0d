// Pictures, arrays, labels and whatever is printed.
#include "leat/base/check.h"
#include "leat/base/printable.h"
#include "leat/media/labels.h"
#include "leat/media/npy.h"
#include "leat/media/picture.h"
#include "tests/fuzz/fuzz_target.h"

namespace leat {
namespace {

bool feed_picture(std::string_view bytes, const std::string& path) {
  const Result<Picture> picture = decode_picture(bytes, path);
  if (!picture) {
    CHECK(!picture.error().message().empty());
    return false;
  }
  CHECK(picture->width > 0 && picture->height > 0);
  CHECK(picture->rgb.size() == static_cast<size_t>(picture->width * picture->height * 3));
  const Picture small = resize(*picture, 5, 7);
  const Result<std::string> png = encode_picture(small, "again.png");
  CHECK(png.has_value());
  const Result<Picture> again = decode_picture(*png, "again.png");
  CHECK(again.has_value() && again->rgb == small.rgb);
  return true;
}

std::vector<std::string> encoded(const char* path) {
  std::vector<std::string> seeds;
  for (const int64_t side : {1, 20}) {
    Picture picture{side, side + 1, {}};
    for (int64_t i = 0; i < side * (side + 1) * 3; ++i) {
      picture.rgb.push_back(static_cast<uint8_t>(i * 7));
    }
    seeds.push_back(encode_picture(picture, path).value());
  }
  return seeds;
}

/// No control character, and no byte that is not part of UTF-8: escaping it again changes nothing.
void check_harmless(std::string_view text) {
  CHECK(printable(text, SIZE_MAX) == text);
  for (const char c : text) CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

bool feed_png(std::string_view bytes) { return feed_picture(bytes, "fuzzed.png"); }
bool feed_jpeg(std::string_view bytes) { return feed_picture(bytes, "fuzzed.jpg"); }

bool feed_npy(std::string_view bytes) {
  const Result<HostTensor> tensor = parse_npy(bytes, "fuzzed.npy");
  if (!tensor) return false;
  const Result<HostTensor> again = parse_npy(npy_bytes(*tensor), "again.npy");
  CHECK(again.has_value() && again->dtype == tensor->dtype && again->shape == tensor->shape);
  CHECK(again->bytes == tensor->bytes);
  return true;
}

bool feed_labels(std::string_view bytes) {
  const Result<Labels> labels = parse_labels(bytes, "fuzzed.txt");
  if (!labels) return false;
  CHECK(!labels->empty() && labels->size() <= kLabelsMax);
  for (const std::string& label : *labels) {
    CHECK(label.size() <= kLabelBytesMax && label.find('\n') == std::string::npos);
  }
  return true;
}

bool feed_text(std::string_view bytes) {
  check_harmless(printable(bytes, SIZE_MAX));
  check_harmless(quoted(bytes));
  CHECK(printable(bytes, 100).size() <= 100 + 16 + 3);  // one character more, and the dots
  CHECK(printable_lines(bytes).size() <= 4 * bytes.size());
  return true;
}

std::vector<std::string> png_seeds() { return encoded("seed.png"); }
std::vector<std::string> jpeg_seeds() { return encoded("seed.jpg"); }

std::vector<std::string> npy_seeds() {
  std::vector<std::string> seeds;
  for (const DType dtype : {DType::f32, DType::i8, DType::boolean}) {
    seeds.push_back(npy_bytes(HostTensor::zeros(dtype, {2, 3})));
  }
  seeds.push_back(npy_bytes(HostTensor::zeros(DType::f64, {})));
  return seeds;
}

}  // namespace leat
