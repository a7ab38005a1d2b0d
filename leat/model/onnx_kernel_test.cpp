// Nodes that are kernels which somebody wrote: what they compute in the reference, how their launch
// follows from the model, and what is refused. tests/model/own_kernels.cpp runs them on devices.
#include <gtest/gtest.h>

#include <filesystem>

#include "leat/base/scratch_folder_test.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

/// y[i] = 2 * x[i], of `count` elements in a launch of one workgroup.
std::string doubled(const std::string& type = "f32", const std::string& count = "8") {
  const std::string op = type == "f32" ? "add_f" : "add_i";
  const std::string scalar = type == "f32" ? "f32" : "i32";
  return "leat-kernel 2\nkernel \"twice\" lanes 4 waves 1 grid 2 1 1\n"
         "parameter x : " +
         type + "[" + count +
         "] read\n"
         "parameter y : " +
         type + "[" + count +
         "] write\n"
         "{\n"
         "  %group : u.i32 = group_id 0\n"
         "  %four : u.i32 = constant 4\n"
         "  %first : u.i32 = mul_i %group, %four\n"
         "  %v : v." +
         scalar +
         " = load x[%first + lane * 1]\n"
         "  %w : v." +
         scalar + " = " + op +
         " %v, %v\n"
         "  store y[%first + lane * 1], %w\n"
         "}\n";
}

/// Counts how often each of four numbers comes; what it adds to are zeros before.
constexpr const char* kHistogram = R"(leat-kernel 2
kernel "histogram" lanes 4 waves 1 grid 2 1 1
parameter counts : i32[4] write
parameter x : i32[8] read
{
  %group : u.i32 = group_id 0
  %four : u.i32 = constant 4
  %one : u.i32 = constant 1
  %first : u.i32 = mul_i %group, %four
  %v : v.i32 = load x[%first + lane * 1]
  %before : v.i32 = atomic_add counts[%v], %one
}
)";

class OnnxKernel : public ScratchFolder {
 protected:
  OnnxKernel() { leat_version(1); }

  void leat_version(int64_t version) {
    onnx::OperatorSetIdProto* entry = builder_.proto().add_opset_import();
    entry->set_domain("leat");
    entry->set_version(version);
  }
  OnnxNodeBuilder kernel(const std::string& op, const std::vector<std::string>& inputs,
                         const std::vector<std::string>& outputs) {
    OnnxNodeBuilder node = builder_.node(op, inputs, outputs);
    node.proto().set_domain("leat");
    for (const std::string& output : outputs) builder_.output(output);
    return node;
  }
  Result<Model> import(const ImportOptions& options = {}) const {
    return import_onnx_bytes(builder_.bytes(), "model", options);
  }
  void expect_refused(const std::string& part, const ImportOptions& options = {}) const {
    const Result<Model> model = import(options);
    ASSERT_FALSE(model) << part;
    EXPECT_NE(model.error().message().find(part), std::string::npos) << model.error().message();
    EXPECT_EQ(model.error().message().find('\n'), std::string::npos);
  }
  /// Of the model with one input, whose element i is `i` + 1.
  static std::vector<HostTensor> run(const Model& model) {
    HostTensor x = HostTensor::zeros(model.inputs[0].dtype, model.inputs[0].shape);
    for (int64_t i = 0; i < element_count(x.shape); ++i) {
      x.set_number(i, static_cast<double>(i + 1));
    }
    auto results = evaluate(model.graph, std::span(&x, 1));
    EXPECT_TRUE(results) << results.error().message();
    return results ? std::move(*results) : std::vector<HostTensor>();
  }

  OnnxBuilder builder_;
};

TEST_F(OnnxKernel, ComputesBetweenOtherNodes) {
  builder_.input("x", {2, 4});
  builder_.node("Relu", {"x"}, {"r"});
  kernel("twice", {"r"}, {"t"})
      .set("kernel", doubled().c_str())
      .set("like", std::vector<int64_t>{0});
  builder_.node("Neg", {"t"}, {"y"});
  builder_.output("y");
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->outputs[1].shape, (Shape{2, 4}));
  const std::vector<HostTensor> results = run(*model);
  ASSERT_EQ(results.size(), 2u);
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(results[1].number(i), static_cast<double>(-2 * i - 2));
}

