// The row of AMD's GPUs. Source: LLVM's User Guide for AMDGPU Backend: "LLVM IR Attributes",
// "Code Object Metadata", "Memory Model" (fences of a workgroup and of the agent, which is the
// device; the metadata amdgpu-as), "AMDGPU intrinsics" (ds.bpermute).
//
// Without the amdgpu-no-... attributes a kernel is given the packet's address, hidden arguments and
// ids that it does not use, in registers that a dispatch would then have to fill.
#include <llvm/IR/IntrinsicsAMDGPU.h>

#include <string>

#include "leat/base/check.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_versions.h"

namespace leat {

namespace {

constexpr uint32_t kCodeObjectVersion = 500;  // version 5, times 100

void describe(llvm::Function& kernel, const KernelShape& shape) {
  const std::string threads = std::to_string(shape.threads);
  kernel.addFnAttr("amdgpu-flat-work-group-size", threads + "," + threads);
  kernel.addFnAttr("uniform-work-group-size", "true");
  for (const char* unused :
       {"amdgpu-no-dispatch-ptr", "amdgpu-no-queue-ptr", "amdgpu-no-dispatch-id",
        "amdgpu-no-implicitarg-ptr", "amdgpu-no-lds-kernel-id", "amdgpu-no-workitem-id-y",
        "amdgpu-no-workitem-id-z"}) {
    kernel.addFnAttr(unused);
  }
  if (shape.grid[1] == 1) kernel.addFnAttr("amdgpu-no-workgroup-id-y");
  if (shape.grid[2] == 1) kernel.addFnAttr("amdgpu-no-workgroup-id-z");

  llvm::LLVMContext& context = kernel.getContext();
  llvm::Type* i32 = llvm::Type::getInt32Ty(context);
  const auto number = [&](uint32_t value) {
    return llvm::ConstantAsMetadata::get(llvm::ConstantInt::get(i32, value));
  };
  kernel.setMetadata("reqd_work_group_size",
                     llvm::MDNode::get(context, {number(shape.threads), number(1), number(1)}));
  llvm::Module& module = *kernel.getParent();
  module.addModuleFlag(llvm::Module::Error, "amdhsa_code_object_version", kCodeObjectVersion);
}

// The barrier instruction alone orders no memory. Of that only local memory is asked for, so that
// loads of buffers stay in flight across it.
void barrier(llvm::IRBuilder<>& build) {
  llvm::LLVMContext& context = build.getContext();
  const llvm::SyncScope::ID workgroup = context.getOrInsertSyncScopeID("workgroup");
  amdgpu_local_fence(build, llvm::AtomicOrdering::Release, workgroup);
  build.CreateIntrinsic(llvm::Intrinsic::amdgcn_s_barrier, {}, {});
  amdgpu_local_fence(build, llvm::AtomicOrdering::Acquire, workgroup);
}

llvm::Value* lane_read(llvm::IRBuilder<>& build, const LaneShuffle& asked) {
  llvm::Value* lane = asked.lane;
  if (asked.op == ir::Opcode::shuffle_xor) return build.CreateXor(lane, asked.amount);
  if (asked.op == ir::Opcode::shuffle) {
    return build.CreateAnd(asked.amount, build.getInt32(asked.lanes - 1));
  }
  if (asked.op == ir::Opcode::shuffle_up) {
    llvm::Value* is_first = build.CreateICmpULT(lane, asked.amount);
    return build.CreateSelect(is_first, lane, build.CreateSub(lane, asked.amount));
  }
  CHECK(asked.op == ir::Opcode::shuffle_down);
  llvm::Value* other = build.CreateAdd(lane, asked.amount);
  return build.CreateSelect(build.CreateICmpULT(other, build.getInt32(asked.lanes)), other, lane);
}

// The lane to read from is given in bytes of a register.
llvm::Value* shuffle(llvm::IRBuilder<>& build, const LaneShuffle& asked) {
  return build.CreateIntrinsic(llvm::Intrinsic::amdgcn_ds_bpermute, {},
                               {build.CreateShl(lane_read(build, asked), 2), asked.bits});
}

void fence_device(llvm::IRBuilder<>& build) {
  const llvm::SyncScope::ID device = build.getContext().getOrInsertSyncScopeID("agent");
  build.CreateFence(llvm::AtomicOrdering::AcquireRelease, device);
}

llvm::Value* count(llvm::IRBuilder<>& build, llvm::Value* counter, llvm::Value* limit) {
  return build.CreateAtomicRMW(llvm::AtomicRMWInst::UIncWrap, counter, limit, llvm::Align(4),
                               llvm::AtomicOrdering::Monotonic,
                               build.getContext().getOrInsertSyncScopeID("agent"));
}

// Through a word of local memory of its own. Whoever counts again has passed another barrier first,
// so that all have read by then.
llvm::Value* any(llvm::IRBuilder<>& build, llvm::Value* number) {
  constexpr unsigned kLocalSpace = 3;
  llvm::BasicBlock* before = build.GetInsertBlock();
  llvm::Function* kernel = before->getParent();
  auto* word = new llvm::GlobalVariable(*kernel->getParent(), build.getInt32Ty(), false,
                                        llvm::GlobalValue::InternalLinkage,
                                        llvm::UndefValue::get(build.getInt32Ty()), "last_group",
                                        nullptr, llvm::GlobalValue::NotThreadLocal, kLocalSpace);
  llvm::BasicBlock* first = llvm::BasicBlock::Create(build.getContext(), "tell", kernel);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(build.getContext(), "told", kernel);
  llvm::Value* thread = build.CreateIntrinsic(llvm::Intrinsic::amdgcn_workitem_id_x, {}, {});
  build.CreateCondBr(build.CreateICmpEQ(thread, build.getInt32(0)), first, after);
  build.SetInsertPoint(first);
  build.CreateStore(number, word);
  build.CreateBr(after);
  build.SetInsertPoint(after);
  barrier(build);
  return build.CreateLoad(build.getInt32Ty(), word);
}

constexpr GroupCounter kGroupCounter = {.fence = fence_device, .count = count, .any = any};

}  // namespace

const GpuDialect kAmdgpuDialect = {
    .kernel_convention = llvm::CallingConv::AMDGPU_KERNEL,
    .thread_id = llvm::Intrinsic::amdgcn_workitem_id_x,
    .group_ids = {llvm::Intrinsic::amdgcn_workgroup_id_x, llvm::Intrinsic::amdgcn_workgroup_id_y,
                  llvm::Intrinsic::amdgcn_workgroup_id_z},
    .describe = describe,
    .barrier = barrier,
    .shuffle = shuffle,
    .group_counter = &kGroupCounter,
};

}  // namespace leat
