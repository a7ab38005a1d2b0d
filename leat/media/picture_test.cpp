// Pictures: files survive a round trip, resizing means what it says, damaged files give one
// sentence.
#include "leat/media/picture.h"

#include <gtest/gtest.h>
#include <png.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

// After stdio, which it does not include itself.
#include <jpeglib.h>

#include "leat/base/files.h"
#include "leat/base/output_file.h"

namespace leat {
namespace {

Picture gradient(int64_t width, int64_t height) {
  Picture picture{width, height, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (const int64_t value : {x * 8, y * 8, int64_t{100}}) {
        picture.rgb.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return picture;
}

std::string temporary_path(const std::string& name) {
  return testing::TempDir() + "leat_picture_" + std::to_string(getpid()) + name;
}

std::string write_temporary(const std::string& name, const std::string& bytes) {
  const std::string path = temporary_path(name);
  EXPECT_TRUE(write_file(path, bytes));
  return path;
}

TEST(Picture, PngIsExactJpegIsNear) {
  const Picture picture = gradient(20, 10);
  const Result<std::string> png = encode_picture(picture, "a.png");
  ASSERT_TRUE(png) << png.error().message();
  const Result<Picture> exact = read_picture(write_temporary("a.png", *png));
  ASSERT_TRUE(exact) << exact.error().message();
  EXPECT_EQ(exact->rgb, picture.rgb);

  const Result<std::string> jpeg = encode_picture(picture, "a.JPG");
  ASSERT_TRUE(jpeg) << jpeg.error().message();
  const Result<Picture> near = read_picture(write_temporary("a.jpg", *jpeg));
  ASSERT_TRUE(near) << near.error().message();
  ASSERT_EQ(near->rgb.size(), picture.rgb.size());
  for (size_t i = 0; i < picture.rgb.size(); ++i) {
    // JPEG halves the resolution of colour; on this gradient that costs up to one step of it.
    EXPECT_NEAR(near->rgb[i], picture.rgb[i], 16);
  }
}

struct PngKind {
  const char* name;
  int color_type;
  int depth;
  int interlace;
  int samples;  // per pixel
};

void append_png(png_structp png, png_bytep bytes, size_t size_bytes) {
  static_cast<std::string*>(png_get_io_ptr(png))
      ->append(reinterpret_cast<const char*>(bytes), size_bytes);
}

/// 3 x 3 pixels of that kind, each sample `value` (palettes: entry 1, whose colour is 10, 20, 30).
std::string png_of(const PngKind& kind, uint8_t value) {
  std::string text;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &text, append_png, nullptr);
  png_set_IHDR(png, info, 3, 3, kind.depth, kind.color_type, kind.interlace,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  const png_color palette[] = {{0, 0, 0}, {10, 20, 30}};
  if (kind.color_type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 2);
  std::vector<uint8_t> row(static_cast<size_t>(3 * kind.samples * kind.depth / 8), value);
  std::vector<png_bytep> rows(3, row.data());
  png_set_rows(png, info, rows.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  png_destroy_write_struct(&png, &info);
  return text;
}

TEST(Picture, EveryKindOfPngBecomesRgb) {
  const PngKind kinds[] = {
      {"gray", PNG_COLOR_TYPE_GRAY, 8, PNG_INTERLACE_NONE, 1},
      {"gray, 16 bits", PNG_COLOR_TYPE_GRAY, 16, PNG_INTERLACE_NONE, 1},
      {"gray and alpha", PNG_COLOR_TYPE_GRAY_ALPHA, 8, PNG_INTERLACE_NONE, 2},
      {"alpha", PNG_COLOR_TYPE_RGB_ALPHA, 8, PNG_INTERLACE_NONE, 4},
      {"16 bits", PNG_COLOR_TYPE_RGB, 16, PNG_INTERLACE_NONE, 3},
      {"interlaced", PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7, 3},
  };
  for (const PngKind& kind : kinds) {
    const auto picture = read_picture(write_temporary("kind.png", png_of(kind, 77)));
    ASSERT_TRUE(picture) << kind.name << ": " << picture.error().message();
    EXPECT_EQ(picture->rgb, std::vector<uint8_t>(27, 77)) << kind.name;
  }
  const PngKind palette = {"palette", PNG_COLOR_TYPE_PALETTE, 8, PNG_INTERLACE_NONE, 1};
  const auto picture = read_picture(write_temporary("palette.png", png_of(palette, 1)));
  ASSERT_TRUE(picture) << picture.error().message();
  EXPECT_EQ(picture->at(2, 2, 0), 10);
  EXPECT_EQ(picture->at(2, 2, 2), 30);
}

// Whole numbers in one pass, so that a scan may stand twice.
constexpr jpeg_scan_info kTwoScans[] = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 0}};

/// 8 x 8 pixels of one colour.
std::string jpeg_of(J_COLOR_SPACE space, const std::vector<uint8_t>& pixel, bool progressive) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr errors = {};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size_bytes = 0;
  jpeg_mem_dest(&info, &bytes, &size_bytes);
  info.image_width = info.image_height = 8;
  info.input_components = static_cast<int>(pixel.size());
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  if (progressive) jpeg_simple_progression(&info);
  if (progressive && space == JCS_GRAYSCALE) {
    info.scan_info = kTwoScans;
    info.num_scans = 2;
  }
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row;
  for (int x = 0; x < 8; ++x) row.insert(row.end(), pixel.begin(), pixel.end());
  JSAMPROW rows[] = {row.data()};
  while (info.next_scanline < 8) jpeg_write_scanlines(&info, rows, 1);
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string text(reinterpret_cast<const char*>(bytes), size_bytes);
  std::free(bytes);
  return text;
}

TEST(Picture, EveryKindOfJpegBecomesRgb) {
  const auto expect_pixel = [](const std::string& bytes, const std::vector<int>& rgb) {
    const auto picture = read_picture(write_temporary("kind.jpg", bytes));
    ASSERT_TRUE(picture) << picture.error().message();
    // Quality 100: a step of quantisation, and one of the change of colours.
    for (int c = 0; c < 3; ++c) EXPECT_NEAR(picture->at(4, 4, c), rgb[static_cast<size_t>(c)], 2);
  };
  expect_pixel(jpeg_of(JCS_RGB, {200, 100, 50}, true), {200, 100, 50});
  expect_pixel(jpeg_of(JCS_GRAYSCALE, {90}, false), {90, 90, 90});
  // As Adobe's programs store it: 255 less the ink, here with a fifth of black.
  expect_pixel(jpeg_of(JCS_CMYK, {255, 128, 0, 204}, false), {204, 102, 0});
}

TEST(Picture, DamagedFilesGiveOneSentence) {
  for (const char* name : {"b.png", "b.jpg"}) {
    const Result<std::string> whole = encode_picture(gradient(64, 64), name);
    ASSERT_TRUE(whole);
    const std::string half = whole->substr(0, whole->size() / 2);
    for (const std::string& bytes : {std::string(), std::string("not a picture at all"), half}) {
      const Result<Picture> picture = read_picture(write_temporary(name, bytes));
      ASSERT_FALSE(picture) << name;
      EXPECT_NE(picture.error().message().find("cannot be read"), std::string::npos);
      EXPECT_EQ(picture.error().message().find('\n'), std::string::npos);
    }
  }
  EXPECT_FALSE(read_picture("/nonexistent/a.png"));
}

/// A chunk with its length and sum. Source: PNG specification, third edition, section 5.3.
std::string png_chunk(const std::string& name, const std::string& content) {
  const auto big_endian = [](uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                       static_cast<char>(value >> 8), static_cast<char>(value)};
  };
  uint32_t sum = 0xFFFFFFFF;
  for (const char c : name + content) {
    sum ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0xEDB88320 : 0);
  }
  return big_endian(static_cast<uint32_t>(content.size())) + name + content + big_endian(~sum);
}

