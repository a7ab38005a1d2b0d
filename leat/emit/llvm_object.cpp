// emit_llvm and assembly_llvm: a wave program to an ELF object for a CPU, or to assembly text,
// which for NVIDIA GPUs is PTX, or to a relocatable ELF object for AMD's. The pass list is short
// and fixed. LLVM's vectorisers, unroller and reassociation are left out on purpose: the program
// says what is a vector, what is unrolled and in which order sums are formed, and a kernel takes
// milliseconds to compile.
#include <llvm/Config/llvm-config.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Scalar/DCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <bit>
#include <cctype>

#include "leat/base/build_identity.h"
#include "leat/base/nvidia_architecture.h"
#include "leat/emit/emit.h"
#include "leat/emit/llvm_build.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_versions.h"
#include "leat/emit/llvm_writer.h"
#include "leat/emit/ptx_assembler.h"
#include "leat/emit/supported.h"
#include "leat/emit/tile_registers.h"
#include "leat/ir/matrix_shape.h"

namespace leat {

namespace {

using llvm::TargetMachine;

// LLVM's own tables must be filled once in a process before a code generator is looked up.
bool register_targets() {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  LLVMInitializeAMDGPUTargetInfo();
  LLVMInitializeAMDGPUTarget();
  LLVMInitializeAMDGPUTargetMC();
  LLVMInitializeAMDGPUAsmPrinter();
  return true;
}

/// What LLVM calls the chip. It knows no NVIDIA GPU newer than sm_90; PTX for that one is assembled
/// for the newer ones too.
std::string cpu_of(const Target& target) {
  constexpr uint32_t kArchitectureMax = 90;
  const bool is_newer = nvidia_architecture(target.llvm_cpu) > kArchitectureMax;
  return is_newer ? "sm_" + std::to_string(kArchitectureMax) : known_chip(target.llvm_cpu);
}

Result<std::unique_ptr<TargetMachine>> make_machine(const Target& target) {
  static const bool registered = register_targets();
  CHECK(registered);
  std::string reason;
  if (target.format == CodeFormat::amdgpu_object && !kLlvmServesAmd) {
    return Error(ErrorKind::unsupported,
                 "Code for Target \"" + target.name +
                     "\" needs LLVM 19; this build has (" LLVM_VERSION_STRING ").");
  }
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.llvm_triple, reason);
  if (found == nullptr) {
    return Error(ErrorKind::unsupported,
                 "LLVM has no code generator for triple (" + target.llvm_triple + ").");
  }
  // A chip that LLVM does not know would be taken for another one, which it says on stderr.
  const std::string cpu = cpu_of(target);
  const std::unique_ptr<llvm::MCSubtargetInfo> chips(
      found->createMCSubtargetInfo(target.llvm_triple, "", ""));
  if (!cpu.empty() && !chips->isCPUStringValid(cpu)) {
    return Error(ErrorKind::unsupported,
                 "LLVM " LLVM_VERSION_STRING " has no code generator for chip (" + cpu + ").");
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<TargetMachine>(found->createTargetMachine(
      target.llvm_triple, cpu, known_features(target.llvm_features), options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, kLlvmDefaultLevel));
}

ChipFeatures features_of(const TargetMachine& machine, const Target& target) {
  ChipFeatures features = {.gpu = dialect_of(target.format)};
  if (features.lane_is_thread() || machine.getTargetTriple().isAArch64()) {
    features.fma = true;
    features.half_conversion = true;
    features.saturates_vectors = true;
    return features;
  }
  const llvm::MCSubtargetInfo& chip = *machine.getMCSubtargetInfo();
  features.fma = chip.checkFeatures("+fma");
  features.half_conversion = chip.checkFeatures("+f16c");
  features.masked_memory = chip.checkFeatures("+avx");
  features.masked_narrow = chip.checkFeatures("+avx512bw") && chip.checkFeatures("+avx512vl");
  return features;
}

// The vector width attributes keep LLVM from splitting 512-bit vectors on chips that it thinks are
// better off with 256 bits.
llvm::AttrBuilder attributes_of(llvm::LLVMContext& context, const Target& target) {
  llvm::AttrBuilder attributes(context);
  const std::string vector_bits = std::to_string(target.wave_lanes * 32);
  attributes.addAttribute(llvm::Attribute::NoUnwind);
  attributes.addAttribute("target-cpu", cpu_of(target));
  attributes.addAttribute("target-features", known_features(target.llvm_features));
  if (dialect_of(target.format) != nullptr) return attributes;
  attributes.addAttribute("prefer-vector-width", vector_bits);
  attributes.addAttribute("min-legal-vector-width", vector_bits);
  return attributes;
}

void run_passes(llvm::Module& module, TargetMachine& machine) {
  llvm::PassBuilder builder(&machine);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);

  llvm::FunctionPassManager passes;
  passes.addPass(llvm::EarlyCSEPass(true));
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()),
                                                       /*UseMemorySSA=*/true));
  passes.addPass(llvm::DCEPass());
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes.run(function, functions);
  }
}

Error refused(const ir::Program& program, const std::string& what) {
  return Error(ErrorKind::unsupported, "Kernel \"" + program.name + "\" " + what);
}

