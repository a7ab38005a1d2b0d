// emit_llvm and assembly_llvm: a wave program to an ELF object or its assembly text.
// The pass list is short and fixed. LLVM's vectorisers, unroller and reassociation are left out on
// purpose: the program says what is a vector, what is unrolled and in which order sums are formed,
// and a kernel takes milliseconds to compile.
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

#include "leat/emit/emit.h"
#include "leat/emit/llvm_writer.h"

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
  return true;
}

Result<std::unique_ptr<TargetMachine>> make_machine(const Target& target) {
  static const bool registered = register_targets();
  CHECK(registered);
  std::string reason;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.llvm_triple, reason);
  if (found == nullptr) {
    return Error(ErrorKind::unsupported,
                 "LLVM has no code generator for triple (" + target.llvm_triple + ").");
  }
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<TargetMachine>(found->createTargetMachine(
      target.llvm_triple, target.llvm_cpu, target.llvm_features, options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
}

CpuFeatures features_of(const TargetMachine& machine, const Target& target) {
  CpuFeatures features = {.vector_registers = target.vector_registers};
  if (machine.getTargetTriple().isAArch64()) {
    features.fma = true;
    features.half_conversion = true;
    return features;
  }
  const llvm::MCSubtargetInfo& chip = *machine.getMCSubtargetInfo();
  features.fma = chip.checkFeatures("+fma");
  features.half_conversion = chip.checkFeatures("+f16c");
  features.masked_memory = chip.checkFeatures("+avx");
  return features;
}

// The vector width attributes keep LLVM from splitting 512-bit vectors on chips that it thinks are
// better off with 256 bits.
llvm::AttrBuilder attributes_of(llvm::LLVMContext& context, const Target& target) {
  llvm::AttrBuilder attributes(context);
  const std::string vector_bits = std::to_string(target.wave_lanes * 32);
  attributes.addAttribute(llvm::Attribute::NoUnwind);
  attributes.addAttribute("target-cpu", target.llvm_cpu);
  attributes.addAttribute("target-features", target.llvm_features);
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

Result<void> check_program(const ir::Program& program, const Target& target) {
  const auto refuse = [&](const std::string& what) {
    return Error(ErrorKind::unsupported, "Kernel \"" + program.name + "\" " + what);
  };
  if (target.format != CodeFormat::native_object) {
    return refuse("is asked for in a code format that is not native_object.");
  }
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
  for (const ir::Instruction& instruction : program.instructions) {
    const bool is_expanded = ir::class_of(instruction.op) == ir::OpClass::unary_float &&
                             instruction.op >= ir::Opcode::exp;
    if (is_expanded || instruction.op == ir::Opcode::pow) {
      return refuse("uses (" + std::string(ir::name_of(instruction.op)) +
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
                                           llvm::CodeGenFileType file_type) {
  TRY(check_program(program, target));
  TRY_ASSIGN(const std::unique_ptr<TargetMachine> machine, make_machine(target));
  llvm::LLVMContext context;
  llvm::Module module(program.name, context);
  module.setTargetTriple(target.llvm_triple);
  module.setDataLayout(machine->createDataLayout());

  const CpuFeatures features = features_of(*machine, target);
  const llvm::AttrBuilder attributes = attributes_of(context, target);
  KernelWriter(program, features, attributes, module).write(entry_of(program));
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

Result<KernelBinary> emit_llvm(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const auto bytes, compile(program, target, llvm::CodeGenFileType::ObjectFile));
  KernelBinary binary;
  binary.name = program.name;
  binary.entry = entry_of(program);
  binary.format = CodeFormat::native_object;
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  binary.code.assign(first, first + bytes.size());
  for (const ir::Parameter& parameter : program.parameters) {
    binary.arguments.push_back({parameter.storage, parameter.written});
  }
  binary.wave_lanes = program.wave_lanes;
  binary.waves_per_workgroup = program.waves_per_workgroup;
  binary.local_memory_bytes = program.local_bytes();
  for (size_t axis = 0; axis < 3; ++axis) binary.grid[axis] = program.grid[axis];
  return binary;
}

Result<std::string> assembly_llvm(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const auto text, compile(program, target, llvm::CodeGenFileType::AssemblyFile));
  return std::string(text.begin(), text.end());
}

}  // namespace leat
