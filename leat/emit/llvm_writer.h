// KernelWriter: walks a wave program and writes it as one LLVM function. For a CPU it is
//   void entry(const void* const* buffers, uint32_t first_group, uint32_t end_group)
// which runs the workgroups [first_group, end_group) of the flattened grid, x fastest; a varying
// value is a vector of wave_lanes lanes, a uniform one a scalar. For a GPU it is a kernel that
// takes one global pointer for each buffer, each lane is a thread, and all values are scalars. A
// short vector is one of these for each component. The walk, the arithmetic and the addresses are
// the same; what differs is the frame, the access to memory, and reductions. No fast-math flag is
// set anywhere: the same program gives the same bits every time. Only emit/llvm*.cpp may include
// this file, as it shows LLVM's types.
#pragma once

#include <span>
#include <vector>

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include "leat/emit/llvm_affine.h"
#include "leat/ir/ir.h"

namespace leat {

struct AsyncCopies;
struct GpuDialect;
struct MatrixUnit;

/// What the walk has to know of the chip; the rest is the code generator's business.
struct ChipFeatures {
  const GpuDialect* gpu = nullptr;  // null on a CPU
  bool fma = false;                 // fused multiply-add in hardware
  bool half_conversion = false;     // f16 <-> f32 in hardware
  bool masked_memory = false;       // vector loads with a mask that cost one instruction
  bool masked_narrow = false;       // the same of elements of 8 and 16 bits
  bool saturates_vectors = false;   // vectors of floats to whole numbers by one instruction

  bool lane_is_thread() const { return gpu != nullptr; }
};

/// Writes one program into one module. Used once.
class KernelWriter {
 public:
  /// `attributes` is put on the function. All references live as long as the writer. `tiles`: see
  /// tile_registers.h, where the CPU has matrix units and the program uses them.
  KernelWriter(const ir::Program& program, const ChipFeatures& features,
               const llvm::AttrBuilder& attributes, llvm::Module& module,
               std::vector<uint8_t> tiles = {});

  /// Writes the function `entry`. The program must have passed the verifier.
  void write(const std::string& entry);

 private:
  using Components = llvm::SmallVector<llvm::Value*, 1>;

  // Where an access goes: either one pointer, the lanes following each other in steps of
  // lane_step_bytes, or a pointer for each lane.
  struct Access {
    llvm::Type* element = nullptr;  // as it lies in memory
    DType storage = DType::f32;
    uint32_t element_bytes = 4;
    uint32_t width = 1;
    llvm::Value* pointer = nullptr;
    int64_t lane_step_bytes = 0;
    Components lane_pointers;     // when `pointer` is null
    llvm::Value* mask = nullptr;  // null, i1, or i1 for each lane
    ir::ValueId mask_value = ir::kNone;
    bool is_load = false;
    const ir::Parameter* parameter = nullptr;  // null for local memory
    uint32_t slot = 0;

    int64_t unit_bytes() const { return int64_t{width} * element_bytes; }
    bool masked_by_lane() const { return mask != nullptr && mask->getType()->isVectorTy(); }
    bool is_contiguous() const { return pointer != nullptr && lane_step_bytes == unit_bytes(); }
  };

  // Bytes from `low` up to `high`, relative to some pointer.
  struct Reach {
    int64_t low = 0;
    int64_t high = 0;
  };

  // A divisor that does not trap, and what it stands for.
  struct Divisor {
    llvm::Value* is_zero = nullptr;
    llvm::Value* is_minus_one = nullptr;
    llvm::Value* value = nullptr;
  };

  // The function's frame on a CPU: llvm_frame.cpp.
  void write_function(const std::string& entry);
  void write_entry(const std::string& entry);
  void write_group_loop();
  void write_group_ids(llvm::Value* flat);
  void make_alias_scopes();

  // Where a lane is a thread: llvm_thread.cpp.
  void write_kernel(const std::string& entry);
  void write_kernel_entry(const std::string& entry);
  void write_thread_ids();
  void write_dynamic_locals();
  llvm::Value* thread_address(const Access& access, llvm::Value* base, const AffineIndex& index);
  void write_thread_load(const ir::Instruction& instruction, const Access& access);
  llvm::Value* load_where(const Access& access, llvm::Type* type);
  void store_thread(const Access& access, const Components& values);
  llvm::Value* reduce_threads(ir::Opcode reduction, llvm::Value* value);

