// Lowers a node's expressions to IR for one element (of every lane) at a time.
#pragma once

#include <span>
#include <vector>

#include "leat/lower/merge_axes.h"
#include "leat/lower/step_source.h"
#include "leat/schedule/plan.h"

namespace leat {

/// The parameters of a kernel: every tensor it reads once, then those it writes.
struct KernelSlots {
  std::vector<uint32_t> input_slots;    // parameter of node.inputs[i]
  std::vector<uint32_t> result_slots;   // parameter of node.results[i]
  std::vector<uint32_t> scratch_slots;  // of Step::scratch[i]
  std::vector<DType> words_of;          // Placement::words_of of node.inputs[i]
  std::vector<DType> input_storage;     // Placement::storage of node.inputs[i]
  std::vector<DType> result_storage;    // and of node.results[i]
};

/// Declares the parameters of the kernel of `node`. An input that stands twice has one parameter.
KernelSlots declare_parameters(KernelBuilder& builder, const StepSource& source);

/// Neighbours along an axis that a lane takes together: stretch number `number` of `width`
/// elements, of which this one is at `place`. They are evaluated in turn, from place 0 on.
struct Stretch {
  size_t axis = 0;
  ir::ValueId number = ir::kNone;
  uint8_t width = 1;
  uint8_t place = 0;
};

/// The element that expressions are evaluated for.
struct ElementContext {
  std::span<const ir::ValueId> axes;  // i32 value of every axis
  ir::ValueId accumulator = ir::kNone;
  ir::ValueId mask = ir::kNone;  // lanes whose element exists; kNone: all
  // An expression whose value is known, and a condition that holds wherever it matters.
  ExprId known = kNoExpr;
  ir::ValueId known_value = ir::kNone;
  ExprId holds = kNoExpr;
  const Stretch* stretch = nullptr;  // its axis' value stands in `axes`, too
};

class ExprLowering {
 public:
  ExprLowering(KernelBuilder& builder, const Node& node, const NodeNumbers& numbers,
               const KernelSlots& slots)
      : builder_(builder), node_(node), numbers_(numbers), slots_(slots) {}

  /// From now on loads are addressed as `merged` says and ElementContext::axes are its axes.
  void use_merged_axes(const MergedAxes* merged) { merged_ = merged; }

  ir::ValueId value(ExprId id, const ElementContext& context);
  /// As stored: b1 becomes 0 or 1, and the type fits the output's `storage`.
  ir::ValueId stored_value(ExprId id, DType storage, const ElementContext& context);

 private:
  ir::ValueId visit(ExprId id, const ElementContext& context);
  ir::ValueId constant(ExprId id);
  ir::ValueId load(ExprId id, const ExprNode& node, const ElementContext& context);
  bool comes_in_stretches(ExprId id, const ExprNode& node, const ElementContext& context) const;
  ir::ValueId load_of_stretch(ExprId id, const ExprNode& node, const ElementContext& context);
  ir::ValueId address_of_load(ExprId id, const ExprNode& node, const ElementContext& context);
  ir::ValueId apply(const ExprNode& node, const ElementContext& context);

  KernelBuilder& builder_;
  const Node& node_;
  const NodeNumbers& numbers_;
  const KernelSlots& slots_;
  const MergedAxes* merged_ = nullptr;
  std::vector<ir::ValueId> memo_;
  std::vector<ir::ValueId> vectors_;  // by expression: what a load of the stretch gave
};

}  // namespace leat
