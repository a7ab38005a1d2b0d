// See picture.h. Both libraries report errors by longjmp, so the functions that call them own
// nothing with a destructor: vectors are made outside and handed in.
#include "leat/media/picture.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

// After stdio, which it does not include itself.
#include <jpeglib.h>
// After jpeglib.
#include <jerror.h>

#include "leat/base/files.h"

namespace leat {

namespace {

constexpr int kJpegQuality = 95;

std::string ending_of(std::string_view path) {
  const size_t dot = path.rfind('.');
  std::string ending(dot == std::string_view::npos ? "" : path.substr(dot));
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

/// What is wrong with such a picture in a file of that size; empty when nothing is.
std::string size_refusal(int64_t width, int64_t height, int64_t least_file_bytes,
                         size_t file_bytes) {
  if (width <= 0 || height <= 0) return fmt::format("it has ({} x {}) pixels", width, height);
  if (width > kPictureSideMax || height > kPictureSideMax) {
    return fmt::format("it has too many pixels: ({} x {}), a side has at most ({})", width, height,
                       kPictureSideMax);
  }
  if (width > kPicturePixelsMax / height) {
    return fmt::format("it has too many pixels: ({} x {}), the limit is ({})", width, height,
                       kPicturePixelsMax);
  }
  if (least_file_bytes <= static_cast<int64_t>(file_bytes)) return "";
  return fmt::format("({} x {}) pixels do not fit in a file of ({}) bytes", width, height,
                     file_bytes);
}

void keep_message(char* message, size_t room, std::string_view text) {
  const size_t size = std::min(text.size(), room - 1);
  std::memcpy(message, text.data(), size);
  message[size] = '\0';
}

// --- PNG -----------------------------------------------------------------------------------------

struct PngJob {
  std::string_view source;  // what is left to read
  size_t source_bytes = 0;  // of the whole file
  std::string target;       // what was written
  char message[160] = {};
};

void png_failed(png_structp png, png_const_charp message) {
  PngJob* job = static_cast<PngJob*>(png_get_error_ptr(png));
  keep_message(job->message, sizeof job->message, message);
  png_longjmp(png, 1);
}

void png_warned(png_structp, png_const_charp) {}

void png_take(png_structp png, png_bytep bytes, size_t size_bytes) {
  PngJob* job = static_cast<PngJob*>(png_get_io_ptr(png));
  if (job->source.size() < size_bytes) png_error(png, "the file ends too early");
  std::memcpy(bytes, job->source.data(), size_bytes);
  job->source.remove_prefix(size_bytes);
}

void png_give(png_structp png, png_bytep bytes, size_t size_bytes) {
  PngJob* job = static_cast<PngJob*>(png_get_io_ptr(png));
  job->target.append(reinterpret_cast<const char*>(bytes), size_bytes);
}

void png_flush_nothing(png_structp) {}

/// Nothing is read but what pixels are made of: texts, profiles and unknown chunks are stepped over
/// unexpanded. What the library would let pass as benign is damage here.
void set_png_limits(png_structp png) {
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_user_limits(png, kPictureSideMax, kPictureSideMax);
  png_set_chunk_cache_max(png, 1);
  png_set_chunk_malloc_max(png, kPngChunkBytesMax);
  png_set_benign_errors(png, 0);
}

/// Ends in png_error when the picture is too large, or the file too small for it. `refusal` has a
/// destructor, so it is made outside, as the job is.
void check_png_size(png_structp png, png_infop info, const PngJob& job, std::string& refusal) {
  const int64_t height = png_get_image_height(png, info);
  const auto row_bytes = static_cast<int64_t>(png_get_rowbytes(png, info));
  const int64_t rows_max = height > 0 ? std::numeric_limits<int64_t>::max() / height : 0;
  const int64_t bytes = row_bytes > rows_max ? rows_max : row_bytes * height;
  refusal = size_refusal(png_get_image_width(png, info), height, bytes / kPngExpansionMax,
                         job.source_bytes);
  if (!refusal.empty()) png_error(png, refusal.c_str());
}

/// Asks for 8-bit RGB whatever the file has, but for the numbers of a palette, a byte each: the
/// library takes one that has no colour for black.
void convert_png_to_rgb(png_structp png, png_infop info) {
  if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE) {
    png_set_packing(png);
    png_set_check_for_invalid_index(png, 0);  // colour_png_rows does
  } else {
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
}

/// Numbers become colours where they stand: from the end on, as a colour takes more room.
void colour_png_rows(png_structp png, png_infop info, int64_t width,
                     const std::vector<png_bytep>& rows) {
  png_colorp colours = nullptr;
  int count = 0;
  if (png_get_PLTE(png, info, &colours, &count) == 0) png_error(png, "it has no palette");
  for (png_bytep row : rows) {
    for (int64_t x = width - 1; x >= 0; --x) {
      if (row[x] >= count) png_error(png, "a pixel is of no colour of its palette");
      const png_color colour = colours[row[x]];
      row[x * 3] = colour.red;
      row[x * 3 + 1] = colour.green;
      row[x * 3 + 2] = colour.blue;
    }
  }
}

/// A function of its own, and never inlined: longjmp then finds none of its variables in the frame
/// that it comes back to.
[[gnu::noinline]] void read_png(png_structp png, png_infop info, PngJob& job, Picture& picture,
                                std::vector<png_bytep>& rows, std::string& refusal) {
  png_set_read_fn(png, &job, png_take);
  set_png_limits(png);
  png_read_info(png, info);
  check_png_size(png, info, job, refusal);
  picture.width = png_get_image_width(png, info);
  picture.height = png_get_image_height(png, info);
  convert_png_to_rgb(png, info);
  const bool has_palette = png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE;
  if (png_get_rowbytes(png, info) != static_cast<size_t>(picture.width) * (has_palette ? 1 : 3)) {
    png_error(png, "its pixels cannot be made RGB");
  }
  picture.rgb.resize(static_cast<size_t>(picture.width * picture.height * 3));
  for (int64_t y = 0; y < picture.height; ++y) {
    rows.push_back(picture.rgb.data() + y * picture.width * 3);
  }
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);
  if (has_palette) colour_png_rows(png, info, picture.width, rows);
}

bool read_png_rows(png_structp png, png_infop info, PngJob& job, Picture& picture,
                   std::vector<png_bytep>& rows, std::string& refusal) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  read_png(png, info, job, picture, rows, refusal);
  return true;
}

bool decode_png(PngJob& job, Picture& picture) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, png_failed, png_warned);
  png_infop info = png_create_info_struct(png);
  std::vector<png_bytep> rows;
  std::string refusal;
  const bool is_read = read_png_rows(png, info, job, picture, rows, refusal);
  png_destroy_read_struct(&png, &info, nullptr);
  return is_read;
}

