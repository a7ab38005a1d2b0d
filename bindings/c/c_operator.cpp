// Single operators: models of one node, made in memory and kept in the session.
#include <fmt/format.h>

#include <initializer_list>
#include <utility>

#include "bindings/c/c_model.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat::c {

namespace {

constexpr int64_t kOperatorOpset = 21;
/// A value of more elements decides no shape.
constexpr int64_t kDecidingElementsMax = 1024;

Error invalid(std::string message) {
  return Error(ErrorKind::invalid_argument, std::move(message));
}

/// One call of an operator.
struct Call {
  std::string op;
  std::span<const leat_attribute> attributes;
  std::span<const leat_tensor> inputs;
  size_t output_count = 1;

  bool has(size_t input) const { return inputs[input].type != LEAT_NONE; }
};

std::string input_name(size_t index) { return "input " + std::to_string(index); }

Result<void> check(const Call& call) {
  for (const leat_attribute& attribute : call.attributes) {
    TRY(check_given(attribute.name, "name of an attribute"));
    const void* const values = attribute.kind == LEAT_INTEGERS ? attribute.integers
                               : attribute.kind == LEAT_NUMBERS
                                   ? static_cast<const void*>(attribute.numbers)
                                   : attribute.text;
    if (attribute.kind < LEAT_INTEGERS || attribute.kind > LEAT_TEXT) {
      return invalid(fmt::format("Kind ({}) of attribute \"{}\" is none of 1 to 3.", attribute.kind,
                                 attribute.name));
    }
    const bool may_be_null = attribute.kind != LEAT_TEXT && attribute.count == 0;
    if (values == nullptr && !may_be_null) {
      return invalid(fmt::format("Value of attribute \"{}\" is null.", attribute.name));
    }
  }
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (call.has(i)) TRY(facts_of(call.inputs[i], input_name(i)));
  }
  return {};
}

void set_attribute(OnnxNodeBuilder& node, const leat_attribute& attribute) {
  const bool is_single = attribute.count == 1 && attribute.is_list == 0;
  switch (attribute.kind) {
    case LEAT_INTEGERS: {
      const std::span values(attribute.integers, attribute.count);
      if (is_single) {
        node.set(attribute.name, values[0]);
      } else {
        node.set(attribute.name, std::vector<int64_t>(values.begin(), values.end()));
      }
      return;
    }
    case LEAT_NUMBERS: {
      const std::span values(attribute.numbers, attribute.count);
      if (is_single) {
        node.set(attribute.name, values[0]);
      } else {
        node.set(attribute.name, std::vector<float>(values.begin(), values.end()));
      }
      return;
    }
    case LEAT_TEXT: node.set(attribute.name, attribute.text); return;
  }
}

/// The model of one node as the bytes of a file, which is its key, too.
std::string model_bytes(const Call& call) {
  OnnxBuilder builder(kOperatorOpset);
  std::vector<std::string> inputs;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const leat_tensor& tensor = call.inputs[i];
    inputs.push_back(call.has(i) ? input_name(i) : "");
    if (call.has(i)) {
      builder.input(inputs[i], {tensor.shape, tensor.shape + tensor.rank}, tensor.type);
    }
  }
  std::vector<std::string> outputs;
  for (size_t i = 0; i < call.output_count; ++i) outputs.push_back(fmt::format("output {}", i));
  OnnxNodeBuilder node = builder.node(call.op, inputs, outputs);
  for (const leat_attribute& attribute : call.attributes) set_attribute(node, attribute);
  for (const std::string& output : outputs) builder.output(output);
  return builder.bytes();
}

bool has_values(const ReadyOperator& ready, const Call& call) {
  for (size_t i = 0; i < ready.constants.size(); ++i) {
    const std::vector<std::byte>& bytes = ready.constants[i].bytes;
    const void* const data = call.inputs[ready.constant_inputs[i]].data;
    if (!bytes.empty() && std::memcmp(bytes.data(), data, bytes.size()) != 0) return false;
  }
  return true;
}

Result<ReadyOperator> make_ready(SessionState& session, const Call& call, std::string key) {
  TRY_ASSIGN(const OnnxModel file, OnnxModel::parse(key, call.op));
  ImportOptions options;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.has(i)) continue;
    TRY_ASSIGN(const TensorFacts facts, facts_of(call.inputs[i], input_name(i)));
    if (element_count(facts.shape) > kDecidingElementsMax) continue;
    TRY_ASSIGN(options.input_values[input_name(i)], value_of(call.inputs[i], input_name(i)));
  }
  TRY_ASSIGN(Model model, file.specialised(options));
  ReadyOperator ready;
  ready.key = std::move(key);
  for (const ModelValue& input : model.inputs) {
    size_t index = 0;
    while (input_name(index) != input.name) ++index;
    ready.inputs.push_back(index);
  }
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    if (!call.has(i) || std::ranges::find(ready.inputs, i) != ready.inputs.end()) continue;
    ready.constant_inputs.push_back(i);
    ready.constants.push_back(std::move(options.input_values[input_name(i)]));
  }
  LoadOptions loading;
  loading.device = session.device;
  TRY_ASSIGN(ready.model, session.session.load(std::move(model), std::move(loading)));
  return ready;
}

