// Loads and stores. An array has one type of elements. Where all accesses of it are equally wide,
// or nothing writes it, its elements are as wide as the widest; else they are scalars, because a
// store to a vector's component may write the whole vector ("Memory Accesses"). What is narrower or
// wider than an element is a few components.
// An index outside of a buffer does no harm ("Out-of-Bounds Access"), so that a masked load selects
// behind the load.
#include <algorithm>
#include <bit>

#include "leat/emit/wgsl_emitter.h"

namespace leat {

namespace {

/// The width of an array's elements; `widths` has that of each access.
uint8_t element_width(const std::vector<uint8_t>& widths, bool is_written) {
  if (widths.empty()) return 1;
  const auto [least, most] = std::ranges::minmax(widths);
  return least == most || !is_written ? most : 1;
}

}  // namespace

void WgslEmitter::find_widths() {
  std::vector<std::vector<uint8_t>> of_buffers(program_.parameters.size());
  std::vector<std::vector<uint8_t>> of_locals(program_.locals.size());
  for (const auto& [slot, width] : uses_.accesses) of_buffers[slot].push_back(width);
  for (const ir::Instruction& instruction : program_.instructions) {
    const bool is_load = instruction.op == ir::Opcode::load_local;
    if (!is_load && instruction.op != ir::Opcode::store_local) continue;
    const ir::ValueId value =
        is_load ? instruction.first_result : program_.operands_of(instruction)[1];
    of_locals[instruction.slot].push_back(program_.values[value].width);
  }
  for (size_t slot = 0; slot < of_buffers.size(); ++slot) {
    const ir::Parameter& parameter = program_.parameters[slot];
    buffers_.push_back({"p_" + parameter.name, element_width(of_buffers[slot], parameter.written)});
  }
  for (size_t slot = 0; slot < of_locals.size(); ++slot) {
    locals_.push_back({"l_" + program_.locals[slot].name, element_width(of_locals[slot], true)});
  }
}

std::string WgslEmitter::index_of(const ir::Instruction& instruction) {
  const ir::ValueId index = program_.operands_of(instruction)[0];
  const bool is_global = instruction.op == ir::Opcode::load || instruction.op == ir::Opcode::store;
  const int32_t stride = is_global ? instruction.lane_stride : ir::kIndexed;
  if (stride == ir::kIndexed || stride == 0) return fmt::format("v{}", index);
  if (stride == 1) return fmt::format("(v{} + lane)", index);
  return fmt::format("(v{} + lane * i32({}))", index, stride);
}

/// Component `number` of the access of `width` elements at `index`.
std::string WgslEmitter::component(const Array& array, const std::string& index, uint8_t width,
                                   uint8_t number) {
  const std::string flat = width == 1 ? index : fmt::format("({} * {} + {})", index, width, number);
  if (array.width == 1) return fmt::format("{}[{}]", array.name, flat);
  return fmt::format("{}[{} >> {}u][{} & {}]", array.name, flat, std::countr_zero(array.width),
                     flat, array.width - 1);
}

void WgslEmitter::emit_load(const ir::Instruction& instruction, const Array& array) {
  const ir::Type type = program_.values[instruction.first_result];
  const std::string index = index_of(instruction);
  std::string loaded;
  if (type.width == array.width) {
    loaded = fmt::format("{}[{}]", array.name, index);
  } else {
    for (uint8_t i = 0; i < type.width; ++i) {
      loaded += (i == 0 ? "" : ", ") + component(array, index, type.width, i);
    }
    if (type.width > 1) loaded = fmt::format("{}({})", wgsl_type(type.scalar, type.width), loaded);
  }
  if (!instruction.masked) return set(instruction, loaded);
  set(instruction, fmt::format("select({}(), {}, v{})", wgsl_type(type.scalar, type.width), loaded,
                               program_.operands_of(instruction).back()));
}

void WgslEmitter::emit_store(const ir::Instruction& instruction, const Array& array) {
  const auto operands = program_.operands_of(instruction);
  const uint8_t width = program_.values[operands[1]].width;
  const std::string index = index_of(instruction);
  if (instruction.masked) {
    line("if (v{}) {{", operands.back());
    ++depth_;
  }
  if (width == array.width) {
    line("{}[{}] = v{};", array.name, index, operands[1]);
  } else {
    for (uint8_t i = 0; i < width; ++i) {
      const std::string part = width == 1 ? fmt::format("v{}", operands[1])
                                          : fmt::format("v{}.{}", operands[1], "xyzw"[i]);
      line("{} = {};", component(array, index, width, i), part);
    }
  }
  if (instruction.masked) {
    --depth_;
    line("}}");
  }
}

}  // namespace leat
