// See kernel_builder.h.
#include "leat/lower/kernel_builder.h"

#include <algorithm>

#include "leat/base/check.h"

namespace leat {

using ir::Opcode;
using ir::ValueId;

namespace {

/// What a program may count with, whatever its target's grid is.
constexpr int64_t kGroupsMax = 1 << 30;

}  // namespace

ValueId KernelBuilder::i32(const Number& number) {
  if (!number.is_open()) return i32(number.fixed());
  const uint32_t formula = formulas_->id_of(number);
  const auto found = std::ranges::find(words_, formula);
  const auto index = static_cast<uint32_t>(found - words_.begin());
  if (found == words_.end()) words_.push_back(formula);
  const ValueId word = load_once(words_slot_, index);
  // Says to all passes that it has no sign, and how large it can be.
  return number.is_natural() ? binary(Opcode::and_i, word, i32(kNaturalMax - 1)) : word;
}

ValueId KernelBuilder::div(ValueId a, const Number& divisor) {
  if (!divisor.is_open()) return div(a, divisor.fixed());
  return binary(Opcode::div_i, a, i32(divisor));
}

ValueId KernelBuilder::rem(ValueId a, const Number& divisor) {
  if (!divisor.is_open()) return rem(a, divisor.fixed());
  return binary(Opcode::rem_i, a, i32(divisor));
}

void KernelBuilder::open(Formulas& formulas) {
  formulas_ = &formulas;
  words_slot_ = parameter("numbers", DType::i32, false, 0);
}

void KernelBuilder::set_grid(const Number& x, const Number& y, const Number& z,
                             const Target& target) {
  std::ranges::copy(std::array{x, y, z}, grid_);
  if (!is_open()) {
    for (size_t axis = 0; axis < 3; ++axis) {
      program().grid[axis] = static_cast<uint32_t>(grid_[axis].fixed());
    }
    return;
  }
  const int64_t most = std::min<int64_t>(target.workgroups_max[0], kGroupsMax);
  fits_ = x * y * z <= Number(most);
  program().grid = {static_cast<uint32_t>(most), 1, 1};
}

ValueId KernelBuilder::group_id(int axis) {
  if (!is_open()) return ir::Builder::group_id(axis);
  ValueId rest = ir::Builder::group_id(0);
  for (int before = 0; before < axis; ++before) rest = div(rest, grid_[before]);
  const auto is_one = [](const Number& extent) { return !extent.is_open() && extent == 1; };
  const bool is_last = axis == 2 || (is_one(grid_[2]) && (axis == 1 || is_one(grid_[1])));
  return is_last ? rest : rem(rest, grid_[axis]);
}

ValueId KernelBuilder::flat_group(const Number& grid_x) {
  const ValueId x = group_id(0);
  const ValueId width = i32(grid_x);
  return add(mul(group_id(1), width), x);
}

ValueId KernelBuilder::lane_of_workgroup() {
  const ValueId lane = lane_id();
  const ValueId lanes = i32(program().wave_lanes);
  return add(mul(wave_id(), lanes), lane);
}

StepProgram KernelBuilder::finish_step() {
  StepProgram step;
  step.fits = fits_;
  if (is_open()) {
    step.words = words_;
    step.groups = formulas_->id_of(grid_[0] * grid_[1] * grid_[2]);
    program().parameters[words_slot_].element_count =
        std::max<int64_t>(1, static_cast<int64_t>(words_.size()));
  }
  step.program = finish();
  return step;
}

}  // namespace leat
