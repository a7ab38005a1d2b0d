// KernelWriter, the frame of a function for CPUs: where buffers and local memory lie, and the loop
// over the workgroups.
#include <llvm/IR/MDBuilder.h>

#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

KernelWriter::KernelWriter(const Program& program, const ChipFeatures& features,
                           const llvm::AttrBuilder& attributes, llvm::Module& module,
                           std::vector<uint8_t> tiles)
    : program_(program),
      features_(features),
      attributes_(attributes),
      module_(module),
      context_(module.getContext()),
      build_(context_),
      affine_(program, features.lane_is_thread()),
      lanes_(program.wave_lanes),
      counter_type_(features.lane_is_thread() ? build_.getInt32Ty() : build_.getInt64Ty()),
      values_(program.values.size()),
      wide_(program.values.size()),
      tiles_(std::move(tiles)) {}

void KernelWriter::write(const std::string& entry) {
  if (features_.lane_is_thread()) {
    write_kernel(entry);
  } else {
    write_function(entry);
  }
}

void KernelWriter::write_function(const std::string& entry) {
  write_entry(entry);
  if (uses_tiles()) configure_tiles();
  write_group_loop();
  if (uses_tiles()) release_tiles();
  build_.CreateRetVoid();
  size_zeros();
}

void KernelWriter::write_entry(const std::string& entry) {
  llvm::Type* i32 = build_.getInt32Ty();
  auto* type = llvm::FunctionType::get(build_.getVoidTy(), {build_.getPtrTy(), i32, i32}, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, entry, module_);
  function_->addFnAttrs(attributes_);
  function_->addParamAttr(0, llvm::Attribute::NoAlias);
  function_->addParamAttr(0, llvm::Attribute::ReadOnly);
  build_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", function_));

  make_alias_scopes();
  lane_id_ = build_.CreateStepVector(llvm::FixedVectorType::get(i32, lanes_));
  wave_id_ = build_.getInt32(0);
  for (uint32_t i = 0; i < program_.parameters.size(); ++i) {
    llvm::Value* place = build_.CreateConstGEP1_32(build_.getPtrTy(), function_->getArg(0), i);
    llvm::LoadInst* base = build_.CreateLoad(build_.getPtrTy(), place, program_.parameters[i].name);
    base->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
    parameters_.push_back(base);
  }
  for (const LocalMemory& local : program_.locals) {
    llvm::Type* array =
        llvm::ArrayType::get(stored_type(local.storage), uint64_t{local.count} * local.width);
    llvm::AllocaInst* memory = build_.CreateAlloca(array, nullptr, local.name);
    memory->setAlignment(llvm::Align(64));
    locals_.push_back(memory);
  }
}

// What is written through one parameter is neither read nor written through another, so accesses
// through one never depend on those through another. Two may be parts of one tensor.
void KernelWriter::make_alias_scopes() {
  llvm::MDBuilder metadata(context_);
  llvm::MDNode* domain = metadata.createAnonymousAliasScopeDomain("buffers");
  std::vector<llvm::Metadata*> all;
  for (const Parameter& parameter : program_.parameters) {
    all.push_back(metadata.createAnonymousAliasScope(domain, parameter.name));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<llvm::Metadata*> others = all;
    others.erase(others.begin() + static_cast<ptrdiff_t>(i));
    scopes_.push_back(llvm::MDNode::get(context_, {all[i]}));
    other_scopes_.push_back(llvm::MDNode::get(context_, others));
  }
}

void KernelWriter::write_group_loop() {
  llvm::Type* i64 = build_.getInt64Ty();
  llvm::Value* first = build_.CreateZExt(function_->getArg(1), i64);
  llvm::Value* end = build_.CreateZExt(function_->getArg(2), i64);
  llvm::BasicBlock* entry = build_.GetInsertBlock();
  llvm::BasicBlock* body = llvm::BasicBlock::Create(context_, "group", function_);
  llvm::BasicBlock* exit = llvm::BasicBlock::Create(context_, "done", function_);
  build_.CreateCondBr(build_.CreateICmpULT(first, end), body, exit);

  build_.SetInsertPoint(body);
  llvm::PHINode* flat = build_.CreatePHI(i64, 2);
  flat->addIncoming(first, entry);
  write_group_ids(flat);
  write_block(0);
  llvm::Value* next = build_.CreateAdd(flat, build_.getInt64(1), "", true, true);
  flat->addIncoming(next, build_.GetInsertBlock());
  build_.CreateCondBr(build_.CreateICmpULT(next, end), body, exit);
  build_.SetInsertPoint(exit);
}

// Divisions by 1 fold to nothing, those by other constants to multiplications.
void KernelWriter::write_group_ids(llvm::Value* flat) {
  llvm::Value* rest = build_.CreateTrunc(flat, build_.getInt32Ty());
  for (int axis = 0; axis < 3; ++axis) {
    const uint32_t extent = program_.grid[static_cast<size_t>(axis)];
    llvm::Value* id = rest;
    if (extent == 1) {
      id = build_.getInt32(0);
    } else if (axis < 2) {
      id = build_.CreateURem(rest, build_.getInt32(extent));
      rest = build_.CreateUDiv(rest, build_.getInt32(extent));
    }
    group_ids_[axis] = build_.CreateZExt(id, build_.getInt64Ty());
  }
}

}  // namespace leat
