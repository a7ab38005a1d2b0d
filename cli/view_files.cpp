// See view_files.h.
#include "cli/view_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "cli/npy.h"
#include "leat/base/half.h"
#include "leat/run/transfer.h"

namespace leat::cli {

namespace {

/// An element as it lies in memory.
using Element = std::array<std::byte, sizeof(float)>;
/// What each value of a pixel's channel is stored as.
using StoredBytes = std::array<Element, 256>;

Element element_of(const ExternalView& view, double value) {
  Element element = {};
  auto number = static_cast<float>(value);
  if (view.dtype == DType::f16) number = float_from_half(half_from_float(number));
  if (view.storage == DType::f16) {
    const uint16_t bits = half_from_float(number);
    std::memcpy(element.data(), &bits, sizeof bits);
  } else if (view.storage == DType::i32) {
    const auto whole = static_cast<int32_t>(value);
    std::memcpy(element.data(), &whole, sizeof whole);
  } else {
    std::memcpy(element.data(), &number, sizeof number);
  }
  return element;
}

StoredBytes stored_bytes(const ExternalView& view, double mean, double scale) {
  StoredBytes stored = {};
  for (size_t i = 0; i < stored.size(); ++i) {
    stored[i] = element_of(view, (static_cast<double>(i) - mean) * scale);
  }
  return stored;
}

int64_t offset_of(const PictureAxes& axes, const std::vector<int64_t>& strides, int64_t channel,
                  int64_t y, int64_t x) {
  return channel * strides[axes.channel] + y * strides[axes.height] + x * strides[axes.width];
}

Picture picture_of(const ExternalView& view, const PictureAxes& axes, bool is_bgr) {
  Picture picture{view.shape[axes.width], view.shape[axes.height], {}};
  picture.rgb.resize(static_cast<size_t>(picture.width * picture.height * 3));
  const bool is_grey = view.shape[axes.channel] == 1;
  size_t next = 0;
  for (int64_t y = 0; y < picture.height; ++y) {
    for (int64_t x = 0; x < picture.width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t channel = is_grey ? 0 : is_bgr ? 2 - c : c;
        const double value = number_of(view, offset_of(axes, view.strides, channel, y, x));
        const double clamped = value > 0 ? std::min(value, 255.0) : 0.0;  // NaN becomes 0
        picture.rgb[next++] = static_cast<uint8_t>(std::lround(clamped));
      }
    }
  }
  return picture;
}

std::string classes_text(const ExternalView& view, int64_t top, const Labels& labels) {
  const int64_t classes = element_count(view.shape);
  std::vector<int64_t> order(static_cast<size_t>(classes));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto best = order.begin() + std::min(top, classes);
  std::partial_sort(order.begin(), best, order.end(), [&](int64_t a, int64_t b) {
    const double score_a = number_of(view, a), score_b = number_of(view, b);
    return score_a != score_b ? score_a > score_b : a < b;
  });
  std::string text;
  for (auto index = order.begin(); index != best; ++index) {
    const auto label = static_cast<size_t>(*index);
    text += fmt::format("{} {:.6f} {}\n", *index, number_of(view, *index),
                        label < labels.size() ? labels[label] : "");
  }
  return text;
}

}  // namespace

bool is_in_place(const ExternalView& view) {
  const bool is_number =
      view.storage == DType::f32 || view.storage == DType::f16 || view.storage == DType::i32;
  return view.host != nullptr && view.is_row_major() && is_number;
}

Result<void> write_picture(const Picture& picture, const std::string& path, const ModelValue& input,
                           const PictureNumbers& numbers, const ExternalView& view) {
  CHECK(is_in_place(view));
  const std::optional<PictureAxes> axes = picture_axes(input.shape);
  if (!axes) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Picture \"{}\" does not fit input \"{}\" {}, which is no picture of "
                             "1 or 3 channels.",
                             path, input.name, to_string(input.shape)));
  }
  const int64_t channels = input.shape[axes->channel];
  const int64_t width = input.shape[axes->width], height = input.shape[axes->height];
  const bool fits = picture.width == width && picture.height == height;
  const Picture resized = fits ? Picture() : resize(picture, width, height);
  const Picture& fitted = fits ? picture : resized;
  const double grey_mean = (numbers.mean[0] + numbers.mean[1] + numbers.mean[2]) / 3;
  const size_t element_bytes = size_bytes_of(view.storage);
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t source = numbers.is_bgr ? 2 - c : c;
    const double mean = channels == 1 ? grey_mean : numbers.mean[static_cast<size_t>(source)];
    const StoredBytes stored = stored_bytes(view, mean, numbers.scale);
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const uint8_t value = channels == 1 ? fitted.luminance(y, x) : fitted.at(y, x, source);
        const auto index = static_cast<size_t>(offset_of(*axes, view.strides, c, y, x));
        std::memcpy(view.host + index * element_bytes, stored[value].data(), element_bytes);
      }
    }
  }
  return {};
}

double number_of(const ExternalView& view, int64_t index) {
  const std::byte* const place =
      view.host + static_cast<size_t>(index) * size_bytes_of(view.storage);
  if (view.storage == DType::f16) {
    uint16_t bits = 0;
    std::memcpy(&bits, place, sizeof bits);
    return float_from_half(bits);
  }
  if (view.storage == DType::i32) {
    int32_t whole = 0;
    std::memcpy(&whole, place, sizeof whole);
    return whole;
  }
  float number = 0;
  std::memcpy(&number, place, sizeof number);
  return number;
}

ResultFile result_file_of(const ExternalView& output, int64_t top) {
  const std::optional<PictureAxes> axes = picture_axes(output.shape);
  if (axes && output.shape[axes->height] > 1 && output.shape[axes->width] > 1) {
    return ResultFile::picture;
  }
  return top > 0 ? ResultFile::classes : ResultFile::array;
}

std::string_view ending_of(ResultFile kind) {
  switch (kind) {
    case ResultFile::picture: return ".png";
    case ResultFile::classes: return ".txt";
    case ResultFile::array: return ".npy";
  }
  return "";
}

Result<std::string> result_bytes(const ExternalView& output, ResultFile kind, int64_t top,
                                 const Labels& labels, bool is_bgr) {
  switch (kind) {
    case ResultFile::picture:
      return encode_picture(picture_of(output, *picture_axes(output.shape), is_bgr), "result.png");
    case ResultFile::classes: return classes_text(output, top, labels);
    case ResultFile::array: break;
  }
  return npy_bytes(
      from_storage({output.host, output.size_bytes}, output.storage, output.dtype, output.shape));
}

}  // namespace leat::cli
