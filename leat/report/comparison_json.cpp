// The JSON of a comparison: one list of members for each struct, read and written by it.
#include <nlohmann/json.hpp>
#include <type_traits>

#include "leat/report/comparison.h"

namespace leat {

namespace {

using Json = nlohmann::ordered_json;

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <typename Kernel, typename Visit>
requires std::is_same_v<std::remove_const_t<Kernel>, ComparedKernel>
void visit_members(Kernel& kernel, const Visit& visit) {
  visit("name", kernel.name);
  visit("op", kernel.op);
  visit("shape", kernel.shape);
  visit("params", kernel.params);
  visit("flop", kernel.flop);
  visit("bytes", kernel.bytes);
  visit("begin_us", kernel.begin_us);
  visit("time_us", kernel.time_us);
}

template <typename Tensor, typename Visit>
requires std::is_same_v<std::remove_const_t<Tensor>, ComparedTensor>
void visit_members(Tensor& tensor, const Visit& visit) {
  visit("name", tensor.name);
  visit("type", tensor.type);
  visit("offset_bytes", tensor.offset_bytes);
  visit("size_bytes", tensor.size_bytes);
  visit("first_kernel", tensor.first_kernel);
  visit("last_kernel", tensor.last_kernel);
}

template <typename Device, typename Visit>
requires std::is_same_v<std::remove_const_t<Device>, ComparedDevice>
void visit_members(Device& device, const Visit& visit) {
  visit("device", device.name);
  visit("chip", device.chip);
  visit("route", device.route);
  visit("driver", device.driver);
  visit("software", device.software);
  visit("failure", device.failure);
  if (!device.is_measured()) return;
  visit("threads", device.threads);
  visit("median_ms", device.median_ms);
  visit("p99_ms", device.p99_ms);
  visit("run_ms", device.run_ms);
  visit("gflops", device.gflops);
  visit("peak_gflops", device.peak_gflops);
  visit("peak_share", device.peak_share);
  visit("copy_gbps", device.copy_gbps);
  visit("clock_mhz", device.clock_mhz);
  visit("joules", device.joules);
  visit("energy_source", device.energy_source);
  visit("is_reference", device.is_reference);
  visit("max_error", device.max_error);
  visit("worst_output", device.worst_output);
  visit("nonfinite", device.nonfinite);
  visit("f64_as_f32", device.f64_as_f32);
  visit("products", device.products);
  visit("rounded_products", device.rounded_products);
  visit("compiled", device.compiled);
  visit("compile_ms", device.compile_ms);
  visit("planned_bytes", device.planned_bytes);
  visit("lower_bound_bytes", device.lower_bound_bytes);
  visit("weights_bytes", device.weights_bytes);
  visit("reserved_bytes", device.reserved_bytes);
  visit("kernels", device.kernels);
  visit("tensors", device.tensors);
}

template <typename Struct>
Json written(const Struct& value);

template <typename T>
void write(Json& object, const char* key, const T& value) {
  if constexpr (IsOptional<T>::value) {
    object[key] = value ? Json(*value) : Json(nullptr);
  } else if constexpr (std::is_same_v<T, std::vector<ComparedKernel>> ||
                       std::is_same_v<T, std::vector<ComparedTensor>>) {
    Json list = Json::array();
    for (const auto& entry : value) list.push_back(written(entry));
    object[key] = std::move(list);
  } else {
    object[key] = value;
  }
}

template <typename Struct>
Json written(const Struct& value) {
  Json object;
  visit_members(value, [&](const char* key, const auto& member) { write(object, key, member); });
  return object;
}

template <typename Struct>
void take(const Json& object, Struct& value);

template <typename T>
void read(const Json& object, const char* key, T& value) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return;
  if constexpr (IsOptional<T>::value) {
    value = found->get<typename T::value_type>();
  } else if constexpr (std::is_same_v<T, std::vector<ComparedKernel>> ||
                       std::is_same_v<T, std::vector<ComparedTensor>>) {
    for (const Json& entry : *found) take(entry, value.emplace_back());
  } else {
    value = found->get<T>();
  }
}

template <typename Struct>
void take(const Json& object, Struct& value) {
  visit_members(value, [&](const char* key, auto& member) { read(object, key, member); });
}

}  // namespace

std::string json_text(const ComparedDevice& device) {
  return written(device).dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<ComparedDevice> compared_device_of(const std::string& json_text) {
  const Json object = Json::parse(json_text, nullptr, false);
  if (!object.is_object()) {
    return Error(ErrorKind::invalid_argument, "What was measured cannot be read back.");
  }
  ComparedDevice device;
  take(object, device);
  return device;
}

Json json_of(const Comparison& comparison) {
  Json object;
  object["model"] = comparison.model;
  object["name"] = comparison.name;
  object["version"] = comparison.version;
  object["date"] = comparison.date;
  object["host"] = comparison.host;
  object["inputs"] = comparison.inputs;
  object["input_source"] = comparison.input_source;
  object["reference"] = comparison.reference;
  object["precision"] = comparison.precision;
  object["gflop"] = comparison.gflop;
  object["interrupted"] = comparison.interrupted;
  object["devices"] = Json::array();
  for (const ComparedDevice& device : comparison.devices) {
    object["devices"].push_back(written(device));
  }
  return object;
}

}  // namespace leat
