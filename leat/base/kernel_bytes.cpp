// See kernel_bytes.h.
#include "leat/base/kernel_bytes.h"

namespace leat {

void add_kernel(ByteWriter& writer, const KernelBinary& binary) {
  writer.add_string(binary.name);
  writer.add_string(binary.entry);
  writer.add(binary.format);
  writer.add(binary.wave_lanes);
  writer.add(binary.waves_per_workgroup);
  writer.add(binary.local_memory_bytes);
  for (uint32_t extent : binary.grid) writer.add(extent);
  writer.add(static_cast<uint64_t>(binary.arguments.size()));
  for (const KernelArgument& argument : binary.arguments) {
    writer.add(argument.storage);
    writer.add(static_cast<uint8_t>(argument.written));
  }
  writer.add_string(binary.assembler);
}

KernelBinary take_kernel(ByteReader& reader) {
  KernelBinary binary;
  binary.name = reader.take_string();
  binary.entry = reader.take_string();
  binary.format = reader.take<CodeFormat>();
  binary.wave_lanes = reader.take<uint32_t>();
  binary.waves_per_workgroup = reader.take<uint32_t>();
  binary.local_memory_bytes = reader.take<uint32_t>();
  for (uint32_t& extent : binary.grid) extent = reader.take<uint32_t>();
  reader.take_list([&] {
    KernelArgument argument;
    argument.storage = reader.take<DType>();
    argument.written = reader.take<uint8_t>() != 0;
    binary.arguments.push_back(argument);
  });
  binary.assembler = reader.take_string();
  return binary;
}

}  // namespace leat
