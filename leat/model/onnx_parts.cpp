// Models whose sizes follow from values that only a run gives. The graph ends where such a value is
// wanted: nodes that want one, and those behind them, wait. Once a run has told the values, which
// come to the host together with all that those nodes still need, the import goes on from a copy of
// what it was, with the told values as constants and the rest as inputs of the next part.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "leat/base/check.h"
#include "leat/model/onnx_errors.h"
#include "leat/model/onnx_importer.h"

namespace leat {

namespace {

/// Appends what tells this value from others.
void add_key(std::string& key, DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  key += fmt::format("{} {} {}:", name_of(dtype), to_string(shape), bytes.size());
  key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

// --- Before a part ends --------------------------------------------------------------------------

bool Importer::waits_for_others(const onnx::NodeProto& proto) const {
  if (later_.empty()) return false;
  return std::ranges::any_of(names_taken_by(proto),
                             [&](const std::string& name) { return later_.contains(name); });
}

void Importer::postpone(const onnx::NodeProto& proto) {
  postponed_.push_back(&proto);
  for (const std::string& output : proto.output()) {
    if (!output.empty()) later_.insert(output);
  }
}

/// The node's name. One that was tried before has its own again, and so have those within it.
std::string Importer::begin_node(const onnx::NodeProto& proto) {
  const auto tried = depth_ == 0 ? tried_.find(&proto) : tried_.end();
  if (tried != tried_.end()) {
    give_back(tried->second.names);
    names_taken_.clear();
    return tried->second.name;
  }
  std::string name = unique_name(leat::name_of(proto).substr(0, kNodeNameBytesMax));
  if (depth_ == 0) names_taken_.clear();
  return name;
}

void Importer::give_back(std::vector<TakenName>& names) {
  for (; !names.empty(); names.pop_back()) {
    node_names_.erase(names.back().unique);
    name_numbers_[names.back().name] = names.back().number;
  }
}

void Importer::begin_attempt(const onnx::NodeProto& proto) {
  attempted_ = &proto;
  attempt_tensors_ = model_.graph.tensors.size();
  wanted_ = {};
  asked_.clear();
  turn_names_ = 0;
  turn_.reset();
}

Importer::BytesLeft Importer::bytes_left() const {
  return {fill_bytes_left_, inner_bytes_left_, model_.graph.fold_bytes_left, functions_.size()};
}

/// Told by the place, not by the tensor's name: that is another one where others have it by now.
const HostTensor* Importer::told_value(TensorId id, int64_t question) {
  if (!options_.in_parts || id < attempt_tensors_) return nullptr;
  Place place = place_;
  place.push_back(question);
  if (const auto tried = tried_.find(attempted_); tried != tried_.end()) {
    const auto answer = tried->second.answers.find(place);
    const Tensor& tensor = model_.graph.tensors[id];
    if (answer != tried->second.answers.end() && answer->second->dtype == tensor.dtype &&
        answer->second->shape == tensor.shape) {
      wanted_ = {};  // of what was tried without it
      return answer->second.get();
    }
  }
  asked_.emplace_back(id, std::move(place));
  return nullptr;
}

const onnx_ops::LoopTurn* Importer::left_turn() const {
  const auto tried = depth_ == 0 ? tried_.find(attempted_) : tried_.end();
  return tried != tried_.end() && tried->second.turn ? &*tried->second.turn : nullptr;
}

void Importer::begin_turn() {
  if (depth_ == 0) turn_names_ = names_taken_.size();
}

void Importer::leave_turn(onnx_ops::LoopTurn turn) {
  if (may_wait()) turn_ = std::move(turn);
}

/// Of a Loop, whose turns before the last one need not be taken again.
void Importer::keep_turn(TriedNode& tried) {
  if (!turn_) return;
  if (!tried.turn || tried.turn->number != turn_->number) tried.answers.clear();
  tried.turn = std::move(turn_);
  const auto names = names_taken_.begin();
  names_taken_.erase(names, names + static_cast<std::ptrdiff_t>(turn_names_));
}

/// What it wants of its own making is computed by nodes that stay in this part, with what they
/// take of the limits. Otherwise all that was made is gone.
void Importer::wait(const onnx::NodeProto& proto, const std::string& name, const Mark& before,
                    const BytesLeft& bytes) {
  std::vector<TensorId>& tensors = wanted_.tensors;
  const auto is_outer = [&](TensorId tensor) { return tensor < before.tensors; };
  const auto is_wanted = [&](const auto& asked) {
    return std::ranges::count(tensors, asked.first) > 0;
  };
  TriedNode& tried = tried_[&proto];
  tried.name = name;
  if (std::ranges::none_of(tensors, is_outer)) {
    keep_turn(tried);
    std::erase_if(asked_, std::not_fn(is_wanted));
  } else {
    take_back(before);
    fill_bytes_left_ = bytes.fill;
    if (functions_.size() == bytes.functions) inner_bytes_left_ = bytes.inner;
    model_.graph.fold_bytes_left = bytes.fold;
    std::erase_if(tensors, [&](TensorId t) { return t != kNoTensor && !is_outer(t); });
    asked_.clear();
  }
  tried.names = std::exchange(names_taken_, {});
  postpone(proto);
  waiting_.push_back({&proto, std::exchange(wanted_, {}), std::exchange(asked_, {})});
}

// --- The end of a part ---------------------------------------------------------------------------

Result<Model> Importer::finish() {
  if (!waiting_.empty()) return end_part();
  TRY(add_outputs());
  drop_unused_nodes();
  if (options_.keeps_values) keep_values();
  return std::move(model_);
}

/// What nodes that are added later, and the model's outputs, need of what is there.
std::vector<TensorId> Importer::live_tensors() const {
  std::set<TensorId> live;
  const auto add = [&](TensorId tensor) {
    if (tensor != kNoTensor && !model_.graph.tensors[tensor].constant) live.insert(tensor);
  };
  const auto add_value = [&](const OnnxValue& value) {
    add(value.tensor);
    std::ranges::for_each(value.sequence, add);
  };
  const auto add_name = [&](const std::string& name) {
    if (const OnnxValue* value = names_.find(name)) add_value(*value);
  };
  const NodeSet computed = computed_nodes();
  for (const onnx::NodeProto* node : postponed_) {
    if (!computed.contains(node)) std::ranges::for_each(names_taken_by(*node), add_name);
    const auto tried = tried_.find(node);
    if (tried == tried_.end() || !tried->second.turn) continue;
    const onnx_ops::LoopTurn& turn = *tried->second.turn;
    add(turn.going);
    std::ranges::for_each(turn.states, add_value);
    for (const auto& stack : turn.stacks) std::ranges::for_each(stack, add);
  }
  for (const onnx::ValueInfoProto& output : proto_.graph().output()) add_name(output.name());
  return {live.begin(), live.end()};
}

/// What is there has its type and shape; what the file says of the rest is only said.
std::vector<ModelValue> Importer::outputs_so_far() const {
  std::vector<ModelValue> outputs = declared_outputs(proto_);
  for (ModelValue& output : outputs) {
    const OnnxValue* value = names_.find(output.name);
    if (value == nullptr || value->tensor == kNoTensor) continue;
    const Tensor& tensor = model_.graph.tensors[value->tensor];
    output = {output.name, tensor.dtype, tensor.shape, value->tensor};
  }
  return outputs;
}

/// What can be told of a model before its values are: that each output is one, and how many nodes
/// are still to be looked at.
Result<void> Importer::check_rest() {
  for (const onnx::ValueInfoProto& output : proto_.graph().output()) {
    const std::string& name = output.name();
    if (names_.find(name) != nullptr || later_.contains(name) || is_unknown(name)) continue;
    return invalid(fmt::format("Output \"{}\" is computed by no node.", name));
  }
  if (notes_ == nullptr) return {};
  const NodeSet computed = computed_nodes();
  for (const onnx::NodeProto* node : postponed_) {
    if (!computed.contains(node)) notes_->pass_over(*node);
  }
  return {};
}

/// Those that wait, and of which nothing is left to be done in the next part.
Importer::NodeSet Importer::computed_nodes() const {
  NodeSet computed;
  for (const WaitingNode& waiting : waiting_) {
    if (waiting.wanted.function) computed.insert(waiting.proto);
  }
  return computed;
}

Result<Model> Importer::end_part() {
  if (++part_ > kPartsMax) {
    const onnx::NodeProto& node = *waiting_.front().proto;
    return located(unsupported(fmt::format("The model has more parts than the limit ({}): sizes "
                                           "follow from values that follow from sizes.",
                                           kPartsMax)),
                   node, opset_of(frame_.opsets, node), &failure_);
  }
  if (const size_t tensors = static_cast<size_t>(part_) * model_.graph.tensors.size();
      tensors > kTensorsOfPartsMax) {
    const onnx::NodeProto& node = *waiting_.front().proto;
    return located(unsupported(fmt::format("({}) parts of ({}) tensors are more than the limit "
                                           "({}) of tensors in all parts.",
                                           part_, model_.graph.tensors.size(), kTensorsOfPartsMax)),
                   node, opset_of(frame_.opsets, node), &failure_);
  }
  TRY(check_rest());
  const std::vector<TensorId> live = live_tensors();
  std::set<TensorId> given(live.begin(), live.end());
  for (const WaitingNode& waiting : waiting_) {
    given.insert(waiting.wanted.tensors.begin(), waiting.wanted.tensors.end());
  }
  Graph& graph = model_.graph;
  graph.outputs.clear();
  const std::set<TensorId> already(graph.inputs.begin(), graph.inputs.end());
  for (const TensorId tensor : given) {
    const bool is_there =
        tensor == kNoTensor || graph.tensors[tensor].constant || already.contains(tensor);
    if (!is_there) graph.outputs.push_back(tensor);
  }
  drop_unused_nodes();
  Model part = model_;
  part.outputs = outputs_so_far();
  auto ended = std::make_shared<Importer>(*this);
  ended->notes_ = nullptr;
  ended->model_.graph.nodes.clear();
  ended->model_.graph.checks.clear();
  part.rest = [ended = std::shared_ptr<const Importer>(std::move(ended))](
                  std::vector<HostTensor> inputs,
                  std::vector<HostTensor> outputs) -> Result<NextPart> {
    TRY_ASSIGN(const PartValues values,
               ended->values_of_part(std::move(inputs), std::move(outputs)));
    return next_part(ended, values);
  };
  return part;
}

// --- What a run has told -------------------------------------------------------------------------

Result<Importer::PartValues> Importer::values_of_part(std::vector<HostTensor> inputs,
                                                      std::vector<HostTensor> outputs) const {
  const Graph& graph = model_.graph;
  CHECK(inputs.size() == graph.inputs.size() && outputs.size() == graph.outputs.size());
  PartValues values;
  const auto add = [&](TensorId id, HostTensor& value) -> Result<void> {
    const Tensor& tensor = graph.tensors[id];
    if (value.dtype != tensor.dtype || value.shape != tensor.shape) {
      return invalid(fmt::format("Value \"{}\" is {} {}, where the model has {} {}.", tensor.name,
                                 name_of(value.dtype), to_string(value.shape),
                                 name_of(tensor.dtype), to_string(tensor.shape)));
    }
    values.emplace(id, std::make_shared<HostTensor>(std::move(value)));
    return {};
  };
  for (size_t i = 0; i < inputs.size(); ++i) TRY(add(graph.inputs[i], inputs[i]));
  for (size_t i = 0; i < outputs.size(); ++i) TRY(add(graph.outputs[i], outputs[i]));
  return values;
}

/// Adds to the next part's key and inputs.
Result<Importer::ToldNode> Importer::tell(const WaitingNode& waiting, const PartValues& values,
                                          NextPart& next) const {
  ToldNode told;
  std::vector<const HostTensor*> inputs;
  for (const TensorId tensor : waiting.wanted.tensors) {
    const auto found = values.find(tensor);
    ConstantValue value = found != values.end() ? found->second
                          : tensor == kNoTensor ? nullptr
                                                : model_.graph.tensors[tensor].constant;
    inputs.push_back(value.get());
    told.values.push_back(std::move(value));
  }
  if (!waiting.wanted.function) {
    for (const HostTensor* value : inputs) {
      add_key(next.key, value->dtype, value->shape, value->bytes);
    }
    return told;
  }
  const onnx::NodeProto& proto = *waiting.proto;
  Result<std::vector<HostTensor>> results = waiting.wanted.function(inputs);
  if (!results) return located(results.error(), proto, opset_of(frame_.opsets, proto), nullptr);
  told.values.clear();
  for (size_t i = 0; i < results->size(); ++i) {
    HostTensor& result = (*results)[i];
    told.results.emplace_back(result.dtype, result.shape);
    if (static_cast<int>(i) >= proto.output_size() || proto.output(static_cast<int>(i)).empty()) {
      continue;
    }
    add_key(next.key, result.dtype, result.shape, {});
    next.inputs.push_back(std::move(result));
  }
  return told;
}

Result<NextPart> Importer::next_part(const std::shared_ptr<const Importer>& ended,
                                     const PartValues& values) {
  NextPart next;
  std::vector<ToldNode> told;
  std::set<TensorId> constants;
  for (const WaitingNode& waiting : ended->waiting_) {
    TRY_ASSIGN(ToldNode node, ended->tell(waiting, values, next));
    told.push_back(std::move(node));
    if (waiting.wanted.function) continue;
    constants.insert(waiting.wanted.tensors.begin(), waiting.wanted.tensors.end());
  }
  for (const TensorId tensor : ended->live_tensors()) {
    if (!constants.contains(tensor)) next.inputs.push_back(*values.at(tensor));
  }
  next.make = [ended, told = std::move(told)] { return Importer(*ended).continue_with(told); };
  return next;
}

// --- The next part -------------------------------------------------------------------------------

void Importer::add_part_input(TensorId id) {
  const Tensor& tensor = model_.graph.tensors[id];
  model_.graph.inputs.push_back(id);
  model_.inputs.push_back({tensor.name, tensor.dtype, tensor.shape, id});
}

Result<void> Importer::take_told(const WaitingNode& waiting, const ToldNode& told) {
  Graph& graph = model_.graph;
  const onnx::NodeProto& proto = *waiting.proto;
  for (size_t i = 0; i < told.values.size(); ++i) {
    graph.tensors[waiting.wanted.tensors[i]].constant = told.values[i];
  }
  for (const auto& [tensor, place] : waiting.places) {
    tried_[&proto].answers.insert_or_assign(place, graph.tensors[tensor].constant);
  }
  for (size_t i = 0; i < told.results.size(); ++i) {
    const auto& [dtype, shape] = told.results[i];
    const auto output = static_cast<int>(i);
    if (output >= proto.output_size() || proto.output(output).empty()) continue;
    const TensorId tensor = graph.add_tensor(unique_name(proto.output(output)), dtype, shape);
    TRY(keep_output(proto.output(output), tensor));
    add_part_input(tensor);
  }
  if (waiting.wanted.function) tried_.erase(&proto);
  return {};
}

Result<Model> Importer::continue_with(std::span<const ToldNode> told) {
  const std::vector<TensorId> live = live_tensors();
  const NodeSet computed = computed_nodes();
  const std::vector<WaitingNode> waiting = std::exchange(waiting_, {});
  model_.graph.inputs.clear();
  model_.graph.outputs.clear();
  model_.inputs.clear();
  for (size_t i = 0; i < waiting.size(); ++i) TRY(take_told(waiting[i], told[i]));
  for (const TensorId tensor : live) {
    if (!model_.graph.tensors[tensor].constant) add_part_input(tensor);
  }
  const std::vector<const onnx::NodeProto*> nodes = std::exchange(postponed_, {});
  later_.clear();
  for (const onnx::NodeProto* node : nodes) {
    if (computed.contains(node)) continue;
    const Result<void> added = add_node(*node);
    if (!added) return added.error().during(fmt::format("reading model \"{}\"", model_.path));
  }
  return finish();
}

}  // namespace leat