TEST_F(OnnxKernel, StartsAtZeroAndAddsUp) {
  builder_.input("x", {8}, onnx::TensorProto::INT32);
  HostTensor mask = HostTensor::zeros(DType::i32, {1});
  mask.set_integer(0, 3);
  builder_.constant("three", mask);
  builder_.node("BitwiseAnd", {"x", "three"}, {"low"});
  kernel("histogram", {"low"}, {"counts"}).set("kernel", kHistogram);
  builder_.proto().mutable_opset_import(0)->set_version(18);
  const auto model = import();
  ASSERT_TRUE(model) << model.error().message();
  const std::vector<HostTensor> results = run(*model);
  ASSERT_EQ(results.size(), 1u);
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(results[0].integer(i), 2);
}

// Zeros are written before a kernel only where it may leave some of them.
TEST_F(OnnxKernel, WhatIsWrittenWholeStartsAsItIs) {
  const auto starts_at_zero = [&](const std::string& from, const std::string& to) {
    std::string text = doubled();
    text.replace(text.find(from), from.size(), to);
    builder_ = OnnxBuilder();
    leat_version(1);
    builder_.input("x", {8});
    kernel("twice", {"x"}, {"y"}).set("kernel", text.c_str());
    const auto model = import();
    EXPECT_TRUE(model) << model.error().message();
    return model && model->graph.nodes.back().program->kernel->starts_at_zero == std::vector{true};
  };
  const std::string store = "  store y[%first + lane * 1], %w";
  const auto stored_if = [&](const std::string& mask) { return mask + store + " if %m"; };
  EXPECT_FALSE(starts_at_zero(store, store));
  EXPECT_FALSE(starts_at_zero(store, stored_if("  %m : u.b1 = eq_i %four, %four\n")));
  EXPECT_TRUE(starts_at_zero(store, stored_if("  %m : v.b1 = eq_f %v, %v\n")));
  EXPECT_TRUE(starts_at_zero(store, stored_if("  %m : u.b1 = eq_i %group, %four\n")));
  EXPECT_TRUE(starts_at_zero("  %v : v.f32 = load x[", "  %v : v.f32 = load y["));
  const std::string loop =
      "  %one : u.i32 = constant 1\n  loop %i : u.i32 = %group to %last step %four {\n  ";
  EXPECT_FALSE(starts_at_zero(
      store, "  %last : u.i32 = add_i %group, %four\n" + loop + store + "\n  yield\n  }"));
  EXPECT_TRUE(starts_at_zero(store,
                             "  %sum : u.f32 = reduce_add %w\n"
                             "  %whole : u.i32 = int_from_float %sum\n"
                             "  %some : u.i32 = max_i %whole, %four\n"
                             "  %last : u.i32 = add_i %some, %group\n" +
                                 loop + store + "\n  yield\n  }"));
}

/// A constant says the same each time.
TEST_F(OnnxKernel, ConstantsDecideWhatIsWritten) {
  const std::string text = R"(leat-kernel 1
kernel "ones" lanes 4 waves 1 grid 2 1 1
parameter size : i32[1] read
parameter y : f32[8] write
{
  %zero : u.i32 = constant 0
  %one : u.f32 = constant 1
  %size : u.i32 = load size[%zero]
  %group : u.i32 = group_id 0
  %inside : u.b1 = lt_i %group, %size
  %four : u.i32 = constant 4
  %first : u.i32 = mul_i %group, %four
  store y[%first + lane * 1], %one if %inside
}
)";
  for (const int groups : {1, 2}) {
    builder_ = OnnxBuilder();
    leat_version(1);
    builder_.input("x", {8});
    HostTensor size = HostTensor::zeros(DType::i32, {1});
    size.set_integer(0, groups);
    builder_.constant("size", size);
    kernel("ones", {"size"}, {"y"}).set("kernel", text.c_str());
    const auto model = import();
    ASSERT_TRUE(model) << model.error().message();
    EXPECT_EQ(model->graph.nodes.back().program->kernel->starts_at_zero, std::vector{groups == 1});
    const std::vector<HostTensor> results = run(*model);
    EXPECT_EQ(results[0].number(7), groups == 1 ? 0 : 1);
  }
}

