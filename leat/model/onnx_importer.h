// An import under way: from ModelProto to Graph, node by node. onnx_importer.cpp has what every
// model needs; onnx_parts.cpp what those need whose sizes follow from values that only a run gives.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "leat/model/onnx.pb.h"
#include "leat/model/onnx_budget.h"
#include "leat/model/onnx_external.h"
#include "leat/model/onnx_frame.h"
#include "leat/model/onnx_function.h"
#include "leat/model/onnx_import.h"
#include "leat/model/onnx_node.h"
#include "leat/model/onnx_notes.h"
#include "leat/model/onnx_ops.h"
#include "leat/model/onnx_order.h"
#include "leat/tensor/constant_memory.h"

namespace leat {

/// The parts of a model, one after the other. A Loop whose turns only the device can count is
/// written out one turn further in each.
inline constexpr int kPartsMax = 128;
/// Of a model's parts together, as each has the tensors of those before: a GB of them.
inline constexpr size_t kTensorsOfPartsMax = size_t{1} << 20;

/// What an import reads from, for as long as a model has a rest.
struct ImportSource {
  std::shared_ptr<const onnx::ModelProto> proto;
  std::shared_ptr<const ModelFrame> frame;
};

class Importer final : private onnx_ops::NodeHost {
 public:
  /// With `notes`, what fails in the model's own graph is noted and passed over.
  Importer(const ImportSource& source, const ImportOptions& options, const ModelPath& path,
           std::shared_ptr<ConstantMemory> memory, ImportNotes* notes = nullptr);

  Result<Model> run();

  const ImportFailure& failure() const { return failure_; }

 private:
  /// What a failed node is taken back to.
  struct Mark {
    size_t nodes = 0;
    size_t tensors = 0;
    size_t checks = 0;
    int64_t fill_bytes_left = 0;
    uint64_t folds = 0;
  };
  /// Bytes that may be made of nothing and by folding: given back where what was made is gone.
  struct BytesLeft {
    int64_t fill = 0;
    int64_t inner = 0;
    int64_t fold = 0;
    size_t functions = 0;  // whose bytes are among `inner`, and stay
  };
  /// What unique_name made of a name, and its number before.
  struct TakenName {
    std::string name;
    std::string unique;
    uint32_t number = 0;
  };
  /// Where a value is asked for within a node of the model's graph: a node's number in its graph or
  /// function, from the outside in, behind each the number of the run (NodeHost::run_body); and
  /// then the number of the question.
  using Place = std::vector<int64_t>;
  /// What a node of the model's graph has come to that has waited, for when it is tried again.
  struct TriedNode {
    std::string name;
    /// Those within it get the same names again, which decide what random numbers they draw. Nobody
    /// else has them until then.
    std::vector<TakenName> names;
    std::optional<onnx_ops::LoopTurn> turn;  // of a Loop that goes on there
    /// Values that runs have told of tensors that it made.
    std::map<Place, ConstantValue> answers;
  };
  /// A node of the model's graph that is added in the next part.
  struct WaitingNode {
    const onnx::NodeProto* proto = nullptr;
    onnx_ops::WantedValues wanted;                   // with a function: it computes the results
    std::vector<std::pair<TensorId, Place>> places;  // where it asks for those of its own making
  };
  /// What a run has told a waiting node: the values it wants, or what its function computes.
  struct ToldNode {
    std::vector<ConstantValue> values;
    std::vector<std::pair<DType, Shape>> results;
  };

  Result<void> add_initializers(const onnx::GraphProto& graph);
  Result<TensorId> constant_of(const onnx::TensorProto& proto, const std::string& name) override;
  Result<ConstantValue> value_of(const onnx::TensorProto& proto);
  Result<void> add_inputs();
  bool is_given_default(const std::string& name) const;
  /// Whether a mistake ends the import: not one in the model's graph that somebody notes.
  bool is_noted(const Error& error, const onnx::NodeProto* node) const;
  bool is_passed_over(const onnx::NodeProto& proto) const;
  bool is_unknown(const std::string& name) const {
    return notes_ != nullptr && depth_ == 0 && notes_->is_unknown(name);
  }
  void pass_over(const onnx::NodeProto& proto);
  Result<void> add_input(const DeclaredInput& input);
  Result<Shape> input_shape(const DeclaredInput& input) const;
  Result<void> add_nodes(const OnnxNodes& nodes);
  Result<void> add_node(const onnx::NodeProto& proto);
  Result<void> add_charged_node(const onnx::NodeProto& proto);
  Result<void> try_node(const onnx::NodeProto& proto, const std::string& name,
                        onnx_ops::WantedValues& wanted);
  Result<void> import_node(const onnx_ops::OnnxOperator& row, onnx_ops::OnnxNode& node,
                           const onnx::NodeProto& proto);
  Result<void> keep_output(const std::string& name, const OnnxValue& value);
  Result<void> call_function(const onnx::NodeProto& proto, const ModelFunction& function);
  Result<std::vector<OnnxValue>> run_body(const onnx::GraphProto& body,
                                          std::span<const OnnxValue> inputs,
                                          int64_t number) override;
  Result<std::vector<OnnxValue>> run_body_here(const onnx::GraphProto& body,
                                               std::span<const OnnxValue> inputs);
  Result<void> run_nodes(OnnxScope& scope, const OnnxNodes& nodes);
  bool may_become_constant(TensorId tensor) const override;
  Mark mark() const;
  void take_back(const Mark& mark);
  Result<void> charge(const Mark& before);
  Result<void> charge_nodes(int64_t count) override { return budget_.charge_nodes(count); }
  Result<std::string> read_beside(const std::string& location, size_t size_bytes_max) override {
    return external_->read_text(location, size_bytes_max);
  }
  std::optional<Shape> declared_shape(const std::string& value) override;
  std::optional<int64_t> extent_of(const std::string& symbol) const;
  onnx_ops::KernelBudget& kernel_budget() override { return kernel_budget_; }
  bool may_fix(const std::vector<std::string>& names) const;
  Result<bool> fix_inputs(const std::vector<std::string>& names);
  Result<void> fix_input(const std::string& name, const HostTensor& value);
  Result<void> add_outputs();
  void keep_values();
  void drop_unused_nodes();
  std::vector<std::string> inputs_of_values(std::span<const TensorId> tensors) const;
  Result<void> define(const std::string& name, OnnxValue value);
  Result<std::vector<OnnxValue>> inputs_of(const onnx::NodeProto& proto);
  Result<std::vector<OnnxValue>> outputs_of(const OnnxScope& scope,
                                            const std::vector<std::string>& names);
  std::string unique_name(const std::string& name);
  std::string begin_node(const onnx::NodeProto& proto);
  void give_back(std::vector<TakenName>& names);
  OnnxScope& scope() { return scope_ == nullptr ? names_ : *scope_; }

