// The programs of tests/text that any device can run as they are, and contents for their buffers:
// for whoever runs each of them in two ways.
#pragma once

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "leat/base/check.h"
#include "leat/ir/parse.h"
#include "leat/ir/storage.h"
#include "leat/ir/verify.h"

namespace leat {

/// The bits of an element that holds a whole number.
inline uint64_t element_of(DType storage, int32_t whole) {
  uint64_t value = static_cast<uint32_t>(whole);
  switch (ir::compute_of(storage)) {
    case ir::Scalar::f32: value = std::bit_cast<uint32_t>(static_cast<float>(whole)); break;
    case ir::Scalar::f64: value = std::bit_cast<uint64_t>(static_cast<double>(whole)); break;
    case ir::Scalar::i64: value = static_cast<uint64_t>(int64_t{whole}); break;
    case ir::Scalar::i32:
    case ir::Scalar::b1: break;
  }
  return ir::narrowed(storage, value);
}

/// Read parameters get small whole numbers, written ones zeros.
inline std::vector<std::vector<std::byte>> whole_number_buffers(const ir::Program& program) {
  std::mt19937 random(1);
  std::vector<std::vector<std::byte>> buffers;
  for (const ir::Parameter& parameter : program.parameters) {
    const size_t size = static_cast<size_t>(size_bytes_of(parameter.storage));
    std::vector<std::byte> bytes(static_cast<size_t>(parameter.element_count) * size);
    for (size_t i = 0; i < bytes.size() && !parameter.written; i += size) {
      const int32_t whole = static_cast<int32_t>(random() % 201) - 100;
      const uint64_t bits = element_of(parameter.storage, whole);
      std::memcpy(&bytes[i], &bits, size);
    }
    buffers.push_back(std::move(bytes));
  }
  return buffers;
}

/// The programs of tests/text that any device can run as they are: one wave of 32 lanes.
inline std::vector<ir::Program> text_programs() {
  std::vector<ir::Program> programs;
  for (const auto& entry : std::filesystem::directory_iterator(LEAT_SOURCE_DIR "/tests/text")) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("ir_") || !name.ends_with(".ir")) continue;
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    Result<ir::Program> parsed = ir::parse_program(text, name);
    if (!parsed || !ir::verify(*parsed)) continue;
    if (parsed->wave_lanes == 32 && parsed->waves_per_workgroup == 1) {
      programs.push_back(std::move(*parsed));
    }
  }
  CHECK(programs.size() >= 10);
  return programs;
}

}  // namespace leat
