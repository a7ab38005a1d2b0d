// See ops_signal.h. Tables of angles are nodes without inputs: small ones become constants, and
// large ones are made on the device, so that a file cannot ask for gigabytes here.
#include "leat/tensor/ops_signal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "leat/tensor/node_writer.h"
#include "leat/tensor/ops.h"

namespace leat::ops {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;
constexpr int64_t kMelBinsMax = 1 << 16;

/// The sum of coefficients[i] * cos(i * angle).
Term cosine_sum(Term angle, std::span<const double> coefficients) {
  Term sum = angle.constant(coefficients[0]);
  for (size_t i = 1; i < coefficients.size(); ++i) {
    sum = sum + apply(ScalarOp::cos, angle * static_cast<double>(i)) * coefficients[i];
  }
  return sum;
}

}  // namespace

Result<TensorId> signal_window(Graph& graph, std::string_view name, SignalWindow kind,
                               const SignalWindowOptions& options) {
  const Place place(graph, "Window", name);
  TRY(require_shape(place, {options.size}));
  if (options.dtype == DType::boolean || is_small_float(options.dtype)) {
    return place.error(fmt::format("The dtype ({}) is no number.", leat::name_of(options.dtype)));
  }
  // Source: the functions of the ONNX operators.
  constexpr double kHann[] = {0.5, -0.5};
  constexpr double kHamming[] = {25.0 / 46, -21.0 / 46};
  constexpr double kBlackman[] = {0.42, -0.5, 0.08};
  NodeWriter writer(graph, place);
  const double period = static_cast<double>(options.size) - (options.periodic ? 0 : 1);
  const Term position = convert(writer.axis(0), ScalarType::f32);
  Term value = writer.number(ScalarType::f32, 1);
  if (period > 0) {
    const Term angle = position * (kTurn / period);
    const bool is_hann = kind == SignalWindow::hann;
    const bool is_hamming = kind == SignalWindow::hamming;
    value = is_hann ? cosine_sum(angle, kHann)
                    : cosine_sum(angle, is_hamming ? std::span<const double>(kHamming) : kBlackman);
  }
  return writer.map(options.dtype, {options.size}, convert(value, scalar_type_of(options.dtype)));
}

namespace {

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

/// The lines of the spectrum where the triangles begin; triangle i goes from line i to i + 2.
std::vector<int64_t> mel_corners(const MelOptions& options) {
  const double low = mel_of(options.lower_hertz);
  const double step = (mel_of(options.upper_hertz) - low) / static_cast<double>(options.bins + 2);
  std::vector<int64_t> corners;
  for (int64_t i = 0; i < options.bins + 2; ++i) {
    const double hertz = hertz_of(low + static_cast<double>(i) * step);
    const double line = std::floor(static_cast<double>(options.dft_length + 1) * hertz /
                                   static_cast<double>(options.sample_rate));
    corners.push_back(static_cast<int64_t>(std::clamp(line, -1.0, double{1 << 30})));
  }
  return corners;
}

Result<void> check_mel(const Place& place, const MelOptions& options) {
  const bool fits = options.bins >= 1 && options.bins <= kMelBinsMax && options.dft_length >= 1 &&
                    options.dft_length <= kElementsMax && options.sample_rate >= 1 &&
                    options.lower_hertz >= 0 && options.lower_hertz <= options.upper_hertz &&
                    std::isfinite(options.upper_hertz);
  if (!fits) {
    return place.error(
        fmt::format("{} bins (limit {}) of a transform of length {} at {} samples "
                    "a second from {} to {} hertz are no filters.",
                    options.bins, kMelBinsMax, options.dft_length, options.sample_rate,
                    options.lower_hertz, options.upper_hertz));
  }
  if (options.dtype == DType::boolean || is_small_float(options.dtype)) {
    return place.error(fmt::format("The dtype ({}) is no number.", leat::name_of(options.dtype)));
  }
  return {};
}

}  // namespace

