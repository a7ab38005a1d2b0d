// What differs between LLVM's back ends for GPUs, as one struct of data: names of intrinsics, and
// the few things that are a short sequence in one of them. The frame of a kernel, its walk and its
// memory are common, see llvm_thread.cpp; nothing there asks which back end it is. Both number
// their address spaces alike: 1 is global, 3 is local memory.
// Only emit/llvm* may include this file, as it shows LLVM's types.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "leat/base/target.h"
#include "leat/ir/ir.h"

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
  llvm::Type* element = nullptr;  // as it lies in memory, 8 to 64 bits
  uint32_t width = 1;
  bool is_read_only = false;  // nothing in the kernel writes the buffer
};

/// One of the shuffles of ir.h.
struct LaneShuffle {
  ir::Opcode op = ir::Opcode::shuffle_xor;
  llvm::Value* bits = nullptr;    // 32 of them
  llvm::Value* lane = nullptr;    // of the wave, that asks
  llvm::Value* amount = nullptr;  // for ir::Opcode::shuffle the lane that is read
  uint32_t lanes = 32;            // of the wave
};

/// What tells the last of the workgroups.
struct GroupCounter {
  /// Stores of this thread are visible to the whole device, loads behind it read anew.
  void (*fence)(llvm::IRBuilder<>& build);
  /// Counts up to `limit` and then back to 0; the answer is what was there before.
  llvm::Value* (*count)(llvm::IRBuilder<>& build, llvm::Value* counter, llvm::Value* limit);
  /// A barrier behind which all threads of the workgroup know whether the first one, which alone
  /// may have another `number` than 0, has.
  llvm::Value* (*any)(llvm::IRBuilder<>& build, llvm::Value* number);
};

/// Copies from buffers to local memory that go on by themselves.
struct AsyncCopies {
  /// Copies the first `size` bytes of `place_bytes`, 4, 8 or 16; the rest of the place gets zeros.
  void (*copy)(llvm::IRBuilder<>& build, llvm::Value* target, llvm::Value* source,
               llvm::Value* size, uint32_t place_bytes);
  void (*commit)(llvm::IRBuilder<>& build);
  void (*wait)(llvm::IRBuilder<>& build, uint32_t groups_left);
};

/// Matrix units whose fragments lie in registers as llvm_fragment.cpp says.
struct MatrixUnit {
  /// `count` registers from rows in local memory, each lane with the address of its row.
  llvm::Value* (*load)(llvm::IRBuilder<>& build, llvm::Value* row, uint32_t count, bool turned);
  llvm::Value* (*tf32_from_float)(llvm::IRBuilder<>& build, llvm::Value* number);
  /// The registers of the sum: those of `a`, `b` and the sum before stand one behind the other.
  llvm::Value* (*multiply)(llvm::IRBuilder<>& build, const ir::Fragment& a, const ir::Fragment& b,
                           llvm::ArrayRef<llvm::Value*> registers);
};

/// An operand of a product that four waves do together: it stays in local memory.
struct TileOperand {
  llvm::Value* descriptor = nullptr;
  bool turned = false;  // k is not the axis along which it is contiguous
};

/// Matrix units that take both operands from swizzled local memory, and go on by themselves.
struct TileUnit {
  /// `address` in local memory, 32 bits; `stride_bytes` from one row of 128 bytes to where what it
  /// holds goes on.
  llvm::Value* (*descriptor)(llvm::IRBuilder<>& build, llvm::Value* address,
                             llvm::Value* stride_bytes);
  /// Before the first product after the sums were touched.
  void (*begin)(llvm::IRBuilder<>& build);
  llvm::Value* (*multiply)(llvm::IRBuilder<>& build, const ir::Fragment& a, const TileOperand& left,
                           const TileOperand& right, llvm::ArrayRef<llvm::Value*> sums);
  /// After the last of products in a row.
  void (*commit)(llvm::IRBuilder<>& build);
  /// The sums, when all but the newest `pending` products in a row are there.
  llvm::Value* (*wait)(llvm::IRBuilder<>& build, llvm::ArrayRef<llvm::Value*> sums,
                       uint32_t pending);
  /// Behind stores to local memory, before the barrier in front of products.
  void (*fence)(llvm::IRBuilder<>& build);
};

struct GpuDialect {
  llvm::CallingConv::ID kernel_convention;
  llvm::Intrinsic::ID thread_id;     // along x in the workgroup
  llvm::Intrinsic::ID group_ids[3];  // x, y, z in the grid
  /// `kernel` has the attribute "target-cpu".
  void (*describe)(llvm::Function& kernel, const KernelShape& shape);
  /// All waves of the workgroup arrive; local memory is then visible to all.
  void (*barrier)(llvm::IRBuilder<>& build);
  /// The 32 bits that another lane of the wave has.
  llvm::Value* (*shuffle)(llvm::IRBuilder<>& build, const LaneShuffle& shuffle);
  /// One element or a vector of them. Null: there is no such instruction, and masked-off lanes
  /// read the buffer's first element in its place.
  llvm::Value* (*load_where)(llvm::IRBuilder<>& build, const PredicatedLoad& load) = nullptr;
  /// `sum` and the products of four bytes. This and what follows is null where the back end's
  /// targets have none of it: their TargetFacts say so, and no kernel with it comes here.
  llvm::Value* (*dot)(llvm::IRBuilder<>& build, ir::Opcode op,
                      llvm::ArrayRef<llvm::Value*> operands) = nullptr;
  /// So many bytes, a multiple of 16, are read soon; one lane of the wave says so.
  void (*prefetch)(llvm::IRBuilder<>& build, llvm::Value* first, uint32_t bytes) = nullptr;
  const GroupCounter* group_counter = nullptr;
  const AsyncCopies* async_copies = nullptr;
  const MatrixUnit* matrix_unit = nullptr;
  const TileUnit* tile_unit = nullptr;
};

/// The row for the target's code format; null when that is not for a GPU.
const GpuDialect* dialect_of(CodeFormat format);

/// Rows: llvm_nvptx.cpp, llvm_amdgpu.cpp.
extern const GpuDialect kNvptxDialect;
extern const GpuDialect kAmdgpuDialect;

}  // namespace leat
