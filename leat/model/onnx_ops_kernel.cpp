// Domain "leat": nodes that are kernels which somebody wrote (docs/kernels.md). A node is named as
// its kernel is; attribute "kernel" has the text, or "file" names a file beside the model. What the
// kernel only reads are the inputs in the text's order, what it writes the outputs.
//
// The text is a launch, of which the model's shapes make another: each parameter has as many
// elements as its tensor. What no shape says is said by attributes: "shape" and "like" of results,
// "grid" and "tile" of the launch. It is checked by the interpreter, with constants as they are and
// invented numbers for the rest, and then masked where it is not proven to stay inside.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_import.h"
#include "leat/model/onnx_ops.h"
#include "leat/run/user_kernel.h"

namespace leat::onnx_ops {
namespace {

constexpr int64_t kDomainVersion = 1;
/// Of all tensors of a kernel that is checked: the interpreter keeps who touched each element.
constexpr int64_t kCheckedElementsMax = int64_t{1} << 24;
/// What filling so many bytes of a workgroup's local memory counts for: an instruction.
constexpr double kLocalBytesOfStep = 16;
/// Of the values that the interpreter keeps of a workgroup, 8 bytes for each component and lane.
constexpr int64_t kCheckedValuesMax = int64_t{1} << 25;
/// An instruction of so many lanes counts once.
constexpr uint64_t kLanesOfStep = 32;
constexpr size_t kGridAxes = 3;

/// No bool: a kernel's bytes may be others than 0 and 1.
bool may_be(DType dtype, const ir::Parameter& parameter) {
  const bool is_byte = dtype == DType::boolean && parameter.storage == DType::u8;
  return dtype == parameter.storage || (is_byte && !parameter.written);
}

Result<std::string> text_of(OnnxNode& node) {
  const std::string text = node.text("kernel", ""), file = node.text("file", "");
  if (text.empty() == file.empty()) {
    return invalid(
        fmt::format("Attribute \"kernel\" has a kernel's text, or \"file\" names its file beside "
                    "the model; this node has {}.",
                    text.empty() ? "neither" : "both"));
  }
  if (!file.empty()) return node.host().read_beside(file, kKernelBytesMax);
  return text;
}

Result<void> charge(OnnxNode& node, size_t text_bytes) {
  size_t& left = node.host().kernel_budget().text_bytes_left;
  if (text_bytes > std::min(left, kKernelBytesMax)) {
    return unsupported(
        fmt::format("The kernel's text has more bytes ({}) than are left of the "
                    "limits ({} for a kernel, {} for all in a model).",
                    text_bytes, kKernelBytesMax, kKernelTextsBytesMax));
  }
  left -= text_bytes;
  return {};
}

class KernelImport {
 public:
  KernelImport(OnnxNode& node, UserKernel kernel) : node_(node), kernel_(std::move(kernel)) {
    for (size_t i = 0; i < parameters().size(); ++i) {
      (parameters()[i].written ? written_ : read_).push_back(i);
    }
  }

  Result<TensorId> run() {
    if (kernel_.name() != node_.op()) {
      return invalid(
          fmt::format("A node of domain \"leat\" is named as its kernel is, which is "
                      "\"{}\".",
                      kernel_.name()));
    }
    if (written_.empty() || node_.output_count() > written_.size()) {
      return invalid(fmt::format("Kernel \"{}\" writes ({}) parameters; the node has ({}) outputs.",
                                 kernel_.name(), written_.size(), node_.output_count()));
    }
    TRY(check_inputs());
    TRY(find_shapes());
    TRY(set_launch());
    TRY_ASSIGN(const std::vector<int64_t> written, check());
    std::vector<bool> is_constant(parameters().size(), false);
    for (size_t i = 0; i < read_.size(); ++i) is_constant[read_[i]] = input(i).constant != nullptr;
    WrittenKernel made;
    for (size_t i = 0; i < written_.size(); ++i) {
      const size_t parameter = written_[i];
      const bool is_whole = !written.empty() && kernel_.fixes_places(parameter, is_constant) &&
                            written[parameter] == parameters()[parameter].element_count;
      made.starts_at_zero.push_back(!is_whole);
    }
    TRY(fill(made));
    return add(std::move(made));
  }