Result<TensorId> mel_weight_matrix(Graph& graph, std::string_view name, const MelOptions& options) {
  const Place place(graph, "MelWeightMatrix", name);
  TRY(check_mel(place, options));
  const Shape shape = {options.dft_length / 2 + 1, options.bins};
  TRY(require_shape(place, shape));
  const TensorId corners =
      add_table_i32(graph, place.name + "/corners", {options.bins + 2}, mel_corners(options));
  NodeWriter writer(graph, place);
  const Term line = writer.axis(0), bin = writer.axis(1);
  const Term low = writer.load(corners, {bin});
  const Term centre = writer.load(corners, {bin + 1});
  const Term high = writer.load(corners, {bin + 2});
  const auto share = [](Term part, Term whole) {
    return convert(part, ScalarType::f32) / convert(max(whole, 1), ScalarType::f32);
  };
  const Term rising = select(low <= line, share(line - low, centre - low), 0);
  const Term falling = select(line < high, share(high - line, high - centre), 0);
  const Term side = select(line < centre, rising, falling);
  const Term value = select(equal(line, centre), 1, side);
  return writer.map(options.dtype, shape, convert(value, scalar_type_of(options.dtype)));
}

// --- Fourier transforms
// ---------------------------------------------------------------------------

namespace {

/// What a transform along one dimension has to know.
struct Transform {
  DType dtype = DType::f32;  // of tables and what lies between
  int64_t length = 1;
  int64_t in_rows = 1;  // points (inverse, onesided: lines) that are read; the rest is zero
  int64_t in_parts = 2;
  int64_t out_rows = 1;
  int64_t out_parts = 2;
  bool inverse = false;
  bool from_half = false;  // x has the lines 0 to length / 2 of a real signal's spectrum