  // What workgroups do together: llvm_atomic.cpp.
  void write_atomic_add(const ir::Instruction& instruction);
  llvm::Value* add_thread(const Access& access, llvm::Value* added);
  llvm::Value* add_lanes(const Access& access, llvm::Value* added);
  void write_last_group(const ir::Instruction& instruction);
  llvm::Value* last_of_threads(llvm::Value* counter, llvm::Value* limit);

  // Control flow: llvm_control.cpp.
  void write_block(ir::BlockId block);
  void write_instruction(const ir::Instruction& instruction);
  void write_group_id(const ir::Instruction& instruction);
  void write_barrier();
  void write_loop(const ir::Instruction& instruction);
  void append_carried(std::span<const ir::ValueId> from, const ir::Block& body,
                      std::vector<llvm::Value*>& to);
  void write_rounds(const ir::Instruction& instruction, std::vector<llvm::Value*>& state,
                    llvm::Value* hi, llvm::Value* step);
  bool counter_fits(llvm::Value* hi, llvm::Value* step);
  void write_round(const ir::Instruction& instruction, std::vector<llvm::Value*>& state,
                   llvm::Value* hi, llvm::Value* step);
  llvm::Value* rounds_of(llvm::Value* own);
  void write_branch(const ir::Instruction& instruction);

  // Values: llvm_arithmetic.cpp.
  llvm::Type* type_of(ir::Scalar scalar);
  llvm::Type* type_of(const ir::Type& type);
  llvm::Value* splat(llvm::Value* value);
  llvm::Value* constant_of(const ir::Instruction& instruction);
  llvm::Value* operand(const ir::Instruction& instruction, size_t i, size_t component);
  using Lanewise = llvm::function_ref<llvm::Value*(llvm::ArrayRef<llvm::Value*>)>;
  void set_lanewise(const ir::Instruction& instruction, Lanewise rule);
  void write_vector(const ir::Instruction& instruction);
  void write_saturated(const ir::Instruction& instruction);
  llvm::Value* smaller(llvm::Value* a, llvm::Value* b);
  llvm::Value* larger(llvm::Value* a, llvm::Value* b);
  llvm::Value* shift_count(llvm::Value* count);
  Divisor safe_divisor(llvm::Value* b);
  llvm::Value* quotient(llvm::Value* a, llvm::Value* b);
  llvm::Value* remainder(llvm::Value* a, llvm::Value* b);
  llvm::Value* fused_multiply_add(llvm::Value* a, llvm::Value* b, llvm::Value* c);
  llvm::Value* reduce(ir::Opcode op, llvm::Value* value);
  llvm::Value* reduce_lanes(ir::Opcode reduction, llvm::Value* value);
  llvm::Value* joined(ir::Opcode reduction, llvm::Value* a, llvm::Value* b);

  // What lanes exchange: llvm_exchange.cpp.
  void write_shuffle(const ir::Instruction& instruction);
  llvm::Value* shuffle_lanes(const ir::Instruction& instruction, llvm::Value* value);
  llvm::Value* shuffle_threads(const ir::Instruction& instruction, llvm::Value* value);
  llvm::Value* dot(const ir::Instruction& instruction);
  llvm::Value* dot_lanes(ir::Opcode op, llvm::ArrayRef<llvm::Value*> operands);
  void write_copy(const ir::Instruction& instruction);
  void write_vector_copy(const ir::Instruction& instruction);
  void write_copy_commit();
  void write_copy_wait(const ir::Instruction& instruction);
  void write_prefetch(const ir::Instruction& instruction);
  const AsyncCopies& async_copies() const;
  llvm::Value* element_pointer(llvm::Value* base, ir::ValueId index, DType storage);

  // Fragments of matrix units, where a lane is a thread: llvm_fragment.cpp.
  struct FragmentPlace;
  FragmentPlace place_of(const ir::Instruction& instruction, const ir::Fragment& fragment);
  llvm::Value* fragment_pointer(const FragmentPlace& place, llvm::Value* outer, llvm::Value* inner);
  llvm::Value* lane_part(uint32_t shift, uint32_t mask, uint32_t factor);
  void write_fragment_fill(const ir::Instruction& instruction);
  void write_fragment_load(const ir::Instruction& instruction);
  Components load_operand(const FragmentPlace& place);
  Components load_matrices(const FragmentPlace& place);
  llvm::Value* load_register(const FragmentPlace& place, uint32_t number);
  Components load_sum(const FragmentPlace& place);
  void write_fragment_store(const ir::Instruction& instruction);
  Components tile_operand(const ir::Instruction& instruction, const FragmentPlace& place);
  void multiply_tiles(const ir::Instruction& instruction);
  void end_products();
  void write_mma_wait(const ir::Instruction& instruction);
  void write_fragment_element(const ir::Instruction& instruction);
  llvm::Value* sum_row(const ir::Fragment& sum, uint32_t number);
  llvm::Value* sum_column(uint32_t number);
  llvm::Value* sum_pointer(const FragmentPlace& place, uint32_t number);
  void write_mma(const ir::Instruction& instruction);
  const MatrixUnit& matrix_unit() const;
  size_t component_count(const ir::Type& type) const;