// --- The launch ----------------------------------------------------------------------------------

TEST_F(OnnxKernel, ShapesAreSaidByAttributesOrTheFile) {
  const auto shape_with = [&](const auto& say) -> Shape {
    builder_ = OnnxBuilder();
    leat_version(1);
    builder_.input("x", {2, 4});
    OnnxNodeBuilder node = kernel("twice", {"x"}, {"y"}).set("kernel", doubled().c_str());
    say(node);
    const auto model = import();
    EXPECT_TRUE(model) << model.error().message();
    return model ? model->outputs[0].shape : Shape{};
  };
  EXPECT_EQ(shape_with([](OnnxNodeBuilder&) {}), (Shape{8})) << "that of the text";
  EXPECT_EQ(shape_with([](OnnxNodeBuilder& node) { node.set("like", std::vector<int64_t>{0}); }),
            (Shape{2, 4}));
  EXPECT_EQ(shape_with([](OnnxNodeBuilder& node) {
              node.set("shape", std::vector<int64_t>{2, 2, 2});
            }),
            (Shape{2, 2, 2}));
  const auto declare = [&](OnnxNodeBuilder&) {
    auto* type = builder_.proto().mutable_graph()->mutable_output(0)->mutable_type();
    for (const int64_t extent : {4, 2}) {
      type->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(extent);
    }
  };
  EXPECT_EQ(shape_with(declare), (Shape{4, 2}));
}

// "unknown" is what the builder calls an open extent.
TEST_F(OnnxKernel, AnotherShapeIsAnotherLaunch) {
  builder_.input("x", {-1, 4});
  kernel("twice", {"x"}, {"y"})
      .set("kernel", doubled().c_str())
      .set("tile", std::vector<int64_t>{4});
  builder_.node("Relu", {"y"}, {"z"});
  builder_.output("z");
  onnx::ValueInfoProto* info = builder_.proto().mutable_graph()->add_value_info();
  info->set_name("y");
  auto* shape = info->mutable_type()->mutable_tensor_type()->mutable_shape();
  shape->add_dim()->set_dim_param("unknown");
  shape->add_dim()->set_dim_value(4);
  for (const int64_t rows : {1, 3, 7}) {
    const auto model = import({.input_shapes = {{"x", {rows, 4}}}});
    ASSERT_TRUE(model) << model.error().message();
    EXPECT_EQ(model->outputs[1].shape, (Shape{rows, 4}));
    EXPECT_EQ(run(*model)[1].number(rows * 4 - 1), static_cast<double>(rows * 8));
  }
}