Result<void> check_cpu_program(const ir::Program& program, const Target& target) {
  const auto refuse = [&](const std::string& what) { return refused(program, what); };
  if (!std::has_single_bit(program.wave_lanes) || program.wave_lanes > 64) {
    return refuse("has (" + std::to_string(program.wave_lanes) +
                  ") lanes a wave, which is not a power of two up to 64.");
  }
  if (program.waves_per_workgroup != 1) {
    return refuse("has (" + std::to_string(program.waves_per_workgroup) +
                  ") waves a workgroup; on a CPU a workgroup is one wave.");
  }
  if (program.local_bytes() > target.local_memory_bytes_max) {
    return refuse("needs (" + std::to_string(program.local_bytes()) +
                  ") bytes of local memory; the limit is (" +
                  std::to_string(target.local_memory_bytes_max) + ").");
  }
  return {};
}

Result<void> check_gpu_program(const ir::Program& program, const Target& target) {
  const auto check = [&](const char* what, uint64_t value, uint64_t limit) -> Result<void> {
    if (value <= limit) return {};
    return refused(program, "has (" + std::to_string(value) + ") " + what + "; the limit is (" +
                                std::to_string(limit) + ").");
  };
  if (program.wave_lanes != target.wave_lanes) {
    return refused(program, "has (" + std::to_string(program.wave_lanes) +
                                ") lanes a wave; Target \"" + target.name + "\" has (" +
                                std::to_string(target.wave_lanes) + ").");
  }
  TRY(check("threads a workgroup", uint64_t{program.wave_lanes} * program.waves_per_workgroup,
            target.lanes_per_workgroup_max));
  TRY(check("bytes of local memory", local_offsets(program).back(), target.local_memory_bytes_max));
  TRY(check("buffers", program.parameters.size(), target.buffer_bindings_max));
  for (size_t axis = 0; axis < 3; ++axis) {
    TRY(check("workgroups along one axis", program.grid[axis], target.workgroups_max[axis]));
  }
  return {};
}

Result<void> check_program(const ir::Program& program, const Target& target) {
  if (target.format == CodeFormat::native_object) {
    TRY(check_cpu_program(program, target));
  } else if (dialect_of(target.format) != nullptr) {
    TRY(check_gpu_program(program, target));
  } else {
    return refused(program, "is asked for in a code format that LLVM does not make.");
  }
  TRY(check_supported(program, target));
  for (const ir::Instruction& instruction : program.instructions) {
    if (ir::is_function(instruction.op)) {
      return refused(program, "uses (" + std::string(ir::name_of(instruction.op)) +
                                  "), which is expanded before code is emitted.");
    }
  }
  return {};
}

std::string entry_of(const ir::Program& program) {
  std::string entry = "leat_" + program.name;
  for (char& letter : entry) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return entry;
}

Result<llvm::SmallVector<char, 0>> compile(const ir::Program& program, const Target& target,
                                           decltype(kLlvmObjectFile) file_type) {
  TRY(check_program(program, target));
  TRY_ASSIGN(const std::unique_ptr<TargetMachine> machine, make_machine(target));
  llvm::LLVMContext context;
  llvm::Module module(program.name, context);
  module.setTargetTriple(target.llvm_triple);
  module.setDataLayout(machine->createDataLayout());

  const ChipFeatures features = features_of(*machine, target);
  const llvm::AttrBuilder attributes = attributes_of(context, target);
  std::vector<uint8_t> tiles;
  if (!features.lane_is_thread() && ir::uses_fragments(program)) {
    TRY_ASSIGN(tiles, tile_registers(program));
  }
  KernelWriter(program, features, attributes, module, std::move(tiles)).write(entry_of(program));
  std::string reason;
  llvm::raw_string_ostream reason_stream(reason);
  if (llvm::verifyModule(module, &reason_stream)) {
    return Error(ErrorKind::internal, "The LLVM code of kernel \"" + program.name +
                                          "\" is not well formed (" + reason + ").");
  }
  run_passes(module, *machine);

  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager code_generator;
  if (machine->addPassesToEmitFile(code_generator, stream, nullptr, file_type)) {
    return Error(ErrorKind::unsupported,
                 "LLVM emits no object files for triple (" + target.llvm_triple + ").");
  }
  code_generator.run(module);
  return bytes;
}

}  // namespace

std::string llvm_build() {
  const std::string id = build_id_of(reinterpret_cast<const void*>(&LLVMInitializeX86Target));
  return id.empty() ? "" : LLVM_VERSION_STRING " " + id;
}

Result<KernelBinary> emit_llvm(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const auto bytes, compile(program, target, kLlvmObjectFile));
  KernelBinary binary = describe_kernel(program, target.format, entry_of(program));
  if (dialect_of(target.format) != nullptr) {
    binary.local_memory_bytes = local_offsets(program).back();
  }
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  binary.code.assign(first, first + bytes.size());
  return binary;
}

Result<KernelBinary> emit_cubin(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const std::string ptx, assembly_llvm(program, target));
  TRY_ASSIGN(AssembledPtx assembled, assemble_ptx(ptx, target.llvm_cpu));
  KernelBinary binary = describe_kernel(program, target.format, entry_of(program));
  binary.local_memory_bytes = local_offsets(program).back();
  binary.code = std::move(assembled.cubin);
  binary.assembler = std::move(assembled.assembler);
  return binary;
}

Result<std::string> assembly_llvm(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const auto bytes, compile(program, target, kLlvmAssemblyFile));
  std::string text(bytes.begin(), bytes.end());
  nvptx_name_chip(text, target.llvm_cpu);
  return text;
}

}  // namespace leat
