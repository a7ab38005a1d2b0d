// KernelWriter where a lane is a thread: the frame of a kernel for NVIDIA GPUs, its accesses to
// memory and its reductions. A kernel's parameters are the buffers' global pointers; all local
// memory is one dynamic shared array; a workgroup is one row of threads, 32 of them a wave.
// Sources: LLVM's User Guide for NVPTX Back-end (address spaces, annotations, intrinsics); PTX ISA
// 8.0, "Parallel Synchronization and Communication Instructions: shfl.sync".
//
// A masked load is one predicated instruction in front of which zeros are put into its registers.
// As a branch around the load it would be a block of its own, across which loads are not gathered.
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsNVPTX.h>
#include <llvm/IR/MDBuilder.h>

#include "leat/base/kernel_binary.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

namespace {

constexpr unsigned kGlobalSpace = 1;
constexpr unsigned kSharedSpace = 3;
constexpr uint64_t kBufferAlign = 256;  // BufferRange's offsets, see device/device.h
constexpr uint32_t kLocalAlign = 16;    // of the widest access, four 32-bit elements

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

/// "$0" or "{$0, $1}".
std::string operand_list(uint32_t width) {
  if (width == 1) return "$0";
  std::string text = "{$0";
  for (uint32_t i = 1; i < width; ++i) text += ", $" + std::to_string(i);
  return text + "}";
}

}  // namespace

std::vector<uint32_t> local_offsets(const Program& program) {
  std::vector<uint32_t> offsets = {0};
  for (const LocalMemory& local : program.locals) {
    const uint32_t end = offsets.back() + local.size_bytes();
    offsets.push_back((end + kLocalAlign - 1) / kLocalAlign * kLocalAlign);
  }
  return offsets;
}

void KernelWriter::write_kernel(const std::string& entry) {
  write_kernel_entry(entry);
  make_alias_scopes();
  write_thread_ids();
  write_dynamic_locals();
  write_block(0);
  build_.CreateRetVoid();
}

void KernelWriter::write_kernel_entry(const std::string& entry) {
  const std::vector<llvm::Type*> types(program_.parameters.size(), build_.getPtrTy(kGlobalSpace));
  auto* type = llvm::FunctionType::get(build_.getVoidTy(), types, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, entry, module_);
  function_->setCallingConv(llvm::CallingConv::PTX_Kernel);
  function_->addFnAttrs(attributes_);
  annotate(*function_, "reqntidx", lanes_ * program_.waves_per_workgroup);
  annotate(*function_, "reqntidy", 1);
  annotate(*function_, "reqntidz", 1);
  if (features_.workgroups_min > 0) annotate(*function_, "minctasm", features_.workgroups_min);
  for (uint32_t i = 0; i < program_.parameters.size(); ++i) {
    function_->addParamAttr(i, llvm::Attribute::NoAlias);
    function_->addParamAttr(i,
                            llvm::Attribute::getWithAlignment(context_, llvm::Align(kBufferAlign)));
    if (!program_.parameters[i].written) function_->addParamAttr(i, llvm::Attribute::ReadOnly);
    parameters_.push_back(function_->getArg(i));
  }
  build_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", function_));
}

void KernelWriter::write_thread_ids() {
  const auto number = [&](llvm::Intrinsic::ID intrinsic, uint32_t count) -> llvm::Value* {
    llvm::CallInst* call = build_.CreateIntrinsic(intrinsic, {}, {});
    call->setMetadata(llvm::LLVMContext::MD_range, llvm::MDBuilder(context_).createRange(
                                                       llvm::APInt(32, 0), llvm::APInt(32, count)));
    return call;
  };
  const uint32_t waves = program_.waves_per_workgroup;
  llvm::Value* thread = number(llvm::Intrinsic::nvvm_read_ptx_sreg_tid_x, lanes_ * waves);
  lane_id_ = waves == 1 ? thread : build_.CreateURem(thread, build_.getInt32(lanes_));
  wave_id_ = waves == 1 ? build_.getInt32(0) : build_.CreateUDiv(thread, build_.getInt32(lanes_));
  constexpr llvm::Intrinsic::ID kGroups[] = {llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_x,
                                             llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_y,
                                             llvm::Intrinsic::nvvm_read_ptx_sreg_ctaid_z};
  for (size_t axis = 0; axis < 3; ++axis) {
    const uint32_t extent = program_.grid[axis];
    group_ids_[axis] = extent == 1 ? build_.getInt32(0) : number(kGroups[axis], extent);
  }
}

void KernelWriter::write_dynamic_locals() {
  if (program_.locals.empty()) return;
  auto* type = llvm::ArrayType::get(build_.getInt8Ty(), 0);
  auto* memory = new llvm::GlobalVariable(module_, type, false, llvm::GlobalValue::ExternalLinkage,
                                          nullptr, "leat_local", nullptr,
                                          llvm::GlobalValue::NotThreadLocal, kSharedSpace);
  memory->setAlignment(llvm::Align(kLocalAlign));
  for (const uint32_t offset : local_offsets(program_)) locals_.push_back(moved(memory, offset));
}

