// OnnxNode: one node of a model as its import function sees it: inputs as tensors of the graph,
// attributes by name and type, constant inputs as numbers.
//
// Reading never fails on the spot: the first mistake (a wrong type, an input that is not constant)
// is kept, the reader gets a harmless value, and the caller of the import function asks for
// `failure()` before it looks at the result. So import functions read like the operator's schema.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/base/result.h"
#include "leat/model/onnx_value.h"
#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::onnx {
class AttributeProto;
class GraphProto;
class NodeProto;
class TensorProto;
}  // namespace leat::onnx

namespace leat::onnx_ops {

using ops::Ints;

/// Computes all results of a node on the host. One value for each of its inputs, null where it is
/// left out.
using HostFunction =
    std::function<Result<std::vector<HostTensor>>(std::span<const HostTensor* const> inputs)>;

/// What a node has to know at import and does not.
struct WantedValues {
  std::vector<TensorId> tensors;
  HostFunction function;  // that takes them, where it is all that the node is; else empty
};

/// Where a turn of a Loop begins: all that this turn and those behind it need of those before.
struct LoopTurn {
  int64_t number = 0;
  TensorId going = kNoTensor;  // whether the turn is taken, where only the device knows
  std::vector<OnnxValue> states;
  std::vector<std::vector<TensorId>> stacks;
};

/// What all kernels of a model may still take.
struct KernelBudget {
  bool trusts = false;         // no interpreter checks them
  uint64_t steps_left = 0;     // of the interpreter
  int64_t elements_left = 0;   // that are looked at, by it or for what constants hold
  size_t text_bytes_left = 0;  // counted for each node, in each turn of a loop
};

/// The importer, to nodes that hold graphs or decide by values.
class NodeHost {
 public:
  /// Adds the nodes of `body` with these inputs; its outputs. Its names end there. `number` tells
  /// runs within one node apart: the turn of a loop, the branch of an If.
  virtual Result<std::vector<OnnxValue>> run_body(const onnx::GraphProto& body,
                                                  std::span<const OnnxValue> inputs,
                                                  int64_t number) = 0;
  /// Whether run_body failed for a value that has to be known, and nothing else.
  virtual bool wants_values() const = 0;
  /// Whether the tensor follows from inputs whose values are at hand, and which are small enough to
  /// decide something: then it can become a constant.
  virtual bool may_become_constant(TensorId tensor) const = 0;
  /// Whether the graph may end where a value has to be known, to go on when a run has told it.
  virtual bool is_in_parts() const = 0;
  /// Whether it may end at this very node.
  virtual bool may_wait() const = 0;
  /// The value that a run has told of a tensor which is no constant; null when none has. `question`
  /// is a number for what the node asks: at the same place in the model, it is the same value.
  virtual const HostTensor* told_value(TensorId tensor, int64_t question) = 0;
  /// The turn at which a Loop goes on that a part before has left; null: it begins.
  virtual const LoopTurn* left_turn() const = 0;
  /// A turn of a Loop begins.
  virtual void begin_turn() = 0;
  /// The turn that began last cannot end in this part; `turn` is where it began.
  virtual void leave_turn(LoopTurn turn) = 0;
  /// A constant of what the file holds, read once; it is called `name` the first time.
  virtual Result<TensorId> constant_of(const onnx::TensorProto& proto, const std::string& name) = 0;
  /// Takes `count` nodes off what the model may become. Errors: unsupported: so many are not left.
  virtual Result<void> charge_nodes(int64_t count) = 0;
  /// The text of a file in or below the model's folder. Errors: invalid_argument, io.
  virtual Result<std::string> read_beside(const std::string& location, size_t size_bytes_max) = 0;
  /// The shape that the file declares for a value of the model's own graph, where all extents are
  /// numbers or those of inputs.
  virtual std::optional<Shape> declared_shape(const std::string& value) = 0;
  virtual KernelBudget& kernel_budget() = 0;

 protected:
  ~NodeHost() = default;
};

class OnnxNode {
 public:
  /// What the importer knows of the node. `inputs` has one entry per input; `name` is unique in the
  /// graph.
  struct Frame {
    Graph& graph;
    NodeHost& host;
    int64_t& fill_bytes_left;  // how much ConstantOfShape and the like may still fill
    std::string name;
    std::vector<OnnxValue> inputs;
    int64_t opset = 0;
  };
  /// `proto` and what the frame refers to outlive the node.
  OnnxNode(const onnx::NodeProto& proto, Frame frame);

  Graph& graph() const { return frame_.graph; }
  NodeHost& host() const { return frame_.host; }
  const std::string& name() const { return frame_.name; }
  const std::string& op() const { return op_; }
  int64_t opset() const { return frame_.opset; }
  /// True, and taken off the budget, when a constant of that size may be made from nothing.
  bool may_fill(int64_t size_bytes);

