// KernelWriter, memory. What an access becomes on a CPU, in the order in which it is tried:
//   one address for all lanes      a scalar access, broadcast on use
//   lanes side by side             a vector access; short vectors through shuffles of a longer one
//   all else                       one access for each lane
// A masked-off lane must touch no memory, but a branch in an inner loop costs more than a load:
// loads read zeros of our own instead, their address is selected. Stores under a uniform mask do
// branch.
#include <llvm/IR/DataLayout.h>

#include <algorithm>

#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

namespace {

// Zeros that stand for the rows of padding which one load runs over; more would displace data from
// the first-level cache.
constexpr int64_t kZeroBytesMax = 65536;
// Accesses that are only this far apart share one pointer into the zeros, and so one register.
constexpr int64_t kZeroStepBytes = 4096;
// An asynchronous copy is addressed by its first element.
constexpr int64_t kCopyBytesMax = 16;

// Position of each component of each lane in memory order, or back: 0, width, 2*width, .., 1, ..
llvm::SmallVector<int, 64> every(uint32_t step, uint32_t count, uint32_t first) {
  llvm::SmallVector<int, 64> positions;
  for (uint32_t i = 0; i < count; ++i) positions.push_back(static_cast<int>(first + i * step));
  return positions;
}

}  // namespace

// Two that follow each other become one load of 32 bits, if they have one pointer.
bool KernelWriter::may_be_half_of_pair(const Access& access) {
  return access.storage == DType::bf16 && access.width == 1;
}

KernelWriter::Access KernelWriter::access_of(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const bool is_load = instruction.op == Opcode::load || instruction.op == Opcode::load_local;
  const bool is_local =
      instruction.op == Opcode::load_local || instruction.op == Opcode::store_local;
  Access access;
  access.is_load = is_load;
  access.slot = instruction.slot;
  access.width = program_.values[is_load ? instruction.first_result : operands[1]].width;
  access.storage = is_local ? program_.locals[instruction.slot].storage
                            : program_.parameters[instruction.slot].storage;
  access.element = stored_type(access.storage);
  access.element_bytes = static_cast<uint32_t>(size_bytes_of(access.storage));
  if (is_local) {
    set_place(access, locals_[instruction.slot], operands[0], kIndexed);
    return access;
  }
  access.parameter = &program_.parameters[instruction.slot];
  if (instruction.masked) {
    access.mask_value = operands.back();
    access.mask = values_[operands.back()][0];
  }
  set_place(access, parameters_[instruction.slot], operands[0], instruction.lane_stride);
  return access;
}

void KernelWriter::set_place(Access& access, llvm::Value* base, ValueId index,
                             int64_t lane_stride) {
  std::optional<AffineIndex> affine = affine_.split(index);
  if (affine && lane_stride != kIndexed) affine->lane_stride += lane_stride;
  if (affine) {
    access.lane_step_bytes = affine->lane_stride * access.unit_bytes();
    access.pointer = features_.lane_is_thread() ? thread_address(access, base, *affine)
                                                : address(access, base, *affine);
    return;
  }
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    llvm::Value* number = build_.CreateExtractElement(values_[index][0], uint64_t{lane});
    llvm::Value* offset = build_.CreateMul(build_.CreateSExt(number, build_.getInt64Ty()),
                                           bytes(access.unit_bytes()));
    access.lane_pointers.push_back(build_.CreateGEP(build_.getInt8Ty(), base, offset));
  }
}

// The parts are added outermost loop first, so that each sum is invariant as far out as possible,
// and the constant last, where it becomes the displacement of the access. The uniform mask of a
// load is spent here: between the parts that change no more often than the mask and the others the
// pointer is replaced by one to zeros, from where all the other parts stay within the zeros. So an
// inner loop that runs over the channels of a padded row sees neither mask nor select.
llvm::Value* KernelWriter::address(Access& access, llvm::Value* base, const AffineIndex& index) {
  const std::span<const AffineTerm> terms = index.terms;
  size_t outer_count = terms.size();
  std::optional<Reach> reach;
  if (access.is_load && access.mask != nullptr && !access.masked_by_lane()) {
    const uint32_t depth = affine_.depth_of(access.mask_value);
    const auto inner = std::ranges::find_if(
        terms, [&](const AffineTerm& term) { return affine_.depth_of(term.leaf) > depth; });
    outer_count = static_cast<size_t>(inner - terms.begin());
    reach = reach_of(access, index, outer_count);
    if (!reach) reach = reach_of(access, index, outer_count = terms.size());
  }

  int64_t constant = index.constant;
  const auto add_terms = [&](std::span<const AffineTerm> some) {
    for (const AffineTerm& term : some) {
      llvm::Value* offset =
          build_.CreateMul(wide(term.leaf), bytes(term.factor * access.unit_bytes()));
      base = build_.CreateGEP(build_.getInt8Ty(), base, offset);
    }
  };
  add_terms(terms.first(outer_count));
  if (reach) {
    if (outer_count == terms.size() && !may_be_half_of_pair(access)) {
      // One address of zeros then serves all constants.
      base = moved(base, constant * access.unit_bytes());
      reach->low -= index.constant * access.unit_bytes();
      reach->high -= index.constant * access.unit_bytes();
      constant = 0;
    }
    base = build_.CreateSelect(access.mask, base, moved(zeros(), -reach->low));
    zeros_bytes_ = std::max(zeros_bytes_, reach->high - reach->low);
    access.mask = nullptr;
  }
  add_terms(terms.subspan(outer_count));
  return moved(base, constant * access.unit_bytes());
}

