// emit_wgsl; the frame of a module; loops and branches.
#include <bit>

#include "leat/base/check.h"
#include "leat/emit/emit.h"
#include "leat/emit/wgsl_emitter.h"

namespace leat {

WgslEmitter::WgslEmitter(const ir::Program& program, const Uses& uses)
    : program_(program), uses_(uses) {
  find_widths();
}

std::string WgslEmitter::emit() {
  declare_buffers();
  declare_locals();
  begin_main();
  emit_block(0);
  depth_ = 0;
  line("}}");
  return std::move(text_);
}

std::string wgsl_type(ir::Scalar scalar, uint8_t width) {
  const char* name = scalar == ir::Scalar::f32 ? "f32" : scalar == ir::Scalar::i32 ? "i32" : "bool";
  CHECK(ir::bytes_of(scalar) == 4);  // check_supported refuses the others
  return width == 1 ? name : fmt::format("vec{}<{}>", width, name);
}

// Arrays of run-time length: a binding may be longer than the parameter, as its size is a multiple
// of its element's. A parameter that nothing accesses has a binding all the same.
void WgslEmitter::declare_buffers() {
  for (size_t slot = 0; slot < buffers_.size(); ++slot) {
    const ir::Parameter& parameter = program_.parameters[slot];
    const ir::Scalar scalar = ir::compute_of(parameter.storage);
    line("@group(0) @binding({}) var<storage, {}> {}: array<{}>;", slot,
         parameter.written ? "read_write" : "read", buffers_[slot].name,
         wgsl_type(scalar, buffers_[slot].width));
  }
}

void WgslEmitter::declare_locals() {
  for (size_t slot = 0; slot < locals_.size(); ++slot) {
    const ir::LocalMemory& local = program_.locals[slot];
    line("var<workgroup> {}: array<{}, {}>;", locals_[slot].name,
         wgsl_type(ir::compute_of(local.storage), locals_[slot].width),
         local.count * local.width / locals_[slot].width);
  }
}

// `nothing` is a zero that no evaluation of constant expressions sees: an infinity or a NaN would
// be an error in one ("Constant Expressions").
void WgslEmitter::begin_main() {
  line("var<private> nothing: u32 = 0u;");
  line("@compute @workgroup_size({})", lanes_per_workgroup(program_));
  line("fn main(@builtin(local_invocation_index) local_index: u32,");
  line("        @builtin(workgroup_id) group: vec3<u32>) {{");
  depth_ = 1;
  if (uses_.lane_id) line("let lane = i32(local_index % {}u);", program_.wave_lanes);
  if (uses_.wave_id) line("let wave = i32(local_index / {}u);", program_.wave_lanes);
}

void WgslEmitter::emit_block(ir::BlockId block) {
  for (const ir::InstructionId id : program_.blocks[block].instructions) {
    emit_instruction(program_.instructions[id]);
  }
}

// Carried values are variables around the loop; each round reads them into `let`s first, so that it
// may write them in any order.
void WgslEmitter::emit_loop(const ir::Instruction& instruction) {
  const auto operands = program_.operands_of(instruction);
  const ir::Block& body = program_.blocks[instruction.regions[0]];
  const ir::ValueId results = instruction.first_result;
  for (uint32_t i = 0; i < instruction.result_count; ++i) {
    line("var carried{} = v{};", results + i, operands[3 + i]);
  }
  const ir::ValueId counter = body.first_argument;
  line("for (var next{0} = v{1}; next{0} < v{2}; next{0} += v{3}) {{", counter, operands[0],
       operands[1], operands[2]);
  ++depth_;
  line("let v{0} = next{0};", counter);
  for (uint32_t i = 0; i < instruction.result_count; ++i) {
    line("let v{} = carried{};", counter + 1 + i, results + i);
  }
  emit_block(instruction.regions[0]);
  const ir::Instruction& yield = program_.instructions[body.instructions.back()];
  for (uint32_t i = 0; i < instruction.result_count; ++i) {
    line("carried{} = v{};", results + i, program_.operands_of(yield)[i]);
  }
  --depth_;
  line("}}");
  for (uint32_t i = 0; i < instruction.result_count; ++i) {
    line("let v{0} = carried{0};", results + i);
  }
}

void WgslEmitter::emit_branch(const ir::Instruction& instruction) {
  const auto region = [&](ir::BlockId block) {
    ++depth_;
    emit_block(block);
    --depth_;
  };
  line("if (v{}) {{", program_.operands_of(instruction)[0]);
  region(instruction.regions[0]);
  if (instruction.regions[1] != ir::kNone) {
    line("}} else {{");
    region(instruction.regions[1]);
  }
  line("}}");
}

Result<KernelBinary> emit_wgsl(const ir::Program& program, const Target& target) {
  TRY_ASSIGN(const Uses uses, find_uses(program, target));
  if (uses.narrow) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Kernel \"{}\" has a buffer of 16-bit elements, which WGSL has not "
                             "without extensions.",
                             program.name));
  }
  const std::string text = WgslEmitter(program, uses).emit();
  KernelBinary binary = describe_kernel(program, target.format, "main");
  const auto bytes = std::as_bytes(std::span(text));
  binary.code.assign(bytes.begin(), bytes.end());
  return binary;
}

}  // namespace leat