 private:
  std::span<const ir::Parameter> parameters() const { return kernel_.parameters(); }
  const Tensor& input(size_t index) const { return node_.graph().tensors[node_.input(index)]; }

  Result<void> check_inputs() const {
    if (node_.input_count() != read_.size()) {
      return invalid(fmt::format("Kernel \"{}\" reads ({}) parameters; the node has ({}) inputs.",
                                 kernel_.name(), read_.size(), node_.input_count()));
    }
    for (size_t i = 0; i < read_.size(); ++i) {
      const ir::Parameter& parameter = parameters()[read_[i]];
      if (!node_.has_input(i)) {
        return invalid(fmt::format("Input {} is left out; kernel \"{}\" reads it as \"{}\".", i,
                                   kernel_.name(), parameter.name));
      }
      if (may_be(input(i).dtype, parameter)) continue;
      return invalid(fmt::format("Input {} is {}; kernel \"{}\" reads it as \"{}\", which is {}.",
                                 i, name_of(input(i).dtype), kernel_.name(), parameter.name,
                                 name_of(parameter.storage)));
    }
    return {};
  }

  // --- The launch --------------------------------------------------------------------------------

  Result<void> find_shapes() {
    const Ints like = node_.integers("like"), shape = node_.integers("shape");
    if (!like.empty() && like.size() != written_.size()) {
      return invalid(
          fmt::format("Attribute \"like\" has ({}) numbers; kernel \"{}\" has ({}) "
                      "results.",
                      like.size(), kernel_.name(), written_.size()));
    }
    if (node_.has_attribute("shape") && (written_.size() > 1 || !like.empty())) {
      return invalid("Attribute \"shape\" is of a kernel with one result and without \"like\".");
    }
    for (size_t i = 0; i < written_.size(); ++i) {
      const int64_t model = like.empty() ? -1 : like[i];
      if (model < -1 || model >= static_cast<int64_t>(read_.size())) {
        return invalid(
            fmt::format("Attribute \"like\" names input ({}) of ({}).", model, read_.size()));
      }
      const std::optional<Shape> declared = node_.declared_shape(i);
      const Shape own = {parameters()[written_[i]].element_count};
      shapes_.push_back(model >= 0                     ? input(static_cast<size_t>(model)).shape
                        : node_.has_attribute("shape") ? shape
                                                       : declared.value_or(own));
      TRY(check_shape(shapes_.back()));
      if (element_count(shapes_.back()) > 0) continue;
      return unsupported(
          fmt::format("Result {} of kernel \"{}\" has no elements.", i, kernel_.name()));
    }
    return {};
  }

  Result<void> set_launch() {
    TRY_ASSIGN(const Grid grid, grid_of());
    std::vector<int64_t> counts(parameters().size());
    for (size_t i = 0; i < read_.size(); ++i) counts[read_[i]] = element_count(input(i).shape);
    for (size_t i = 0; i < written_.size(); ++i) counts[written_[i]] = element_count(shapes_[i]);
    return kernel_.set_launch(grid, counts);
  }

  Result<Grid> grid_of() {
    const Ints given = node_.integers("grid"), tile = node_.integers("tile");
    if (given.empty() && tile.empty()) return kernel_.grid();
    const std::string_view name = given.empty() ? "tile" : "grid";
    if (given.size() > kGridAxes || tile.size() > kGridAxes) {
      return invalid(fmt::format("Attribute \"{}\" has ({}) numbers, not one to three.", name,
                                 std::max(given.size(), tile.size())));
    }
    Ints groups = given.empty() ? groups_of(tile) : given;
    const auto is_count = [](int64_t n) { return n >= 1 && n <= INT32_MAX; };
    const bool fits = std::ranges::all_of(groups, is_count) &&
                      std::ranges::all_of(tile, is_count) && (given.empty() || tile.empty());
    if (!fits) {
      return invalid(
          fmt::format("Attribute \"{}\" ({}) is not of numbers from 1 to {}, or stands beside the "
                      "other of \"grid\" and \"tile\".",
                      name, fmt::join(given.empty() ? tile : given, ", "), INT32_MAX));
    }
    Grid grid = {1, 1, 1};
    std::ranges::transform(groups, grid.begin(),
                           [](int64_t n) { return static_cast<uint32_t>(n); });
    return grid;
  }

