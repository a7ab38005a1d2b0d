// ONNX operators that move elements by rules known at import. Source: ONNX operator schemas Concat
// 4/11/13, Split 2/11/13/18, Slice 1/10/11/13, Pad 2/11/13/18/19, Tile 6/13, DepthToSpace 1/11/13,
// SpaceToDepth 1/13/28, CenterCropPad 18, Trilu 14; experimental 1: Crop.
#include <fmt/format.h>

#include "leat/model/onnx_ops.h"

namespace leat::onnx_ops {
namespace {

Result<TensorId> import_concat(OnnxNode& node) {
  const int64_t axis = node.required_integer("axis");
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (node.has_input(i)) continue;
    return Error(ErrorKind::invalid_argument, fmt::format("Input {} is left out.", i));
  }
  return ops::concat(node.graph(), node.name(), node.inputs(), axis);
}

Result<std::vector<TensorId>> split_parts(OnnxNode& node, int64_t axis, const Ints& sizes) {
  const int64_t outputs = static_cast<int64_t>(node.output_count());
  if (sizes.empty()) {
    const int64_t count = node.integer("num_outputs", outputs);
    if (count != outputs) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Attribute \"num_outputs\" ({}) is not the number of outputs ({}).",
                               count, outputs));
    }
    return ops::split_evenly(node.graph(), node.name(), node.input(0), count, axis);
  }
  if (static_cast<int64_t>(sizes.size()) != outputs) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Number of sizes ({}) is not the number of outputs ({}).",
                             sizes.size(), outputs));
  }
  return ops::split(node.graph(), node.name(), node.input(0), sizes, axis);
}

Result<TensorId> import_split(OnnxNode& node) {
  const int64_t axis = node.integer("axis", 0);
  const Ints sizes =
      node.opset() < 13 ? node.integers("split") : node.constant_integers(1, "split");
  if (node.failure()) return *node.failure();
  TRY_ASSIGN(const std::vector<TensorId> parts, split_parts(node, axis, sizes));
  for (size_t i = 0; i < parts.size(); ++i) node.set_output(i, parts[i]);
  return parts.front();
}

Result<TensorId> import_slice(OnnxNode& node) {
  ops::SliceOptions options;
  if (node.opset() < 10) {
    options = {.starts = node.integers("starts"),
               .ends = node.integers("ends"),
               .axes = node.integers("axes"),
               .steps = {}};
  } else {
    options = {.starts = node.constant_integers(1, "starts"),
               .ends = node.constant_integers(2, "ends"),
               .axes = node.constant_integers(3, "axes"),
               .steps = node.constant_integers(4, "steps")};
  }
  if (node.failure()) return *node.failure();
  return ops::slice(node.graph(), node.name(), node.input(0), options);
}

ops::PadMode read_pad_mode(OnnxNode& node) {
  const std::string mode = node.text("mode", "constant");
  if (mode == "constant") return ops::PadMode::constant;
  if (mode == "reflect") return ops::PadMode::reflect;
  if (mode == "edge") return ops::PadMode::edge;
  if (mode == "wrap") return ops::PadMode::wrap;
  node.fail(ErrorKind::invalid_argument,
            fmt::format("Attribute \"mode\" (\"{}\") is not a known mode of Pad.", mode));
  return ops::PadMode::constant;
}

