// The builder of a step's kernel: numbers that come from shapes may be open (number.h). A plain one
// is a constant of the program; an open one is a word of a last parameter that the launch fills.
#pragma once

#include <string>
#include <vector>

#include "leat/base/target.h"
#include "leat/ir/builder.h"
#include "leat/schedule/number.h"

namespace leat {

/// A step's program. The rest is of open numbers, whose words are its last parameter.
struct StepProgram {
  ir::Program program;
  std::vector<uint32_t> words;  // the formula of each
  uint32_t groups = 0;          // the formula of how many workgroups a launch has, along x
  bool fits = true;             // so many can be launched along x
};

class KernelBuilder : public ir::Builder {
 public:
  using ir::Builder::Builder;
  using ir::Builder::div;
  using ir::Builder::i32;
  using ir::Builder::rem;

  ir::ValueId i32(const Number& number);
  ir::ValueId div(ir::ValueId a, const Number& divisor);
  ir::ValueId rem(ir::ValueId a, const Number& divisor);

  /// Declares the words, behind all other parameters; `formulas` outlives the builder.
  void open(Formulas& formulas);
  bool is_open() const { return formulas_ != nullptr; }

  /// Before the first group_id(). With open numbers the workgroups of all axes follow each other
  /// along x, so that a launch has one number of them.
  void set_grid(const Number& x, const Number& y, const Number& z, const Target& target);
  ir::ValueId group_id(int axis);
  /// The number of the workgroup, rows of `grid_x` of them one after the other.
  ir::ValueId flat_group(const Number& grid_x);

  /// Of a workgroup.
  uint32_t lanes() { return program().wave_lanes * program().waves_per_workgroup; }
  ir::ValueId lane_of_workgroup();

  StepProgram finish_step();

 private:
  Formulas* formulas_ = nullptr;
  uint32_t words_slot_ = 0;
  std::vector<uint32_t> words_;
  Number grid_[3] = {1, 1, 1};
  bool fits_ = true;
};

}  // namespace leat