bool write_png_rows(png_structp png, png_infop info, PngJob& job, const Picture& picture) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &job, png_give, png_flush_nothing);
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int64_t y = 0; y < picture.height; ++y) {
    png_write_row(png, picture.rgb.data() + y * picture.width * 3);
  }
  png_write_end(png, nullptr);
  return true;
}

bool encode_png(const Picture& picture, PngJob& job) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, png_failed, png_warned);
  png_infop info = png_create_info_struct(png);
  const bool is_written = write_png_rows(png, info, job, picture);
  png_destroy_write_struct(&png, &info);
  return is_written;
}

// --- JPEG ----------------------------------------------------------------------------------------

struct JpegErrors {
  jpeg_error_mgr base;  // first: the library hands it back by this address
  jmp_buf place;
  char message[JMSG_LENGTH_MAX] = {};
};

void jpeg_failed(j_common_ptr info) {
  JpegErrors* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  longjmp(errors->place, 1);
}

void jpeg_said_nothing(j_common_ptr) {}

/// What the library warns of is damage, which it fills with grey or with guesses; here it is an
/// error, save what says nothing of the pixels.
void jpeg_warned(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  const bool is_harmless =
      code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC;
  if (level < 0 && !is_harmless) jpeg_failed(info);
}

/// Called for each row of blocks of each scan.
void check_jpeg_work(j_common_ptr common) {
  const auto* info = reinterpret_cast<j_decompress_ptr>(common);
  const int64_t pixels = int64_t{info->image_width} * info->image_height;
  const int scans = info->input_scan_number;
  if (scans <= kJpegScansMax && scans * pixels <= kJpegScannedPixelsMax) return;
  auto* errors = reinterpret_cast<JpegErrors*>(common->err);
  const auto end = fmt::format_to_n(errors->message, sizeof errors->message - 1,
                                    "it has more scans than the limits of ({}) and of ({}) pixels "
                                    "in all scans",
                                    kJpegScansMax, kJpegScannedPixelsMax);
  *end.out = '\0';
  longjmp(errors->place, 1);
}

