// The choice of an emitter by the target's code format, and nothing else.
#include "leat/emit/emit.h"

#include <fmt/format.h>

#include <cstring>

#include "leat/base/build_identity.h"
#include "leat/emit/llvm_build.h"
#include "leat/emit/spirv_text.h"
#include "leat/ir/text.h"

namespace leat {
namespace {

#ifndef LEAT_HAS_LLVM
Error no_llvm(const Target& target) {
  return Error(ErrorKind::unsupported,
               fmt::format("This build has no LLVM, which Target \"{}\" needs.", target.name));
}
#endif

KernelBinary emit_text(const ir::Program& program) {
  const std::string text = ir::print_program(program);
  KernelBinary binary = describe_kernel(program, CodeFormat::interpreted, program.name);
  binary.code.resize(text.size());
  std::memcpy(binary.code.data(), text.data(), text.size());
  return binary;
}

}  // namespace

KernelBinary describe_kernel(const ir::Program& program, CodeFormat format, std::string entry) {
  KernelBinary binary;
  binary.name = program.name;
  binary.entry = std::move(entry);
  binary.format = format;
  for (const ir::Parameter& parameter : program.parameters) {
    binary.arguments.push_back({parameter.storage, parameter.written});
  }
  binary.wave_lanes = program.wave_lanes;
  binary.waves_per_workgroup = program.waves_per_workgroup;
  binary.local_memory_bytes = program.local_bytes();
  for (size_t axis = 0; axis < 3; ++axis) binary.grid[axis] = program.grid[axis];
  return binary;
}

Result<KernelBinary> emit(const ir::Program& program, const Target& target) {
  switch (target.format) {
    case CodeFormat::native_object:
    case CodeFormat::amdgpu_object:
#ifdef LEAT_HAS_LLVM
      return emit_llvm(program, target);
#else
      return no_llvm(target);
#endif
    case CodeFormat::spirv_pointers:
    case CodeFormat::spirv_bindings: return emit_spirv(program, target);
    case CodeFormat::cubin:
#ifdef LEAT_HAS_LLVM
      return emit_cubin(program, target);
#else
      return no_llvm(target);
#endif
    case CodeFormat::wgsl: return emit_wgsl(program, target);
    case CodeFormat::interpreted: return emit_text(program);
  }
  CHECK(false);
}

Result<std::string> disassemble(const ir::Program& program, const Target& target) {
  switch (target.format) {
    case CodeFormat::native_object:
    case CodeFormat::cubin:
    case CodeFormat::amdgpu_object:
#ifdef LEAT_HAS_LLVM
      return assembly_llvm(program, target);
#else
      return no_llvm(target);
#endif
    case CodeFormat::spirv_pointers:
    case CodeFormat::spirv_bindings: {
      TRY_ASSIGN(const KernelBinary binary, emit_spirv(program, target));
      return spirv::module_text(binary.code);
    }
    case CodeFormat::wgsl: {
      TRY_ASSIGN(const KernelBinary binary, emit_wgsl(program, target));
      return std::string(reinterpret_cast<const char*>(binary.code.data()), binary.code.size());
    }
    case CodeFormat::interpreted: return ir::print_program(program);
  }
  CHECK(false);
}

// No number that somebody would have to raise: the build-ids of this code and of LLVM. Empty when
// one cannot be told, and then nothing may be kept.
std::string emitter_version([[maybe_unused]] const Target& target) {
  static const std::string build = build_id_of(reinterpret_cast<const void*>(&emit));
#ifdef LEAT_HAS_LLVM
  if (target.llvm_triple.empty()) return build;
  static const std::string llvm = llvm_build();
  return build.empty() || llvm.empty() ? "" : build + " " + llvm;
#else
  return build;
#endif
}

}  // namespace leat
