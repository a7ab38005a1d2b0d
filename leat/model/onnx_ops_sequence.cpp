// ONNX operators on sequences and optionals. Which tensors these hold is known at import, so that
// nothing of them is left for a device to do. Source: ONNX operator schemas SequenceConstruct,
// SequenceEmpty, SequenceInsert, SequenceErase, SequenceAt, SequenceLength 11, SplitToSequence
// 11/24, ConcatFromSequence 11, SequenceMap 17, Optional 15, OptionalGetElement and
// OptionalHasElement 15/18.
#include <fmt/format.h>

#include <algorithm>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

using Kind = OnnxValue::Kind;
using Tensors = std::vector<TensorId>;

Result<Tensors> sequence_at(const OnnxNode& node, size_t input) {
  const OnnxValue& value = node.value(input);
  if (value.kind == Kind::sequence) return value.sequence;
  return invalid(fmt::format("Input {} of {} is no sequence.", input, node.op()));
}

Result<TensorId> give(OnnxNode& node, Tensors tensors) {
  node.set_output(0, OnnxValue::sequence_of(std::move(tensors)));
  return kNoTensor;
}

/// A place in a sequence that has `places`; negative ones count from the end.
Result<size_t> position_of(OnnxNode& node, size_t input, size_t places, int64_t fallback) {
  const auto count = static_cast<int64_t>(places);
  node.want_tensors({input});
  const int64_t given = node.constant_integer(input, "position", fallback);
  if (node.failure()) return *node.failure();
  const int64_t position = given < 0 ? given + count : given;
  if (position >= 0 && position < count) return static_cast<size_t>(position);
  return invalid(fmt::format("Position ({}) of {} is not one of {}.", given, node.op(), count));
}

Result<TensorId> import_construct(OnnxNode& node) {
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) return invalid(fmt::format("Input {} is no tensor.", i));
  }
  return give(node, Tensors(node.inputs().begin(), node.inputs().end()));
}

Result<TensorId> import_empty(OnnxNode& node) {
  node.ignore({"dtype"});
  return give(node, {});
}

Result<TensorId> import_insert(OnnxNode& node) {
  TRY_ASSIGN(Tensors tensors, sequence_at(node, 0));
  if (!node.has_input(1)) return invalid("Input 1 of SequenceInsert is no tensor.");
  node.want_tensors({2});
  const auto count = static_cast<int64_t>(tensors.size());
  int64_t position = node.constant_integer(2, "position", count);
  if (node.failure()) return *node.failure();
  if (position < -count || position > count) {
    return invalid(fmt::format("Position ({}) is not between {} and {}.", position, -count, count));
  }
  if (position < 0) position += count;
  tensors.insert(tensors.begin() + position, node.input(1));
  return give(node, std::move(tensors));
}

Result<TensorId> import_erase(OnnxNode& node) {
  TRY_ASSIGN(Tensors tensors, sequence_at(node, 0));
  TRY_ASSIGN(const size_t position, position_of(node, 1, tensors.size(), -1));
  tensors.erase(tensors.begin() + static_cast<int64_t>(position));
  return give(node, std::move(tensors));
}

Result<TensorId> import_at(OnnxNode& node) {
  TRY_ASSIGN(const Tensors tensors, sequence_at(node, 0));
  TRY_ASSIGN(const size_t position, position_of(node, 1, tensors.size(), 0));
  return tensors[position];
}

Result<TensorId> import_length(OnnxNode& node) {
  TRY_ASSIGN(const Tensors tensors, sequence_at(node, 0));
  HostTensor length = HostTensor::zeros(DType::i64, {});
  length.set_integer(0, static_cast<int64_t>(tensors.size()));
  return node.graph().add_constant(node.name(), std::move(length));
}

Result<TensorId> import_concat(OnnxNode& node) {
  TRY_ASSIGN(Tensors tensors, sequence_at(node, 0));
  const int64_t axis = node.required_integer("axis");
  const bool stacks = node.flag("new_axis", false);
  if (node.failure()) return *node.failure();
  if (tensors.empty()) return invalid("ConcatFromSequence of no tensors.");
  TRY(node.charge(static_cast<int64_t>(tensors.size())));
  for (size_t i = 0; i < tensors.size() && stacks; ++i) {
    TRY_ASSIGN(tensors[i], ops::unsqueeze(node.graph(), fmt::format("{}/{}", node.name(), i),
                                          tensors[i], {axis}));
  }
  return ops::concat(node.graph(), node.name(), tensors, axis);
}

/// Sizes of the parts: as given, or all of the one size that is, but for the last.
Result<Ints> split_sizes(OnnxNode& node, int64_t extent) {
  if (!node.has_input(1)) {
    TRY(node.charge(extent));
    return Ints(static_cast<size_t>(extent), 1);
  }
  const HostTensor* split = node.constant(1, "split");
  if (!split) return *node.failure();
  if (!split->shape.empty()) {
    TRY(node.charge(element_count(split->shape)));
    return node.constant_integers(1, "split");
  }
  const int64_t size = split->integer(0);
  if (size < 1) return invalid(fmt::format("Split size ({}) is less than 1.", size));
  TRY(node.charge(extent / size));
  Ints sizes(static_cast<size_t>(extent / size), size);
  if (extent % size != 0) sizes.push_back(extent % size);
  return sizes;
}

