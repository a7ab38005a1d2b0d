// From a wave program to the bytes a device takes. An emitter is a table and a walk: what a target
// can do is data in its Target, and programs arrive already lowered for it (no opcode it lacks).
#pragma once

#include <string>

#include "leat/base/kernel_binary.h"
#include "leat/base/result.h"
#include "leat/base/target.h"
#include "leat/ir/ir.h"

namespace leat {

/// Emits `program`, which the verifier and the passes for `target` (lower/passes.h) have passed, in
/// target.format. What those expand is refused. Errors: unsupported (this build lacks the emitter,
/// or the target a feature), internal.
Result<KernelBinary> emit(const ir::Program& program, const Target& target);

/// The target code as text, for `leat dump`: assembly for native objects, PTX for cubins, SPIR-V
/// disassembly or hex.
Result<std::string> disassemble(const ir::Program& program, const Target& target);

/// Names the emitter and its version; part of cache keys.
std::string emitter_version(const Target& target);

/// A binary without code: all that is known from the program.
KernelBinary describe_kernel(const ir::Program& program, CodeFormat format, std::string entry);

/// SPIR-V, both addressing modes; our own writer, no dependency.
Result<KernelBinary> emit_spirv(const ir::Program& program, const Target& target);
/// WGSL, our own writer too.
Result<KernelBinary> emit_wgsl(const ir::Program& program, const Target& target);
/// Through LLVM, an object for a CPU or an AMD GPU. Only in builds that have it.
Result<KernelBinary> emit_llvm(const ir::Program& program, const Target& target);
/// Through LLVM and an assembler for PTX. Errors: also unsupported, when no assembler is there.
Result<KernelBinary> emit_cubin(const ir::Program& program, const Target& target);
/// Assembly of either.
Result<std::string> assembly_llvm(const ir::Program& program, const Target& target);

}  // namespace leat
