// See conv_case.h.
#include "bench/conv_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "leat/base/files.h"
#include "leat/base/half.h"
#include "leat/tensor/ops.h"
#include "leat/tensor/ops_quantize.h"

namespace leat::cli {

namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr int64_t kExtentMax = 1 << 20;

/// xorshift64*: Source: S. Vigna, "An experimental exploration of Marsaglia's xorshift generators".
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint32_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545f4914f6cdd1dull) >> 32);
  }
  float symmetric() { return static_cast<float>(static_cast<int32_t>(next()) * 0x1p-31); }
  int64_t below(int64_t limit) {
    return static_cast<int64_t>(next() % static_cast<uint64_t>(limit));
  }

 private:
  uint64_t state_;
};

HostTensor random_tensor(const Shape& shape, DType dtype, uint64_t seed) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  Random random(seed);
  if (dtype == DType::u8 || dtype == DType::i8) {
    for (std::byte& byte : tensor.bytes) byte = static_cast<std::byte>(random.below(256));
    return tensor;
  }
  const size_t width = static_cast<size_t>(size_bytes_of(dtype));
  for (size_t at = 0; at < tensor.bytes.size(); at += width) {
    const float value = random.symmetric();
    const uint16_t half = dtype == DType::f16 ? half_from_float(value) : bfloat16_from_float(value);
    std::memcpy(tensor.bytes.data() + at,
                dtype == DType::f32 ? static_cast<const void*>(&value) : &half, width);
  }
  return tensor;
}

struct Position {
  int64_t n = 0, k = 0, p = 0, q = 0;
};

/// The 16 corners first, then random places, half of them on the rim.
Position position_of(int64_t sample, const ConvShape& shape, Random& random) {
  const auto corner = [&](int bit, int64_t extent) { return (sample >> bit & 1) * (extent - 1); };
  if (sample < 16) {
    return {corner(0, shape.n), corner(1, shape.k), corner(2, shape.p()), corner(3, shape.q())};
  }
  Position position{random.below(shape.n), random.below(shape.k), random.below(shape.p()),
                    random.below(shape.q())};
  if (sample % 4 == 1) position.p = corner(2, shape.p());
  if (sample % 4 == 3) position.q = corner(2, shape.q());
  return position;
}

double reference_at(const ConvShape& shape, const Position& at, const std::vector<float>& x,
                    const std::vector<float>& w) {
  double sum = 0;
  for (int64_t c = 0; c < shape.c; ++c) {
    for (int64_t i = 0; i < shape.r; ++i) {
      const int64_t y = at.p * shape.stride - shape.pad + i;
      if (y < 0 || y >= shape.h) continue;
      for (int64_t j = 0; j < shape.r; ++j) {
        const int64_t z = at.q * shape.stride - shape.pad + j;
        if (z < 0 || z >= shape.w) continue;
        const int64_t from = ((at.n * shape.c + c) * shape.h + y) * shape.w + z;
        const int64_t weight = ((at.k * shape.c + c) * shape.r + i) * shape.r + j;
        sum += static_cast<double>(x[static_cast<size_t>(from)]) *
               static_cast<double>(w[static_cast<size_t>(weight)]);
      }
    }
  }
  return sum;
}

}  // namespace

double ConvShape::flop() const {
  return 2.0 * static_cast<double>(n * k * p() * q()) * static_cast<double>(c * r * r);
}

Result<ConvShape> parse_conv_shape(std::string_view text, std::string name) {
  ConvShape shape;
  shape.name = name.empty() ? std::string(text) : std::move(name);
  const auto bad = [&](const std::string& why) {
    return Error(ErrorKind::invalid_argument, fmt::format("Shape \"{}\" {}.", text, why));
  };
  int64_t* const numbers[] = {&shape.n, &shape.c, &shape.h,      &shape.w,
                              &shape.k, &shape.r, &shape.stride, &shape.pad};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t i = 0; i < std::size(numbers); ++i) {
    while (at != end && *at == ' ') ++at;
    const auto [after, code] = std::from_chars(at, end, *numbers[i]);
    const bool is_last = i + 1 == std::size(numbers);
    if (code != std::errc() || (is_last ? after != end : after == end || *after != ',')) {
      return bad("is not eight whole numbers N,C,H,W,K,R,STRIDE,PAD");
    }
    const int64_t smallest = numbers[i] == &shape.pad ? 0 : 1;
    if (*numbers[i] < smallest || *numbers[i] > kExtentMax) {
      return bad(
          fmt::format("has a number ({}) outside {} to {}", *numbers[i], smallest, kExtentMax));
    }
    at = is_last ? after : after + 1;
  }
  if (shape.h + 2 * shape.pad < shape.r || shape.w + 2 * shape.pad < shape.r) {
    return bad("has a filter larger than its padded input");
  }
  for (const Shape& tensor : {shape.x_shape(), shape.w_shape(), shape.y_shape()}) {
    if (const Result<void> checked = check_shape(tensor); !checked) return checked.error();
  }
  return shape;
}