// Where an access goes, seen from the sum of the terms before `first`; nullopt when that is unknown
// or more than the zeros may span.
std::optional<KernelWriter::Reach> KernelWriter::reach_of(const Access& access,
                                                          const AffineIndex& index, size_t first) {
  Reach reach = {index.constant * access.unit_bytes(), (index.constant + 1) * access.unit_bytes()};
  const auto extend = [&](int64_t a, int64_t b) {
    reach.low += std::min(a, b);
    reach.high += std::max(a, b);
  };
  extend(0, access.lane_step_bytes * (int64_t{lanes_} - 1));
  for (size_t i = first; i < index.terms.size(); ++i) {
    const std::optional<CounterRange> range = affine_.counter_range_of(index.terms[i].leaf);
    if (!range) return std::nullopt;
    const int64_t factor = index.terms[i].factor * access.unit_bytes();
    extend(range->first * factor, range->last * factor);
  }
  if (first < index.terms.size() || may_be_half_of_pair(access)) {
    reach.low = reach.low & ~(kZeroStepBytes - 1);
  }
  if (reach.high - reach.low > kZeroBytesMax) return std::nullopt;
  return reach;
}

llvm::Value* KernelWriter::wide(ValueId value) {
  llvm::Value* known = wide_[value] != nullptr ? wide_[value] : values_[value][0];
  return build_.CreateSExt(known, build_.getInt64Ty());
}

llvm::Value* KernelWriter::moved(llvm::Value* pointer, int64_t offset_bytes) {
  if (offset_bytes == 0) return pointer;
  return build_.CreateGEP(build_.getInt8Ty(), pointer, bytes(offset_bytes));
}

llvm::Constant* KernelWriter::bytes(int64_t size_bytes) {
  return build_.getInt64(static_cast<uint64_t>(size_bytes));
}

llvm::Value* KernelWriter::lane_pointer(const Access& access, uint32_t lane, uint32_t component) {
  const int64_t offset = int64_t{component} * access.element_bytes;
  if (access.pointer == nullptr) return moved(access.lane_pointers[lane], offset);
  return moved(access.pointer, offset + int64_t{lane} * access.lane_step_bytes);
}

// Stands in for the zeros until write() knows how many are needed.
llvm::Value* KernelWriter::zeros() {
  if (zeros_ == nullptr) zeros_ = new_zeros(1);
  return zeros_;
}

// Not marked constant, so that they take no room in the object file; nothing writes them.
llvm::GlobalVariable* KernelWriter::new_zeros(int64_t size_bytes) {
  auto* type = llvm::ArrayType::get(build_.getInt8Ty(), static_cast<uint64_t>(size_bytes));
  auto* variable =
      new llvm::GlobalVariable(module_, type, false, llvm::GlobalValue::InternalLinkage,
                               llvm::ConstantAggregateZero::get(type), "zeros");
  variable->setAlignment(llvm::Align(64));
  return variable;
}

void KernelWriter::size_zeros() {
  if (zeros_ == nullptr) return;
  zeros_->replaceAllUsesWith(new_zeros(zeros_bytes_ + (uses_tiles() ? kCopyBytesMax : 0)));
  zeros_->eraseFromParent();
}

void KernelWriter::mark(llvm::Instruction* instruction, const Access& access) {
  if (access.parameter == nullptr) return;
  instruction->setMetadata(llvm::LLVMContext::MD_alias_scope, scopes_[access.slot]);
  instruction->setMetadata(llvm::LLVMContext::MD_noalias, other_scopes_[access.slot]);
  if (llvm::isa<llvm::LoadInst>(instruction) && !access.parameter->written) {
    instruction->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
  }
}