  double sign() const { return inverse ? 1 : -1; }
  double scale() const { return inverse ? 1 / static_cast<double>(length) : 1; }
};

/// cos or sin of `turns` / length of a turn, by which a part of a complex number becomes one of
/// its product: one cosine, moved by a quarter turn where the parts differ.
Term rotation(Term turns, Term part_in, Term part_out, const Transform& transform) {
  const double length = static_cast<double>(transform.length);
  const Term quarters = (part_in - part_out) * (transform.sign() * length) + length;
  const Term places = (turns * 4 + quarters) % (4 * length);  // exact; a quarter turn too many
  const ScalarType type = scalar_type_of(transform.dtype);
  return apply(ScalarOp::cos, convert(places - length, type) * (kTurn / (4 * length)));
}

/// (in_rows, in_parts, out_rows, out_parts): what each part of each point adds to each result.
Result<TensorId> write_table(Graph& graph, const Place& place, std::string_view suffix,
                             const Transform& transform, double scale) {
  NodeWriter writer(graph, place, suffix);
  const Term row = writer.axis(0), line = writer.axis(2);
  const double length = static_cast<double>(transform.length);
  const Term turns = row * line % length;
  Term value = rotation(turns, writer.axis(1), writer.axis(3), transform) * scale;
  if (transform.from_half) {
    const Term is_single = either(equal(row, 0), equal(row * 2, length));
    value = select(is_single, value, value * 2);  // the line's mirror image too
  }
  return writer.map(
      transform.dtype,
      {transform.in_rows, transform.in_parts, transform.out_rows, transform.out_parts}, value);
}

/// The product of x with the table along `axis`. Loops: the other dimensions, lines, parts.
Result<TensorId> write_direct(Graph& graph, const Place& place, std::string_view suffix, TensorId x,
                              TensorId table, size_t axis, DType dtype) {
  const Shape in = shape_of(graph, x), sizes = shape_of(graph, table);
  NodeWriter writer(graph, place, suffix);
  Loops loops;
  std::vector<Term> index;
  for (size_t d = 0; d + 1 < in.size(); ++d) {
    index.push_back(writer.axis(loops.extents.size()));
    if (d != axis) loops.extents.push_back(in[d]);
  }
  const size_t first = loops.extents.size();
  const Term line = writer.axis(first), part = writer.axis(first + 1);
  const Term row = writer.axis(first + 2), part_in = writer.axis(first + 3);
  loops.extents.insert(loops.extents.end(), {sizes[2], sizes[3]});
  loops.index = index;
  loops.index[axis] = line;
  loops.index.push_back(part);
  index[axis] = row;
  index.push_back(part_in);
  Shape out = in;
  out[axis] = sizes[2];
  out.back() = sizes[3];
  const Term factor = writer.load(table, {row, part_in, line, part});
  const Term element = writer.load(x, index) * factor;
  return writer.reduce(dtype, out, loops, {ReduceOp::sum, {sizes[0], sizes[1]}, element},
                       writer.accumulator(element.type()));
}

Transform whole_transform(const Transform& of, int64_t length) {
  return {.dtype = of.dtype,
          .length = length,
          .in_rows = length,
          .out_rows = length,
          .inverse = of.inverse};
}

/// The factor nearest below the root, so that it and what is left are both small: a line's steps
/// are their sum. 1 of a prime.
int64_t factor_of(int64_t length) {
  int64_t factor = static_cast<int64_t>(std::sqrt(static_cast<double>(length)));
  while (length % factor != 0) --factor;
  return factor;
}

bool is_splittable(int64_t length) {
  while (length > kDftDirectMax) {
    const int64_t factor = factor_of(length);
    if (factor == 1) return false;
    length /= factor;
  }
  return true;
}

/// Between the steps of a split: line k1 of what n2 began is turned by k1 * n2 / length.
Result<TensorId> write_twiddle(Graph& graph, const Place& place, const std::string& suffix,
                               TensorId x, const Transform& transform) {
  const Shape shape = shape_of(graph, x);  // (batch, k1, n2, 2)
  NodeWriter angles(graph, place, suffix + "/angles");
  const Term turns = angles.axis(0) * angles.axis(1);
  TRY_ASSIGN(const TensorId table,
             angles.map(transform.dtype, {shape[1], shape[2], 2, 2},
                        rotation(turns, angles.axis(2), angles.axis(3), transform)));
  NodeWriter writer(graph, place, suffix);
  const auto term = [&](int64_t part) {
    const Term at = writer.integer(part);
    const Term factor = writer.load(table, {writer.axis(1), writer.axis(2), at, writer.axis(3)});
    return writer.load(x, {writer.axis(0), writer.axis(1), writer.axis(2), at}) * factor;
  };
  const Term second = term(1);
  return writer.map(transform.dtype, shape, term(0) + second);
}

/// x (batch, length, 2), complex and whole. Point n = n2 + length2 * n1, line k = k1 + factor * k2:
/// transforms of the factor over n1, a turn, transforms of the rest over n2.
Result<TensorId> write_split(Graph& graph, const Place& place, TensorId x,
                             const Transform& transform) {
  const int64_t batch = shape_of(graph, x)[0], length = transform.length;
  const std::string at = fmt::format("/{}", length);
  const auto reshaped = [&](const std::string& suffix, TensorId tensor, const Ints& shape) {
    return reshape(graph, place.name + at + suffix, tensor, shape, true);
  };
  const auto direct = [&](const std::string& suffix, TensorId tensor,
                          int64_t points) -> Result<TensorId> {
    TRY_ASSIGN(const TensorId table, write_table(graph, place, at + suffix + "/table",
                                                 whole_transform(transform, points), 1));
    return write_direct(graph, place, at + suffix, tensor, table, 1, transform.dtype);
  };
  if (length <= kDftDirectMax) return direct("/lines", x, length);
  const int64_t factor = factor_of(length), rest = length / factor;
  TRY_ASSIGN(TensorId value, reshaped("/points", x, {batch, factor, rest, 2}));
  TRY_ASSIGN(value, direct("/factor", value, factor));
  TRY_ASSIGN(value, write_twiddle(graph, place, at + "/turned", value, transform));
  TRY_ASSIGN(value, reshaped("/rest", value, {batch * factor, rest, 2}));
  Transform inner = transform;
  inner.length = rest;
  TRY_ASSIGN(value, write_split(graph, place, value, inner));
  TRY_ASSIGN(value, reshaped("/split", value, {batch, factor, rest, 2}));
  TRY_ASSIGN(value, transpose(graph, place.name + at + "/ordered", value, {0, 2, 1, 3}));
  return reshaped("/joined", value, {batch, length, 2});
}

/// x as (others..., length, 2): zeros behind what is read, the mirror image of half a spectrum.
Result<TensorId> write_prepared(Graph& graph, const Place& place, TensorId x, size_t axis,
                                const Transform& transform) {
  const Shape in = shape_of(graph, x);
  NodeWriter writer(graph, place, "/prepared");
  Shape shape;
  std::vector<Term> index;
  for (size_t d = 0; d + 1 < in.size(); ++d) {
    index.push_back(writer.axis(shape.size()));
    if (d != axis) shape.push_back(in[d]);
  }
  const Term point = writer.axis(shape.size()), part = writer.axis(shape.size() + 1);
  const double length = static_cast<double>(transform.length);
  const Term is_mirrored = transform.from_half ? length < point * 2 : writer.truth(false);
  const Term row = select(is_mirrored, length - point, point);
  index[axis] = row;
  index.push_back(transform.in_parts == 1 ? writer.integer(0) : part);
  Term inside = row < static_cast<double>(transform.in_rows);
  if (transform.in_parts == 1) inside = both(inside, equal(part, 0));
  const Term value = writer.load(x, index, inside);
  shape.insert(shape.end(), {transform.length, 2});
  const Term is_conjugate = both(is_mirrored, equal(part, 1));
  return writer.map(transform.dtype, shape, select(is_conjugate, -value, value));
}

/// The lines and parts of (batch, length, 2) that are asked for, where x has them.
Result<TensorId> write_finished(Graph& graph, const Place& place, TensorId lines, const Shape& out,
                                size_t axis, const Transform& transform, DType dtype) {
  Shape split = out;
  split.erase(split.begin() + static_cast<ptrdiff_t>(axis));
  split.back() = transform.length;
  split.push_back(2);
  TRY_ASSIGN(const TensorId shaped, reshape(graph, place.name + "/lines", lines, split, true));
  NodeWriter writer(graph, place);
  std::vector<Term> index;
  for (size_t d = 0; d + 1 < out.size(); ++d) {
    if (d != axis) index.push_back(writer.axis(d));
  }
  index.push_back(writer.axis(axis));
  index.push_back(writer.axis(out.size() - 1));
  return writer.map(dtype, out, writer.load(shaped, index) * transform.scale());
}

Result<TensorId> write_long(Graph& graph, const Place& place, TensorId x, size_t axis,
                            const Transform& transform) {
  if (!is_splittable(transform.length)) {
    return Error(ErrorKind::unsupported, fmt::format("The length ({}) has a prime factor above {}.",
                                                     transform.length, kDftDirectMax))
        .during(fmt::format("adding {} \"{}\"", place.op, place.name));
  }
  TRY_ASSIGN(const TensorId prepared, write_prepared(graph, place, x, axis, transform));
  Shape out = shape_of(graph, x);
  out[axis] = transform.out_rows;
  out.back() = transform.out_parts;
  TRY(require_shape(place, out));
  const int64_t batch = element_count(shape_of(graph, prepared)) / (2 * transform.length);
  TRY_ASSIGN(const TensorId points,
             reshape(graph, place.name + "/points", prepared, {batch, transform.length, 2}, true));
  TRY_ASSIGN(const TensorId lines,
             write_split(graph, place, points, whole_transform(transform, transform.length)));
  return write_finished(graph, place, lines, out, axis, transform, dtype_of(graph, x));
}

Result<Transform> transform_of(const Graph& graph, const Place& place, TensorId x, size_t axis,
                               const DftOptions& options) {
  const Shape& shape = shape_of(graph, x);
  const bool from_half = options.onesided && options.inverse;
  const int64_t extent = shape[axis], parts = shape.back();
  const int64_t length = options.length.value_or(from_half ? 2 * (extent - 1) : extent);
  if (parts != 1 && parts != 2) {
    return place.error(
        fmt::format("The last extent ({}) is neither 1 (real) nor 2 (complex).", parts));
  }
  if (options.onesided && !options.inverse && parts == 2) {
    return place.error("Half a spectrum belongs to a real signal; the input is complex.");
  }
  if (length < 1 || length > kDftMax) {
    return place.error(fmt::format("The length ({}) is outside 1 to {}.", length, kDftMax));
  }
  const int64_t half = length / 2 + 1;
  return Transform{.dtype = wide_dtype_of(dtype_of(graph, x)),
                   .length = length,
                   .in_rows = std::min(extent, from_half ? half : length),
                   .in_parts = parts,
                   .out_rows = options.onesided && !options.inverse ? half : length,
                   .out_parts = from_half ? 1 : 2,
                   .inverse = options.inverse,
                   .from_half = from_half};
}

Result<TensorId> write_dft(Graph& graph, const Place& place, TensorId x,
                           const DftOptions& options) {
  TRY(require_float(graph, place, x));
  const size_t rank = shape_of(graph, x).size();
  TRY_ASSIGN(const size_t axis, resolve_axis(place, options.axis, rank));
  if (axis + 1 == rank) {
    return place.error(fmt::format("Axis ({}) is that of real and imaginary parts.", options.axis));
  }
  TRY_ASSIGN(const Transform transform, transform_of(graph, place, x, axis, options));
  if (transform.length > kDftDirectMax) return write_long(graph, place, x, axis, transform);
  TRY_ASSIGN(const TensorId table,
             write_table(graph, place, "/table", transform, transform.scale()));
  return write_direct(graph, place, "", x, table, axis, dtype_of(graph, x));
}

}  // namespace

