// KernelWriter, fragments of matrix units on a CPU: AMX, whose registers have numbers that
// tile_registers.h gives out; LLVM's own allocation does not take them through a loop. What they
// hold, 16 rows of 64 bytes, each thread says to itself at the start of a kernel and takes back at
// its end, so that it has no more state than others where it is not in one.
// Source: Intel SDM vol. 2, LDTILECFG (the 64 bytes), TILELOADD, TDPBF16PS.
#include <llvm/IR/IntrinsicsX86.h>

#include "leat/base/check.h"
#include "leat/emit/llvm_writer.h"

namespace leat {

using namespace ir;

namespace {

constexpr size_t kConfigBytes = 64, kColumnBytesAt = 16, kRowsAt = 48;
constexpr uint32_t kTiles = 8, kRows = 16, kRowBytes = 64;

}  // namespace

bool KernelWriter::uses_tiles() const { return !tiles_.empty() && !features_.lane_is_thread(); }

void KernelWriter::configure_tiles() {
  std::array<uint8_t, kConfigBytes> config = {1};  // the palette
  for (size_t tile = 0; tile < kTiles; ++tile) {
    config[kColumnBytesAt + 2 * tile] = kRowBytes;
    config[kRowsAt + tile] = kRows;
  }
  llvm::Constant* bytes = llvm::ConstantDataArray::get(context_, config);
  auto* global = new llvm::GlobalVariable(module_, bytes->getType(), true,
                                          llvm::GlobalValue::InternalLinkage, bytes, "tiles");
  global->setAlignment(llvm::Align(kConfigBytes));
  build_.CreateIntrinsic(llvm::Intrinsic::x86_ldtilecfg, {}, {global});
}

void KernelWriter::release_tiles() {
  build_.CreateIntrinsic(llvm::Intrinsic::x86_tilerelease, {}, {});
}

llvm::Value* KernelWriter::tile_of(ValueId fragment) { return build_.getInt8(tiles_[fragment]); }

void KernelWriter::write_tile_access(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  const bool is_store =
      instruction.op == Opcode::fragment_store || instruction.op == Opcode::fragment_store_local;
  const ValueId fragment = is_store ? operands[2] : instruction.first_result;
  const DType element = program_.values[fragment].fragment.element;
  const bool is_local = is_local_access(instruction.op);
  Access access;
  access.element_bytes = static_cast<uint32_t>(size_bytes_of(element));
  const std::optional<AffineIndex> affine = affine_.split(operands[0]);
  CHECK(affine.has_value());
  llvm::Value* pointer = address(
      access, is_local ? locals_[instruction.slot] : parameters_[instruction.slot], *affine);
  llvm::Value* stride = build_.CreateMul(wide(operands[1]), bytes(access.element_bytes));
  const llvm::Intrinsic::ID move =
      is_store ? llvm::Intrinsic::x86_tilestored64 : llvm::Intrinsic::x86_tileloadd64;
  build_.CreateIntrinsic(move, {}, {tile_of(fragment), pointer, stride});
}

void KernelWriter::write_tile(const Instruction& instruction) {
  const std::span<const ValueId> operands = program_.operands_of(instruction);
  if (instruction.op == Opcode::fragment_fill) {
    build_.CreateIntrinsic(llvm::Intrinsic::x86_tilezero, {}, {tile_of(instruction.first_result)});
  } else if (instruction.op == Opcode::mma) {
    build_.CreateIntrinsic(llvm::Intrinsic::x86_tdpbf16ps, {},
                           {tile_of(operands[2]), tile_of(operands[0]), tile_of(operands[1])});
  } else if (instruction.op != Opcode::mma_wait) {  // where the sum stays where it is
    write_tile_access(instruction);
  }
}

}  // namespace leat
