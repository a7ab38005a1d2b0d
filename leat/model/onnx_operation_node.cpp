// Source: ONNX operator schemas, operator sets 7 to 17.
#include "leat/model/onnx_operation_node.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "leat/model/onnx.pb.h"

namespace leat {

namespace {

using onnx::AttributeProto;
using Ints = std::vector<int64_t>;

/// What has to be made plain.
enum class Form : uint8_t { as_it_is, window, softmax, copy, axis };

struct Row {
  std::string_view op;
  size_t inputs_least, inputs_most;
  Form form = Form::as_it_is;
};
constexpr Row kRows[] = {
    {"Relu", 1, 1},
    {"LeakyRelu", 1, 1},
    {"Sigmoid", 1, 1},
    {"Tanh", 1, 1},
    {"Exp", 1, 1},
    {"Log", 1, 1},
    {"Sqrt", 1, 1},
    {"Neg", 1, 1},
    {"Abs", 1, 1},
    {"Erf", 1, 1},
    {"Clip", 1, 3},
    {"Add", 2, 2},
    {"Sub", 2, 2},
    {"Mul", 2, 2},
    {"Div", 2, 2},
    {"Max", 2, 2},
    {"Min", 2, 2},
    {"MatMul", 2, 2},
    {"Gemm", 2, 3},
    {"BatchNormalization", 5, 5},
    {"GlobalAveragePool", 1, 1},
    {"Reshape", 2, 2},
    {"Transpose", 1, 1},
    {"Identity", 1, 1, Form::copy},
    {"Dropout", 1, 3, Form::copy},
    {"Flatten", 1, 1, Form::axis},
    {"Concat", 1, 4096, Form::axis},
    {"Softmax", 1, 1, Form::softmax},
    {"Conv", 2, 3, Form::window},
    {"MaxPool", 1, 1, Form::window},
    {"AveragePool", 1, 1, Form::window},
};

class PlainNode {
 public:
  PlainNode(const onnx::NodeProto& proto, int64_t opset, const ValueOf& value_of)
      : proto_(proto), opset_(opset), value_of_(value_of) {}

  std::optional<OperationNode> make() {
    const auto* row = std::ranges::find(kRows, proto_.op_type(), &Row::op);
    const bool is_ours = proto_.domain().empty() || proto_.domain() == "ai.onnx";
    if (row == std::end(kRows) || !is_ours || !read(*row)) return std::nullopt;
    return shape(*row) ? std::optional(std::move(node_)) : std::nullopt;
  }

 private:
  /// Names, types, attributes as they stand.
  bool read(const Row& row) {
    node_.op = proto_.op_type();
    node_.inputs.assign(proto_.input().begin(), proto_.input().end());
    while (!node_.inputs.empty() && node_.inputs.back().empty()) node_.inputs.pop_back();
    if (node_.inputs.size() < row.inputs_least || node_.inputs.size() > row.inputs_most) {
      return false;
    }
    in_ = value_of_(node_.inputs[0]);
    out_ = value_of_(proto_.output(0));
    if (in_ == nullptr || out_ == nullptr || !is_float(out_->dtype)) return false;
    for (int i = 1; i < proto_.output_size(); ++i) {
      if (row.form != Form::copy && !proto_.output(i).empty()) return false;
    }
    node_.outputs = {proto_.output(0)};
    if (std::ranges::count(node_.inputs, "") > 0) return false;
    return std::ranges::all_of(proto_.attribute(), [&](const auto& a) { return add(a); });
  }

  bool add(const AttributeProto& attribute) {
    OperationNode::Value value;
    if (attribute.has_i()) {
      value = attribute.i();
    } else if (attribute.has_f()) {
      if (!std::isfinite(attribute.f())) return false;  // which JSON cannot say
      value = attribute.f();
    } else if (attribute.has_s()) {
      value = attribute.s();
    } else if (attribute.floats_size() > 0) {
      value = std::vector<float>(attribute.floats().begin(), attribute.floats().end());
    } else if (attribute.has_t() || attribute.has_g() || attribute.strings_size() > 0) {
      return false;
    } else {
      value = Ints(attribute.ints().begin(), attribute.ints().end());
    }
    node_.attributes.emplace_back(attribute.name(), std::move(value));
    return true;
  }

  /// Gives the node its plain form.
  bool shape(const Row& row) {
    switch (row.form) {
      case Form::as_it_is:
        return integer("allowzero", 0) == 0 && integer("training_mode", 0) == 0 &&
               integer("spatial", 1) == 1;
      case Form::copy:
        node_.op = "Identity";
        node_.inputs.resize(1);
        node_.attributes.clear();
        return true;
      case Form::axis: return set_axis(integer("axis", 1));
      case Form::softmax: return make_softmax();
      case Form::window: return make_window();
    }
    return false;
  }

