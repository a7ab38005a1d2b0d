// See plan_bytes.h. Enumerators are checked as they are read, so that a switch over one is safe;
// everything else is check_plan's.
#include "leat/pack/plan_bytes.h"

#include "leat/base/kernel_bytes.h"
#include "leat/base/target_fields.h"

namespace leat {

namespace {

constexpr DType kLastDType = DType::u2;

// --- Fields --------------------------------------------------------------------------------------

void add_field(ByteWriter& writer, const std::string& text) { writer.add_string(text); }

template <typename T>
requires(std::is_integral_v<T> || std::is_enum_v<T>) void add_field(ByteWriter& writer, T value) {
  writer.add(static_cast<int64_t>(value));
}

template <typename T, size_t count>
void add_field(ByteWriter& writer, const T (&values)[count]) {
  for (const T& value : values) add_field(writer, value);
}

template <typename T, typename Add>
void add_list(ByteWriter& writer, const T& list, const Add& add) {
  writer.add(static_cast<uint64_t>(list.size()));
  for (const auto& each : list) add(each);
}

void take_field(ByteReader& reader, std::string& text) { text = reader.take_string(); }

template <typename T>
requires(std::is_integral_v<T> || std::is_enum_v<T>) void take_field(ByteReader& reader, T& value) {
  const auto number = reader.take<int64_t>();
  if constexpr (std::is_same_v<T, bool>) {
    value = number != 0;
  } else {
    value = static_cast<T>(number);
    if (static_cast<int64_t>(value) != number) reader.fail();
  }
}

template <typename T, size_t count>
void take_field(ByteReader& reader, T (&values)[count]) {
  for (T& value : values) take_field(reader, value);
}

template <typename T>
T take_enum(ByteReader& reader, T last) {
  const auto value = reader.take<T>();
  if (value <= last) return value;
  reader.fail();
  return {};
}

DType take_dtype(ByteReader& reader) { return take_enum(reader, kLastDType); }

void add_numbers(ByteWriter& writer, const std::vector<int64_t>& numbers) {
  add_list(writer, numbers, [&](int64_t number) { writer.add(number); });
}

std::vector<int64_t> take_numbers(ByteReader& reader) {
  std::vector<int64_t> numbers;
  reader.take_list([&] { numbers.push_back(reader.take<int64_t>()); });
  return numbers;
}

void add_ids(ByteWriter& writer, const std::vector<TensorId>& ids) {
  add_list(writer, ids, [&](TensorId id) { writer.add(id); });
}

std::vector<TensorId> take_ids(ByteReader& reader) {
  std::vector<TensorId> ids;
  reader.take_list([&] { ids.push_back(reader.take<TensorId>()); });
  return ids;
}

// --- Parts ---------------------------------------------------------------------------------------

void add_value(ByteWriter& writer, const ModelValue& value) {
  writer.add_string(value.name);
  writer.add(value.dtype);
  add_numbers(writer, value.shape);
  writer.add(value.tensor);
}

ModelValue take_value(ByteReader& reader) {
  ModelValue value;
  value.name = reader.take_string();
  value.dtype = take_dtype(reader);
  value.shape = take_numbers(reader);
  value.tensor = reader.take<TensorId>();
  return value;
}

void add_tensor(ByteWriter& writer, const Tensor& tensor, const Placement& placement) {
  writer.add_string(tensor.name);
  writer.add(tensor.dtype);
  add_numbers(writer, tensor.shape);
  writer.add(placement.space);
  writer.add(placement.storage);
  add_numbers(writer, placement.strides);
  writer.add(placement.element_count);
  writer.add(static_cast<uint64_t>(placement.offset_bytes));
  writer.add(placement.alias_of);
  writer.add(placement.words_of);
}

void take_tensor(ByteReader& reader, Schedule& schedule) {
  Tensor tensor;
  tensor.name = reader.take_string();
  tensor.dtype = take_dtype(reader);
  tensor.shape = take_numbers(reader);
  Placement placement;
  placement.space = take_enum(reader, Space::state);
  placement.storage = take_dtype(reader);
  placement.strides = take_numbers(reader);
  placement.element_count = reader.take<int64_t>();
  placement.offset_bytes = reader.take<uint64_t>();
  placement.alias_of = reader.take<TensorId>();
  placement.words_of = take_dtype(reader);
  schedule.graph.tensors.push_back(std::move(tensor));
  schedule.placements.push_back(std::move(placement));
}

void add_check(ByteWriter& writer, const IndexCheck& check) {
  writer.add_string(check.node);
  writer.add(check.position);
  writer.add(check.index);
  add_numbers(writer, check.shape);
  add_numbers(writer, check.extents);
}

IndexCheck take_check(ByteReader& reader) {
  IndexCheck check;
  check.node = reader.take_string();
  check.position = reader.take<TensorId>();
  check.index = reader.take<TensorId>();
  check.shape = take_numbers(reader);
  check.extents = take_numbers(reader);
  return check;
}

void add_memory(ByteWriter& writer, const MemoryPlan& memory) {
  for (const size_t size_bytes : {memory.weights_bytes, memory.activations_bytes,
                                  memory.state_bytes, memory.lower_bound_bytes}) {
    writer.add(static_cast<uint64_t>(size_bytes));
  }
}

MemoryPlan take_memory(ByteReader& reader) {
  MemoryPlan memory;
  for (size_t* const size_bytes : {&memory.weights_bytes, &memory.activations_bytes,
                                   &memory.state_bytes, &memory.lower_bound_bytes}) {
    *size_bytes = reader.take<uint64_t>();
  }
  return memory;
}

void add_launch(ByteWriter& writer, const PlanLaunch& launch) {
  writer.add(launch.kernel);
  add_ids(writer, launch.arguments);
  writer.add_string(launch.facts.name);
  writer.add_string(launch.facts.op);
  writer.add_string(launch.facts.params);
  writer.add(launch.facts.flop);
}

PlanLaunch take_launch(ByteReader& reader) {
  PlanLaunch launch;
  launch.kernel = reader.take<uint32_t>();
  launch.arguments = take_ids(reader);
  launch.facts.name = reader.take_string();
  launch.facts.op = reader.take_string();
  launch.facts.params = reader.take_string();
  launch.facts.flop = reader.take<double>();
  return launch;
}

}  // namespace

void add_target_facts(ByteWriter& writer, const Target& target) {
  visit_target_fields(target, [&](const auto& field) { add_field(writer, field); });
}

Target take_target_facts(ByteReader& reader) {
  Target target;
  visit_target_fields(target, [&](auto& field) { take_field(reader, field); });
  if (target.format > CodeFormat::interpreted || target.tile_rates > TileRates::ptxas) {
    reader.fail();
  }
  return target;
}

void add_model(ByteWriter& writer, const Model& model) {
  writer.add_string(model.name);
  add_list(writer, model.metadata, [&](const auto& entry) {
    writer.add_string(entry.first);
    writer.add_string(entry.second);
  });
  for (const auto* values : {&model.inputs, &model.outputs}) {
    add_list(writer, *values, [&](const ModelValue& value) { add_value(writer, value); });
  }
}

Model take_model(ByteReader& reader) {
  Model model;
  model.name = reader.take_string();
  reader.take_list([&] {
    std::string key(reader.take_string());
    model.metadata.insert_or_assign(std::move(key), std::string(reader.take_string()));
  });
  for (auto* values : {&model.inputs, &model.outputs}) {
    reader.take_list([&] { values->push_back(take_value(reader)); });
  }
  return model;
}

void add_plan(ByteWriter& writer, const RunPlan& plan, const BlobNumber& number_of) {
  const Schedule& schedule = plan.schedule;
  const Graph& graph = schedule.graph;
  writer.add(static_cast<uint64_t>(graph.tensors.size()));
  for (size_t id = 0; id < graph.tensors.size(); ++id) {
    add_tensor(writer, graph.tensors[id], schedule.placements[id]);
  }
  add_ids(writer, graph.inputs);
  add_ids(writer, graph.outputs);
  add_list(writer, graph.checks, [&](const IndexCheck& check) { add_check(writer, check); });
  add_memory(writer, schedule.memory);
  writer.add(static_cast<uint8_t>(schedule.f64_as_f32));
  writer.add(schedule.precision);
  writer.add(schedule.products.all);
  writer.add(schedule.products.rounded);
  add_list(writer, plan.kernels, [&](const PlanKernel& kernel) {
    add_kernel(writer, kernel.binary);
    writer.add(number_of(kernel.code));
  });
  add_list(writer, plan.launches, [&](const PlanLaunch& launch) { add_launch(writer, launch); });
  writer.add(number_of(plan.weights));
}

RunPlan take_plan(ByteReader& reader, const BlobBytes& blob) {
  RunPlan plan;
  const auto take_blob = [&]() -> std::span<const std::byte> {
    const std::span<const std::byte>* bytes = blob(reader.take<uint32_t>());
    if (bytes != nullptr) return *bytes;
    reader.fail();
    return {};
  };
  Graph& graph = plan.schedule.graph;
  reader.take_list([&] { take_tensor(reader, plan.schedule); });
  graph.inputs = take_ids(reader);
  graph.outputs = take_ids(reader);
  reader.take_list([&] { graph.checks.push_back(take_check(reader)); });
  plan.schedule.memory = take_memory(reader);
  plan.schedule.f64_as_f32 = reader.take<uint8_t>() != 0;
  plan.schedule.precision = take_enum(reader, Precision::i8);
  plan.schedule.products.all = reader.take<uint32_t>();
  plan.schedule.products.rounded = reader.take<uint32_t>();
  reader.take_list([&] {
    PlanKernel kernel;
    kernel.binary = take_kernel(reader);
    if (kernel.binary.format > CodeFormat::interpreted) reader.fail();
    kernel.code = take_blob();
    plan.kernels.push_back(std::move(kernel));
  });
  reader.take_list([&] { plan.launches.push_back(take_launch(reader)); });
  plan.weights = take_blob();
  return plan;
}

}  // namespace leat
