// See npy.h. The header is a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape':
// (1, 3), }.
#include "leat/media/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "leat/base/files.h"

namespace leat {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct DTypeRow {
  std::string_view descr;  // without the byte order
  DType dtype;
};
constexpr DTypeRow kDTypes[] = {
    {"f4", DType::f32}, {"f2", DType::f16}, {"f8", DType::f64}, {"i1", DType::i8},
    {"u1", DType::u8},  {"i2", DType::i16}, {"u2", DType::u16}, {"i4", DType::i32},
    {"u4", DType::u32}, {"i8", DType::i64}, {"u8", DType::u64}, {"b1", DType::boolean},
};

/// Reads the dictionary's three entries from left to right.
struct Header {
  DType dtype = DType::f32;
  Shape shape;
  bool is_big_endian = false;
  bool is_fortran_order = false;
};

class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  Result<Header> read() {
    if (!take('{')) return bad("does not begin with {");
    while (!take('}')) {
      const std::optional<std::string_view> key = quoted();
      if (!key || !take(':')) return bad("has no key where one is expected");
      TRY(entry(*key));
      if (!take(',') && !is_next('}')) return bad("lacks a comma between two entries");
    }
    skip_space();
    if (!text_.empty()) return bad(fmt::format("has ({}) bytes behind its end", text_.size()));
    if (!dtype_ || !has_order_ || !shape_) return bad("lacks descr, fortran_order or shape");
    return Header{*dtype_, std::move(*shape_), is_big_endian_, is_fortran_order_};
  }

 private:
  Error bad(const std::string& what) const {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The header of file \"{}\" {}.", path_, what));
  }

  Result<void> entry(std::string_view key) {
    const bool is_known = key == "descr" || key == "fortran_order" || key == "shape";
    if (!is_known) return bad(fmt::format("has the unknown key \"{}\"", key));
    const bool is_repeated = key == "descr"   ? dtype_.has_value()
                             : key == "shape" ? shape_.has_value()
                                              : has_order_;
    if (is_repeated) return bad(fmt::format("has the key \"{}\" twice", key));
    if (key == "fortran_order") {
      has_order_ = true;
      return order();
    }
    if (key == "descr") {
      TRY_ASSIGN(dtype_, dtype());
    } else {
      TRY_ASSIGN(shape_, shape());
    }
    return {};
  }

  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n')) text_.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool is_next(char c) const { return text_.starts_with(c); }
  bool take_word(std::string_view word) {
    skip_space();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string_view> quoted() {
    skip_space();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return std::nullopt;
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  Result<DType> dtype() {
    const std::optional<std::string_view> descr = quoted();
    if (!descr || descr->empty()) return bad("names no plain element type");
    const bool is_byte = descr->ends_with('1');
    is_big_endian_ = descr->starts_with('>');
    const bool is_ordered =
        is_big_endian_ || descr->starts_with('<') || (is_byte && descr->starts_with('|'));
    for (const DTypeRow& row : kDTypes) {
      if (is_ordered && descr->substr(1) == row.descr) return row.dtype;
    }
    return Error(ErrorKind::invalid_argument,
                 fmt::format("File \"{}\" has elements of type ({}), which Leat does not read.",
                             path_, *descr));
  }

  Result<void> order() {
    is_fortran_order_ = take_word("True");
    if (is_fortran_order_ || take_word("False")) return {};
    return bad("has a fortran_order that is neither True nor False");
  }

  Result<Shape> shape() {
    Shape shape;
    if (!take('(')) return bad("has a shape that is no tuple");
    while (!take(')')) {
      skip_space();
      int64_t extent = 0;
      const auto [end, code] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (code != std::errc()) return bad("has a shape with an entry that is no number");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      shape.push_back(extent);
      if (shape.size() > kNpyRankMax)
        return bad(fmt::format("has more than ({}) axes", kNpyRankMax));
      if (!take(',') && !is_next(')')) return bad("has a shape without a comma between entries");
    }
    return shape;
  }

  std::string_view text_;
  const std::string& path_;
  std::optional<DType> dtype_;
  std::optional<Shape> shape_;
  bool has_order_ = false;
  bool is_big_endian_ = false;
  bool is_fortran_order_ = false;
};

void swap_bytes(HostTensor& tensor) {
  const auto width = static_cast<size_t>(size_bytes_of(tensor.dtype));
  for (size_t at = 0; at < tensor.bytes.size(); at += width) {
    std::reverse(tensor.bytes.begin() + static_cast<int64_t>(at),
                 tensor.bytes.begin() + static_cast<int64_t>(at + width));
  }
}

/// Elements that lie with their first coordinate running fastest, in the order of this tensor.
std::vector<std::byte> row_major(const HostTensor& tensor) {
  const auto width = static_cast<size_t>(size_bytes_of(tensor.dtype));
  const std::vector<int64_t> strides = row_major_strides(tensor.shape);
  std::vector<std::byte> bytes(tensor.bytes.size());
  Shape at(tensor.shape.size(), 0);
  for (size_t from = 0; from < bytes.size(); from += width) {
    int64_t to = 0;
    for (size_t axis = 0; axis < at.size(); ++axis) to += at[axis] * strides[axis];
    std::memcpy(bytes.data() + static_cast<size_t>(to) * width, tensor.bytes.data() + from, width);
    for (size_t axis = 0; axis < at.size() && ++at[axis] == tensor.shape[axis]; ++axis)
      at[axis] = 0;
  }
  return bytes;
}

std::string_view descr_of(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row.descr;
  }
  return "f4";
}

}  // namespace

