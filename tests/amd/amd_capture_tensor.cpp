#include "tests/amd/amd_capture_tensor.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <bit>
#include <charconv>
#include <cstring>

namespace leat::amd_card {

namespace {

constexpr int64_t kElementsMax = int64_t{1} << 31;

struct Type {
  const char* name;
  uint64_t bytes;
};
constexpr Type kTypes[] = {{"f32", 4}, {"f16", 2}, {"bf16", 2}, {"f64", 8}, {"i8", 1},
                           {"u8", 1},  {"i16", 2}, {"u16", 2},  {"i32", 4}, {"u32", 4},
                           {"i64", 8}, {"u64", 8}, {"bool", 1}};

template <class T>
T read(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

Error malformed(const std::string& text) { return Error(ErrorKind::invalid_argument, text); }

}  // namespace

Result<uint64_t> parse_number(const nlohmann::json& json) {
  if (json.is_number_unsigned()) return json.get<uint64_t>();
  if (!json.is_string()) return malformed(fmt::format("Value {} is no number.", json.dump()));
  const std::string text = json.get<std::string>();
  uint64_t value = 0;
  const bool is_hex = text.starts_with("0x");
  const char* first = text.data() + (is_hex ? 2 : 0);
  const char* last = text.data() + text.size();
  const auto end = std::from_chars(first, last, value, is_hex ? 16 : 10);
  if (end.ec != std::errc() || end.ptr != last || first == last) {
    return malformed(fmt::format("Value \"{}\" is no number.", text));
  }
  return value;
}

int64_t CaptureTensor::count() const {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

uint64_t CaptureTensor::element_bytes() const {
  for (const Type& type : kTypes) {
    if (dtype == type.name) return type.bytes;
  }
  return 0;
}

uint64_t CaptureTensor::offset_of(int64_t k) const {
  int64_t at = 0;
  for (size_t axis = shape.size(); axis-- > 0;) {
    at += k % shape[axis] * strides[axis];
    k /= shape[axis];
  }
  return uint64_t(at) * element_bytes();
}

uint64_t CaptureTensor::extent_bytes() const {
  return count() == 0 ? 0 : offset_of(count() - 1) + element_bytes();
}

Result<CaptureTensor> parse_tensor(const nlohmann::json& json) {
  CaptureTensor tensor;
  tensor.name = json.value("name", "");
  TRY_ASSIGN(tensor.va, parse_number(json.at("va")));
  tensor.dtype = json.at("dtype").get<std::string>();
  tensor.shape = json.at("shape").get<std::vector<int64_t>>();
  if (tensor.element_bytes() == 0) {
    return malformed(
        fmt::format("Tensor \"{}\" has an unknown dtype ({}).", tensor.name, tensor.dtype));
  }
  int64_t count = 1;
  for (const int64_t extent : tensor.shape) {
    if (extent < 0 || (extent > 0 && count > kElementsMax / extent)) {
      return malformed(fmt::format("Tensor \"{}\" is too large.", tensor.name));
    }
    count *= extent;
  }
  tensor.strides.assign(tensor.shape.size(), 1);
  for (size_t axis = tensor.shape.size(); axis-- > 1;) {
    tensor.strides[axis - 1] = tensor.strides[axis] * tensor.shape[axis];
  }
  if (json.contains("strides")) tensor.strides = json["strides"].get<std::vector<int64_t>>();
  if (tensor.strides.size() != tensor.shape.size()) {
    return malformed(fmt::format("Tensor \"{}\" has strides of another rank.", tensor.name));
  }
  for (const int64_t stride : tensor.strides) {
    if (stride < 0) return malformed(fmt::format("Tensor \"{}\" steps backwards.", tensor.name));
  }
  // Without a tolerance floats may differ by the rounding of a sum; whole numbers may not.
  const bool is_float = tensor.dtype.find('f') != std::string::npos;
  tensor.atol = json.value("atol", is_float ? 1e-5 : 0.0);
  tensor.rtol = json.value("rtol", is_float ? 1e-4 : 0.0);
  tensor.is_inout = json.value("inout", false);
  return tensor;
}

double element_value(const std::string& dtype, const uint8_t* bytes) {
  if (dtype == "f32") return double(read<float>(bytes));
  if (dtype == "f64") return read<double>(bytes);
  if (dtype == "f16") return double(_cvtsh_ss(read<uint16_t>(bytes)));
  if (dtype == "bf16") return double(std::bit_cast<float>(uint32_t{read<uint16_t>(bytes)} << 16));
  if (dtype == "i8") return double(read<int8_t>(bytes));
  if (dtype == "i16") return double(read<int16_t>(bytes));
  if (dtype == "u16") return double(read<uint16_t>(bytes));
  if (dtype == "i32") return double(read<int32_t>(bytes));
  if (dtype == "u32") return double(read<uint32_t>(bytes));
  if (dtype == "i64") return double(read<int64_t>(bytes));
  if (dtype == "u64") return double(read<uint64_t>(bytes));
  return double(*bytes);
}

}  // namespace leat::amd_card
