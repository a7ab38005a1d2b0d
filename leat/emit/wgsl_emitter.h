// The walk from a wave program to WGSL, WebGPU's shading language. One invocation is one lane; a
// value is a `let`, a mask a `select` or an `if`. Parameter k is storage-buffer binding k of group
// 0. Inside emit/ only. Facts: WebGPU Shading Language, W3C, sections named where they matter.
//
// WGSL may fuse and reorder sums and products ("Reassociation and Fusion"): results are those of
// the wave program within a few units in the last place, not to the bit.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "leat/emit/shader_uses.h"
#include "leat/ir/ir.h"

namespace leat {

class WgslEmitter {
 public:
  /// The program must have passed find_uses for the target; both are borrowed.
  WgslEmitter(const ir::Program& program, const Uses& uses);

  /// The module's text, whose entry point is "main". Call it once.
  std::string emit();

 private:
  /// An array in memory: its name and how wide its elements are declared.
  struct Array {
    std::string name;
    uint8_t width = 1;
  };

  // wgsl.cpp: the module's frame and control flow.
  void declare_buffers();
  void declare_locals();
  void begin_main();
  void emit_block(ir::BlockId block);
  void emit_loop(const ir::Instruction& instruction);
  void emit_branch(const ir::Instruction& instruction);
  template <typename... Arguments>
  void line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_.append(2 * depth_, ' ');
    text_ += fmt::format(format, std::forward<Arguments>(arguments)...) + "\n";
  }

  // wgsl_arithmetic.cpp.
  void emit_instruction(const ir::Instruction& instruction);
  void set(const ir::Instruction& instruction, const std::string& expression);
  void infix(const ir::Instruction& instruction, const char* sign);
  void call(const ir::Instruction& instruction, const std::string& function);
  void emit_shift(const ir::Instruction& instruction, const char* sign, ir::Scalar scalar);
  std::string operand(const ir::Instruction& instruction, size_t i) const;
  std::string literal(const ir::Instruction& instruction) const;

  // wgsl_memory.cpp.
  void find_widths();
  void emit_load(const ir::Instruction& instruction, const Array& array);
  void emit_store(const ir::Instruction& instruction, const Array& array);
  std::string index_of(const ir::Instruction& instruction);
  static std::string component(const Array& array, const std::string& index, uint8_t width,
                               uint8_t number);

  const ir::Program& program_;
  const Uses& uses_;
  std::string text_;
  size_t depth_ = 0;
  std::vector<Array> buffers_;  // by parameter
  std::vector<Array> locals_;   // by local memory
};

/// "f32", "vec4<i32>", "bool".
std::string wgsl_type(ir::Scalar scalar, uint8_t width);

}  // namespace leat