Result<HostTensor> read_npy(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kNpyFileBytesMax));
  return parse_npy(bytes, path);
}

Result<HostTensor> parse_npy(std::string_view bytes, const std::string& path) {
  const auto bad = [&](const std::string& what) {
    return Error(ErrorKind::invalid_argument, fmt::format("File \"{}\" {}.", path, what));
  };
  if (!bytes.starts_with(kMagic) || bytes.size() < 12) return bad("is no NumPy array");
  const uint8_t version = static_cast<uint8_t>(bytes[6]);
  if (version < 1 || version > 3) return bad(fmt::format("has the unknown version ({})", version));
  const size_t length_bytes = version == 1 ? 2 : 4;
  size_t header_bytes = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    header_bytes |= static_cast<size_t>(static_cast<uint8_t>(bytes[8 + i])) << (8 * i);
  }
  const size_t header_begin = 8 + length_bytes;
  if (header_bytes > kNpyHeaderBytesMax || header_begin + header_bytes > bytes.size()) {
    return bad(fmt::format("has a header of ({}) bytes, which it does not hold", header_bytes));
  }
  TRY_ASSIGN(Header header, HeaderReader(bytes.substr(header_begin, header_bytes), path).read());
  HostTensor tensor;
  tensor.dtype = header.dtype;
  tensor.shape = std::move(header.shape);
  if (const Result<void> checked = check_shape(tensor.shape); !checked) {
    return checked.error().during("reading " + path);
  }
  const std::string_view data = bytes.substr(header_begin + header_bytes);
  const size_t expected = static_cast<size_t>(element_count(tensor.shape)) *
                          static_cast<size_t>(size_bytes_of(tensor.dtype));
  if (data.size() != expected) {
    return bad(fmt::format("holds ({}) bytes of elements; its shape {} asks for ({})", data.size(),
                           to_string(tensor.shape), expected));
  }
  tensor.bytes.resize(expected);
  if (expected > 0) std::memcpy(tensor.bytes.data(), data.data(), expected);
  if (header.is_big_endian) swap_bytes(tensor);
  if (header.is_fortran_order) tensor.bytes = row_major(tensor);
  return tensor;
}

namespace {

/// The narrowest type of NumPy's that has all numbers of `dtype`.
DType widened(DType dtype) {
  if (dtype == DType::bf16 || is_small_float(dtype)) return DType::f32;
  if (dtype == DType::i4 || dtype == DType::i2) return DType::i8;
  return dtype == DType::u4 || dtype == DType::u2 ? DType::u8 : dtype;
}

}  // namespace

std::string npy_bytes(const HostTensor& tensor) {
  if (const DType known = widened(tensor.dtype); known != tensor.dtype) {
    HostTensor wide = HostTensor::zeros(known, tensor.shape);
    for (int64_t i = 0; i < element_count(tensor.shape); ++i) wide.set_number(i, tensor.number(i));
    return npy_bytes(wide);
  }
  const std::string_view descr = descr_of(tensor.dtype);
  std::string shape;
  for (const int64_t extent : tensor.shape) shape += fmt::format("{}, ", extent);
  if (tensor.shape.size() > 1) shape.resize(shape.size() - 2);
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                   descr[1] == '1' ? '|' : '<', descr, shape);
  while ((kMagic.size() + 4 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string bytes(kMagic);
  bytes += {'\x01', '\x00', static_cast<char>(header.size() & 0xff),
            static_cast<char>(header.size() >> 8)};
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return bytes;
}

}  // namespace leat