Result<TensorId> dft(Graph& graph, std::string_view name, TensorId x, const DftOptions& options) {
  return write_dft(graph, Place(graph, "DFT", name), x, options);
}

Result<TensorId> stft(Graph& graph, std::string_view name, TensorId signal, TensorId window,
                      const StftOptions& options) {
  const Place place(graph, "STFT", name);
  TRY(require_float(graph, place, signal));
  const Shape shape = shape_of(graph, signal);
  if (shape.size() != 3) {
    return place.error(
        fmt::format("The signal's shape {} is not (batch, points, parts).", to_string(shape)));
  }
  int64_t length = options.length.value_or(shape[1]);
  if (window != kNoTensor) {
    TRY(require_same_dtype(graph, place, signal, window));
    const Shape& given = shape_of(graph, window);
    if (given.size() != 1 || (options.length && given[0] != length)) {
      return place.error(fmt::format("The window's shape {} is not that of a frame ({}).",
                                     to_string(given), length));
    }
    length = given[0];
  }
  if (length < 1 || length > shape[1] || options.step < 1) {
    return place.error(fmt::format("Frames of {} points, {} apart, do not lie in {} points.",
                                   length, options.step, shape[1]));
  }
  const int64_t step = std::min(options.step, shape[1]);
  const Shape framed = {shape[0], (shape[1] - length) / step + 1, length, shape[2]};
  TRY(require_shape(place, framed));
  NodeWriter writer(graph, place, "/frames");
  const Term point = writer.axis(1) * static_cast<double>(step) + writer.axis(2);
  Term value = writer.load(signal, {writer.axis(0), point, writer.axis(3)});
  if (window != kNoTensor) value = value * writer.load(window, {writer.axis(2)});
  TRY_ASSIGN(const TensorId frames, writer.map(dtype_of(graph, signal), framed, value));
  return write_dft(graph, place, frames, {.axis = 2, .onesided = options.onesided});
}

}  // namespace leat::ops