Result<TensorId> import_split(OnnxNode& node) {
  node.want_tensors({0, 1});
  const int64_t given = node.integer("axis", 0);
  const bool keeps_axis = node.flag("keepdims", true) || node.has_input(1);
  if (node.failure()) return *node.failure();
  const int64_t axis = given < 0 ? given + node.rank(0) : given;
  if (axis < 0 || axis >= node.rank(0)) {
    return invalid(fmt::format("Axis ({}) is not one of {}.", given, node.rank(0)));
  }
  TRY_ASSIGN(const Ints sizes, split_sizes(node, node.shape(0)[static_cast<size_t>(axis)]));
  TRY_ASSIGN(Tensors parts, ops::split(node.graph(), node.name(), node.input(0), sizes, axis));
  for (size_t i = 0; i < parts.size() && !keeps_axis; ++i) {
    TRY_ASSIGN(parts[i], ops::squeeze(node.graph(), fmt::format("{}/{}_flat", node.name(), i),
                                      parts[i], {axis}));
  }
  return give(node, std::move(parts));
}

Result<TensorId> import_map(OnnxNode& node) {
  const onnx::GraphProto* body = node.body("body");
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const Tensors first, sequence_at(node, 0));
  std::vector<Tensors> results(node.output_count());
  for (size_t turn = 0; turn < first.size(); ++turn) {
    std::vector<OnnxValue> inputs;
    for (const OnnxValue& value : node.values()) {
      if (value.kind == Kind::sequence && turn >= value.sequence.size()) {
        return invalid(fmt::format("Sequences of SequenceMap have {} and {} tensors.", first.size(),
                                   value.sequence.size()));
      }
      inputs.push_back(value.kind == Kind::sequence ? OnnxValue(value.sequence[turn]) : value);
    }
    TRY_ASSIGN(const std::vector<OnnxValue> outputs,
               node.run(*body, inputs, static_cast<int64_t>(turn)));
    for (size_t i = 0; i < results.size(); ++i) {
      if (i >= outputs.size() || outputs[i].tensor == kNoTensor) {
        return invalid(fmt::format("The body of SequenceMap has no tensor as output {}.", i));
      }
      results[i].push_back(outputs[i].tensor);
    }
  }
  for (size_t i = 0; i < results.size(); ++i) {
    node.set_output(i, OnnxValue::sequence_of(std::move(results[i])));
  }
  return kNoTensor;
}

Result<TensorId> import_optional(OnnxNode& node) {
  node.ignore({"type"});
  node.set_output(0, node.input_count() == 0 ? OnnxValue::nothing() : node.value(0));
  return kNoTensor;
}

Result<TensorId> import_get_element(OnnxNode& node) {
  if (node.value(0).kind == Kind::nothing) return invalid("The optional holds nothing.");
  node.set_output(0, node.value(0));
  return kNoTensor;
}

Result<TensorId> import_has_element(OnnxNode& node) {
  const bool is_there = node.input_count() > 0 && node.value(0).kind != Kind::nothing;
  return ops::scalar(node.graph(), node.name(), DType::boolean, is_there ? 1 : 0);
}

constexpr std::string_view kKnown = "resolved at import";

constexpr OnnxOperator row(std::string_view name, int opset_min, int inputs_min, int inputs_max,
                           Result<TensorId> (*import)(OnnxNode&)) {
  return {.name = name,
          .opset_min = opset_min,
          .inputs_min = inputs_min,
          .inputs_max = inputs_max,
          .types = "all",
          .import = import,
          .remark = kKnown,
          .takes_sequences = true};
}

constexpr OnnxOperator row_of_many(OnnxOperator one) {
  one.outputs_max = kAnyNumber;
  return one;
}

constexpr OnnxOperator kOperators[] = {
    row("SequenceConstruct", 11, 1, kAnyNumber, import_construct),
    row("SequenceEmpty", 11, 0, 0, import_empty),
    row("SequenceInsert", 11, 2, 3, import_insert),
    row("SequenceErase", 11, 1, 2, import_erase),
    row("SequenceAt", 11, 2, 2, import_at),
    row("SequenceLength", 11, 1, 1, import_length),
    row("ConcatFromSequence", 11, 1, 1, import_concat),
    row("SplitToSequence", 11, 1, 2, import_split),
    row_of_many(row("SequenceMap", 17, 1, kAnyNumber, import_map)),
    row("Optional", 15, 0, 1, import_optional),
    row("OptionalGetElement", 15, 1, 1, import_get_element),
    row("OptionalHasElement", 15, 0, 1, import_has_element),
};

}  // namespace

std::span<const OnnxOperator> sequence_operators() { return kOperators; }

}  // namespace leat::onnx_ops
