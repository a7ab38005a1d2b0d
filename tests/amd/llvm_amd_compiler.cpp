// Through LLVM's C interface, which has all of it: assembly text goes in as a module's inline
// assembly and comes out as the .text of an object.
#include "tests/amd/llvm_amd_compiler.h"

#include <fmt/format.h>
#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/Disassembler.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Object.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <cstring>
#include <map>
#include <memory>

namespace leat::amd_card {

namespace {

constexpr char kTriple[] = "amdgcn-amd-amdhsa";

void initialize() {
  static const bool once = [] {
    LLVMInitializeAMDGPUTargetInfo();
    LLVMInitializeAMDGPUTarget();
    LLVMInitializeAMDGPUTargetMC();
    LLVMInitializeAMDGPUAsmPrinter();
    LLVMInitializeAMDGPUAsmParser();
    LLVMInitializeAMDGPUDisassembler();
    return true;
  }();
  (void)once;
}

template <class T, void (*dispose)(T)>
struct Disposer {
  void operator()(std::remove_pointer_t<T>* object) const { dispose(object); }
};
using Context = std::unique_ptr<LLVMOpaqueContext, Disposer<LLVMContextRef, LLVMContextDispose>>;
using Module = std::unique_ptr<LLVMOpaqueModule, Disposer<LLVMModuleRef, LLVMDisposeModule>>;
using Machine = std::unique_ptr<LLVMOpaqueTargetMachine,
                                Disposer<LLVMTargetMachineRef, LLVMDisposeTargetMachine>>;
using Bytes =
    std::unique_ptr<LLVMOpaqueMemoryBuffer, Disposer<LLVMMemoryBufferRef, LLVMDisposeMemoryBuffer>>;

Error refused(const std::string& what, char* message) {
  const std::string text = message != nullptr ? message : "no reason";
  LLVMDisposeMessage(message);
  return Error(ErrorKind::invalid_argument, fmt::format("LLVM cannot {}: {}.", what, text));
}

Result<Machine> machine_for(const std::string& target) {
  initialize();
  LLVMTargetRef found = nullptr;
  char* message = nullptr;
  if (LLVMGetTargetFromTriple(kTriple, &found, &message) != 0) {
    return refused("find the AMDGPU target", message);
  }
  return Machine(LLVMCreateTargetMachine(found, kTriple, target.c_str(), "+cumode",
                                         LLVMCodeGenLevelAggressive, LLVMRelocPIC,
                                         LLVMCodeModelDefault));
}

/// LLVM prints what it dislikes in assembly to stderr and goes on; the handler keeps it as text.
void keep_message(LLVMDiagnosticInfoRef info, void* context) {
  char* text = LLVMGetDiagInfoDescription(info);
  if (LLVMGetDiagInfoSeverity(info) == LLVMDSError) {
    *static_cast<std::string*>(context) += std::string(text) + "; ";
  }
  LLVMDisposeMessage(text);
}

Result<Bytes> emit(LLVMTargetMachineRef machine, LLVMModuleRef module) {
  std::string problems;
  LLVMContextSetDiagnosticHandler(LLVMGetModuleContext(module), keep_message, &problems);
  char* message = nullptr;
  LLVMMemoryBufferRef buffer = nullptr;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMObjectFile, &message, &buffer) !=
      0) {
    return refused("emit an object", message);
  }
  Bytes bytes(buffer);
  if (!problems.empty()) {
    return Error(ErrorKind::invalid_argument, fmt::format("LLVM refuses: {}", problems));
  }
  return bytes;
}

}  // namespace

Result<std::vector<uint32_t>> assemble(const std::string& target, const std::string& text) {
  TRY_ASSIGN(Machine machine, machine_for(target));
  const Context context(LLVMContextCreate());
  const Module module(LLVMModuleCreateWithNameInContext("assembly", context.get()));
  LLVMSetTarget(module.get(), kTriple);
  LLVMSetModuleInlineAsm2(module.get(), text.data(), text.size());
  TRY_ASSIGN(Bytes bytes, emit(machine.get(), module.get()));
  char* message = nullptr;
  LLVMBinaryRef binary = LLVMCreateBinary(bytes.get(), nullptr, &message);
  if (binary == nullptr) return refused("read its own object", message);
  std::vector<uint32_t> words;
  LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
  for (; LLVMObjectFileIsSectionIteratorAtEnd(binary, section) == 0;
       LLVMMoveToNextSection(section)) {
    const char* name = LLVMGetSectionName(section);  // null for the section of index 0
    if (name == nullptr || std::strcmp(name, ".text") != 0) continue;
    words.resize(LLVMGetSectionSize(section) / 4);
    std::memcpy(words.data(), LLVMGetSectionContents(section), words.size() * 4);
  }
  LLVMDisposeSectionIterator(section);
  LLVMDisposeBinary(binary);
  return words;
}

Disassembled disassemble(const std::string& target, std::span<const uint32_t> words) {
  initialize();
  struct Closer {
    void operator()(void* context) const { LLVMDisasmDispose(context); }
  };
  static std::map<std::string, std::unique_ptr<void, Closer>> contexts;
  auto& context = contexts[target];
  if (context == nullptr) {
    context.reset(LLVMCreateDisasmCPU(kTriple, target.c_str(), nullptr, 0, nullptr, nullptr));
  }
  std::vector<uint8_t> bytes(words.size() * 4);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  char text[256];
  const size_t size =
      LLVMDisasmInstruction(context.get(), bytes.data(), bytes.size(), 0, text, sizeof(text));
  if (size == 0) return {};
  return {text + std::strspn(text, " \t"), size / 4};
}

Result<std::vector<uint8_t>> compile_object(const std::string& target, const std::string& ir) {
  TRY_ASSIGN(Machine machine, machine_for(target));
  const Context context(LLVMContextCreate());
  LLVMMemoryBufferRef source =
      LLVMCreateMemoryBufferWithMemoryRangeCopy(ir.data(), ir.size(), "kernel");
  LLVMModuleRef parsed = nullptr;
  char* message = nullptr;
  if (LLVMParseIRInContext(context.get(), source, &parsed, &message) != 0) {
    return refused("read the kernel", message);
  }
  const Module module(parsed);
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef failed = LLVMRunPasses(module.get(), "default<O3>", machine.get(), options);
  LLVMDisposePassBuilderOptions(options);
  if (failed != nullptr) {
    char* text = LLVMGetErrorMessage(failed);
    const Error error(ErrorKind::invalid_argument, fmt::format("LLVM cannot optimise: {}.", text));
    LLVMDisposeErrorMessage(text);
    return error;
  }
  TRY_ASSIGN(Bytes bytes, emit(machine.get(), module.get()));
  const char* start = LLVMGetBufferStart(bytes.get());
  return std::vector<uint8_t>(start, start + LLVMGetBufferSize(bytes.get()));
}

}  // namespace leat::amd_card
