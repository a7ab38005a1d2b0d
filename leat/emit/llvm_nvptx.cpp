// The row of NVIDIA's GPUs. Sources: LLVM's User Guide for NVPTX Back-end (annotations,
// intrinsics); PTX ISA 8.0, "shfl.sync", "dp4a", "cp.async", "membar", "bar.red", "ldmatrix" and
// "mma", "wgmma".
//
// A masked load is one predicated instruction in front of which zeros are put into its registers.
// As a branch around the load it would be a block of its own, across which loads are not gathered.
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsNVPTX.h>

#include <string>
#include <vector>

#include "leat/base/nvidia_architecture.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_versions.h"

namespace leat {

namespace {

void annotate(llvm::Function& function, const char* name, uint32_t value) {
  llvm::LLVMContext& context = function.getContext();
  llvm::Metadata* fields[] = {llvm::ValueAsMetadata::get(&function),
                              llvm::MDString::get(context, name),
                              llvm::ConstantAsMetadata::get(
                                  llvm::ConstantInt::get(llvm::Type::getInt32Ty(context), value))};
  function.getParent()
      ->getOrInsertNamedMetadata("nvvm.annotations")
      ->addOperand(llvm::MDNode::get(context, fields));
}

void describe(llvm::Function& kernel, const KernelShape& shape) {
  annotate(kernel, "reqntidx", shape.threads);
  annotate(kernel, "reqntidy", 1);
  annotate(kernel, "reqntidz", 1);
  // For Turing ptxas 13.0 would rather spill than let fewer workgroups share a multiprocessor.
  constexpr uint32_t kTuring = 75;
  const llvm::StringRef cpu = kernel.getFnAttribute("target-cpu").getValueAsString();
  if (nvidia_architecture(cpu.str()) <= kTuring) annotate(kernel, "minctasm", 1);
}

void barrier(llvm::IRBuilder<>& build) {
  build.CreateIntrinsic(llvm::Intrinsic::nvvm_barrier0, {}, {});
}

// The last operand: the highest lane that is read, for "up" the lowest.
llvm::Value* shuffle(llvm::IRBuilder<>& build, const LaneShuffle& asked) {
  using enum ir::Opcode;
  llvm::Intrinsic::ID intrinsic = llvm::Intrinsic::nvvm_shfl_sync_idx_i32;
  if (asked.op == shuffle_xor) intrinsic = llvm::Intrinsic::nvvm_shfl_sync_bfly_i32;
  if (asked.op == shuffle_up) intrinsic = llvm::Intrinsic::nvvm_shfl_sync_up_i32;
  if (asked.op == shuffle_down) intrinsic = llvm::Intrinsic::nvvm_shfl_sync_down_i32;
  const uint32_t end = asked.op == shuffle_up ? 0 : asked.lanes - 1;
  return build.CreateIntrinsic(
      intrinsic, {}, {build.getInt32(0xffffffffu), asked.bits, asked.amount, build.getInt32(end)});
}

/// "$0" or "{$0, $1}".
std::string operand_list(uint32_t width) {
  if (width == 1) return "$0";
  std::string text = "{$0";
  for (uint32_t i = 1; i < width; ++i) text += ", $" + std::to_string(i);
  return text + "}";
}

struct Assembly {
  std::string text;
  std::string constraints;
};

// Constraint letters: f, r, h are registers of f32, 32 and 16 bits, d and l of f64 and 64 bits, b a
// predicate. Bytes are loaded into registers of 16 bits, the smallest there are.
// An output is written before the inputs are read, hence the &.
Assembly assembly_of(const PredicatedLoad& load) {
  const uint64_t size_bits = load.element->getPrimitiveSizeInBits().getFixedValue();
  const std::string moved_bits = size_bits == 64 ? "b64" : size_bits == 32 ? "b32" : "b16";
  const std::string letter = size_bits < 32               ? "h"
                             : load.element->isFloatTy()  ? "f"
                             : load.element->isDoubleTy() ? "d"
                             : size_bits == 64            ? "l"
                                                          : "r";
  Assembly assembly;
  for (uint32_t i = 0; i < load.width; ++i) {
    assembly.text += "mov." + moved_bits + " $" + std::to_string(i) + ", 0;\n\t";
    assembly.constraints += "=&" + letter + ",";
  }
  assembly.text += "@$" + std::to_string(load.width + 1) + " ld.global";
  if (load.is_read_only) assembly.text += ".nc";
  if (load.width > 1) assembly.text += ".v" + std::to_string(load.width);
  assembly.text += "." + (size_bits == 8 ? "u8" : moved_bits) + " " + operand_list(load.width) +
                   ", [$" + std::to_string(load.width) + "];";
  assembly.constraints += "l,b";
  return assembly;
}

llvm::Value* load_where(llvm::IRBuilder<>& build, const PredicatedLoad& load) {
  const uint64_t size_bits = load.element->getPrimitiveSizeInBits().getFixedValue();
  llvm::Type* part_type = size_bits < 32 ? build.getInt16Ty() : load.element;
  llvm::Type* result = part_type;
  if (load.width > 1) {
    result =
        llvm::StructType::get(build.getContext(), std::vector<llvm::Type*>(load.width, part_type));
  }
  auto* signature =
      llvm::FunctionType::get(result, {load.pointer->getType(), build.getInt1Ty()}, false);
  const Assembly assembly = assembly_of(load);
  llvm::CallInst* call = build.CreateCall(
      signature, llvm::InlineAsm::get(signature, assembly.text, assembly.constraints, false),
      {load.pointer, load.mask});
  call->setMemoryEffects(load.is_read_only ? llvm::MemoryEffects::none()
                                           : llvm::MemoryEffects::readOnly());
  call->setDoesNotThrow();
  call->addFnAttr(llvm::Attribute::WillReturn);
  const auto as_element = [&](llvm::Value* part) {
    if (size_bits == 8) return build.CreateTrunc(part, load.element);
    return build.CreateBitCast(part, load.element);
  };
  if (load.width == 1) return as_element(call);
  llvm::Value* vector =
      llvm::PoisonValue::get(llvm::FixedVectorType::get(load.element, load.width));
  for (uint32_t i = 0; i < load.width; ++i) {
    llvm::Value* part = as_element(build.CreateExtractValue(call, i));
    vector = build.CreateInsertElement(vector, part, uint64_t{i});
  }
  return vector;
}

// LLVM 19 has no intrinsic for it.
llvm::Value* dot(llvm::IRBuilder<>& build, ir::Opcode op, llvm::ArrayRef<llvm::Value*> operands) {
  const char* a = op == ir::Opcode::dot_ss ? "s32" : "u32";
  const char* b = op == ir::Opcode::dot_uu ? "u32" : "s32";
  llvm::Type* i32 = build.getInt32Ty();
  auto* signature = llvm::FunctionType::get(i32, {i32, i32, i32}, false);
  const std::string text = std::string("dp4a.") + a + "." + b + " $0, $1, $2, $3;";
  auto* product = llvm::InlineAsm::get(signature, text, "=r,r,r,r", false);
  llvm::CallInst* call = build.CreateCall(signature, product, operands);
  call->setDoesNotAccessMemory();
  call->setDoesNotThrow();
  call->addFnAttr(llvm::Attribute::WillReturn);
  return call;
}

void fence(llvm::IRBuilder<>& build) {
  build.CreateIntrinsic(llvm::Intrinsic::nvvm_membar_gl, {}, {});
}

// LLVM would write the general form, atomicrmw, as a loop.
llvm::Value* count(llvm::IRBuilder<>& build, llvm::Value* counter, llvm::Value* limit) {
  return build.CreateIntrinsic(llvm::Intrinsic::nvvm_atomic_load_inc_32, {counter->getType()},
                               {counter, limit});
}

llvm::Value* any(llvm::IRBuilder<>& build, llvm::Value* number) {
  return build.CreateIntrinsic(llvm::Intrinsic::nvvm_barrier0_or, {}, {number});
}

void copy_commit(llvm::IRBuilder<>& build) {
  build.CreateIntrinsic(llvm::Intrinsic::nvvm_cp_async_commit_group, {}, {});
}

void copy_wait(llvm::IRBuilder<>& build, uint32_t groups_left) {
  build.CreateIntrinsic(llvm::Intrinsic::nvvm_cp_async_wait_group, {},
                        {build.getInt32(groups_left)});
}

// Into the second level cache. Source: PTX ISA 8.0, "cp.async.bulk.prefetch".
void prefetch(llvm::IRBuilder<>& build, llvm::Value* first, uint32_t bytes) {
  llvm::Type* i32 = build.getInt32Ty();
  auto* signature = llvm::FunctionType::get(build.getVoidTy(), {first->getType(), i32}, false);
  const char* text =
      "{ .reg .pred p; .reg .b32 lane; mov.u32 lane, %laneid; setp.eq.u32 p, lane, 0; "
      "@p cp.async.bulk.prefetch.L2.global [$0], $1; }";
  build.CreateCall(signature, llvm::InlineAsm::get(signature, text, "l,r", true),
                   {first, build.getInt32(bytes)});
}

llvm::Value* load_matrices(llvm::IRBuilder<>& build, llvm::Value* row, uint32_t count,
                           bool turned) {
  llvm::Intrinsic::ID intrinsic = count == 4
                                      ? llvm::Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_b16
                                      : llvm::Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x2_b16;
  if (turned) {
    intrinsic = count == 4 ? llvm::Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_trans_b16
                           : llvm::Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x2_trans_b16;
  }
  return build.CreateIntrinsic(intrinsic, {row->getType()}, {row});
}

llvm::Value* tf32_from_float(llvm::IRBuilder<>& build, llvm::Value* number) {
  return build.CreateIntrinsic(llvm::Intrinsic::nvvm_f2tf32_rna, {}, {number});
}

llvm::Intrinsic::ID product_of(const ir::Fragment& a, const ir::Fragment& b) {
  if (a.tf32) return llvm::Intrinsic::nvvm_mma_m16n8k8_row_col_tf32;
  if (a.element == DType::f16) return llvm::Intrinsic::nvvm_mma_m16n8k16_row_col_f32_f32;
  if (a.element == DType::bf16) return llvm::Intrinsic::nvvm_mma_m16n8k16_row_col_bf16;
  const bool a_signed = a.element == DType::i8, b_signed = b.element == DType::i8;
  if (a_signed && b_signed) return llvm::Intrinsic::nvvm_mma_m16n8k32_row_col_s8;
  if (a_signed) return llvm::Intrinsic::nvvm_mma_m16n8k32_row_col_s8_u8;
  if (b_signed) return llvm::Intrinsic::nvvm_mma_m16n8k32_row_col_u8_s8;
  return llvm::Intrinsic::nvvm_mma_m16n8k32_row_col_u8;
}

llvm::Value* multiply(llvm::IRBuilder<>& build, const ir::Fragment& a, const ir::Fragment& b,
                      llvm::ArrayRef<llvm::Value*> registers) {
  return build.CreateIntrinsic(product_of(a, b), {}, registers);
}

// 64 bits: address, where a row goes on, from eight rows to the next, all in 16 bytes; swizzled by
// 128 bytes. Source: PTX ISA 8.0, "Matrix Descriptor".
llvm::Value* tile_descriptor(llvm::IRBuilder<>& build, llvm::Value* address,
                             llvm::Value* stride_bytes) {
  constexpr uint64_t kEightRows = 8 * 128, kSwizzle128 = uint64_t{1} << 62;
  constexpr uint32_t kAddressMask = 0x3ffff;
  const auto field = [&](llvm::Value* bytes, uint32_t shift) {
    llvm::Value* sixteenths = build.CreateLShr(build.CreateAnd(bytes, kAddressMask), 4);
    return build.CreateShl(build.CreateZExt(sixteenths, build.getInt64Ty()), shift);
  };
  llvm::Value* fixed = build.getInt64(kSwizzle128 | kEightRows / 16 << 32);
  llvm::Value* stride = field(stride_bytes, 16);
  return build.CreateOr(build.CreateOr(field(address, 0), stride), fixed);
}

void assembly_line(llvm::IRBuilder<>& build, const char* text) {
  auto* signature = llvm::FunctionType::get(build.getVoidTy(), false);
  build.CreateCall(signature, llvm::InlineAsm::get(signature, text, "~{memory}", true));
}

void begin_tiles(llvm::IRBuilder<>& build) { assembly_line(build, "wgmma.fence.sync.aligned;"); }

void fence_tiles(llvm::IRBuilder<>& build) {
  assembly_line(build, "fence.proxy.async.shared::cta;");
}

/// A statement that changes registers of f32 in place, with further operands behind them.
llvm::Value* change_sums(llvm::IRBuilder<>& build, const std::string& text,
                         llvm::ArrayRef<llvm::Value*> sums, llvm::ArrayRef<llvm::Value*> others) {
  std::string constraints;
  for (size_t i = 0; i < sums.size(); ++i) constraints += "=f,";
  for (size_t i = 0; i < sums.size(); ++i) constraints += std::to_string(i) + ",";
  for (size_t i = 0; i < others.size(); ++i) constraints += "l,";
  constraints += "~{memory}";
  llvm::SmallVector<llvm::Value*, 140> operands(sums.begin(), sums.end());
  operands.append(others.begin(), others.end());
  llvm::SmallVector<llvm::Type*, 140> types;
  for (llvm::Value* operand : operands) types.push_back(operand->getType());
  auto* result = llvm::StructType::get(build.getContext(),
                                       std::vector<llvm::Type*>(sums.size(), build.getFloatTy()));
  auto* signature = llvm::FunctionType::get(result, types, false);
  return build.CreateCall(signature, llvm::InlineAsm::get(signature, text, constraints, true),
                          operands);
}

llvm::Value* multiply_tiles(llvm::IRBuilder<>& build, const ir::Fragment& a,
                            const TileOperand& left, const TileOperand& right,
                            llvm::ArrayRef<llvm::Value*> sums) {
  const char* element = a.element == DType::f16 ? "f16" : "bf16";
  std::string text = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(a.n) + "k16.f32." +
                     element + "." + element + " {";
  for (size_t i = 0; i < sums.size(); ++i) text += (i == 0 ? "$" : ", $") + std::to_string(i);
  text += "}, $" + std::to_string(2 * sums.size()) + ", $" + std::to_string(2 * sums.size() + 1) +
          ", 1, 1, 1, " + (left.turned ? "1" : "0") + ", " + (right.turned ? "1" : "0") + ";";
  return change_sums(build, text, sums, {left.descriptor, right.descriptor});
}

void commit_tiles(llvm::IRBuilder<>& build) {
  assembly_line(build, "wgmma.commit_group.sync.aligned;");
}

llvm::Value* wait_tiles(llvm::IRBuilder<>& build, llvm::ArrayRef<llvm::Value*> sums,
                        uint32_t pending) {
  const std::string text = "wgmma.wait_group.sync.aligned " + std::to_string(pending) + ";";
  return change_sums(build, text, sums, {});
}

constexpr GroupCounter kGroupCounter = {.fence = fence, .count = count, .any = any};
constexpr AsyncCopies kAsyncCopies = {
    .copy = nvptx_copy_async, .commit = copy_commit, .wait = copy_wait};
constexpr MatrixUnit kMatrixUnit = {
    .load = load_matrices, .tf32_from_float = tf32_from_float, .multiply = multiply};

constexpr TileUnit kTileUnit = {.descriptor = tile_descriptor,
                                .begin = begin_tiles,
                                .multiply = multiply_tiles,
                                .commit = commit_tiles,
                                .wait = wait_tiles,
                                .fence = fence_tiles};

}  // namespace

const GpuDialect kNvptxDialect = {
    .kernel_convention = llvm::CallingConv::PTX_Kernel,
    .thread_id = llvm::Intrinsic::nvvm_read_ptx_sreg_tid_x,
    .group_ids = {llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_x,
                  llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_y,
                  llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_z},
    .describe = describe,
    .barrier = barrier,
    .shuffle = shuffle,
    .load_where = load_where,
    .dot = dot,
    .prefetch = prefetch,
    .group_counter = &kGroupCounter,
    .async_copies = &kAsyncCopies,
    .matrix_unit = &kMatrixUnit,
    .tile_unit = &kTileUnit,
};

}  // namespace leat