  /// As many tiles as cover the first result, whose axes before the tile's are taken as one with
  /// the tile's first: along x those of its last axis.
  Ints groups_of(const Ints& tile) const {
    Shape extents = shapes_[0];
    while (extents.size() < tile.size()) extents.insert(extents.begin(), 1);
    while (extents.size() > tile.size() && extents.size() > 1) {
      extents[1] *= extents[0];
      extents.erase(extents.begin());
    }
    Ints groups;
    for (size_t i = tile.size(); i-- > 0;) {
      groups.push_back((extents[i] - 1) / std::max<int64_t>(tile[i], 1) + 1);
    }
    return groups;
  }

  // --- What stands between a text and a device ---------------------------------------------------

  /// Constants are what they are; of others `invents` makes something, or nothing.
  std::vector<HostTensor> values(bool invents) const {
    std::vector<HostTensor> values(parameters().size());
    for (size_t i = 0; i < read_.size(); ++i) {
      const ir::Parameter& parameter = parameters()[read_[i]];
      if (input(i).constant) {
        values[read_[i]] = *input(i).constant;
      } else if (invents) {
        values[read_[i]] = invented_value(parameter, input(i).shape);
      }
    }
    for (size_t i = 0; i < written_.size() && invents; ++i) {
      values[written_[i]] = HostTensor::zeros(parameters()[written_[i]].storage, shapes_[i]);
    }
    return values;
  }

  static std::vector<std::span<std::byte>> spans_of(std::vector<HostTensor>& values) {
    std::vector<std::span<std::byte>> spans;
    for (HostTensor& value : values) spans.emplace_back(value.bytes);
    return spans;
  }

  /// Workgroups that do nothing take time, too.
  double steps_at_least() const {
    const ir::Program& program = kernel_.program();
    double groups = 1;
    for (const uint32_t extent : program.grid) groups *= extent;
    return groups * (program.waves_per_workgroup + program.local_bytes() / kLocalBytesOfStep);
  }

  /// Lanes and components that an instruction computes at most, in steps.
  uint64_t steps_of_instruction() const {
    const ir::Program& program = kernel_.program();
    uint64_t widest = program.wave_lanes;
    for (const ir::Type& type : program.values) {
      const ir::Fragment& f = type.fragment;
      widest = std::max({widest, uint64_t{program.wave_lanes} * static_cast<uint64_t>(type.width),
                         uint64_t{f.m} * f.n * f.k});
    }
    return (widest + kLanesOfStep - 1) / kLanesOfStep;
  }

  /// Components of all lanes that the interpreter keeps.
  double values_kept() const {
    const ir::Program& program = kernel_.program();
    double of_lane = 0;
    for (const ir::Type& type : program.values) of_lane += type.width;
    return of_lane * program.wave_lanes * program.waves_per_workgroup;
  }

  Result<void> take_elements(int64_t elements) {
    int64_t& left = node_.host().kernel_budget().elements_left;
    if (elements > left) {
      return unsupported(
          fmt::format("Kernel \"{}\" has more elements ({}) to be looked at when "
                      "the model is made ready than are left ({} of {}).",
                      kernel_.name(), elements, left, kKernelElementsMax));
    }
    left -= elements;
    return {};
  }

  Error too_large(std::string what) const {
    return unsupported(
        fmt::format("The interpreter, which checks kernel \"{}\" when the model is made ready, is "
                    "not given {}. Those of a model that is trusted (--trust, trusts_kernels, "
                    "trust=True) are not checked.",
                    kernel_.name(), what));
  }

  /// How many elements of each parameter were written; none where the kernel is trusted.
  Result<std::vector<int64_t>> check() {
    KernelBudget& budget = node_.host().kernel_budget();
    if (budget.trusts) return std::vector<int64_t>();
    int64_t elements = 0;
    for (const ir::Parameter& parameter : parameters()) elements += parameter.element_count;
    if (elements > kCheckedElementsMax) {
      return too_large(
          fmt::format("so many elements ({}, limit {})", elements, kCheckedElementsMax));
    }
    TRY(take_elements(elements));
    if (values_kept() > static_cast<double>(kCheckedValuesMax)) {
      return too_large(fmt::format("so many values of a workgroup ({:.0f}, limit {})",
                                   values_kept(), kCheckedValuesMax));
    }
    const uint64_t cost = steps_of_instruction();
    if (steps_at_least() * static_cast<double>(cost) > static_cast<double>(budget.steps_left)) {
      return too_large(fmt::format("so many workgroups ({})", fmt::join(kernel_.grid(), " x ")));
    }
    std::vector<HostTensor> values = this->values(true);
    const uint64_t steps_max = budget.steps_left / cost;
    const Result<KernelCheck> checked = kernel_.check(spans_of(values), steps_max);
    if (!checked && checked.error().kind() == ErrorKind::unsupported) {
      return too_large(fmt::format("more than ({}) instructions", steps_max));
    }
    if (!checked) return checked.error();
    budget.steps_left -= std::min(budget.steps_left, checked->steps * cost);
    return checked->written;
  }

