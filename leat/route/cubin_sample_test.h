// For tests: the smallest file that check_cubin takes for a cubin.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "leat/base/kernel_binary.h"

namespace leat {

/// How a sample differs from a right one.
struct CubinSample {
  std::string entry = "leat_sample";
  uint32_t architecture = 90;
  uint16_t machine = 190;
  uint16_t parameters = 2;
  uint16_t parameter_bytes = 8;
};

/// ELF header, three sections (.text.ENTRY, .nv.info.ENTRY, names), section headers.
inline std::vector<std::byte> make_cubin(const CubinSample& sample) {
  std::string file(64, '\0');
  const auto put = [&](size_t offset, auto value) {
    std::memcpy(file.data() + offset, &value, sizeof value);
  };
  const auto append = [&](auto value) {
    file.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  struct Place {
    uint64_t offset, size_bytes;
  };
  const Place text = {file.size(), 16};
  file.append(16, '\1');
  const uint64_t info_offset = file.size();
  for (uint16_t i = 0; i < sample.parameters; ++i) {
    append(uint16_t{0x1704});  // EIATTR_KPARAM_INFO, sized
    append(uint16_t{12});
    append(uint32_t{0});
    append(i);
    append(static_cast<uint16_t>(i * sample.parameter_bytes));
    append(static_cast<uint32_t>(sample.parameter_bytes) << 18);
  }
  const Place info = {info_offset, file.size() - info_offset};
  const std::string names = std::string(1, '\0') + ".text." + sample.entry + '\0' + ".nv.info." +
                            sample.entry + '\0' + ".shstrtab" + '\0';
  const Place strings = {file.size(), names.size()};
  file += names;
  const uint64_t headers = file.size();
  const auto section = [&](uint32_t name, uint32_t type, const Place& place) {
    append(name);
    append(type);
    append(uint64_t{0});
    append(uint64_t{0});
    append(place.offset);
    append(place.size_bytes);
    file.append(24, '\0');
  };
  const auto info_name = static_cast<uint32_t>(8 + sample.entry.size());
  section(0, 0, {0, 0});
  section(1, 1, text);
  section(info_name, 0x70000000, info);
  section(info_name + 10 + static_cast<uint32_t>(sample.entry.size()), 3, strings);

  constexpr unsigned char kIdent[] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0x41, 8};
  std::memcpy(file.data(), kIdent, sizeof kIdent);
  put(16, uint16_t{2});
  put(18, sample.machine);
  put(40, headers);
  put(48, sample.architecture << 8);
  put(58, uint16_t{64});
  put(60, uint16_t{4});
  put(62, uint16_t{3});
  std::vector<std::byte> bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  return bytes;
}

/// A description that make_cubin's default code keeps.
inline KernelBinary sample_binary(const CubinSample& sample = {}) {
  KernelBinary binary;
  binary.name = "sample";
  binary.entry = "leat_sample";
  binary.format = CodeFormat::cubin;
  binary.arguments = {{DType::f32, false}, {DType::f32, true}};
  binary.wave_lanes = 32;
  binary.assembler = "ptxas 1.2.3";
  binary.code = make_cubin(sample);
  return binary;
}

}  // namespace leat