const PngKind kPlainPng = {"RGB", PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE, 3};
constexpr size_t kAfterHeader = 8 + 25;  // the signature, and the chunk IHDR

std::string error_of(const std::string& bytes, const std::string& path) {
  const Result<Picture> picture = decode_picture(bytes, path);
  return picture ? "" : picture.error().message();
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Of a palette of two colours the library would make the other 254 black.
TEST(Picture, APixelOfNoColourOfItsPaletteIsDamage) {
  for (const auto interlace : {PNG_INTERLACE_NONE, PNG_INTERLACE_ADAM7}) {
    std::string png = png_of({"palette", PNG_COLOR_TYPE_PALETTE, 8, interlace, 1}, 1);
    EXPECT_EQ(error_of(png, "a.png"), "");
    const size_t begin = png.find("PLTE") - 4;
    png.replace(begin, 12 + 6, png_chunk("PLTE", std::string(3, '\x40')));
    EXPECT_NE(error_of(png, "a.png").find("no colour of its palette"), std::string::npos)
        << error_of(png, "a.png");
  }
}

// 64 texts of 1 MiB each in 70 KB.
TEST(Picture, CompressedTextsAreNotExpanded) {
  std::string text(size_t{1} << 20, ' ');
  std::string packed(compressBound(text.size()), '\0');
  uLongf size = packed.size();
  ASSERT_EQ(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(text.data()), text.size()),
            Z_OK);
  packed.resize(size);
  const std::string bomb = png_chunk("zTXt", std::string("a\0\0", 3) + packed);
  std::string bytes = png_of(kPlainPng, 77);
  std::string bombs;
  for (int i = 0; i < 64; ++i) bombs += bomb;
  bytes.insert(kAfterHeader, bombs);
  const long before = peak_kib();
  EXPECT_EQ(error_of(bytes, "a.png"), "");
  EXPECT_LT(peak_kib() - before, 32 << 10);
}