// The terms of one loop depth are summed before they join the pointer: accesses that differ only
// further out then share the sum, and the constant becomes the displacement of the access.
llvm::Value* KernelWriter::thread_address(const Access& access, llvm::Value* base,
                                          const AffineIndex& index) {
  int64_t constant = index.constant;
  llvm::Value* sum = nullptr;
  if (index.lane_stride != 0) {
    sum = build_.CreateMul(build_.CreateZExt(lane_id_, build_.getInt64Ty()),
                           bytes(index.lane_stride * access.unit_bytes()));
  }
  for (size_t i = 0; i < index.terms.size(); ++i) {
    const AffineTerm& term = index.terms[i];
    const Wide leaf = wide(term.leaf);
    constant += leaf.offset * term.factor;
    llvm::Value* offset = build_.CreateMul(leaf.base, bytes(term.factor * access.unit_bytes()));
    sum = sum == nullptr ? offset : build_.CreateAdd(sum, offset);
    const bool is_last = i + 1 == index.terms.size();
    if (!is_last && affine_.depth_of(index.terms[i + 1].leaf) == affine_.depth_of(term.leaf)) {
      continue;
    }
    base = build_.CreateGEP(build_.getInt8Ty(), base, sum);
    sum = nullptr;
  }
  if (sum != nullptr) base = build_.CreateGEP(build_.getInt8Ty(), base, sum);
  return moved(base, constant * access.unit_bytes());
}

void KernelWriter::write_thread_load(const Instruction& instruction, const Access& access) {
  llvm::Type* type = access.element;
  if (access.width > 1) type = llvm::FixedVectorType::get(access.element, access.width);
  llvm::Value* value = nullptr;
  if (access.mask == nullptr) {
    llvm::LoadInst* load = build_.CreateAlignedLoad(
        type, access.pointer, llvm::Align(static_cast<uint64_t>(access.unit_bytes())));
    mark(load, access);
    value = load;
  } else {
    value = load_predicated(access, type);
  }
  value = widened(value, access);
  Components& result = values_[instruction.first_result];
  result.clear();
  for (uint64_t i = 0; i < access.width; ++i) {
    result.push_back(access.width == 1 ? value : build_.CreateExtractElement(value, i));
  }
}

// Constraint letters: f, r, h are registers of f32, 32 and 16 bits, d and l of f64 and 64 bits, b a
// predicate. Bytes are loaded into registers of 16 bits, the smallest there are.
// An output is written before the inputs are read, hence the &.
llvm::Value* KernelWriter::load_predicated(const Access& access, llvm::Type* type) {
  const bool is_narrow = access.element_bytes < 4;  // in a register of 16 bits
  llvm::Type* element = is_narrow ? build_.getInt16Ty() : access.element;
  const std::string moved_bits = access.element_bytes == 8 ? "b64" : is_narrow ? "b16" : "b32";
  const std::string bits = access.element_bytes == 1 ? "u8" : moved_bits;
  const std::string letter = is_narrow                   ? "h"
                             : element->isFloatTy()      ? "f"
                             : element->isDoubleTy()     ? "d"
                             : access.element_bytes == 8 ? "l"
                                                         : "r";
  std::string text;
  std::string constraints;
  for (uint32_t i = 0; i < access.width; ++i) {
    text += "mov." + moved_bits + " $" + std::to_string(i) + ", 0;\n\t";
    constraints += "=&" + letter + ",";
  }
  text += "@$" + std::to_string(access.width + 1) + " ld.global";
  if (!access.parameter->written) text += ".nc";
  if (access.width > 1) text += ".v" + std::to_string(access.width);
  text +=
      "." + bits + " " + operand_list(access.width) + ", [$" + std::to_string(access.width) + "];";
  llvm::Type* result = element;
  if (access.width > 1) {
    result = llvm::StructType::get(context_, std::vector<llvm::Type*>(access.width, element));
  }
  auto* signature =
      llvm::FunctionType::get(result, {access.pointer->getType(), build_.getInt1Ty()}, false);
  llvm::CallInst* call = build_.CreateCall(
      signature, llvm::InlineAsm::get(signature, text, constraints + "l,b", false),
      {access.pointer, access.mask});
  call->setMemoryEffects(access.parameter->written ? llvm::MemoryEffects::readOnly()
                                                   : llvm::MemoryEffects::none());
  call->setDoesNotThrow();
  call->addFnAttr(llvm::Attribute::WillReturn);
  const auto as_element = [&](llvm::Value* part) {
    if (access.element_bytes == 1) return build_.CreateTrunc(part, access.element);
    return build_.CreateBitCast(part, access.element);
  };
  if (access.width == 1) return as_element(call);
  llvm::Value* vector = llvm::PoisonValue::get(type);
  for (uint32_t i = 0; i < access.width; ++i) {
    llvm::Value* part = as_element(build_.CreateExtractValue(call, i));
    vector = build_.CreateInsertElement(vector, part, uint64_t{i});
  }
  return vector;
}

void KernelWriter::store_thread(const Access& access, const Components& values) {
  llvm::Value* value = values[0];
  if (access.width > 1) {
    value = llvm::PoisonValue::get(llvm::FixedVectorType::get(access.element, access.width));
    for (uint32_t i = 0; i < access.width; ++i) {
      value = build_.CreateInsertElement(value, values[values.size() == 1 ? 0 : i], uint64_t{i});
    }
  }
  mark(build_.CreateAlignedStore(value, access.pointer,
                                 llvm::Align(static_cast<uint64_t>(access.unit_bytes()))),
       access);
}

// Lane i joins lane i ^ n/2: the halving tree of ir.h with its operands swapped in the upper half
// of the lanes. All operations commute, so every lane ends with the bits of lane 0.
llvm::Value* KernelWriter::reduce_threads(Opcode reduction, llvm::Value* value) {
  llvm::Type* i32 = build_.getInt32Ty();
  for (uint32_t half = lanes_ / 2; half > 0; half /= 2) {
    llvm::Value* other =
        build_.CreateIntrinsic(llvm::Intrinsic::nvvm_shfl_sync_bfly_i32, {},
                               {build_.getInt32(0xffffffffu), build_.CreateBitCast(value, i32),
                                build_.getInt32(half), build_.getInt32(lanes_ - 1)});
    value = joined(reduction, value, build_.CreateBitCast(other, value->getType()));
  }
  return value;
}

}  // namespace leat
