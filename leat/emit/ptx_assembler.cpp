// The order of the assemblers.
#include "leat/emit/ptx_assembler.h"

#include <fmt/format.h>

#include "leat/base/check.h"
#include "leat/base/env.h"

namespace leat {

std::span<const PtxAssembler> ptx_assemblers() {
  static constexpr PtxAssembler kAll[] = {PtxAssembler::nvjitlink, PtxAssembler::driver,
                                          PtxAssembler::ptxas};
  return kAll;
}

std::string_view name_of(PtxAssembler assembler) {
  switch (assembler) {
    case PtxAssembler::nvjitlink: return "nvJitLink";
    case PtxAssembler::driver: return "CUDA driver";
    case PtxAssembler::ptxas: return "ptxas";
  }
  CHECK(false);
}

Result<AssembledPtx> assemble_ptx_with(PtxAssembler assembler, const std::string& ptx,
                                       const std::string& chip) {
  switch (assembler) {
    case PtxAssembler::nvjitlink: return assemble_by_nvjitlink(ptx, chip);
    case PtxAssembler::driver: return assemble_by_driver(ptx, chip);
    case PtxAssembler::ptxas: return assemble_by_ptxas(ptx, chip);
  }
  CHECK(false);
}

// An assembler that refuses the text may only be too old for the chip, so the next one is asked.
Result<AssembledPtx> assemble_ptx(const std::string& ptx, const std::string& chip) {
  std::string reasons;
  ErrorKind kind = ErrorKind::unsupported;
  for (const PtxAssembler assembler : ptx_assemblers()) {
    Result<AssembledPtx> assembled = assemble_ptx_with(assembler, ptx, chip);
    if (assembled) return assembled;
    if (assembled.error().kind() != ErrorKind::unsupported) kind = ErrorKind::internal;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", name_of(assembler),
                           assembled.error().message());
  }
  return Error(kind,
               fmt::format("Nothing here makes a cubin for ({}) of PTX ({}).", chip, reasons));
}

std::vector<std::string> cuda_folders() {
  std::vector<std::string> folders;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (std::string folder = env(variable); !folder.empty()) folders.push_back(std::move(folder));
  }
  for (const char* folder : {"/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda"}) {
    folders.emplace_back(folder);
  }
  return folders;
}

}  // namespace leat
