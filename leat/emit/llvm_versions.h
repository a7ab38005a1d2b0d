// What differs between the versions of LLVM that the build may use (LEAT_LLVM_VERSION): all of it,
// but for the host's features, which leat/backend/cpu asks for. Tried: 16 and 19,
// docs/platforms.md. Source: LLVM's release notes 17 (nvvm.cp.async with a size, PTX ISA 8.0),
// 18 (CodeGenOptLevel, CodeGenFileType), 19 (metadata !mmra).
#pragma once

#include <llvm/Config/llvm-config.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsNVPTX.h>
#include <llvm/Support/CodeGen.h>
#include <llvm/Support/ModRef.h>

#include <string>
#if LLVM_VERSION_MAJOR >= 19
#include <llvm/IR/MemoryModelRelaxationAnnotations.h>
#endif

namespace leat {

#if LLVM_VERSION_MAJOR >= 18
inline constexpr auto kLlvmDefaultLevel = llvm::CodeGenOptLevel::Default;
inline constexpr auto kLlvmObjectFile = llvm::CodeGenFileType::ObjectFile;
inline constexpr auto kLlvmAssemblyFile = llvm::CodeGenFileType::AssemblyFile;
#else
inline constexpr auto kLlvmDefaultLevel = llvm::CodeGenOpt::Default;
inline constexpr auto kLlvmObjectFile = llvm::CGFT_ObjectFile;
inline constexpr auto kLlvmAssemblyFile = llvm::CGFT_AssemblyFile;
#endif

/// Whether there is code for AMD's GPUs. LLVM 16 knows none after gfx1103, takes v_sqrt_f32 for a
/// root, which is not rounded and takes subnormals for zeros, has no code for atomicrmw uinc_wrap,
/// and writes objects of version 4. Seen with tests/amd, 2026-11-30.
inline constexpr bool kLlvmServesAmd = LLVM_VERSION_MAJOR >= 19;

/// Target::llvm_features and llvm_cpu as far as LLVM knows them: 16 writes PTX of ISA 7.8 at most.
inline std::string known_features(const std::string& features) {
  return LLVM_VERSION_MAJOR < 17 && features == "+ptx80" ? "+ptx78" : features;
}
inline std::string known_chip(const std::string& chip) {
  return LLVM_VERSION_MAJOR < 17 && chip == "sm_90a" ? "sm_90" : chip;
}

/// Writes into PTX what it is for, where the two above changed that. ISA 8.0 has all of 7.8, and
/// what only sm_90a has is inline assembly, which LLVM passes on.
inline void nvptx_name_chip([[maybe_unused]] std::string& ptx,
                            [[maybe_unused]] const std::string& chip) {
#if LLVM_VERSION_MAJOR < 17
  const std::string version = ".version 7.8\n", target = ".target sm_90\n";
  const size_t at = ptx.find(version);
  if (at == std::string::npos) return;
  ptx.replace(at, version.size(), ".version 8.0\n");
  const size_t line = ptx.find(target, at);
  if (chip == "sm_90a" && line != std::string::npos)
    ptx.replace(line, target.size(), ".target sm_90a\n");
#endif
}

/// cp.async of `place_bytes` (4, 8 or 16), of which `size` are read and the rest is zero.
inline void nvptx_copy_async(llvm::IRBuilder<>& build, llvm::Value* target, llvm::Value* source,
                             llvm::Value* size, uint32_t place_bytes) {
#if LLVM_VERSION_MAJOR >= 17
  llvm::Intrinsic::ID intrinsic = llvm::Intrinsic::nvvm_cp_async_ca_shared_global_4_s;
  if (place_bytes == 8) intrinsic = llvm::Intrinsic::nvvm_cp_async_ca_shared_global_8_s;
  if (place_bytes == 16) intrinsic = llvm::Intrinsic::nvvm_cp_async_cg_shared_global_16_s;
  build.CreateIntrinsic(intrinsic, {}, {target, source, size});
#else
  const std::string text = "cp.async." + std::string(place_bytes == 16 ? "cg" : "ca") +
                           ".shared.global [$0], [$1], " + std::to_string(place_bytes) + ", $2;";
  auto* signature = llvm::FunctionType::get(
      build.getVoidTy(), {target->getType(), source->getType(), size->getType()}, false);
  build.CreateCall(signature, llvm::InlineAsm::get(signature, text, "l,l,r,~{memory}", true),
                   {target, source, size});
#endif
}

/// A fence that orders local memory alone, where LLVM can be told; else it orders all of it.
inline void amdgpu_local_fence(llvm::IRBuilder<>& build, llvm::AtomicOrdering ordering,
                               llvm::SyncScope::ID scope) {
  llvm::FenceInst* const fence = build.CreateFence(ordering, scope);
#if LLVM_VERSION_MAJOR >= 19
  llvm::LLVMContext& context = build.getContext();
  fence->setMetadata(llvm::LLVMContext::MD_mmra,
                     llvm::MMRAMetadata::getTagMD(context, "amdgpu-as", "local"));
#else
  static_cast<void>(fence);
#endif
}

}  // namespace leat
