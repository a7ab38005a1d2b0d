// What differs between LLVM's back ends for GPUs, as one struct of data: names of intrinsics, and
// the few things that are a short sequence in one of them. The frame of a kernel, its walk and its
// memory are common, see llvm_thread.cpp; nothing there asks which back end it is. Both number
// their address spaces alike: 1 is global, 3 is local memory.
// Only emit/llvm* may include this file, as it shows LLVM's types.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "leat/base/target.h"

namespace leat {

/// What a kernel's attributes say of it.
struct KernelShape {
  uint32_t threads = 1;  // of a workgroup, all along x
  uint32_t grid[3] = {1, 1, 1};
};

/// A load of `width` elements that touches memory only where `mask` is set and gives zeros
/// elsewhere.
struct PredicatedLoad {
  llvm::Value* pointer = nullptr;
  llvm::Value* mask = nullptr;
  llvm::Type* element = nullptr;  // f32, i32 or f16
  uint32_t width = 1;
  bool is_read_only = false;  // nothing in the kernel writes the buffer
};

struct GpuDialect {
  llvm::CallingConv::ID kernel_convention;
  llvm::Intrinsic::ID thread_id;     // along x in the workgroup
  llvm::Intrinsic::ID group_ids[3];  // x, y, z in the grid
  /// `kernel` has the attribute "target-cpu".
  void (*describe)(llvm::Function& kernel, const KernelShape& shape);
  /// All waves of the workgroup arrive; local memory is then visible to all.
  void (*barrier)(llvm::IRBuilder<>& build);
  /// The 32 bits that lane (lane ^ distance) of the wave has of `bits`.
  llvm::Value* (*exchange)(llvm::IRBuilder<>& build, llvm::Value* bits, llvm::Value* lane,
                           uint32_t distance, uint32_t lanes);
  /// One element or a vector of them. Null: there is no such instruction, and masked-off lanes
  /// read the buffer's first element in its place.
  llvm::Value* (*load_where)(llvm::IRBuilder<>& build, const PredicatedLoad& load);
};

/// The row for the target's code format; null when that is not for a GPU.
const GpuDialect* dialect_of(CodeFormat format);

/// Rows: llvm_nvptx.cpp, llvm_amdgpu.cpp.
extern const GpuDialect kNvptxDialect;
extern const GpuDialect kAmdgpuDialect;

}  // namespace leat