Result<void> run_operator(SessionState& session, const Call& call, std::span<leat_tensor> outputs) {
  TRY(check(call));
  std::string key = model_bytes(call);
  const std::lock_guard lock(session.operators_mutex);
  std::list<ReadyOperator>& known = session.operators;
  const auto found = std::ranges::find_if(known, [&](const ReadyOperator& ready) {
    return ready.key == key && has_values(ready, call);
  });
  if (found != known.end()) {
    known.splice(known.begin(), known, found);
  } else {
    TRY_ASSIGN(ReadyOperator ready, make_ready(session, call, std::move(key)));
    known.push_front(std::move(ready));
    if (known.size() > kOperatorsReadyMax) known.pop_back();
  }
  std::vector<leat_tensor> inputs;
  for (const size_t index : known.front().inputs) inputs.push_back(call.inputs[index]);
  return run_on(*known.front().model, inputs, outputs);
}

/// A call with null for what an operator may lack at its end.
leat_status run_named(leat_session* session, const char* op,
                      std::span<const leat_attribute> attributes,
                      std::initializer_list<const leat_tensor*> inputs, leat_tensor* output) {
  return guarded([&]() -> Result<void> {
    TRY(check_given(session, "session"));
    TRY(check_given(output, "output"));
    std::vector<leat_tensor> given;
    for (const leat_tensor* input : inputs) {
      TRY(check_given(input, "input"));
      given.push_back(*input);
    }
    return run_operator(*session->state, {op, attributes, given, 1}, {output, 1});
  });
}

leat_attribute integers(const char* name, std::span<const int64_t> values, bool is_list) {
  leat_attribute attribute{};
  attribute.name = name;
  attribute.kind = LEAT_INTEGERS;
  attribute.is_list = is_list ? 1 : 0;
  attribute.integers = values.data();
  attribute.count = values.size();
  return attribute;
}

}  // namespace

}  // namespace leat::c

using namespace leat;

leat_status leat_operator(leat_session* session, const char* op, const leat_attribute* attributes,
                          size_t attribute_count, const leat_tensor* inputs, size_t input_count,
                          leat_tensor* outputs, size_t output_count) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(session, "session"));
    TRY(c::check_given(op, "op"));
    if (attribute_count > 0) TRY(c::check_given(attributes, "attributes"));
    if (input_count > 0) TRY(c::check_given(inputs, "inputs"));
    TRY(c::check_given(outputs, "outputs"));
    TRY(c::check_below(0, output_count, "Index of an output"));
    const c::Call call = {op, {attributes, attribute_count}, {inputs, input_count}, output_count};
    return c::run_operator(*session->state, call, {outputs, output_count});
  });
}

leat_status leat_conv2d(leat_session* session, const leat_conv2d_options* options,
                        const leat_tensor* x, const leat_tensor* w, const leat_tensor* bias,
                        leat_tensor* y) {
  leat_conv2d_options own{};
  const leat_status status = c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(own, c::read_struct(options, "leat_conv2d_options"));
    return {};
  });
  if (status != LEAT_OK) return status;
  const auto or_one = [](int64_t& value) { value = value == 0 ? 1 : value; };
  std::ranges::for_each(own.stride, or_one);
  std::ranges::for_each(own.dilation, or_one);
  or_one(own.groups);
  const leat_attribute attributes[] = {
      c::integers("strides", own.stride, true), c::integers("dilations", own.dilation, true),
      c::integers("pads", own.pad, true), c::integers("group", {&own.groups, 1}, false)};
  if (bias == nullptr) return c::run_named(session, "Conv", attributes, {x, w}, y);
  return c::run_named(session, "Conv", attributes, {x, w, bias}, y);
}

leat_status leat_matmul(leat_session* session, const leat_tensor* a, const leat_tensor* b,
                        leat_tensor* c) {
  return c::run_named(session, "MatMul", {}, {a, b}, c);
}

leat_status leat_add(leat_session* session, const leat_tensor* a, const leat_tensor* b,
                     leat_tensor* y) {
  return c::run_named(session, "Add", {}, {a, b}, y);
}

leat_status leat_relu(leat_session* session, const leat_tensor* x, leat_tensor* y) {
  return c::run_named(session, "Relu", {}, {x}, y);
}

leat_status leat_softmax(leat_session* session, int64_t axis, const leat_tensor* x,
                         leat_tensor* y) {
  const leat_attribute attributes[] = {c::integers("axis", {&axis, 1}, false)};
  return c::run_named(session, "Softmax", attributes, {x}, y);
}
