// The row of NVIDIA's GPUs. Sources: LLVM's User Guide for NVPTX Back-end (annotations,
// intrinsics); PTX ISA 8.0, "Parallel Synchronization and Communication Instructions: shfl.sync".
//
// A masked load is one predicated instruction in front of which zeros are put into its registers.
// As a branch around the load it would be a block of its own, across which loads are not gathered.
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsNVPTX.h>

#include <string>
#include <vector>

#include "leat/base/nvidia_target.h"
#include "leat/emit/llvm_dialect.h"

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

llvm::Value* exchange(llvm::IRBuilder<>& build, llvm::Value* bits, llvm::Value*, uint32_t distance,
                      uint32_t lanes) {
  return build.CreateIntrinsic(
      llvm::Intrinsic::nvvm_shfl_sync_bfly_i32, {},
      {build.getInt32(0xffffffffu), bits, build.getInt32(distance), build.getInt32(lanes - 1)});
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

// Constraint letters: f, r, h are registers of f32, 32 and 16 bits, l of 64 bits, b a predicate.
// An output is written before the inputs are read, hence the &.
Assembly assembly_of(const PredicatedLoad& load) {
  const char* bits = load.element->isHalfTy() ? "b16" : "b32";
  const char* output = load.element->isHalfTy()    ? "=&h,"
                       : load.element->isFloatTy() ? "=&f,"
                                                   : "=&r,";
  Assembly assembly;
  for (uint32_t i = 0; i < load.width; ++i) {
    assembly.text += std::string("mov.") + bits + " $" + std::to_string(i) + ", 0;\n\t";
    assembly.constraints += output;
  }
  assembly.text += "@$" + std::to_string(load.width + 1) + " ld.global";
  if (load.is_read_only) assembly.text += ".nc";
  if (load.width > 1) assembly.text += ".v" + std::to_string(load.width);
  assembly.text += std::string(".") + bits + " " + operand_list(load.width) + ", [$" +
                   std::to_string(load.width) + "];";
  assembly.constraints += "l,b";
  return assembly;
}

llvm::Value* load_where(llvm::IRBuilder<>& build, const PredicatedLoad& load) {
  llvm::Type* part_type = load.element->isHalfTy() ? build.getInt16Ty() : load.element;
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
  if (load.width == 1) return build.CreateBitCast(call, load.element);
  llvm::Value* vector =
      llvm::PoisonValue::get(llvm::FixedVectorType::get(load.element, load.width));
  for (uint32_t i = 0; i < load.width; ++i) {
    llvm::Value* part = build.CreateBitCast(build.CreateExtractValue(call, i), load.element);
    vector = build.CreateInsertElement(vector, part, uint64_t{i});
  }
  return vector;
}

}  // namespace

const GpuDialect kNvptxDialect = {
    .kernel_convention = llvm::CallingConv::PTX_Kernel,
    .thread_id = llvm::Intrinsic::nvvm_read_ptx_sreg_tid_x,
    .group_ids = {llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_x,
                  llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_y,
                  llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_z},
    .describe = describe,
    .barrier = barrier,
    .exchange = exchange,
    .load_where = load_where,
};

}  // namespace leat