// f16 without an instruction for it, and bf16, are taken for whole numbers.
llvm::Type* KernelWriter::stored_type(DType storage) {
  switch (storage) {
    case DType::f32: return build_.getFloatTy();
    case DType::f64: return build_.getDoubleTy();
    case DType::f16: return features_.half_conversion ? build_.getHalfTy() : build_.getInt16Ty();
    case DType::bf16:
    case DType::i16:
    case DType::u16: return build_.getInt16Ty();
    case DType::i8:
    case DType::u8: return build_.getInt8Ty();
    case DType::i32:
    case DType::u32: return build_.getInt32Ty();
    case DType::i64:
    case DType::u64: return build_.getInt64Ty();
    case DType::boolean:
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0:
    case DType::f4e2m1:
    case DType::i4:
    case DType::u4:
    case DType::i2:
    case DType::u2: break;
  }
  CHECK(false);
}

llvm::Value* KernelWriter::widened(llvm::Value* value, const Access& access) {
  if (access.element_bytes >= 4) return value;
  if (access.storage == DType::bf16) return float_from_bfloat_bits(build_, value);
  llvm::Type* type = value->getType()->getWithNewType(type_of(compute_of(access.storage)));
  if (access.storage != DType::f16) {
    const bool has_sign = access.storage == DType::i8 || access.storage == DType::i16;
    return has_sign ? build_.CreateSExt(value, type) : build_.CreateZExt(value, type);
  }
  if (!features_.half_conversion) return float_from_half_bits(build_, value);
  return build_.CreateFPExt(value, type);
}

llvm::Value* KernelWriter::narrowed(llvm::Value* value, const Access& access) {
  if (access.element_bytes >= 4) return value;
  if (access.storage == DType::bf16) return bfloat_bits_from_float(build_, value);
  llvm::Type* type = value->getType()->getWithNewType(access.element);
  if (access.storage != DType::f16) return build_.CreateTrunc(value, type);
  if (!features_.half_conversion) return half_bits_from_float(build_, value);
  return build_.CreateFPTrunc(value, type);
}

void KernelWriter::write_load(const Instruction& instruction) {
  const Access access = access_of(instruction);
  if (features_.lane_is_thread()) return write_thread_load(instruction, access);
  const bool varying = program_.values[instruction.first_result].varying;
  Components& result = values_[instruction.first_result];
  result.clear();
  const bool has_masks = access.element_bytes == 4   ? features_.masked_memory
                         : access.element_bytes <= 2 ? features_.masked_narrow
                                                     : false;
  const bool is_vector =
      access.is_contiguous() &&
      (access.mask == nullptr || (access.masked_by_lane() && access.width == 1 && has_masks));
  if (is_vector && varying) {
    llvm::Value* all = load_vector(access);
    for (uint32_t component = 0; component < access.width; ++component) {
      result.push_back(access.width == 1 ? all
                                         : build_.CreateShuffleVector(
                                               all, every(access.width, lanes_, component)));
    }
    return;
  }
  const bool one_address = access.pointer != nullptr && access.lane_step_bytes == 0;
  for (uint32_t component = 0; component < access.width; ++component) {
    llvm::Value* value =
        one_address || !varying ? load_one(access, component) : load_lanes(access, component);
    result.push_back(varying ? splat(value) : value);
  }
}

// One element for all lanes.
llvm::Value* KernelWriter::load_one(const Access& access, uint32_t component) {
  llvm::Value* pointer = lane_pointer(access, 0, component);
  if (access.masked_by_lane()) {
    pointer = build_.CreateSelect(build_.CreateOrReduce(access.mask), pointer, zeros());
  }
  llvm::LoadInst* load =
      build_.CreateAlignedLoad(access.element, pointer, llvm::Align(access.element_bytes));
  mark(load, access);
  llvm::Value* value = widened(load, access);
  if (!access.masked_by_lane()) return value;
  llvm::Value* all = splat(value);
  return build_.CreateSelect(access.mask, all, llvm::Constant::getNullValue(all->getType()));
}

// The elements of all lanes, lane by lane, each with all its components.
llvm::Value* KernelWriter::load_vector(const Access& access) {
  const llvm::Align align(access.element_bytes);
  auto* type = llvm::FixedVectorType::get(access.element, lanes_ * access.width);
  if (access.masked_by_lane()) {
    llvm::CallInst* load = build_.CreateMaskedLoad(type, access.pointer, align, access.mask,
                                                   llvm::Constant::getNullValue(type));
    mark(load, access);
    return widened(load, access);
  }
  llvm::LoadInst* load = build_.CreateAlignedLoad(type, access.pointer, align);
  mark(load, access);
  return widened(load, access);
}