  Result<void> fill(WrittenKernel& made) {
    int64_t elements = 0;
    for (size_t i = 0; i < read_.size(); ++i) {
      if (input(i).constant) elements += element_count(input(i).shape);
    }
    TRY(take_elements(elements));
    std::vector<HostTensor> known = values(false);
    const ir::LaunchRanges ranges = kernel_.ranges(spans_of(known));
    TRY_ASSIGN(made.text, kernel_.bounded_text(ranges.open));
    made.flop = ranges.flop.value_or(0);
    TRY_ASSIGN(UserKernel safe, UserKernel::parse(made.text, node_.name()));
    made.interpret = [kernel = std::move(safe)](std::span<const HostTensor* const> inputs,
                                                std::span<HostTensor* const> outputs) {
      std::vector<HostTensor> read;  // the interpreter takes what it may write
      for (const HostTensor* input : inputs) read.push_back(*input);
      std::vector<std::span<std::byte>> arguments;
      size_t next_input = 0, next_output = 0;
      for (const ir::Parameter& parameter : kernel.parameters()) {
        arguments.emplace_back(parameter.written ? outputs[next_output++]->bytes
                                                 : read[next_input++].bytes);
      }
      const Result<KernelCheck> done = kernel.check(arguments);
      return done ? Result<void>() : done.error();
    };
    return {};
  }

  Result<TensorId> add(WrittenKernel made) {
    Graph& graph = node_.graph();
    Node node;
    node.name = node_.name();
    node.op = node_.op();
    node.inputs.assign(node_.inputs().begin(), node_.inputs().end());
    for (size_t i = 0; i < written_.size(); ++i) {
      const std::string name = i == 0 ? node.name : fmt::format("{}/{}", node.name, i);
      const TensorId result = graph.add_tensor(name, parameters()[written_[i]].storage, shapes_[i]);
      node.results.push_back({.output = result, .value = kNoExpr, .index = {}});
      if (i > 0) node_.set_output(i, result);
    }
    const TensorId first = node.results[0].output;
    node.program = Program{.op = ProgramOp::written,
                           .kernel = std::make_shared<const WrittenKernel>(std::move(made))};
    TRY(graph.add_node(std::move(node)));
    return first;
  }

  OnnxNode& node_;
  UserKernel kernel_;
  std::vector<size_t> read_, written_;  // of its parameters
  std::vector<Shape> shapes_;           // of results
};

Result<TensorId> import_kernel(OnnxNode& node) {
  if (node.opset() != kDomainVersion) {
    return unsupported(
        fmt::format("Version ({}) of domain \"leat\" is not ({}).", node.opset(), kDomainVersion));
  }
  TRY_ASSIGN(const std::string text, text_of(node));
  const std::string where = node.text("file", "attribute \"kernel\"");
  if (node.failure()) return *node.failure();
  TRY(charge(node, text.size()));
  TRY_ASSIGN(UserKernel kernel, UserKernel::parse(text, where));
  return KernelImport(node, std::move(kernel)).run();
}

constexpr OnnxOperator kOperators[] = {
    {.name = "a kernel",
     .opset_min = 1,
     .inputs_min = 0,
     .inputs_max = kAnyNumber,
     .outputs_max = kAnyNumber,
     .types = "all but bool results, floats of 8 bits and types of 4",
     .import = import_kernel,
     .remark = "named as its kernel: [kernels.md](kernels.md)",
     .domain = kKernelDomain},
};

}  // namespace

std::span<const OnnxOperator> kernel_operators() { return kOperators; }

}  // namespace leat::onnx_ops
