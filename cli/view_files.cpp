// See view_files.h.
#include "cli/view_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "leat/base/best_first.h"
#include "leat/base/half.h"
#include "leat/base/printable.h"
#include "leat/media/npy.h"
#include "leat/run/transfer.h"

namespace leat::cli {

namespace {

/// An element as it lies in memory.
using Element = std::array<std::byte, sizeof(int64_t)>;
/// What each value of a pixel's channel is stored as.
using StoredBytes = std::array<Element, 256>;

template <typename T>
Element bytes_of(T value) {
  Element element = {};
  std::memcpy(element.data(), &value, sizeof value);
  return element;
}

template <typename T>
T read_as(const std::byte* place) {
  T value;
  std::memcpy(&value, place, sizeof value);
  return value;
}

Element element_of(const ExternalView& view, double value) {
  auto number = static_cast<float>(value);
  if (view.dtype == DType::f16) number = float_from_half(half_from_float(number));
  if (view.storage == DType::f16) return bytes_of(half_from_float(number));
  if (view.storage == DType::i32) return bytes_of(static_cast<int32_t>(value));
  return view.storage == DType::i64 ? bytes_of(static_cast<int64_t>(value)) : bytes_of(number);
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
  const auto score = [&](int64_t index) { return number_of(view, index); };
  std::string text;
  for (const int64_t index : best_first(classes, top, score)) {
    const auto label = static_cast<size_t>(index);
    text += fmt::format("{} {:.6f} {}\n", index, score(index),
                        label < labels.size() ? printable(labels[label]) : "");
  }
  return text;
}

}  // namespace

bool is_in_place(const ExternalView& view) {
  const bool is_float = view.storage == DType::f32 || view.storage == DType::f16;
  const bool is_whole = view.storage == DType::i32 || view.storage == DType::i64;
  return view.host != nullptr && view.is_row_major() && (is_float || is_whole);
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
  const auto element_bytes = static_cast<size_t>(size_bytes_of(view.storage));
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
  const std::byte* const place = view.host + index * size_bytes_of(view.storage);
  if (view.storage == DType::f16) return float_from_half(read_as<uint16_t>(place));
  if (view.storage == DType::i32) return read_as<int32_t>(place);
  if (view.storage == DType::i64) return static_cast<double>(read_as<int64_t>(place));
  return read_as<float>(place);
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