  size_t input_count() const { return inputs_.size(); }
  bool has_input(size_t index) const;
  /// kNoTensor when it is left out.
  TensorId input(size_t index) const;
  std::span<const TensorId> inputs() const { return inputs_; }
  /// Of an operator that takes sequences.
  const OnnxValue& value(size_t index) const;
  std::span<const OnnxValue> values() const { return frame_.inputs; }
  /// Adds a failure when an input of such an operator is no tensor; it may be left out.
  void want_tensors(std::initializer_list<size_t> inputs);
  /// The input must be there. A copy: the graph's tensors move when one is added.
  Shape shape(size_t index) const;
  DType dtype(size_t index) const;
  int64_t rank(size_t index) const { return static_cast<int64_t>(shape(index).size()); }

  size_t output_count() const { return outputs_.size(); }
  /// True when the model uses output `index`.
  bool wants_output(size_t index) const;
  /// See NodeHost; nothing, where the model has no such output.
  std::optional<Shape> declared_shape(size_t index) const;
  /// For outputs after the first, which the import function returns.
  void set_output(size_t index, OnnxValue value);
  const OnnxValue& output(size_t index) const { return outputs_[index]; }

  bool has_attribute(std::string_view attribute) const;
  int64_t integer(std::string_view attribute, int64_t fallback);
  bool flag(std::string_view attribute, bool fallback);
  double number(std::string_view attribute, double fallback);
  std::string text(std::string_view attribute, std::string_view fallback);
  Ints integers(std::string_view attribute);
  std::vector<double> numbers(std::string_view attribute);
  std::vector<float> floats(std::string_view attribute);
  std::vector<std::string> texts(std::string_view attribute);
  /// The dtype that an attribute names by its number in onnx.proto.
  DType element_type(std::string_view attribute, DType fallback);
  /// Nothing when it is absent or unreadable.
  std::optional<HostTensor> tensor(std::string_view attribute);
  /// The same as a constant of the graph, called as the node is. It must be there.
  Result<TensorId> constant_of(std::string_view attribute);
  /// Adds a failure when it is absent.
  int64_t required_integer(std::string_view attribute);
  const onnx::GraphProto* body(std::string_view attribute);
  /// See NodeHost.
  Result<std::vector<OnnxValue>> run(const onnx::GraphProto& body,
                                     std::span<const OnnxValue> inputs, int64_t number) {
    return frame_.host.run_body(body, inputs, number);
  }
  /// To be called before a number in the file becomes as many nodes. See NodeHost.
  Result<void> charge(int64_t nodes) { return frame_.host.charge_nodes(nodes); }
  /// For attributes that have no effect on inference.
  void ignore(std::initializer_list<std::string_view> attributes);

  /// The value of a constant input; null when it is left out, or not constant, which is a failure.
  /// `what` names it: "shape".
  const HostTensor* constant(size_t index, std::string_view what);
  /// The same, but what cannot be constant is null and no failure.
  const HostTensor* constant_if_known(size_t index, std::string_view what);
  /// The value of a tensor that the node has made; null where only a run tells it, which is a
  /// failure, and then what a part of the model behind that run begins with. `number` tells what is
  /// asked apart from all else that the node asks so: the turn.
  const HostTensor* told(TensorId tensor, std::string_view what, int64_t number);
  bool is_in_parts() const { return frame_.host.is_in_parts(); }
  /// For a node whose results have sizes that follow from values: makes them now, of constants, or
  /// when a run has told the inputs. All outputs are set.
  Result<TensorId> compute_on_host(HostFunction function);
  Ints constant_integers(size_t index, std::string_view what);
  std::vector<double> constant_numbers(size_t index, std::string_view what);
  /// The only element; `fallback` when the input is left out.
  int64_t constant_integer(size_t index, std::string_view what, int64_t fallback);
  double constant_number(size_t index, std::string_view what, double fallback);

  /// Keeps the first failure.
  void fail(ErrorKind kind, std::string sentence);
  const std::optional<Error>& failure() const { return failure_; }
  /// What had to be constant and is not, if that was the first failure.
  WantedValues take_wanted() { return std::move(wanted_); }
  /// The first attribute that nobody asked for, empty when there is none.
  std::string unread_attribute() const;

 private:
  const onnx::AttributeProto* find(std::string_view attribute, int type);
  const HostTensor* known(TensorId id, int64_t question, const std::string& what);

  const onnx::NodeProto& proto_;
  Frame frame_;
  std::string op_;
  std::vector<TensorId> inputs_;  // kNoTensor: left out, or no tensor
  std::vector<OnnxValue> outputs_;
  std::vector<bool> read_;  // by attribute
  std::optional<Error> failure_;
  WantedValues wanted_;
};

}  // namespace leat::onnx_ops