TEST_F(OnnxKernel, TilesCoverTheLastAxes) {
  const std::string text = R"(leat-kernel 2
kernel "groups" lanes 1 waves 1 grid 1 1 1
parameter y : i32[1] write
{
  %x : u.i32 = group_id 0
  %y : u.i32 = group_id 1
  %z : u.i32 = group_id 2
  %ten : u.i32 = constant 10
  %hundred : u.i32 = constant 100
  %zero : u.i32 = constant 0
  %b : u.i32 = mul_i %y, %ten
  %c : u.i32 = mul_i %z, %hundred
  %d : u.i32 = add_i %x, %b
  %e : u.i32 = add_i %d, %c
  %before : v.i32 = atomic_add y[%e + lane * 0], %ten
}
)";
  const auto count_with = [&](Shape shape, const std::vector<int64_t>& tile) {
    builder_ = OnnxBuilder();
    leat_version(1);
    builder_.input("unused", {1});
    kernel("groups", {}, {"y"})
        .set("kernel", text.c_str())
        .set("shape", std::vector<int64_t>(shape))
        .set("tile", tile);
    const auto model = import({.trusts_kernels = true});
    std::vector<int64_t> touched;
    EXPECT_TRUE(model) << model.error().message();
    if (!model) return touched;
    const std::vector<HostTensor> results = run(*model);
    for (int64_t i = 0; i < element_count(results[0].shape); ++i) {
      if (results[0].integer(i) != 0) touched.push_back(i);
    }
    return touched;
  };
  using Numbers = std::vector<int64_t>;
  EXPECT_EQ(count_with({2, 3, 5}, {10}), (Numbers{0, 1, 2}));
  EXPECT_EQ(count_with({3, 2, 5}, {4, 3}), (Numbers{0, 1, 10, 11}));
  EXPECT_EQ(count_with({300}, {1, 200}), (Numbers{0, 1}));
  EXPECT_EQ(count_with({2, 4, 40}, {1, 4, 20}), (Numbers{0, 1, 100, 101}));
}

TEST_F(OnnxKernel, ComesFromAFileBesideTheModel) {
  std::filesystem::create_directories(path("net"));
  write("net/twice.ir", doubled());
  write("outside.ir", doubled());
  std::filesystem::create_symlink(path("outside.ir"), path("net/link.ir"));
  const auto import_with = [&](const char* file) {
    builder_ = OnnxBuilder();
    leat_version(1);
    builder_.input("x", {8});
    kernel("twice", {"x"}, {"y"}).set("file", file);
    write("net/model.onnx", builder_.bytes());
    return import_onnx(path("net/model.onnx"));
  };
  EXPECT_TRUE(import_with("twice.ir"));
  const auto expect_error = [&](const char* file, const std::string& part) {
    const auto model = import_with(file);
    ASSERT_FALSE(model) << file;
    EXPECT_NE(model.error().message().find(part), std::string::npos) << model.error().message();
  };
  expect_error("../outside.ir", "only files in or below the model's folder are read");
  expect_error((path("net") + "/twice.ir").c_str(), "only files in or below");
  expect_error("link.ir", "outside of the model's folder");
  expect_error("none.ir", "cannot be opened");
  EXPECT_TRUE(import_with("twice.ir"));
  expect_refused("a model in memory has none beside it");
}

// --- What is refused -----------------------------------------------------------------------------

TEST_F(OnnxKernel, RefusesATextThatIsNone) {
  builder_.input("x", {8});
  kernel("twice", {"x"}, {"y"}).set("kernel", "leat-kernel 1\nkernel twice");
  expect_refused("attribute \"kernel\":2:");
  expect_refused("importing node \"y_node\" (twice, opset 1)");
}

TEST_F(OnnxKernel, RefusesANodeWithoutATextOrWithTwo) {
  builder_.input("x", {8});
  OnnxNodeBuilder node = kernel("twice", {"x"}, {"y"});
  expect_refused("this node has neither");
  node.set("kernel", doubled().c_str()).set("file", "twice.ir");
  expect_refused("this node has both");
}

TEST_F(OnnxKernel, RefusesAnotherName) {
  builder_.input("x", {8});
  kernel("thrice", {"x"}, {"y"}).set("kernel", doubled().c_str());
  expect_refused("named as its kernel is, which is \"twice\"");
}

TEST_F(OnnxKernel, RefusesWhatDoesNotFitItsParameters) {
  builder_.input("x", {8});
  builder_.input("k", {8}, onnx::TensorProto::INT32);
  OnnxNodeBuilder node = kernel("twice", {"k"}, {"y"}).set("kernel", doubled().c_str());
  expect_refused("Input 0 is i32; kernel \"twice\" reads it as \"x\", which is f32");
  node.proto().add_input("x");
  expect_refused("reads (1) parameters; the node has (2) inputs");
  node.proto().clear_input();
  expect_refused("reads (1) parameters; the node has (0) inputs");
  node.proto().add_input("x");
  node.proto().add_output("z");
  expect_refused("writes (1) parameters; the node has (2) outputs");
}