Result<ConvShape> parse_product_shape(std::string_view text) {
  int64_t sizes[3] = {};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t i = 0; i < std::size(sizes); ++i) {
    const auto [after, code] = std::from_chars(at, end, sizes[i]);
    const bool is_last = i + 1 == std::size(sizes);
    if (code != std::errc() || (is_last ? after != end : after == end || *after != ',')) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Shape \"{}\" is not three whole numbers M,N,K.", text));
    }
    at = is_last ? after : after + 1;
  }
  const auto [m, n, k] = sizes;
  TRY_ASSIGN(ConvShape shape, parse_conv_shape(fmt::format("1,{},{},1,{},1,1,0", k, m, n),
                                               fmt::format("{}x{}x{}", m, n, k)));
  shape.is_product = true;
  return shape;
}

Result<std::vector<ConvShape>> read_conv_suite(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(path, kFileBytesMax));
  std::vector<ConvShape> shapes;
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t comma = std::min(line.find(','), line.size() - 1);
    Result<ConvShape> shape =
        parse_conv_shape(line.substr(comma + 1), std::string(line.substr(0, comma)));
    if (!shape) return shape.error().during("reading " + path);
    shapes.push_back(std::move(*shape));
  }
  if (!shapes.empty()) return shapes;
  return Error(ErrorKind::invalid_argument, fmt::format("Suite \"{}\" has no shape in it.", path));
}

ConvData make_conv_data(const ConvShape& shape, DType dtype) {
  const DType x = dtype == DType::i8 ? DType::u8 : dtype;
  return {random_tensor(shape.x_shape(), x, 1), random_tensor(shape.w_shape(), dtype, 2)};
}

Result<Graph> make_conv_graph(const ConvShape& shape, const ConvData& data) {
  Graph graph;
  const TensorId x = graph.add_tensor("x", data.x.dtype, shape.x_shape());
  graph.inputs = {x};
  TensorId w = kNoTensor;
  if (shape.is_product) {
    w = graph.add_tensor("w", data.w.dtype, shape.w_shape());
    graph.inputs.push_back(w);
  } else {
    w = graph.add_constant("w", data.w);
  }
  ops::ConvOptions options;
  options.window.strides = {shape.stride, shape.stride};
  options.window.pads = {shape.pad, shape.pad, shape.pad, shape.pad};
  const bool is_whole = data.w.dtype == DType::i8;
  TRY_ASSIGN(const TensorId y,
             is_whole ? ops::conv_integer(graph, "conv", {x, kNoTensor, kNoTensor},
                                          {w, kNoTensor, kNoTensor}, kNoTensor, options)
                      : ops::conv(graph, "conv", x, w, kNoTensor, options));
  graph.outputs = {y};
  return graph;
}

std::vector<float> floats_of(const HostTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(element_count(tensor.shape)));
  if (tensor.dtype == DType::f32) {
    if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(tensor.number(static_cast<int64_t>(i)));
  }
  return values;
}

double sampled_error(const ConvShape& shape, const ConvData& data, const HostTensor& y) {
  const std::vector<float> x_values = floats_of(data.x);
  const std::vector<float> w_values = floats_of(data.w);
  Random random(3);
  double worst = 0;
  double largest = 0;
  for (int64_t sample = 0; sample < kReferenceSamples; ++sample) {
    const Position at = position_of(sample, shape, random);
    const double reference = reference_at(shape, at, x_values, w_values);
    const int64_t index = ((at.n * shape.k + at.k) * shape.p() + at.p) * shape.q() + at.q;
    const double value = y.number(index);
    if (!std::isfinite(value)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(value - reference));
    largest = std::max(largest, std::abs(reference));
  }
  return largest > 0 ? worst / largest : worst;
}

double relative_error(std::span<const float> a, std::span<const float> b) {
  double worst = 0;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) {
      return std::numeric_limits<double>::infinity();
    }
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return largest > 0 ? worst / largest : worst;
}

double error_limit(const ConvShape& shape, DType dtype) {
  if (dtype == DType::i8) return 0x1p-23;  // exact, but compared as floats
  const double walk = 4 * std::sqrt(static_cast<double>(shape.c * shape.r * shape.r)) * 0x1p-24;
  if (dtype == DType::f32) return walk;
  return walk + (dtype == DType::f16 ? 0x1p-10 : 0x1p-7);
}

}  // namespace leat::cli
