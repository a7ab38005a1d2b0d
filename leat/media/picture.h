// Pictures: 8 bits a channel, red, green, blue, rows from the top; .png through libpng, .jpg
// through libjpeg. Alpha is dropped, grey becomes three equal channels, 16 bits are cut to 8, gamma
// and colour profiles are ignored: what the network sees are the numbers in the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat {

struct Picture {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  // height * width * 3

  uint8_t at(int64_t y, int64_t x, int64_t channel) const {
    return rgb[static_cast<size_t>((y * width + x) * 3 + channel)];
  }
  /// 0.299 red + 0.587 green + 0.114 blue, rounded. Source: ITU-R BT.601, section 2.5.1.
  uint8_t luminance(int64_t y, int64_t x) const;
};

/// More pixels are refused before memory is taken.
inline constexpr int64_t kPicturePixelsMax = int64_t{1} << 26;

/// True for .png, .jpg and .jpeg, in any case.
bool is_picture_path(std::string_view path);

/// Errors: io; invalid_argument, when the bytes are no such picture.
Result<Picture> read_picture(const std::string& path);
/// The bytes of a file in the format that `path` ends with; JPEG with quality 95.
Result<std::string> encode_picture(const Picture& picture, std::string_view path);

/// Bilinear with half-pixel centres; where it shrinks, the filter widens with the factor, so that
/// every source pixel counts (antialiasing). Rounded to 8 bits.
Picture resize(const Picture& picture, int64_t width, int64_t height);

}  // namespace leat
