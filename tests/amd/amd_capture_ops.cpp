// A small reference of ONNX operators in f64, written from the standard's definitions. It covers
// what convolutional networks need; an operator that is missing is reported, never skipped.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "tests/amd/amd_capture_tensor.h"

namespace leat::amd_card {

namespace {

using nlohmann::json;

Error unsupported(const std::string& text) { return Error(ErrorKind::unsupported, text); }

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::vector<int64_t> ints(const json& attributes, const char* name,
                          std::vector<int64_t> otherwise) {
  return attributes.contains(name) ? attributes[name].get<std::vector<int64_t>>() : otherwise;
}

/// Element of `v` that broadcasts to index `k` of a tensor with `shape`.
double broadcast_at(const Values& v, const std::vector<int64_t>& shape, int64_t k) {
  int64_t at = 0, stride = 1;
  for (size_t axis = 0; axis < v.shape.size(); ++axis) {
    const int64_t extent = v.shape[v.shape.size() - 1 - axis];
    const int64_t whole = shape[shape.size() - 1 - axis];
    const int64_t index = k % whole;
    k /= whole;
    at += (extent == 1 ? 0 : index) * stride;
    stride *= extent;
  }
  return v.at[size_t(at)];
}

Result<Values> elementwise(const std::vector<Values>& in,
                           const std::function<double(double, double)>& function) {
  Values out;
  const size_t rank = std::max(in[0].shape.size(), in[1].shape.size());
  out.shape.assign(rank, 1);
  for (const Values* v : {&in[0], &in[1]}) {
    for (size_t axis = 0; axis < v->shape.size(); ++axis) {
      int64_t& extent = out.shape[rank - 1 - axis];
      const int64_t mine = v->shape[v->shape.size() - 1 - axis];
      if (extent != 1 && mine != 1 && extent != mine)
        return unsupported("Shapes do not broadcast.");
      extent = std::max(extent, mine);
    }
  }
  const int64_t count = product(out.shape);
  for (int64_t k = 0; k < count; ++k) {
    out.at.push_back(
        function(broadcast_at(in[0], out.shape, k), broadcast_at(in[1], out.shape, k)));
  }
  return out;
}

Values mapped(const Values& in, const std::function<double(double)>& function) {
  Values out = in;
  for (double& value : out.at) value = function(value);
  return out;
}

/// A window over the two spatial axes of NCHW.
struct Window {
  int64_t kernel[2], stride[2], pad[2], dilation[2], out[2];
};

Result<Window> window_of(const json& attributes, const Values& x, std::vector<int64_t> kernel) {
  if (x.shape.size() != 4) return unsupported("Only windows over two axes are known.");
  if (attributes.value("auto_pad", "NOTSET") != "NOTSET" || attributes.value("ceil_mode", 0) != 0) {
    return unsupported("auto_pad and ceil_mode are not known.");
  }
  kernel = ints(attributes, "kernel_shape", kernel);
  const auto strides = ints(attributes, "strides", {1, 1});
  const auto pads = ints(attributes, "pads", {0, 0, 0, 0});
  const auto dilations = ints(attributes, "dilations", {1, 1});
  Window w;
  for (size_t axis = 0; axis < 2; ++axis) {
    w.kernel[axis] = kernel[axis], w.stride[axis] = strides[axis];
    w.pad[axis] = pads[axis], w.dilation[axis] = dilations[axis];
    const int64_t reach = (kernel[axis] - 1) * dilations[axis] + 1;
    w.out[axis] = (x.shape[2 + axis] + pads[axis] + pads[2 + axis] - reach) / strides[axis] + 1;
  }
  return w;
}

/// Calls `visit(value index in x, kernel row, kernel column)` for each position inside of x.
template <class F>
void visit_window(const Window& w, const Values& x, int64_t plane, int64_t oy, int64_t ox,
                  F visit) {
  const int64_t height = x.shape[2], width = x.shape[3];
  for (int64_t r = 0; r < w.kernel[0]; ++r) {
    for (int64_t s = 0; s < w.kernel[1]; ++s) {
      const int64_t y = oy * w.stride[0] - w.pad[0] + r * w.dilation[0];
      const int64_t c = ox * w.stride[1] - w.pad[1] + s * w.dilation[1];
      if (y < 0 || y >= height || c < 0 || c >= width) continue;
      visit(size_t((plane * height + y) * width + c), r, s);
    }
  }
}

Result<Values> convolution(const json& attributes, const std::vector<Values>& in) {
  const Values& x = in[0];
  const Values& weights = in[1];
  if (weights.shape.size() != 4) return unsupported("Only 2-d convolutions are known.");
  TRY_ASSIGN(Window w, window_of(attributes, x, {weights.shape[2], weights.shape[3]}));
  const int64_t groups = attributes.value("group", int64_t{1});
  const int64_t outputs = weights.shape[0], per_group = weights.shape[1];
  Values out;
  out.shape = {x.shape[0], outputs, w.out[0], w.out[1]};
  for (int64_t n = 0; n < x.shape[0]; ++n) {
    for (int64_t k = 0; k < outputs; ++k) {
      const int64_t first = k / (outputs / groups) * per_group;
      for (int64_t place = 0; place < w.out[0] * w.out[1]; ++place) {
        double sum = in.size() > 2 ? in[2].at[size_t(k)] : 0;
        for (int64_t c = 0; c < per_group; ++c) {
          visit_window(w, x, n * x.shape[1] + first + c, place / w.out[1], place % w.out[1],
                       [&](size_t at, int64_t r, int64_t s) {
                         const int64_t weight =
                             ((k * per_group + c) * w.kernel[0] + r) * w.kernel[1] + s;
                         sum += x.at[at] * weights.at[size_t(weight)];
                       });
        }
        out.at.push_back(sum);
      }
    }
  }
  return out;
}

Result<Values> pooling(const json& attributes, const Values& x, bool is_maximum) {
  TRY_ASSIGN(Window w, window_of(attributes, x, {1, 1}));
  const bool counts_pads = attributes.value("count_include_pad", 0) != 0;
  Values out;
  out.shape = {x.shape[0], x.shape[1], w.out[0], w.out[1]};
  for (int64_t plane = 0; plane < x.shape[0] * x.shape[1]; ++plane) {
    for (int64_t place = 0; place < w.out[0] * w.out[1]; ++place) {
      double sum = 0, best = -INFINITY, count = 0;
      visit_window(w, x, plane, place / w.out[1], place % w.out[1],
                   [&](size_t at, int64_t, int64_t) {
                     sum += x.at[at], ++count;
                     best = std::max(best, x.at[at]);
                   });
      if (counts_pads) count = double(w.kernel[0] * w.kernel[1]);
      out.at.push_back(is_maximum ? best : sum / count);
    }
  }
  return out;
}

/// As numpy.matmul: vectors are a row or a column, the axes before the last two broadcast.
Result<Values> matrix_product(Values a, Values b) {
  if (a.shape.empty() || b.shape.empty()) return unsupported("A scalar in MatMul.");
  const bool is_row = a.shape.size() == 1, is_column = b.shape.size() == 1;
  if (is_row) a.shape.insert(a.shape.begin(), 1);
  if (is_column) b.shape.push_back(1);
  const int64_t m = a.shape[a.shape.size() - 2], k = a.shape.back(), n = b.shape.back();
  if (b.shape[b.shape.size() - 2] != k) return unsupported("Shapes that differ in MatMul.");
  // Which matrix of each, by the index of the result's.
  const auto numbered = [](const std::vector<int64_t>& shape) {
    Values numbers{{shape.begin(), shape.end() - 2}, {}};
    for (int64_t i = 0; i < product(numbers.shape); ++i) numbers.at.push_back(double(i));
    return numbers;
  };
  const std::vector<Values> both = {numbered(a.shape), numbered(b.shape)};
  TRY_ASSIGN(const Values firsts, elementwise(both, [](double x, double) { return x; }));
  TRY_ASSIGN(const Values seconds, elementwise(both, [](double, double y) { return y; }));
  Values out;
  out.shape = firsts.shape;
  if (!is_row) out.shape.push_back(m);
  if (!is_column) out.shape.push_back(n);
  for (size_t batch = 0; batch < firsts.at.size(); ++batch) {
    const int64_t at = int64_t(firsts.at[batch]) * m * k, bt = int64_t(seconds.at[batch]) * k * n;
    for (int64_t i = 0; i < m * n; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < k; ++j) {
        sum += a.at[size_t(at + i / n * k + j)] * b.at[size_t(bt + j * n + i % n)];
      }
      out.at.push_back(sum);
    }
  }
  return out;
}

Values transposed(const Values& in, const std::vector<int64_t>& order) {
  Values out;
  for (const int64_t axis : order) out.shape.push_back(in.shape[size_t(axis)]);
  std::vector<int64_t> strides(in.shape.size(), 1);
  for (size_t axis = in.shape.size(); axis-- > 1;) {
    strides[axis - 1] = strides[axis] * in.shape[axis];
  }
  for (int64_t k = 0; k < product(out.shape); ++k) {
    int64_t rest = k, at = 0;
    for (size_t axis = order.size(); axis-- > 0;) {
      at += rest % out.shape[axis] * strides[size_t(order[axis])];
      rest /= out.shape[axis];
    }
    out.at.push_back(in.at[size_t(at)]);
  }
  return out;
}

Result<Values> gemm(const json& attributes, std::vector<Values> in) {
  if (attributes.value("transA", 0) != 0) in[0] = transposed(in[0], {1, 0});
  if (attributes.value("transB", 0) != 0) in[1] = transposed(in[1], {1, 0});
  TRY_ASSIGN(Values out, matrix_product(in[0], in[1]));
  const double alpha = attributes.value("alpha", 1.0), beta = attributes.value("beta", 1.0);
  for (double& value : out.at) value *= alpha;
  if (in.size() < 3) return out;
  return elementwise({out, in[2]}, [beta](double x, double c) { return x + beta * c; });
}

Values softmax(const Values& x, int64_t axis) {
  Values out = x;
  if (axis < 0) axis += int64_t(x.shape.size());
  const int64_t extent = x.shape[size_t(axis)];
  int64_t inner = 1;
  for (size_t a = size_t(axis) + 1; a < x.shape.size(); ++a) inner *= x.shape[a];
  for (int64_t row = 0; row < product(x.shape) / extent; ++row) {
    const int64_t first = row / inner * extent * inner + row % inner;
    double top = -INFINITY, sum = 0;
    for (int64_t k = 0; k < extent; ++k) top = std::max(top, x.at[size_t(first + k * inner)]);
    for (int64_t k = 0; k < extent; ++k) {
      double& value = out.at[size_t(first + k * inner)];
      sum += value = std::exp(value - top);
    }
    for (int64_t k = 0; k < extent; ++k) out.at[size_t(first + k * inner)] /= sum;
  }
  return out;
}

Result<Values> concatenation(const std::vector<Values>& in, int64_t axis) {
  Values out = in[0];
  if (axis < 0) axis += int64_t(in[0].shape.size());
  const size_t at = size_t(axis);
  out.shape[at] = 0;
  for (const Values& part : in) out.shape[at] += part.shape[at];
  int64_t outer = 1;
  for (size_t a = 0; a < at; ++a) outer *= in[0].shape[a];
  out.at.clear();
  for (int64_t row = 0; row < outer; ++row) {
    for (const Values& part : in) {
      const int64_t size = product(part.shape) / outer;
      out.at.insert(out.at.end(), part.at.begin() + row * size, part.at.begin() + (row + 1) * size);
    }
  }
  return out;
}

/// One function of one value; null when the operator is none.
std::function<double(double)> unary_function(const std::string& op, const json& attributes) {
  if (op == "Relu") return [](double x) { return std::max(x, 0.0); };
  if (op == "Sigmoid") return [](double x) { return 1 / (1 + std::exp(-x)); };
  if (op == "Tanh") return [](double x) { return std::tanh(x); };
  if (op == "Exp") return [](double x) { return std::exp(x); };
  if (op == "Log") return [](double x) { return std::log(x); };
  if (op == "Sqrt") return [](double x) { return std::sqrt(x); };
  if (op == "Neg") return [](double x) { return -x; };
  if (op == "Abs") return [](double x) { return std::fabs(x); };
  if (op == "Erf") return [](double x) { return std::erf(x); };
  if (op == "Identity" || op == "Dropout") return [](double x) { return x; };
  if (op == "LeakyRelu") {
    const double alpha = attributes.value("alpha", 0.01);
    return [alpha](double x) { return x < 0 ? alpha * x : x; };
  }
  return nullptr;
}

std::function<double(double, double)> binary_function(const std::string& op) {
  if (op == "Add") return [](double x, double y) { return x + y; };
  if (op == "Sub") return [](double x, double y) { return x - y; };
  if (op == "Mul") return [](double x, double y) { return x * y; };
  if (op == "Div") return [](double x, double y) { return x / y; };
  if (op == "Max") return [](double x, double y) { return std::max(x, y); };
  if (op == "Min") return [](double x, double y) { return std::min(x, y); };
  if (op == "Pow") return [](double x, double y) { return std::pow(x, y); };
  return nullptr;
}

Values reshaped(const Values& x, std::vector<int64_t> shape) {
  int64_t known = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 0) shape[axis] = x.shape[axis];
    if (shape[axis] > 0) known *= shape[axis];
  }
  for (int64_t& extent : shape) {
    if (extent < 0) extent = product(x.shape) / known;
  }
  return {shape, x.at};
}