void set_up(JpegErrors& errors) {
  jpeg_std_error(&errors.base);
  errors.base.error_exit = jpeg_failed;
  errors.base.output_message = jpeg_said_nothing;
  errors.base.emit_message = jpeg_warned;
}

/// Print colours to light. Adobe's files, which nearly all are, hold 255 less the ink.
void rgb_of_cmyk(const uint8_t* cmyk, int64_t count, bool is_inverted, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* ink = cmyk + i * 4;
    const int black = is_inverted ? ink[3] : 255 - ink[3];
    for (int c = 0; c < 3; ++c) {
      const int light = is_inverted ? ink[c] : 255 - ink[c];
      rgb[i * 3 + c] = static_cast<uint8_t>((light * black + 127) / 255);
    }
  }
}

/// What an arithmetic coder may hold in its bytes has no bound, and hardly anybody uses it.
bool is_jpeg_size_allowed(const jpeg_decompress_struct& info, size_t file_bytes,
                          JpegErrors& errors) {
  const int64_t pixels = int64_t{info.image_width} * info.image_height;
  const std::string refusal = info.arith_code == TRUE
                                  ? "it is coded arithmetically, which is not read"
                                  : size_refusal(info.image_width, info.image_height,
                                                 pixels / kJpegPixelsPerByteMax, file_bytes);
  keep_message(errors.message, sizeof errors.message, refusal);
  return refusal.empty();
}

/// `inks` is the room for a row of four colours.
bool read_jpeg_rows(jpeg_decompress_struct& info, JpegErrors& errors, std::string_view bytes,
                    Picture& picture, std::vector<uint8_t>& inks) {
  jpeg_progress_mgr progress = {};
  progress.progress_monitor = check_jpeg_work;
  if (setjmp(errors.place) != 0) return false;
  jpeg_create_decompress(&info);
  info.progress = &progress;
  info.mem->max_memory_to_use = static_cast<long>(kJpegMemoryBytesMax);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  const bool is_cmyk = info.num_components == 4;
  info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  picture.width = info.image_width;
  picture.height = info.image_height;
  if (!is_jpeg_size_allowed(info, bytes.size(), errors)) return false;
  jpeg_start_decompress(&info);
  picture.rgb.resize(static_cast<size_t>(picture.width * picture.height * 3));
  if (is_cmyk) inks.resize(static_cast<size_t>(picture.width * 4));
  while (info.output_scanline < info.output_height) {
    uint8_t* const rgb = picture.rgb.data() + info.output_scanline * picture.width * 3;
    JSAMPROW row = is_cmyk ? inks.data() : rgb;
    jpeg_read_scanlines(&info, &row, 1);
    if (is_cmyk) rgb_of_cmyk(row, picture.width, info.saw_Adobe_marker == TRUE, rgb);
  }
  jpeg_finish_decompress(&info);
  return true;
}

bool decode_jpeg(std::string_view bytes, Picture& picture, JpegErrors& errors) {
  jpeg_decompress_struct info = {};
  set_up(errors);
  info.err = &errors.base;
  std::vector<uint8_t> inks;
  const bool is_read = read_jpeg_rows(info, errors, bytes, picture, inks);
  jpeg_destroy_decompress(&info);
  return is_read;
}

bool write_jpeg_rows(jpeg_compress_struct& info, JpegErrors& errors, const Picture& picture,
                     unsigned char*& bytes, unsigned long& size_bytes) {
  if (setjmp(errors.place) != 0) return false;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &bytes, &size_bytes);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, kJpegQuality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row =
        const_cast<JSAMPROW>(picture.rgb.data() + info.next_scanline * picture.width * 3);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

Result<std::string> encode_jpeg(const Picture& picture, std::string_view path) {
  JpegErrors errors = {};
  jpeg_compress_struct info = {};
  unsigned char* bytes = nullptr;
  unsigned long size_bytes = 0;
  set_up(errors);
  info.err = &errors.base;
  const bool is_written = write_jpeg_rows(info, errors, picture, bytes, size_bytes);
  jpeg_destroy_compress(&info);
  std::string text;
  if (is_written) text.assign(reinterpret_cast<const char*>(bytes), size_bytes);
  std::free(bytes);
  if (is_written) return text;
  return Error(ErrorKind::invalid_argument,
               fmt::format("Picture \"{}\" cannot be written: {}.", path, errors.message));
}

// --- Resizing ------------------------------------------------------------------------------------

/// One axis: what each target pixel takes from the source, as weights that sum to 1.
struct Taps {
  int64_t first = 0;
  std::vector<float> weights;
};

