// From ModelProto to Graph: orders the nodes, and hands each to the import function that the
// operator table names for it. onnx_frame.cpp has checked what needs no shapes.
#include "leat/model/onnx_importer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_file.h"
#include "leat/model/onnx_fold.h"
#include "leat/model/onnx_wire.h"
#include "leat/tensor/ops.h"

namespace leat {

using onnx_ops::OnnxNode;
using onnx_ops::OnnxOperator;
using onnx_ops::WantedValues;

Importer::Importer(const ImportSource& source, const ImportOptions& options, const ModelPath& path,
                   std::shared_ptr<ConstantMemory> memory, ImportNotes* notes)
    : source_(source),
      proto_(*source.proto),
      frame_(*source.frame),
      options_(options),
      notes_(notes),
      external_(std::make_shared<ExternalData>(path.is_file ? path.path : "")),
      opsets_(&frame_.opsets),
      budget_(frame_.node_count),
      fill_bytes_left_(options.fill_bytes_max),
      inner_bytes_left_(options.fill_bytes_max),
      kernel_budget_{options.trusts_kernels, kKernelStepsMax, kKernelElementsMax,
                     kKernelTextsBytesMax} {
  model_.path = path.path;
  model_.graph.memory = std::move(memory);
  model_.name = name_of(proto_, path.path);
}

Result<Model> Importer::run() {
  for (const auto& entry : proto_.metadata_props()) model_.metadata[entry.key()] = entry.value();
  model_.opsets = frame_.opsets;
  TRY(add_initializers(proto_.graph()));
  TRY(add_inputs());
  TRY(add_nodes(proto_.graph().node()));
  return finish();
}

Result<void> Importer::define(const std::string& name, OnnxValue value) {
  if (scope().define(name, std::move(value))) return {};
  return invalid(fmt::format("Value \"{}\" is defined twice.", name));
}

/// Read once for all shapes, save in a function, which may be a copy with its caller's attributes.
Result<ConstantValue> Importer::value_of(const onnx::TensorProto& proto) {
  ConstantMemory* const memory = opsets_ == &frame_.opsets ? model_.graph.memory.get() : nullptr;
  if (ConstantValue known = memory != nullptr ? memory->read_of(&proto) : nullptr) return known;
  TRY_ASSIGN(HostTensor read, host_tensor_of(proto, external_.get()));
  ConstantValue value = std::make_shared<HostTensor>(std::move(read));
  if (memory != nullptr) memory->keep_read(&proto, value);
  return value;
}

/// Once for all turns of a loop.
Result<TensorId> Importer::constant_of(const onnx::TensorProto& proto, const std::string& name) {
  const auto found = initializers_.find(&proto);
  if (found != initializers_.end()) return found->second;
  TRY_ASSIGN(ConstantValue value, value_of(proto));
  const TensorId tensor = model_.graph.add_constant(name, std::move(value));
  initializers_.emplace(&proto, tensor);
  return tensor;
}

Result<void> Importer::add_initializers(const onnx::GraphProto& graph) {
  for (const onnx::TensorProto& initializer : graph.initializer()) {
    if (depth_ == 0 && is_given_default(initializer.name())) continue;
    const Result<TensorId> tensor = constant_of(initializer, initializer.name());
    if (tensor) {
      TRY(define(initializer.name(), *tensor));
    } else if (is_noted(tensor.error(), nullptr)) {
      notes_->add_unknown(initializer.name());
    } else {
      return tensor.error();
    }
  }
  return {};
}

bool Importer::is_noted(const Error& error, const onnx::NodeProto* node) const {
  if (notes_ == nullptr || depth_ != 0) return false;
  notes_->add(error, node);
  return true;
}

/// Whether something that the node needs is not known.
bool Importer::is_passed_over(const onnx::NodeProto& proto) const {
  if (notes_ == nullptr || depth_ != 0 || !notes_->has_unknown()) return false;
  return std::ranges::any_of(names_taken_by(proto),
                             [&](const std::string& name) { return is_unknown(name); });
}

void Importer::pass_over(const onnx::NodeProto& proto) {
  for (const std::string& output : proto.output()) notes_->add_unknown(output);
}

/// Whether the model has a value of that name which is to be an input all the same.
bool Importer::is_given_default(const std::string& name) const {
  return options_.input_shapes.contains(name) &&
         std::ranges::count(frame_.default_inputs, name, &DeclaredInput::name) > 0;
}

Result<void> Importer::add_inputs() {
  for (const auto& [name, shape] : options_.input_shapes) {
    const bool is_known = std::ranges::count(frame_.inputs, name, &DeclaredInput::name) > 0;
    if (!is_known && !is_given_default(name)) {
      return invalid(fmt::format("The model has no input \"{}\".", name));
    }
  }
  for (const DeclaredInput& input : frame_.inputs) {
    const Result<void> added = add_input(input);
    if (added) continue;
    if (!is_noted(added.error(), nullptr)) return added;
    notes_->add_unknown(input.name);
  }
  for (const DeclaredInput& input : frame_.default_inputs) {
    if (is_given_default(input.name)) TRY(add_input(input));
  }
  return {};
}

Result<void> Importer::add_input(const DeclaredInput& input) {
  TRY_ASSIGN(const Shape shape, input_shape(input));
  const TensorId tensor = model_.graph.add_tensor(input.name, input.dtype, shape);
  TRY(define(input.name, tensor));
  model_.graph.inputs.push_back(tensor);
  model_.inputs.push_back({input.name, input.dtype, shape, tensor});
  return {};
}

static bool takes(const DeclaredInput& input, const Shape& shape) {
  const auto fits = [](const DeclaredInput::Extent& declared, int64_t extent) {
    return declared.is_open || declared.value == extent;
  };
  return !input.has_rank || std::ranges::equal(input.extents, shape, fits);
}

Result<Shape> Importer::input_shape(const DeclaredInput& input) const {
  const auto given = options_.input_shapes.find(input.name);
  const bool is_given = given != options_.input_shapes.end();
  if (!input.has_rank && !is_given) {
    return invalid(
        fmt::format("Input \"{}\" has no shape in the model, and none is given.", input.name));
  }
  if (is_given && !takes(input, given->second)) {
    return invalid(fmt::format("Input \"{}\" is given shape {}, but the model says {}.", input.name,
                               to_string(given->second), to_string(input.shape())));
  }
  Shape shape = is_given ? given->second : input.shape();
  if (shape.size() > static_cast<size_t>(kTensorRankMax)) {
    return invalid(fmt::format("Input \"{}\" has more dimensions ({}) than the limit ({}).",
                               input.name, shape.size(), kTensorRankMax));
  }
  if (auto checked = check_shape(shape); !checked) {
    return checked.error().during(fmt::format("reading input \"{}\"", input.name));
  }
  return shape;
}

// --- Nodes ---------------------------------------------------------------------------------------

std::string Importer::unique_name(const std::string& name) {
  std::string unique = name;
  uint32_t& number = name_numbers_[name];  // the last that was tried
  const uint32_t before = number;
  while (!node_names_.insert(unique).second) {
    number = std::max(number + 1, 2u);
    unique = fmt::format("{}_{}", name, number);
  }
  if (options_.in_parts) names_taken_.push_back({name, unique, before});
  return unique;
}

Result<std::vector<OnnxValue>> Importer::inputs_of(const onnx::NodeProto& proto) {
  std::vector<OnnxValue> inputs;
  for (const std::string& name : proto.input()) {
    const OnnxValue* value = name.empty() ? nullptr : scope().find(name);
    if (value != nullptr) TRY(budget_.charge_sequence(*value));
    inputs.push_back(value == nullptr ? OnnxValue() : *value);
  }
  return inputs;
}

Result<void> Importer::add_nodes(const OnnxNodes& nodes) {
  auto order = orders_.find(&nodes);
  if (order == orders_.end()) {
    const KnownNames known = {
        .is_own = [this](const std::string& name) { return scope().has_own(name); },
        .is_any =
            [this](const std::string& name) {
              return scope().find(name) != nullptr || is_unknown(name);
            }};
    TRY_ASSIGN(std::vector<int> found, order_nodes(nodes, known));
    order = orders_.emplace(&nodes, std::move(found)).first;
  }
  // A copy: bodies of these nodes add orders of their own.
  for (const int index : std::vector<int>(order->second)) {
    if (depth_ > 0) place_.push_back(index);
    const Result<void> added = add_node(nodes[index]);
    if (depth_ > 0) place_.pop_back();
    if (!added) return added;
  }
  return {};
}

/// `wanted` becomes what had to be constant and is not, if that is what fails.
Result<void> Importer::try_node(const onnx::NodeProto& proto, const std::string& name,
                                WantedValues& wanted) {
  if (const ModelFunction* function = frame_.function_of(proto)) {
    return call_function(proto, *function);
  }
  const OnnxOperator* row = onnx_ops::find_operator(proto.domain(), proto.op_type());
  if (row == nullptr) {
    return unsupported(fmt::format("Operator {} is not supported.", proto.op_type()));
  }
  TRY_ASSIGN(std::vector<OnnxValue> inputs, inputs_of(proto));
  OnnxNode node(proto, {.graph = model_.graph,
                        .host = *this,
                        .fill_bytes_left = fill_bytes_left_,
                        .name = name,
                        .inputs = std::move(inputs),
                        .opset = opset_of(*opsets_, proto)});
  const Result<void> added = import_node(*row, node, proto);
  if (!added) wanted = node.take_wanted();
  return added;
}

Importer::Mark Importer::mark() const {
  const Graph& graph = model_.graph;
  return {graph.nodes.size(), graph.tensors.size(), graph.checks.size(), fill_bytes_left_, folds_};
}

/// After folding, what the node added cannot be told from the rest any more; nobody reads it.
void Importer::take_back(const Mark& mark) {
  fill_bytes_left_ = mark.fill_bytes_left;
  model_.graph.checks.resize(mark.checks);
  if (folds_ != mark.folds) return;
  model_.graph.nodes.resize(mark.nodes);
  model_.graph.tensors.resize(mark.tensors);
  charged_ = std::min(charged_, mark.tensors);
  std::erase_if(initializers_, [&](const auto& entry) { return entry.second >= mark.tensors; });
}

/// Constants that nodes of loops and functions made.
Result<void> Importer::charge(const Mark& before) {
  if (depth_ == 0) return {};
  // Once: nodes hold nodes.
  for (size_t i = std::max(before.tensors, charged_); i < model_.graph.tensors.size(); ++i) {
    const Tensor& tensor = model_.graph.tensors[i];
    if (tensor.constant) inner_bytes_left_ -= static_cast<int64_t>(tensor.constant->bytes.size());
  }
  charged_ = model_.graph.tensors.size();
  if (inner_bytes_left_ >= 0) return {};
  return unsupported(
      fmt::format("Loops and functions of the model make more bytes of constants than the limit "
                  "({}).",
                  options_.fill_bytes_max));
}

/// A node that wants to know a value is tried again once the inputs that decide it are constants.
Result<void> Importer::add_node(const onnx::NodeProto& proto) {
  if (is_passed_over(proto)) {
    notes_->pass_over(proto);
    pass_over(proto);
    return {};
  }
  if (depth_ == 0 && waits_for_others(proto)) {
    postpone(proto);
    return {};
  }
  // A node of the model's own graph is there once, whatever its size.
  const Result<void> charged = depth_ == 0 ? budget_.charge_nodes(1) : budget_.charge_node(proto);
  if (!charged) {
    return located(charged.error(), proto, opset_of(*opsets_, proto), &failure_);
  }
  return add_charged_node(proto);
}

Result<void> Importer::add_charged_node(const onnx::NodeProto& proto) {
  const std::string name = begin_node(proto);
  while (true) {
    const Mark before = mark();
    const BytesLeft bytes = bytes_left();
    if (depth_ == 0) begin_attempt(proto);
    WantedValues wanted;
    Result<void> added = try_node(proto, name, wanted);
    if (added) added = charge(before);
    if (added && depth_ == 0) tried_.erase(&proto);
    if (added) return {};
    // Else what a node within it wants, which leaves it to the model's own.
    if (!wanted.tensors.empty() || !options_.in_parts) wanted_ = std::move(wanted);
    const bool is_wanted = options_.in_parts && !wanted_.tensors.empty();
    if (is_wanted && depth_ > 0) return added;
    const std::vector<std::string> needed = inputs_of_values(wanted_.tensors);
    if (is_wanted && !may_fix(needed)) {
      wait(proto, name, before, bytes);
      return {};
    }
    take_back(before);
    TRY_ASSIGN(const bool is_given, fix_inputs(needed));
    if (is_given) {
      give_back(names_taken_);
      continue;
    }
    if (is_noted(added.error(), &proto)) {
      pass_over(proto);
      return {};
    }
    if (failure_.op.empty()) failure_.inputs_needed = needed;
    return located(added.error(), proto, opset_of(*opsets_, proto), &failure_);
  }
}

// --- Graphs within the graph ---------------------------------------------------------------------

Result<void> Importer::run_nodes(OnnxScope& inner, const OnnxNodes& nodes) {
  OnnxScope* const outer = std::exchange(scope_, &inner);
  ++depth_;
  const Result<void> added =
      depth_ > kModelNestingMax
          ? unsupported(fmt::format("Functions of the model call each other more deeply than the "
                                    "limit ({}).",
                                    kModelNestingMax))
          : add_nodes(nodes);
  --depth_;
  scope_ = outer;
  return added;
}

Result<std::vector<OnnxValue>> Importer::outputs_of(const OnnxScope& scope,
                                                    const std::vector<std::string>& names) {
  std::vector<OnnxValue> outputs;
  for (const std::string& name : names) {
    const OnnxValue* value = scope.find(name);
    if (value == nullptr) {
      return invalid(
          fmt::format("Output \"{}\" of a graph within the model is computed by no node.", name));
    }
    TRY(budget_.charge_sequence(*value));
    outputs.push_back(*value);
  }
  return outputs;
}

Result<std::vector<OnnxValue>> Importer::run_body(const onnx::GraphProto& body,
                                                  std::span<const OnnxValue> inputs,
                                                  int64_t number) {
  wanted_ = {};  // by something that is known by now
  place_.push_back(number);
  Result<std::vector<OnnxValue>> outputs = run_body_here(body, inputs);
  place_.pop_back();
  return outputs;
}

Result<std::vector<OnnxValue>> Importer::run_body_here(const onnx::GraphProto& body,
                                                       std::span<const OnnxValue> inputs) {
  if (static_cast<size_t>(body.input_size()) != inputs.size()) {
    return invalid(fmt::format("Graph \"{}\" within the model has {} inputs where {} are given.",
                               body.name(), body.input_size(), inputs.size()));
  }
  TRY(budget_.charge_turn(body));
  OnnxScope inner(&scope());
  for (size_t i = 0; i < inputs.size(); ++i) {
    TRY(budget_.charge_sequence(inputs[i]));
    const std::string& name = body.input(static_cast<int>(i)).name();
    if (!inner.define(name, inputs[i])) {
      return invalid(fmt::format("Value \"{}\" is defined twice.", name));
    }
  }
  OnnxScope* const outer = std::exchange(scope_, &inner);
  ++depth_;
  const Result<void> added = add_initializers(body);
  --depth_;
  scope_ = outer;
  if (!added) return added.error();
  TRY(run_nodes(inner, body.node()));
  std::vector<std::string> names;
  for (const onnx::ValueInfoProto& output : body.output()) names.push_back(output.name());
  return outputs_of(inner, names);
}

Result<void> Importer::call_function(const onnx::NodeProto& proto, const ModelFunction& function) {
  TRY(budget_.charge_call(int64_t{function.proto->input_size()} + function.proto->output_size()));
  TRY_ASSIGN(auto bound, bind_attributes(function, proto, inner_bytes_left_));
  const onnx::FunctionProto& body =
      bound ? *functions_.emplace_back(std::move(bound)) : *function.proto;
  TRY_ASSIGN(const std::vector<OnnxValue> inputs, inputs_of(proto));
  OnnxScope inner;
  for (int i = 0; i < body.input_size(); ++i) {
    const auto index = static_cast<size_t>(i);
    const OnnxValue value = index < inputs.size() ? inputs[index] : OnnxValue();
    if (!inner.define(body.input(i), value)) {
      return invalid(fmt::format("Value \"{}\" is defined twice.", body.input(i)));
    }
  }
  const Opsets* const outer = std::exchange(opsets_, &function.opsets);
  const Result<void> added = run_nodes(inner, body.node());
  opsets_ = outer;
  if (!added) return added.error();
  TRY_ASSIGN(const std::vector<OnnxValue> outputs,
             outputs_of(inner, {body.output().begin(), body.output().end()}));
  if (outputs.size() < static_cast<size_t>(proto.output_size())) {
    return invalid(fmt::format("Function {} has {} outputs (of {}).", function.proto->name(),
                               proto.output_size(), outputs.size()));
  }
  for (int i = 0; i < proto.output_size(); ++i) {
    TRY(keep_output(proto.output(i), outputs[static_cast<size_t>(i)]));
  }
  return {};
}

/// The extent that inputs have now which the file calls so.
std::optional<int64_t> Importer::extent_of(const std::string& symbol) const {
  for (const DeclaredInput& input : frame_.inputs) {
    const auto found = std::ranges::find(input.extents, symbol, &DeclaredInput::Extent::symbol);
    const OnnxValue* const value = names_.find(input.name);
    if (symbol.empty() || found == input.extents.end() || value == nullptr) continue;
    const auto dimension = static_cast<size_t>(found - input.extents.begin());
    return model_.graph.tensors[value->tensor].shape[dimension];
  }
  return std::nullopt;
}

std::optional<Shape> Importer::declared_shape(const std::string& value) {
  if (depth_ != 0) return std::nullopt;
  if (declared_.empty()) {
    for (const auto* list : {&proto_.graph().value_info(), &proto_.graph().output()}) {
      for (const onnx::ValueInfoProto& info : *list) declared_.emplace(info.name(), &info.type());
    }
  }
  const auto found = declared_.find(value);
  if (found == declared_.end() || !found->second->tensor_type().has_shape()) return std::nullopt;
  Shape shape;
  for (const auto& dimension : found->second->tensor_type().shape().dim()) {
    const bool is_number = dimension.has_dim_value() && dimension.dim_value() >= 0;
    const std::optional<int64_t> extent =
        is_number ? dimension.dim_value() : extent_of(dimension.dim_param());
    if (!extent) return std::nullopt;
    shape.push_back(*extent);
  }
  return shape;
}

// --- Values that become constants ----------------------------------------------------------------

/// Whether these inputs are to become constants rather than that the model is cut behind what
/// follows from them.
bool Importer::may_fix(const std::vector<std::string>& names) const {
  return part_ == 0 && !names.empty() && std::ranges::all_of(names, [&](const std::string& name) {
           const auto value = options_.input_values.find(name);
           return value != options_.input_values.end() &&
                  element_count(value->second.shape) <= kShapeElementsMax;
         });
}

/// Makes constants of the inputs whose values are at hand, and of what follows from them; whether
/// there was one.
Result<bool> Importer::fix_inputs(const std::vector<std::string>& names) {
  bool any_given = false;
  for (const std::string& name : names) {
    const auto value = options_.input_values.find(name);
    if (value == options_.input_values.end()) continue;
    TRY(fix_input(name, value->second));
    any_given = true;
  }
  if (!any_given) return false;
  ++folds_;
  TRY(fold_nodes(model_.graph));
  return true;
}

Result<void> Importer::fix_input(const std::string& name, const HostTensor& value) {
  const auto input = std::ranges::find(model_.inputs, name, &ModelValue::name);
  if (value.dtype != input->dtype || value.shape != input->shape) {
    return invalid(fmt::format("Input \"{}\" is given {} {}, but the model says {} {}.", name,
                               leat::name_of(value.dtype), to_string(value.shape),
                               leat::name_of(input->dtype), to_string(input->shape)));
  }
  model_.graph.tensors[input->tensor].constant = std::make_shared<HostTensor>(value);
  std::erase(model_.graph.inputs, input->tensor);
  model_.inputs.erase(input);
  return {};
}

std::vector<std::string> Importer::inputs_of_values(std::span<const TensorId> tensors) const {
  std::vector<TensorId> given(tensors.begin(), tensors.end());
  std::erase(given, kNoTensor);  // optional inputs that are left out
  if (given.empty()) return {};
  const std::vector<bool> seen = needed_tensors(model_.graph, given);
  std::vector<std::string> names;
  for (const ModelValue& input : model_.inputs) {
    if (seen[input.tensor]) names.push_back(input.name);
  }
  return names;
}

bool Importer::may_become_constant(TensorId tensor) const {
  const std::vector<std::string> names = inputs_of_values({&tensor, 1});
  return !names.empty() && std::ranges::all_of(names, [&](const std::string& name) {
    const auto value = options_.input_values.find(name);
    return value != options_.input_values.end() && !is_float(value->second.dtype) &&
           element_count(value->second.shape) <= kShapeElementsMax;
  });
}

/// Such as the mask of a Dropout that nobody reads.
void Importer::drop_unused_nodes() {
  Graph& graph = model_.graph;
  std::vector<bool> seen = needed_tensors(graph, graph.outputs);
  std::erase_if(graph.checks, [&](const IndexCheck& check) { return !seen[check.guarded]; });
  std::vector<TensorId> roots = graph.outputs;
  for (const IndexCheck& check : graph.checks) {
    roots.insert(roots.end(), {check.position, check.index});
  }
  seen = needed_tensors(graph, roots);
  std::erase_if(graph.nodes, [&](const Node& node) { return !writes_any(node, seen); });
}

Result<void> Importer::import_node(const OnnxOperator& row, OnnxNode& node,
                                   const onnx::NodeProto& proto) {
  const auto is_tensor = [](const OnnxValue& v) { return v.kind == OnnxValue::Kind::tensor; };
  if (!row.takes_sequences && !std::ranges::all_of(node.values(), is_tensor)) {
    return invalid(fmt::format("{} is given a sequence where it takes tensors.", row.name));
  }
  for (int i = 0; i < row.inputs_min; ++i) {  // of a function that is called without it
    if (!node.value(static_cast<size_t>(i)).is_left_out()) continue;
    return invalid(fmt::format("Input {} of {} is missing.", i, row.name));
  }
  const Result<TensorId> first = row.import(node);
  if (node.failure()) return *node.failure();
  if (!first) return first.error();
  if (const std::string name = node.unread_attribute(); !name.empty()) {
    return unsupported(
        fmt::format("Attribute \"{}\" is not one that {} of this version has.", name, row.name));
  }
  if (*first != kNoTensor) node.set_output(0, *first);
  for (size_t i = 0; i < node.output_count(); ++i) {
    const std::string& name = proto.output(static_cast<int>(i));
    if (!name.empty() && node.output(i).is_left_out()) {
      return unsupported(
          fmt::format("Output {} (\"{}\") of {} is not supported.", i, name, proto.op_type()));
    }
    TRY(keep_output(name, node.output(i)));
  }
  return {};
}

Result<void> Importer::keep_output(const std::string& name, const OnnxValue& value) {
  if (name.empty()) return {};
  TRY(budget_.charge_sequence(value));
  if (value.kind == OnnxValue::Kind::tensor && value.tensor != kNoTensor) {
    const Tensor& tensor = model_.graph.tensors[value.tensor];
    if (tensor.shape.size() > static_cast<size_t>(kTensorRankMax)) {
      return unsupported(fmt::format("Value \"{}\" has more dimensions ({}) than the limit ({}).",
                                     name, tensor.shape.size(), kTensorRankMax));
    }
  }
  return define(name, value);
}

void Importer::keep_values() {
  for (const auto& [name, value] : names_.values()) {
    if (value.tensor != kNoTensor) model_.values[name] = value.tensor;
  }
}

/// What an output names must be a tensor of its own: not an input, and not another output.
Result<void> Importer::add_outputs() {
  std::set<TensorId> taken(model_.graph.inputs.begin(), model_.graph.inputs.end());
  for (const onnx::ValueInfoProto& output : proto_.graph().output()) {
    if (is_unknown(output.name())) continue;
    const OnnxValue* value_of = names_.find(output.name());
    if (value_of == nullptr) {
      return invalid(fmt::format("Output \"{}\" is computed by no node.", output.name()));
    }
    if (value_of->tensor == kNoTensor) {
      return unsupported(
          fmt::format("Output \"{}\" is a sequence or an empty optional, which "
                      "only nodes of the model take.",
                      output.name()));
    }
    TensorId tensor = value_of->tensor;
    if (!taken.insert(tensor).second) {
      TRY_ASSIGN(tensor, ops::identity(model_.graph, unique_name(output.name() + "/copy"), tensor));
    }
    const Tensor& value = model_.graph.tensors[tensor];
    model_.graph.outputs.push_back(tensor);
    model_.outputs.push_back({output.name(), value.dtype, value.shape, tensor});
  }
  return {};
}

Result<Model> OnnxModel::specialised(const ImportOptions& options, ImportFailure* failure) const {
  Importer importer({proto_, frame_}, options, path_, memory_);
  Result<Model> model = importer.run();
  if (model) return model;
  if (failure != nullptr) *failure = importer.failure();
  return model.error().during(fmt::format("reading model \"{}\"", path_.path));
}

std::optional<Model> import_noting(const std::shared_ptr<const onnx::ModelProto>& proto,
                                   const std::shared_ptr<const ModelFrame>& frame,
                                   const std::string& path, ImportNotes& notes) {
  ImportOptions options;
  options.in_parts = true;
  options.trusts_kernels = true;  // nothing runs
  const ModelPath file = {.path = path, .is_file = true};
  Result<Model> model = Importer({proto, frame}, options, file, nullptr, &notes).run();
  if (!model) notes.add(model.error());
  return notes.count() == 0 ? std::optional(std::move(*model)) : std::nullopt;
}

Result<Model> import_onnx(const std::string& path, const ImportOptions& options,
                          ImportFailure* failure) {
  TRY_ASSIGN(const OnnxModel model, OnnxModel::read(path, failure));
  return model.specialised(options, failure);
}

Result<Model> import_onnx_bytes(std::string_view bytes, const std::string& path,
                                const ImportOptions& options, ImportFailure* failure) {
  TRY_ASSIGN(const OnnxModel model, OnnxModel::parse(bytes, path, failure));
  return model.specialised(options, failure);
}

}  // namespace leat
