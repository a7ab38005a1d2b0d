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

// Limits of both decoders. Memory: three bytes for each pixel, of a JPEG in several scans up to
// kJpegMemoryBytesMax beside them; time: in proportion to the file and to the pixels.
inline constexpr size_t kPictureFileBytesMax = size_t{512} << 20;
/// Refused before memory is taken.
inline constexpr int64_t kPicturePixelsMax = int64_t{1} << 26;
inline constexpr int64_t kPictureSideMax = int64_t{1} << 18;
/// Of one chunk that is not pixels; a palette, the only one that is read, has 768.
inline constexpr size_t kPngChunkBytesMax = size_t{1} << 26;
/// Bytes of pixels that one byte of a PNG can hold. Source: zlib's technical details, "Maximum
/// compression factor".
inline constexpr int64_t kPngExpansionMax = 1032;
/// Encoders write about ten. Each scan walks over the whole picture.
inline constexpr int kJpegScansMax = 64;
/// Scans times pixels.
inline constexpr int64_t kJpegScannedPixelsMax = int64_t{1} << 29;
inline constexpr size_t kJpegMemoryBytesMax = size_t{640} << 20;
/// Pixels that one byte can hold: a block of 64 takes at least one bit (ITU-T T.81, annex F.1.2).
inline constexpr int64_t kJpegPixelsPerByteMax = 512;

/// True for .png, .jpg and .jpeg, in any case.
bool is_picture_path(std::string_view path);

/// Errors: io; invalid_argument, when the bytes are no such picture, are damaged, even where the
/// library would guess what is lost, or ask for more than a limit above.
Result<Picture> read_picture(const std::string& path);
/// The same of bytes; `path` tells the format, and the name for the error.
Result<Picture> decode_picture(std::string_view bytes, const std::string& path);
/// The bytes of a file in the format that `path` ends with; JPEG with quality 95.
Result<std::string> encode_picture(const Picture& picture, std::string_view path);

/// Bilinear with half-pixel centres; where it shrinks, the filter widens with the factor, so that
/// every source pixel counts (antialiasing). Rounded to 8 bits.
Picture resize(const Picture& picture, int64_t width, int64_t height);

}  // namespace leat