TEST_F(OnnxKernel, RefusesALaunchThatIsNone) {
  builder_.input("x", {8});
  OnnxNodeBuilder node = kernel("twice", {"x"}, {"y"}).set("kernel", doubled().c_str());
  const int own = node.proto().attribute_size();
  const auto with = [&](const char* name, const std::vector<int64_t>& values,
                        const std::string& part) {
    while (node.proto().attribute_size() > own) node.proto().mutable_attribute()->RemoveLast();
    node.set(name, values);
    expect_refused(part);
  };
  with("grid", {0}, "Attribute \"grid\" (0)");
  with("grid", {1, 1, 1, 1}, "Attribute \"grid\" has (4) numbers");
  with("tile", {-4}, "Attribute \"tile\" (-4)");
  with("like", {0, 0}, "Attribute \"like\" has (2) numbers");
  with("like", {1}, "names input (1) of (1)");
  with("shape", {1 << 20, 1 << 20, 1 << 20}, "elements");
  with("shape", {0}, "has no elements");
  with("size", {1}, "Attribute \"size\" is not one");
  node.set("grid", std::vector<int64_t>{2}).set("tile", std::vector<int64_t>{2});
  node.proto().mutable_attribute()->DeleteSubrange(own, 1);
  expect_refused("stands beside the other");
}

TEST_F(OnnxKernel, RefusesAnotherVersionOfTheDomain) {
  builder_ = OnnxBuilder();
  builder_.input("x", {8});
  kernel("twice", {"x"}, {"y"}).set("kernel", doubled().c_str());
  expect_refused("which version of domain \"leat\"");
  leat_version(2);
  expect_refused("Version (2) of domain \"leat\"");
}

// What leaves its memory is told by the interpreter; when it is trusted, it is masked.
TEST_F(OnnxKernel, ChecksWhatItIsNotToldToTrust) {
  builder_.input("x", {6});
  kernel("twice", {"x"}, {"y"})
      .set("kernel", doubled().c_str())
      .set("shape", std::vector<int64_t>{8});
  expect_refused("outside of");
  expect_refused("%v");
  const auto trusted = import({.trusts_kernels = true});
  ASSERT_TRUE(trusted) << trusted.error().message();
  const std::vector<HostTensor> results = run(*trusted);
  EXPECT_EQ(results[0].number(5), 12);
  EXPECT_EQ(results[0].number(7), 0);
}

TEST_F(OnnxKernel, ChecksWithinALimit) {
  builder_.input("x", {8});
  OnnxNodeBuilder node = kernel("twice", {"x"}, {"y"})
                             .set("kernel", doubled().c_str())
                             .set("grid", std::vector<int64_t>{INT32_MAX, INT32_MAX, 4});
  expect_refused("so many workgroups (2147483647 x 2147483647 x 4)");
  node.proto().mutable_attribute()->RemoveLast();
  node.set("shape", std::vector<int64_t>{1 << 25});
  expect_refused("so many elements (33554440, limit 16777216)");
  std::string loops = doubled();
  loops.replace(loops.find("  %v : "), 0,
                "  %zero : u.i32 = constant 0\n  %many : u.i32 = constant 2000000000\n"
                "  %n : u.i32 = loop %i : u.i32 = %zero to %many step %four carry %s : u.i32 = "
                "%zero {\n    %t : u.i32 = add_i %s, %i\n    yield %t\n  }\n");
  builder_ = OnnxBuilder();
  leat_version(1);
  builder_.input("x", {8});
  kernel("twice", {"x"}, {"y"}).set("kernel", loops.c_str());
  expect_refused("more than (67108864) instructions");
  EXPECT_TRUE(import({.trusts_kernels = true}));
}

}  // namespace
}  // namespace leat
