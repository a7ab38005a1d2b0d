// The cpu device for tests that give it kernels. A build without LLVM has it, too, for packed
// models, and compiles nothing for it.
#pragma once

#include "leat/backend/backends.h"
#include "leat/emit/emit.h"
#include "leat/ir/builder.h"

namespace leat {

/// As open_device("cpu", threads). Errors: unsupported, where nothing can be compiled for it.
inline Result<std::unique_ptr<Device>> open_compiling_cpu(uint32_t threads) {
  TRY_ASSIGN(std::unique_ptr<Device> device, open_device("cpu", threads));
  const Target& target = device->target();
  const auto nothing = emit(ir::Builder("nothing", target.wave_lanes, 1).finish(), target);
  if (!nothing && nothing.error().kind() == ErrorKind::unsupported) return nothing.error();
  return device;
}

/// Why no kernels run on a device: its refusal, or that of the compiler for the cpu.
inline std::string refusal_of_kernels(const FoundDevice& found) {
  if (found.info.name != "cpu") return found.refusal;
  const auto device = open_compiling_cpu(1);
  return device ? "" : device.error().message();
}

}  // namespace leat