Result<Values> normalisation(const json& attributes, const std::vector<Values>& in) {
  if (in.size() != 5 || in[0].shape.size() < 2) return unsupported("BatchNormalization's inputs.");
  const double epsilon = attributes.value("epsilon", 1e-5);
  Values out = in[0];
  const int64_t channels = out.shape[1];
  const int64_t inner = product(out.shape) / out.shape[0] / channels;
  for (size_t k = 0; k < out.at.size(); ++k) {
    const size_t c = size_t(int64_t(k) / inner % channels);
    const double scale = in[1].at[c] / std::sqrt(in[4].at[c] + epsilon);
    out.at[k] = (out.at[k] - in[3].at[c]) * scale + in[2].at[c];
  }
  return out;
}

Result<Values> compute(const std::string& op, const json& attributes, std::vector<Values> in) {
  if (in.empty()) return unsupported(fmt::format("Operator {} has no input.", op));
  if (const auto function = unary_function(op, attributes)) return mapped(in[0], function);
  if (const auto function = binary_function(op); function && in.size() == 2) {
    return elementwise(in, function);
  }
  if (op == "Conv" && in.size() >= 2) return convolution(attributes, in);
  if (op == "MatMul" && in.size() == 2) return matrix_product(in[0], in[1]);
  if (op == "Gemm" && in.size() >= 2) return gemm(attributes, in);
  if (op == "MaxPool") return pooling(attributes, in[0], true);
  if (op == "AveragePool") return pooling(attributes, in[0], false);
  if (op == "GlobalAveragePool" && in[0].shape.size() == 4) {
    return pooling({{"kernel_shape", {in[0].shape[2], in[0].shape[3]}}}, in[0], false);
  }
  if (op == "BatchNormalization") return normalisation(attributes, in);
  if (op == "Softmax") return softmax(in[0], attributes.value("axis", int64_t{-1}));
  if (op == "Concat") return concatenation(in, attributes.at("axis").get<int64_t>());
  if (op == "Clip") {
    const double low = in.size() > 1 ? in[1].at.at(0) : attributes.value("min", -INFINITY);
    const double high = in.size() > 2 ? in[2].at.at(0) : attributes.value("max", INFINITY);
    return mapped(in[0], [=](double x) { return std::min(std::max(x, low), high); });
  }
  if (op == "Flatten") {
    const int64_t axis = attributes.value("axis", int64_t{1});
    int64_t outer = 1;
    for (int64_t a = 0; a < axis; ++a) outer *= in[0].shape[size_t(a)];
    return Values{{outer, product(in[0].shape) / outer}, in[0].at};
  }
  if (op == "Reshape" && in.size() == 2) {
    std::vector<int64_t> shape;
    for (const double extent : in[1].at) shape.push_back(int64_t(extent));
    return reshaped(in[0], shape);
  }
  if (op == "Transpose") {
    std::vector<int64_t> order(in[0].shape.size());
    for (size_t k = 0; k < order.size(); ++k) order[k] = int64_t(order.size() - 1 - k);
    return transposed(in[0], ints(attributes, "perm", order));
  }
  return unsupported(fmt::format("Operator {} is not computed here.", op));
}

}  // namespace

Result<void> compute_nodes(const json& nodes, std::map<std::string, Values>& values) {
  for (const json& node : nodes) {
    std::vector<Values> in;
    for (const json& name : node.at("inputs")) {
      const auto found = values.find(name.get<std::string>());
      if (found == values.end()) {
        return Error(ErrorKind::invalid_argument,
                     fmt::format("Value \"{}\" was not computed.", name.get<std::string>()));
      }
      in.push_back(found->second);
    }
    const json attributes = node.value("attrs", json::object());
    TRY_ASSIGN(Values out, compute(node.at("op").get<std::string>(), attributes, in));
    values[node.at("outputs").at(0).get<std::string>()] = std::move(out);
  }
  return {};
}

}  // namespace leat::amd_card