llvm::Value* KernelWriter::load_lanes(const Access& access, uint32_t component) {
  llvm::Value* result = llvm::PoisonValue::get(llvm::FixedVectorType::get(access.element, lanes_));
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    llvm::Value* pointer = lane_pointer(access, lane, component);
    if (access.mask != nullptr) {
      llvm::Value* bit = access.mask;
      if (access.masked_by_lane()) bit = build_.CreateExtractElement(bit, uint64_t{lane});
      pointer = build_.CreateSelect(bit, pointer, zeros());
    }
    llvm::LoadInst* load =
        build_.CreateAlignedLoad(access.element, pointer, llvm::Align(access.element_bytes));
    mark(load, access);
    result = build_.CreateInsertElement(result, load, uint64_t{lane});
  }
  return widened(result, access);
}

void KernelWriter::write_store(const Instruction& instruction) {
  Access access = access_of(instruction);
  Components values = values_[program_.operands_of(instruction)[1]];
  for (llvm::Value*& value : values) value = narrowed(value, access);
  const bool branches = access.mask != nullptr && !access.masked_by_lane();
  if (!branches) return store_components(access, values);

  llvm::BasicBlock* then = llvm::BasicBlock::Create(context_, "store", function_);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(context_, "after", function_);
  build_.CreateCondBr(access.mask, then, after);
  build_.SetInsertPoint(then);
  access.mask = nullptr;
  store_components(access, values);
  build_.CreateBr(after);
  build_.SetInsertPoint(after);
}

// Here a mask, if there is one, differs by lane.
void KernelWriter::store_components(const Access& access, const Components& values) {
  if (features_.lane_is_thread()) return store_thread(access, values);
  const bool one_address = access.pointer != nullptr && access.lane_step_bytes == 0;
  if (one_address && access.mask == nullptr) return store_one(access, values);
  if (access.is_contiguous()) return store_vector(access, values);
  for (uint32_t component = 0; component < access.width; ++component) {
    store_lanes(access, values[component], component);
  }
}

// All lanes write one place: the last one's value stays.
void KernelWriter::store_one(const Access& access, const Components& values) {
  for (uint32_t component = 0; component < access.width; ++component) {
    llvm::Value* value = values[component];
    if (value->getType()->isVectorTy()) {
      value = build_.CreateExtractElement(value, uint64_t{lanes_ - 1});
    }
    mark(build_.CreateAlignedStore(value, lane_pointer(access, 0, component),
                                   llvm::Align(access.element_bytes)),
         access);
  }
}

// The components of all lanes, lane by lane, from one vector for each component.
llvm::Value* KernelWriter::interleaved(const Components& values) {
  if (values.size() == 1) return splat(values[0]);
  const auto joined = [&](llvm::Value* a, llvm::Value* b) {
    const auto* type = llvm::cast<llvm::FixedVectorType>(a->getType());
    return build_.CreateShuffleVector(a, b, every(1, 2 * type->getNumElements(), 0));
  };
  const auto pair = [&](size_t first) {
    llvm::Value* second = splat(values[first + 1]);
    return joined(splat(values[first]), second);
  };
  llvm::Value* all = pair(0);
  if (values.size() == 4) all = joined(all, pair(2));
  llvm::SmallVector<int, 64> order;
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    order.append(every(lanes_, static_cast<uint32_t>(values.size()), lane));
  }
  return build_.CreateShuffleVector(all, order);
}

void KernelWriter::store_vector(const Access& access, const Components& values) {
  const llvm::Align align(access.element_bytes);
  llvm::Value* all = interleaved(values);
  if (access.mask == nullptr) {
    mark(build_.CreateAlignedStore(all, access.pointer, align), access);
    return;
  }
  llvm::SmallVector<int, 64> lane_of;
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    lane_of.append(access.width, static_cast<int>(lane));
  }
  llvm::Value* mask = build_.CreateShuffleVector(access.mask, lane_of);
  mark(build_.CreateMaskedStore(all, access.pointer, align, mask), access);
}

void KernelWriter::store_lanes(const Access& access, llvm::Value* value, uint32_t component) {
  const llvm::Align align(access.element_bytes);
  value = splat(value);
  llvm::Value* pointers =
      llvm::PoisonValue::get(llvm::FixedVectorType::get(build_.getPtrTy(), lanes_));
  for (uint32_t lane = 0; lane < lanes_; ++lane) {
    llvm::Value* pointer = lane_pointer(access, lane, component);
    if (access.mask == nullptr) {
      llvm::Value* element = build_.CreateExtractElement(value, uint64_t{lane});
      mark(build_.CreateAlignedStore(element, pointer, align), access);
    } else {
      pointers = build_.CreateInsertElement(pointers, pointer, uint64_t{lane});
    }
  }
  if (access.mask != nullptr) {
    mark(build_.CreateMaskedScatter(value, pointers, align, access.mask), access);
  }
}

}  // namespace leat