  // Of parts.
  bool is_in_parts() const override { return options_.in_parts; }
  bool may_wait() const override { return options_.in_parts && depth_ == 0; }
  bool wants_values() const override { return !wanted_.tensors.empty(); }
  const HostTensor* told_value(TensorId tensor, int64_t question) override;
  const onnx_ops::LoopTurn* left_turn() const override;
  void begin_turn() override;
  void leave_turn(onnx_ops::LoopTurn turn) override;
  bool waits_for_others(const onnx::NodeProto& proto) const;
  void postpone(const onnx::NodeProto& proto);
  BytesLeft bytes_left() const;
  void wait(const onnx::NodeProto& proto, const std::string& name, const Mark& before,
            const BytesLeft& bytes);
  void keep_turn(TriedNode& tried);
  void begin_attempt(const onnx::NodeProto& proto);
  Result<Model> finish();
  Result<Model> end_part();
  Result<void> check_rest();
  using NodeSet = std::unordered_set<const onnx::NodeProto*>;
  NodeSet computed_nodes() const;
  std::vector<TensorId> live_tensors() const;
  std::vector<ModelValue> outputs_so_far() const;
  /// By tensor: what a part was given and gave, beside constants.
  using PartValues = std::unordered_map<TensorId, ConstantValue>;
  Result<PartValues> values_of_part(std::vector<HostTensor> inputs,
                                    std::vector<HostTensor> outputs) const;
  static Result<NextPart> next_part(const std::shared_ptr<const Importer>& ended,
                                    const PartValues& values);
  Result<ToldNode> tell(const WaitingNode& waiting, const PartValues& values, NextPart& next) const;
  Result<Model> continue_with(std::span<const ToldNode> told);
  Result<void> take_told(const WaitingNode& waiting, const ToldNode& told);
  void add_part_input(TensorId tensor);

  ImportSource source_;
  const onnx::ModelProto& proto_;
  const ModelFrame& frame_;
  ImportOptions options_;
  ImportNotes* notes_;
  std::shared_ptr<ExternalData> external_;
  ImportFailure failure_;
  Model model_;
  // Where nodes are being added: the model's graph, one that a node holds, a function.
  OnnxScope names_;
  OnnxScope* scope_ = nullptr;  // null: the model's
  const Opsets* opsets_;
  int depth_ = 0;
  ImportBudget budget_;
  int64_t fill_bytes_left_;
  int64_t inner_bytes_left_;  // of what graphs within the model make, turn by turn
  onnx_ops::KernelBudget kernel_budget_;
  std::unordered_map<std::string, const onnx::TypeProto*> declared_;  // once they are asked for
  size_t charged_ = 0;  // tensors before which are counted in it
  uint64_t folds_ = 0;
  std::unordered_map<const OnnxNodes*, std::vector<int>> orders_;
  std::unordered_map<const onnx::TensorProto*, TensorId> initializers_;
  std::vector<std::shared_ptr<onnx::FunctionProto>> functions_;  // with their callers' attributes
  std::unordered_map<std::string, uint32_t> name_numbers_;
  std::set<std::string> node_names_;

  // Of a model in parts.
  int part_ = 0;
  std::vector<WaitingNode> waiting_;
  std::vector<const onnx::NodeProto*> postponed_;  // with those, in their order
  std::unordered_set<std::string> later_;          // what they give
  onnx_ops::WantedValues wanted_;                  // by the innermost node that fails
  std::unordered_map<const onnx::NodeProto*, TriedNode> tried_;
  // Of the node of the model's graph that is being added.
  const onnx::NodeProto* attempted_ = nullptr;
  size_t attempt_tensors_ = 0;  // those before were there when the attempt began
  Place place_;
  std::vector<std::pair<TensorId, Place>> asked_;  // in vain
  std::vector<TakenName> names_taken_;
  size_t turn_names_ = 0;                   // of them, when the last turn of a Loop began
  std::optional<onnx_ops::LoopTurn> turn_;  // that the Loop has left
};

}  // namespace leat