  bool set_axis(int64_t axis) {
    set("axis", axis < 0 ? axis + static_cast<int64_t>(in_->shape.size()) : axis);
    return true;
  }

  /// Before operator set 13 rows run over the axis and all behind it, which is the same where one
  /// of them alone has more than one element.
  bool make_softmax() {
    const auto rank = static_cast<int64_t>(in_->shape.size());
    if (opset_ >= 13) return set_axis(integer("axis", -1));
    const int64_t first = integer("axis", 1);
    int64_t longest = first < 0 ? first + rank : first;
    int64_t longer = 0;
    for (int64_t axis = longest; axis < rank; ++axis) {
      if (in_->shape[static_cast<size_t>(axis)] == 1) continue;
      longest = axis;
      ++longer;
    }
    return longer <= 1 && set_axis(longest);
  }

  /// Pads follow from the sizes, however the node asks for them. Where the last window of a pool
  /// reaches beyond what the pads say, the end is padded further.
  bool make_window() {
    if (in_->shape.size() != 4 || out_->shape.size() != 4) return false;
    const Tensor* weights = node_.op == "Conv" ? value_of_(node_.inputs[1]) : nullptr;
    if (node_.op == "Conv" && (weights == nullptr || weights->shape.size() != 4)) return false;
    const Ints kernel = weights != nullptr ? Ints{weights->shape[2], weights->shape[3]}
                                           : integers("kernel_shape", {0, 0});
    const Ints strides = integers("strides", {1, 1}), dilations = integers("dilations", {1, 1});
    Ints pads = integers("pads", {0, 0, 0, 0});
    const std::string automatic = text("auto_pad", "NOTSET");
    const bool is_same = automatic.starts_with("SAME");
    const bool is_ceil = integer("ceil_mode", 0) != 0;
    if (is_ceil && integer("count_include_pad", 0) != 0) return false;
    if (is_same || automatic == "VALID") pads = {0, 0, 0, 0};
    for (size_t axis = 0; axis < 2; ++axis) {
      const int64_t reach = (kernel[axis] - 1) * dilations[axis] + 1;
      const int64_t covered = (out_->shape[2 + axis] - 1) * strides[axis] + reach;
      const int64_t wanted = std::max<int64_t>(covered - in_->shape[2 + axis], 0);
      if (is_same) {
        pads[axis] = automatic == "SAME_LOWER" ? (wanted + 1) / 2 : wanted / 2;
        pads[2 + axis] = wanted - pads[axis];
      } else if (is_ceil) {
        pads[2 + axis] = std::max(pads[2 + axis], wanted - pads[axis]);
      }
    }
    std::erase_if(node_.attributes, [](const auto& attribute) {
      return attribute.first == "auto_pad" || attribute.first == "ceil_mode" ||
             attribute.first == "storage_order" || attribute.first == "dilations";
    });
    set("kernel_shape", kernel);
    set("strides", strides);
    set("pads", pads);
    // Pools of older operator sets know none.
    if (std::ranges::any_of(dilations, [](int64_t step) { return step != 1; })) {
      set("dilations", dilations);
    }
    return true;
  }

  const OperationNode::Value* find(std::string_view name) const {
    const auto found = std::ranges::find(node_.attributes, name,
                                         [](const auto& a) { return std::string_view(a.first); });
    return found == node_.attributes.end() ? nullptr : &found->second;
  }
  int64_t integer(std::string_view name, int64_t fallback) const {
    const auto* value = find(name);
    return value == nullptr ? fallback : std::get<int64_t>(*value);
  }
  Ints integers(std::string_view name, Ints fallback) const {
    const auto* value = find(name);
    return value == nullptr ? fallback : std::get<Ints>(*value);
  }
  std::string text(std::string_view name, std::string fallback) const {
    const auto* value = find(name);
    return value == nullptr ? fallback : std::get<std::string>(*value);
  }
  void set(const std::string& name, OperationNode::Value value) {
    std::erase_if(node_.attributes, [&](const auto& a) { return a.first == name; });
    node_.attributes.emplace_back(name, std::move(value));
  }

  const onnx::NodeProto& proto_;
  int64_t opset_;
  const ValueOf& value_of_;
  OperationNode node_;
  const Tensor* in_ = nullptr;
  const Tensor* out_ = nullptr;
};

}  // namespace

std::optional<OperationNode> operation_node(const onnx::NodeProto& proto, int64_t opset,
                                            const ValueOf& value_of) {
  return PlainNode(proto, opset, value_of).make();
}

}  // namespace leat