  // Fragments on a CPU: llvm_tiles.cpp.
  bool uses_tiles() const;
  void configure_tiles();
  void release_tiles();
  llvm::Value* tile_of(ir::ValueId fragment);
  void write_tile_access(const ir::Instruction& instruction);
  void write_tile(const ir::Instruction& instruction);

  // Memory: llvm_memory.cpp.
  llvm::Type* stored_type(DType storage);
  Access access_of(const ir::Instruction& instruction);
  void set_place(Access& access, llvm::Value* base, ir::ValueId index, int64_t lane_stride);
  llvm::Value* address(Access& access, llvm::Value* base, const AffineIndex& index);
  static bool may_be_half_of_pair(const Access& access);
  std::optional<Reach> reach_of(const Access& access, const AffineIndex& index, size_t first);
  llvm::Value* wide(ir::ValueId value);
  llvm::Constant* bytes(int64_t size_bytes);
  llvm::Value* moved(llvm::Value* pointer, int64_t offset_bytes);
  llvm::Value* lane_pointer(const Access& access, uint32_t lane, uint32_t component);
  llvm::Value* zeros();
  llvm::GlobalVariable* new_zeros(int64_t size_bytes);
  void size_zeros();
  void write_load(const ir::Instruction& instruction);
  llvm::Value* load_one(const Access& access, uint32_t component);
  llvm::Value* load_vector(const Access& access);
  llvm::Value* load_lanes(const Access& access, uint32_t component);
  void write_store(const ir::Instruction& instruction);
  void store_components(const Access& access, const Components& values);
  void store_one(const Access& access, const Components& values);
  llvm::Value* interleaved(const Components& values);
  void store_vector(const Access& access, const Components& values);
  void store_lanes(const Access& access, llvm::Value* value, uint32_t component);
  void mark(llvm::Instruction* instruction, const Access& access);
  llvm::Value* widened(llvm::Value* value, const Access& access);
  llvm::Value* narrowed(llvm::Value* value, const Access& access);

  const ir::Program& program_;
  const ChipFeatures& features_;
  const llvm::AttrBuilder& attributes_;
  llvm::Module& module_;
  llvm::LLVMContext& context_;
  llvm::IRBuilder<> build_;
  AffineIndices affine_;
  uint32_t lanes_;
  llvm::Type* counter_type_;  // of loop counters: 64 bits spare a CPU the extension for addresses
  llvm::Function* function_ = nullptr;
  llvm::GlobalVariable* zeros_ = nullptr;
  int64_t zeros_bytes_ = 64;
  std::vector<Components> values_;        // by ValueId
  std::vector<llvm::Value*> wide_;        // by ValueId, in the type of counters, or null
  std::vector<llvm::Value*> parameters_;  // base pointers
  std::vector<llvm::Value*> locals_;
  std::vector<llvm::MDNode*> scopes_;  // by parameter
  std::vector<llvm::MDNode*> other_scopes_;
  std::vector<uint8_t> tiles_;  // the register of each fragment; empty: there are none
  bool products_open_ = false;  // products of several waves in a row have begun
  llvm::Value* lane_id_ = nullptr;
  llvm::Value* wave_id_ = nullptr;
  llvm::Value* group_ids_[3] = {};  // in the type of counters
};

/// Where each local memory begins, and at the end how many bytes all take: one array for all, each
/// part aligned for its widest access.
std::vector<uint32_t> local_offsets(const ir::Program& program);
/// Whether products of several waves take their operands from local memory.
bool has_tile_products(const ir::Program& program);

/// Conversions between binary16 in integers of 16 bits and f32 in arithmetic of 32 bits, scalar or
/// vector, for chips without an instruction for it. Rounds to nearest even.
llvm::Value* float_from_bfloat_bits(llvm::IRBuilder<>& build, llvm::Value* bits);
llvm::Value* bfloat_bits_from_float(llvm::IRBuilder<>& build, llvm::Value* value);
llvm::Value* float_from_half_bits(llvm::IRBuilder<>& build, llvm::Value* bits);
llvm::Value* half_bits_from_float(llvm::IRBuilder<>& build, llvm::Value* value);

}  // namespace leat
