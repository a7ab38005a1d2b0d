// KernelWriter where a lane is a thread: the frame of a kernel for GPUs, its accesses to memory and
// its reductions. A kernel's parameters are the buffers' global pointers; all local memory is one
// dynamic array; a workgroup is one row of threads, wave_lanes of them a wave. What the back ends
// do not share is in the chip's GpuDialect.
#include <llvm/IR/MDBuilder.h>

#include <algorithm>

#include "leat/base/kernel_binary.h"
#include "leat/emit/llvm_dialect.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

namespace {

constexpr unsigned kGlobalSpace = 1;
constexpr unsigned kSharedSpace = 3;
constexpr uint64_t kBufferAlign = 256;  // BufferRange's offsets, see device/device.h
constexpr uint32_t kLocalAlign = 16;    // of the widest access, four 32-bit elements
constexpr uint32_t kTileAlign = 1024;   // of swizzled rows: eight of them repeat

}  // namespace

const GpuDialect* dialect_of(CodeFormat format) {
  switch (format) {
    case CodeFormat::cubin: return &kNvptxDialect;
    case CodeFormat::amdgpu_object: return &kAmdgpuDialect;
    case CodeFormat::native_object:
    case CodeFormat::spirv_pointers:
    case CodeFormat::spirv_bindings:
    case CodeFormat::wgsl:
    case CodeFormat::interpreted: return nullptr;
  }
  return nullptr;
}

bool has_tile_products(const Program& program) {
  return std::ranges::any_of(program.values,
                             [](const Type& type) { return type.fragment.waves > 1; });
}

namespace {

uint32_t local_align(const Program& program) {
  return has_tile_products(program) ? kTileAlign : kLocalAlign;
}

}  // namespace

std::vector<uint32_t> local_offsets(const Program& program) {
  const uint32_t align = local_align(program);
  std::vector<uint32_t> offsets = {0};
  for (const LocalMemory& local : program.locals) {
    const uint32_t end = offsets.back() + local.size_bytes();
    offsets.push_back((end + align - 1) / align * align);
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
  function_->setCallingConv(features_.gpu->kernel_convention);
  function_->addFnAttrs(attributes_);
  const auto& [x, y, z] = program_.grid;
  features_.gpu->describe(*function_,
                          {.threads = lanes_ * program_.waves_per_workgroup, .grid = {x, y, z}});
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
  llvm::Value* thread = number(features_.gpu->thread_id, lanes_ * waves);
  lane_id_ = waves == 1 ? thread : build_.CreateURem(thread, build_.getInt32(lanes_));
  wave_id_ = waves == 1 ? build_.getInt32(0) : build_.CreateUDiv(thread, build_.getInt32(lanes_));
  for (size_t axis = 0; axis < 3; ++axis) {
    const uint32_t extent = program_.grid[axis];
    group_ids_[axis] =
        extent == 1 ? build_.getInt32(0) : number(features_.gpu->group_ids[axis], extent);
  }
}

void KernelWriter::write_dynamic_locals() {
  if (program_.locals.empty()) return;
  auto* type = llvm::ArrayType::get(build_.getInt8Ty(), 0);
  auto* memory = new llvm::GlobalVariable(module_, type, false, llvm::GlobalValue::ExternalLinkage,
                                          nullptr, "leat_local", nullptr,
                                          llvm::GlobalValue::NotThreadLocal, kSharedSpace);
  memory->setAlignment(llvm::Align(local_align(program_)));
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
    llvm::Value* offset =
        build_.CreateMul(wide(term.leaf), bytes(term.factor * access.unit_bytes()));
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
    value = load_where(access, type);
  }
  value = widened(value, access);
  Components& result = values_[instruction.first_result];
  result.clear();
  for (uint64_t i = 0; i < access.width; ++i) {
    result.push_back(access.width == 1 ? value : build_.CreateExtractElement(value, i));
  }
}

// An element that is not there is never loaded: then no lane's mask is set.
llvm::Value* KernelWriter::load_where(const Access& access, llvm::Type* type) {
  if (features_.gpu->load_where != nullptr) {
    return features_.gpu->load_where(build_, {.pointer = access.pointer,
                                              .mask = access.mask,
                                              .element = access.element,
                                              .width = access.width,
                                              .is_read_only = !access.parameter->written});
  }
  llvm::Constant* nothing = llvm::Constant::getNullValue(type);
  if (access.parameter->element_count < access.width) return nothing;
  llvm::Value* pointer = build_.CreateSelect(access.mask, access.pointer, parameters_[access.slot]);
  llvm::LoadInst* load = build_.CreateAlignedLoad(
      type, pointer, llvm::Align(static_cast<uint64_t>(access.unit_bytes())));
  mark(load, access);
  return build_.CreateSelect(access.mask, load, nothing);
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
    llvm::Value* other = features_.gpu->shuffle(build_, {.op = Opcode::shuffle_xor,
                                                         .bits = build_.CreateBitCast(value, i32),
                                                         .lane = lane_id_,
                                                         .amount = build_.getInt32(half),
                                                         .lanes = lanes_});
    value = joined(reduction, value, build_.CreateBitCast(other, value->getType()));
  }
  return value;
}

}  // namespace leat