std::vector<Taps> taps_of(int64_t source, int64_t target) {
  const double factor = static_cast<double>(source) / static_cast<double>(target);
  const double support = std::max(factor, 1.0);
  std::vector<Taps> all(static_cast<size_t>(target));
  for (int64_t t = 0; t < target; ++t) {
    const double center = (static_cast<double>(t) + 0.5) * factor - 0.5;
    const int64_t low = static_cast<int64_t>(std::ceil(center - support));
    const int64_t high = static_cast<int64_t>(std::floor(center + support));
    Taps& taps = all[static_cast<size_t>(t)];
    taps.first = std::clamp<int64_t>(low, 0, source - 1);
    const int64_t last = std::clamp<int64_t>(high, 0, source - 1);
    std::vector<double> weights(static_cast<size_t>(last - taps.first + 1), 0.0);
    double sum = 0;
    for (int64_t s = low; s <= high; ++s) {  // beyond the rim the rim's pixel repeats
      const double weight = 1.0 - std::abs(static_cast<double>(s) - center) / support;
      const int64_t at = std::clamp<int64_t>(s, 0, source - 1) - taps.first;
      weights[static_cast<size_t>(at)] += std::max(weight, 0.0);
      sum += std::max(weight, 0.0);
    }
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  }
  return all;
}

}  // namespace

uint8_t Picture::luminance(int64_t y, int64_t x) const {
  const double value = 0.299 * at(y, x, 0) + 0.587 * at(y, x, 1) + 0.114 * at(y, x, 2);
  return static_cast<uint8_t>(std::lround(value));
}

bool is_picture_path(std::string_view path) {
  const std::string ending = ending_of(path);
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

Result<Picture> read_picture(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kPictureFileBytesMax));
  return decode_picture(bytes, path);
}

Result<Picture> decode_picture(std::string_view bytes, const std::string& path) {
  Picture picture;
  std::string reason;
  if (ending_of(path) == ".png") {
    PngJob job;
    job.source = bytes;
    job.source_bytes = bytes.size();
    if (decode_png(job, picture)) return picture;
    reason = job.message;
  } else {
    JpegErrors errors = {};
    if (decode_jpeg(bytes, picture, errors)) return picture;
    reason = errors.message;
  }
  return Error(ErrorKind::invalid_argument,
               fmt::format("Picture \"{}\" cannot be read: {}.", path, reason));
}

Result<std::string> encode_picture(const Picture& picture, std::string_view path) {
  if (ending_of(path) != ".png") return encode_jpeg(picture, path);
  PngJob job;
  if (encode_png(picture, job)) return job.target;
  return Error(ErrorKind::invalid_argument,
               fmt::format("Picture \"{}\" cannot be written: {}.", path, job.message));
}

namespace {

/// sums[i] += weight * source[i]. In blocks of arrays apart, which compilers turn into vectors.
void add_scaled(float* __restrict sums, float weight, const uint8_t* source, size_t count) {
  constexpr size_t kBlock = 16;
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    for (size_t k = 0; k < kBlock; ++k) sums[i + k] += weight * static_cast<float>(source[i + k]);
  }
  for (; i < count; ++i) sums[i] += weight * static_cast<float>(source[i]);
}

}  // namespace

// Rows first: a row of sums is made of whole rows.
Picture resize(const Picture& picture, int64_t width, int64_t height) {
  if (picture.width == width && picture.height == height) return picture;
  const std::vector<Taps> columns = taps_of(picture.width, width);
  const std::vector<Taps> rows = taps_of(picture.height, height);
  const size_t source_row = static_cast<size_t>(picture.width) * 3;
  std::vector<float> sums(source_row);
  Picture result{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
  uint8_t* target = result.rgb.data();
  for (const Taps& taps : rows) {
    std::ranges::fill(sums, 0.0f);
    const uint8_t* source = picture.rgb.data() + static_cast<size_t>(taps.first) * source_row;
    for (const float weight : taps.weights) {
      add_scaled(sums.data(), weight, source, source_row);
      source += source_row;
    }
    for (const Taps& across : columns) {
      const float* sum = sums.data() + across.first * 3;
      float pixel[3] = {};
      for (const float weight : across.weights) {
        for (int c = 0; c < 3; ++c) pixel[c] += weight * sum[c];
        sum += 3;
      }
      for (const float value : pixel) {
        *target++ = static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
      }
    }
  }
  return result;
}

}  // namespace leat