Result<TensorId> import_pad(OnnxNode& node) {
  ops::PadOptions options;
  options.mode = read_pad_mode(node);
  if (node.opset() < 11) {
    options.pads = node.integers("pads");
    options.value = node.number("value", 0);
  } else {
    options.pads = node.constant_integers(1, "pads");
    options.value_tensor = node.input(2);
    options.axes = node.constant_integers(3, "axes");
  }
  if (node.failure()) return *node.failure();
  return ops::pad(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_tile(OnnxNode& node) {
  const Ints repeats = node.constant_integers(1, "repeats");
  if (node.failure()) return *node.failure();
  return ops::tile(node.graph(), node.name(), node.input(0), repeats);
}

bool is_column_row_depth(OnnxNode& node) {
  const std::string mode = node.text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") {
    node.fail(ErrorKind::invalid_argument,
              fmt::format("Attribute \"mode\" (\"{}\") is not DCR or CRD.", mode));
  }
  return mode == "CRD";
}

Result<TensorId> import_depth_to_space(OnnxNode& node) {
  const int64_t block_size = node.required_integer("blocksize");
  return ops::depth_to_space(node.graph(), node.name(), node.input(0), block_size,
                             is_column_row_depth(node));
}

Result<TensorId> import_space_to_depth(OnnxNode& node) {
  const int64_t block_size = node.required_integer("blocksize");
  return ops::space_to_depth(node.graph(), node.name(), node.input(0), block_size,
                             is_column_row_depth(node));
}

Result<TensorId> import_trilu(OnnxNode& node) {
  const bool upper = node.integer("upper", 1) != 0;
  const int64_t k = node.constant_integer(1, "k", 0);
  return ops::trilu(node.graph(), node.name(), node.input(0), upper, k);
}

/// Cuts or pads around the centre; the odd element goes to the end. A negative pad cuts.
Result<TensorId> import_center_crop_pad(OnnxNode& node) {
  const Ints target = node.constant_integers(1, "shape");
  Ints axes = node.integers("axes");
  if (node.failure()) return *node.failure();
  if (axes.empty()) {
    for (int64_t d = 0; d < node.rank(0); ++d) axes.push_back(d);
  }
  if (axes.size() != target.size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Number of axes ({}) is not the number of extents ({}).", axes.size(),
                             target.size()));
  }
  Ints begins, ends;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + node.rank(0) : axes[i];
    if (axis < 0 || axis >= node.rank(0) || target[i] < 0 || target[i] > kElementsMax) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Axis ({}) or extent ({}) does not fit shape {}.", axes[i],
                               target[i], to_string(node.shape(0))));
    }
    const int64_t extent = node.shape(0)[static_cast<size_t>(axis)];
    const int64_t missing = target[i] - extent;
    const int64_t begin = missing >= 0 ? missing / 2 : -(-missing / 2);
    begins.push_back(begin);
    ends.push_back(missing - begin);
  }
  ops::PadOptions options = {.pads = begins, .axes = axes};
  options.pads.insert(options.pads.end(), ends.begin(), ends.end());
  return ops::pad(node.graph(), node.name(), node.input(0), options);
}

Result<TensorId> import_crop(OnnxNode& node) {
  const Ints border = node.integers("border");
  const Ints scale = node.integers("scale");
  return ops::crop(node.graph(), node.name(), node.input(0), border, scale);
}

constexpr OnnxOperator kOperators[] = {
    {"Concat", 6, 1, kAnyNumber, 1, "all", import_concat},
    {"Split", 6, 1, 2, kAnyNumber, "all", import_split, "constant sizes"},
    {"Slice", 6, 1, 5, 1, "all", import_slice, "constant bounds"},
    {"Pad", 6, 1, 4, 1, "all", import_pad, "constant pads"},
    {"Tile", 6, 2, 2, 1, "all", import_tile, "constant repeats"},
    {"DepthToSpace", 6, 1, 1, 1, "all", import_depth_to_space},
    {"SpaceToDepth", 6, 1, 1, 1, "all", import_space_to_depth},
    {"Trilu", 14, 1, 2, 1, "all", import_trilu, "constant diagonal"},
    {"CenterCropPad", 18, 2, 2, 1, "all", import_center_crop_pad, "constant shape"},
    {"Crop", 6, 1, 1, 1, "float", import_crop, "experimental in opset 1"},
};

}  // namespace

std::span<const OnnxOperator> movement_operators() { return kOperators; }

}  // namespace leat::onnx_ops
