// PTX text to a cubin. There are three assemblers, all of them NVIDIA's and none of them needed to
// build or to run kernels that are in the cache: the library nvJitLink (no GPU needed), the linker
// of the CUDA driver (a GPU needed), the program ptxas of an installed toolkit. Libraries are
// opened when first asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"

namespace leat {

/// In the order in which they are tried.
enum class PtxAssembler : uint8_t { nvjitlink, driver, ptxas };
std::span<const PtxAssembler> ptx_assemblers();
std::string_view name_of(PtxAssembler assembler);

struct AssembledPtx {
  std::vector<std::byte> cubin;
  std::string assembler;  // "nvJitLink 13.0"
  std::string log;        // registers and spills, from ptxas
};

/// For `chip`, as Target::llvm_cpu names it ("sm_80"), by the first assembler that does it.
/// Errors: unsupported, when no assembler is there; internal, when one refuses the text.
Result<AssembledPtx> assemble_ptx(const std::string& ptx, const std::string& chip);

/// The same with one assembler. Errors: unsupported, when it is not there; internal.
Result<AssembledPtx> assemble_ptx_with(PtxAssembler assembler, const std::string& ptx,
                                       const std::string& chip);

// One file each.
Result<AssembledPtx> assemble_by_nvjitlink(const std::string& ptx, const std::string& chip);
Result<AssembledPtx> assemble_by_driver(const std::string& ptx, const std::string& chip);
Result<AssembledPtx> assemble_by_ptxas(const std::string& ptx, const std::string& chip);

/// Where CUDA toolkits are installed: $CUDA_HOME, $CUDA_PATH, and the usual places.
std::vector<std::string> cuda_folders();

}  // namespace leat
