// Tensors of a capture as f64, and the ONNX operators that its `ops` entries are computed with.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "leat/base/result.h"

namespace leat::amd_card {

struct CaptureTensor {
  std::string name;
  uint64_t va = 0;
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements
  double atol = 0, rtol = 0;
  bool is_inout = false;

  int64_t count() const;
  uint64_t element_bytes() const;
  /// Bytes from `va` to the end of the last element.
  uint64_t extent_bytes() const;
  /// Byte offset of the k-th element in row-major order.
  uint64_t offset_of(int64_t k) const;
};

/// Errors: invalid_argument, for a dtype or shape that the contract does not know.
Result<CaptureTensor> parse_tensor(const nlohmann::json& json);

/// A number or a "0x..." string.
Result<uint64_t> parse_number(const nlohmann::json& json);

struct Values {
  std::vector<int64_t> shape;
  std::vector<double> at;
};

double element_value(const std::string& dtype, const uint8_t* bytes);

/// Computes nodes in order on `values`, adding theirs. Errors: unsupported, for an operator or an
/// attribute that is not known here.
Result<void> compute_nodes(const nlohmann::json& nodes, std::map<std::string, Values>& values);

}  // namespace leat::amd_card