TEST(Picture, FewBytesDoNotHoldManyPixels) {
  std::string png = png_of(kPlainPng, 77);
  const std::string header =
      png_chunk("IHDR", std::string("\0\0\x20\0\0\0\x20\0\x08\x02\0\0\0", 13));
  png.replace(8, header.size(), header);
  EXPECT_NE(error_of(png, "a.png").find("do not fit"), std::string::npos) << error_of(png, "a.png");
  std::string jpeg = jpeg_of(JCS_RGB, {200, 100, 50}, true);
  const size_t frame = jpeg.find("\xff\xc2");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, std::string("\x20\0\x20\0", 4));
  EXPECT_NE(error_of(jpeg, "a.jpg").find("do not fit"), std::string::npos)
      << error_of(jpeg, "a.jpg");
}

TEST(Picture, SizesBeyondTheLimitsAreNamed) {
  std::string png = png_of(kPlainPng, 77);
  const std::string header =
      png_chunk("IHDR", std::string("\0\x01\0\0\0\x01\0\0\x08\x02\0\0\0", 13));
  png.replace(8, header.size(), header);
  EXPECT_NE(error_of(png, "a.png").find("(65536 x 65536)"), std::string::npos)
      << error_of(png, "a.png");
}

/// A progressive picture whose last scan stands `count` times.
std::string jpeg_of_scans(int count) {
  std::string bytes = jpeg_of(JCS_GRAYSCALE, {90}, true);
  const size_t scan = bytes.rfind("\xff\xda");
  const size_t end = bytes.rfind("\xff\xd9");
  const std::string last = bytes.substr(scan, end - scan);
  for (int i = 1; i < count; ++i) bytes.insert(end, last);
  return bytes;
}

TEST(Picture, ScansHaveALimit) {
  EXPECT_EQ(error_of(jpeg_of_scans(8), "a.jpg"), "");
  EXPECT_NE(error_of(jpeg_of_scans(1000), "a.jpg").find("(64)"), std::string::npos)
      << error_of(jpeg_of_scans(1000), "a.jpg");
}

// As where a bit of the pixels was turned and the decoder ends too early; a few bytes it reads
// ahead.
TEST(Picture, DamageThatTheLibraryFillsInIsRefused) {
  const std::string jpeg = *encode_picture(gradient(64, 64), "a.jpg");
  std::string longer = jpeg;
  longer.insert(longer.size() - 2, 64, 'a');
  EXPECT_NE(error_of(longer, "a.jpg").find("extraneous"), std::string::npos)
      << error_of(longer, "a.jpg");
  EXPECT_EQ(error_of(jpeg, "a.jpg"), "");
}

TEST(Picture, ResizesAroundPixelCentres) {
  Picture line{2, 1, {0, 0, 0, 200, 200, 200}};
  const Picture wide = resize(line, 4, 1);
  // Centres of the four pixels lie at -0.25, 0.25, 0.75 and 1.25 of the two.
  const int expected[] = {0, 50, 150, 200};
  for (int64_t x = 0; x < 4; ++x) EXPECT_EQ(wide.at(0, x, 0), expected[x]);
  EXPECT_EQ(resize(line, 1, 1).at(0, 0, 0), 100) << "shrinking counts every pixel";
  EXPECT_EQ(resize(line, 2, 3).at(2, 1, 1), 200);
}

TEST(Picture, LuminanceOfGreyIsTheGrey) {
  for (int value = 0; value < 256; ++value) {
    const uint8_t grey = static_cast<uint8_t>(value);
    EXPECT_EQ((Picture{1, 1, {grey, grey, grey}}.luminance(0, 0)), grey);
  }
}

}  // namespace
}  // namespace leat
