// See cpu_jit.h. Every kernel gets a symbol table of its own, so that names need not differ and a
// kernel's code can be freed alone. Symbols that code asks for (floorf and the like on chips
// without an instruction for it) are found in this process.
#include "leat/backend/cpu/cpu_jit.h"

#include <llvm/ADT/StringMap.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Host.h>

#include <algorithm>
#include <vector>

#include "leat/backend/cpu/cpu_code_rights.h"
#include "leat/backend/cpu/cpu_tiles.h"

namespace leat {

namespace {

using llvm::orc::JITDylib;
using llvm::orc::LLJIT;

bool register_host() {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  return true;
}

Error refusal(const KernelBinary& binary, llvm::Error error) {
  return Error(ErrorKind::invalid_argument, "The code of kernel \"" + binary.name +
                                                "\" cannot be loaded (" +
                                                llvm::toString(std::move(error)) + ").");
}

// The code's memory is freed with its symbol table.
struct CodePlace {
  CodePlace(LLJIT& owner, JITDylib& symbols) : jit(owner), table(symbols) {}
  CodePlace(const CodePlace&) = delete;
  ~CodePlace() { llvm::consumeError(jit.getExecutionSession().removeJITDylib(table)); }

  LLJIT& jit;
  JITDylib& table;
};

}  // namespace

struct CpuJit::State {
  std::unique_ptr<LLJIT> jit;
  uint64_t loaded_count = 0;
};

CpuJit::CpuJit(std::unique_ptr<State> state) : state_(std::move(state)) {}
CpuJit::CpuJit(CpuJit&&) noexcept = default;
CpuJit::~CpuJit() = default;

Result<CpuJit> CpuJit::create() {
  TRY(check_code_rights());
  static const bool registered = register_host();
  CHECK(registered);
  const auto make_linker = [](llvm::orc::ExecutionSession& session, const llvm::Triple&) {
    return std::make_unique<llvm::orc::ObjectLinkingLayer>(session);
  };
  llvm::Expected<std::unique_ptr<LLJIT>> jit =
      llvm::orc::LLJITBuilder()
          .setObjectLinkingLayerCreator(make_linker)
          .setPlatformSetUp(llvm::orc::setUpInactivePlatform)
          .create();
  if (!jit) {
    return Error(ErrorKind::internal,
                 "LLVM's JIT cannot start (" + llvm::toString(jit.takeError()) + ").");
  }
  // Through the main table the others find this process's symbols; LLVM 16 links none by itself.
  (*jit)->getMainJITDylib().addGenerator(
      llvm::cantFail(llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess('\0')));
  // Errors reach us as results; without this they are printed too.
  (*jit)->getExecutionSession().setErrorReporter(
      [](llvm::Error error) { llvm::consumeError(std::move(error)); });
  auto state = std::make_unique<State>();
  state->jit = std::move(*jit);
  return CpuJit(std::move(state));
}

Result<LoadedCode> CpuJit::load(const KernelBinary& binary) {
  LLJIT& jit = *state_->jit;
  const llvm::StringRef bytes(reinterpret_cast<const char*>(binary.code.data()),
                              binary.code.size());
  auto parsed = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(bytes, "kernel"));
  if (!parsed) return refusal(binary, parsed.takeError());
  if ((*parsed)->getArch() != jit.getTargetTriple().getArch()) {
    return Error(ErrorKind::invalid_argument,
                 "The code of kernel \"" + binary.name + "\" is for another processor (" +
                     llvm::Triple::getArchTypeName((*parsed)->getArch()).str() + ").");
  }
  llvm::Expected<JITDylib&> table =
      jit.createJITDylib("kernel_" + std::to_string(state_->loaded_count++));
  if (!table) return refusal(binary, table.takeError());
  auto place = std::make_shared<const CodePlace>(jit, *table);
  table->addToLinkOrder(jit.getMainJITDylib());
  if (llvm::Error error =
          jit.addObjectFile(*table, llvm::MemoryBuffer::getMemBufferCopy(bytes, binary.name))) {
    return refusal(binary, std::move(error));
  }
  llvm::Expected<llvm::orc::ExecutorAddr> entry = jit.lookup(*table, binary.entry);
  if (!entry) return refusal(binary, entry.takeError());
  return LoadedCode(entry->toPtr<KernelEntry>(), std::move(place));
}

/// The processor's features, by LLVM's names. Before LLVM 19 it is asked otherwise.
llvm::StringMap<bool> host_features() {
#if LLVM_VERSION_MAJOR >= 19
  return llvm::sys::getHostCPUFeatures();
#else
  llvm::StringMap<bool> features;
  llvm::sys::getHostCPUFeatures(features);
  return features;
#endif
}

HostCpu host_cpu() {
  std::vector<std::string> features;
  std::string refused;
  for (const auto& feature : host_features()) {
    const bool is_tiles = feature.second && feature.first().starts_with("amx-");
    if (is_tiles) refused = tiles_refusal();
    const bool is_there = feature.second && (!is_tiles || refused.empty());
    features.push_back((is_there ? "+" : "-") + feature.first().str());
  }
  std::ranges::sort(features);  // the map's order is a hash's
  HostCpu host = {.triple = llvm::sys::getProcessTriple(),
                  .cpu = llvm::sys::getHostCPUName().str(),
                  .features = "",
                  .llvm_version = LLVM_VERSION_STRING,
                  .tiles_refused = refused};
  for (const std::string& feature : features) {
    if (!host.features.empty()) host.features += ',';
    host.features += feature;
  }
  return host;
}

}  // namespace leat
