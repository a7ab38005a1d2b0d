// Classical models, steps of training and other operators whose attributes are lists: what the
// import makes of the lists, and what it refuses. Expected values are worked out by hand from the
// operator schemas.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

using Texts = std::vector<std::string>;
using Whole = std::vector<int64_t>;
using Floats = std::vector<float>;

HostTensor tensor_of(const Shape& shape, const std::vector<double>& values,
                     DType dtype = DType::f32) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) tensor.set_number(static_cast<int64_t>(i), values[i]);
  return tensor;
}

void set_texts(OnnxNodeBuilder& node, const std::string& name, const Texts& texts) {
  onnx::AttributeProto* attribute = node.proto().add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::STRINGS);
  for (const std::string& text : texts) attribute->add_strings(text);
}

/// One node of a domain: input x, the outputs named.
struct OneNode {
  std::string op;
  std::string domain = "ai.onnx.ml";
  int64_t version = 3;
  std::vector<std::string> outputs = {"y"};
};

Result<std::vector<HostTensor>> run(const OneNode& one, const HostTensor& x,
                                    const std::function<void(OnnxNodeBuilder&)>& build) {
  OnnxBuilder builder(17);
  if (!one.domain.empty()) {
    onnx::OperatorSetIdProto* opset = builder.proto().add_opset_import();
    opset->set_domain(one.domain);
    opset->set_version(one.version);
  }
  builder.input("x", x.shape,
                x.dtype == DType::i64 ? onnx::TensorProto::INT64 : onnx::TensorProto::FLOAT);
  OnnxNodeBuilder node = builder.node(one.op, {"x"}, one.outputs);
  node.proto().set_domain(one.domain);
  build(node);
  for (const std::string& output : one.outputs) builder.output(output);
  TRY_ASSIGN(const Model model, import_onnx_bytes(builder.bytes(), "built.onnx"));
  return evaluate(model.graph, {&x, 1});
}

void expect_values(const Result<std::vector<HostTensor>>& outputs, size_t index, const Shape& shape,
                   const std::vector<double>& values) {
  ASSERT_TRUE(outputs.has_value()) << outputs.error().message();
  const HostTensor& actual = (*outputs)[index];
  ASSERT_EQ(actual.shape, shape);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(actual.number(static_cast<int64_t>(i)), values[i], 1e-5) << "element " << i;
  }
}

void expect_refused(const Result<std::vector<HostTensor>>& outputs, ErrorKind kind,
                    const std::string& part) {
  ASSERT_FALSE(outputs.has_value());
  EXPECT_EQ(outputs.error().kind(), kind) << outputs.error().message();
  EXPECT_NE(outputs.error().message().find(part), std::string::npos) << outputs.error().message();
}

/// Two trees: x[0] <= 1 ? node 1 : node 2, and x[1] < 0 ? node 5 : node 7, numbers as they come.
void set_trees(OnnxNodeBuilder& node) {
  node.set("nodes_treeids", Whole{0, 0, 0, 4, 4, 4})
      .set("nodes_nodeids", Whole{0, 1, 2, 3, 5, 7})
      .set("nodes_featureids", Whole{0, 0, 0, 1, 0, 0})
      .set("nodes_values", Floats{1, 0, 0, 0, 0, 0})
      .set("nodes_truenodeids", Whole{1, 0, 0, 5, 0, 0})
      .set("nodes_falsenodeids", Whole{2, 0, 0, 7, 0, 0});
  set_texts(node, "nodes_modes", {"BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"});
}

void set_votes(OnnxNodeBuilder& node, const std::string& part, const Whole& ids,
               const Floats& weights) {
  node.set(part + "_treeids", Whole{0, 0, 4, 4})
      .set(part + "_nodeids", Whole{1, 2, 5, 7})
      .set(part + "_ids", ids)
      .set(part + "_weights", weights);
}

const HostTensor kRows = tensor_of({3, 2}, {1, -1, 2, -1, 2, 1});

TEST(OnnxTrees, RegressorSumsAndAverages) {
  for (const char* aggregate : {"SUM", "AVERAGE"}) {
    const double share = aggregate[0] == 'S' ? 1 : 0.5;
    expect_values(
        run({"TreeEnsembleRegressor"}, kRows,
            [&](OnnxNodeBuilder& node) {
              set_trees(node);
              set_votes(node, "target", {0, 1, 0, 1}, {1, 2, 4, 8});
              node.set("n_targets", 2)
                  .set("aggregate_function", aggregate)
                  .set("base_values", Floats{0.5f, 0.25f});
            }),
        0, {3, 2},
        {0.5 + 5 * share, 0.25, 0.5 + 4 * share, 0.25 + 2 * share, 0.5, 0.25 + 10 * share});
  }
}

TEST(OnnxTrees, ClassifierOfThreeAndOfTwoClasses) {
  const OneNode classifier = {.op = "TreeEnsembleClassifier", .outputs = {"label", "scores"}};
  const auto three = run(classifier, kRows, [](OnnxNodeBuilder& node) {
    set_trees(node);
    set_votes(node, "class", {0, 1, 2, 1}, {3, 2, 1, 1});
    node.set("classlabels_int64s", Whole{10, 20, 30});
  });
  expect_values(three, 0, {3}, {10, 20, 20});
  expect_values(three, 1, {3, 3}, {3, 0, 1, 0, 2, 1, 0, 3, 0});
  // All leaves vote for one: shares, or scores of both signs.
  const auto binary = [&](const Floats& weights, const char* transform) {
    return run(classifier, kRows, [&](OnnxNodeBuilder& node) {
      set_trees(node);
      set_votes(node, "class", {0, 0, 0, 0}, weights);
      node.set("classlabels_int64s", Whole{5, 7}).set("post_transform", transform);
    });
  };
  const auto shares = binary({0.125f, 0.5f, 0.25f, 0.25f}, "NONE");
  expect_values(shares, 0, {3}, {5, 7, 7});
  expect_values(shares, 1, {3, 2}, {0.625, 0.375, 0.25, 0.75, 0.25, 0.75});
  const auto logistic = binary({0, 0, -1, 1}, "LOGISTIC");
  expect_values(logistic, 0, {3}, {5, 5, 7});
  expect_values(logistic, 1, {3, 2},
                {0.7310586, 0.2689414, 0.7310586, 0.2689414, 0.2689414, 0.7310586});
}

TEST(OnnxTrees, RefusesBrokenLists) {
  const OneNode regressor = {.op = "TreeEnsembleRegressor"};
  const auto with = [&](const std::function<void(OnnxNodeBuilder&)>& spoil) {
    return run(regressor, kRows, [&](OnnxNodeBuilder& node) {
      set_trees(node);
      set_votes(node, "target", {0, 0, 0, 0}, {1, 2, 3, 4});
      spoil(node);
    });
  };
  const auto replaced = [&](const std::string& name, const Whole& values) {
    return with([&](OnnxNodeBuilder& node) {
      for (onnx::AttributeProto& attribute : *node.proto().mutable_attribute()) {
        if (attribute.name() != name) continue;
        attribute.mutable_ints()->Assign(values.begin(), values.end());
      }
    });
  };
  using enum ErrorKind;
  expect_refused(replaced("nodes_truenodeids", {9, 0, 0, 5, 0, 0}), invalid_argument, "no node 9");
  expect_refused(replaced("nodes_nodeids", {0, 1, 1, 3, 5, 7}), invalid_argument, "twice");
  expect_refused(replaced("nodes_nodeids", {0, 1}), invalid_argument, "2 nodes");
  expect_refused(replaced("nodes_featureids", {0}), invalid_argument, "6 entries");
  expect_refused(replaced("nodes_falsenodeids", {1, 0, 0, 7, 0, 0}), invalid_argument, "two roots");
  expect_refused(replaced("target_ids", {0, 0, 0, 1}), invalid_argument, "target (1)");
  expect_refused(replaced("target_ids", {0}), invalid_argument, "4 entries");
  expect_refused(with([](OnnxNodeBuilder& node) { node.set("post_transform", "SQUARE"); }),
                 invalid_argument, "SQUARE");
  expect_refused(run({.op = "TreeEnsembleClassifier"}, kRows,
                     [](OnnxNodeBuilder& node) {
                       set_trees(node);
                       set_texts(node, "classlabels_strings", {"a", "b"});
                     }),
                 unsupported, "classlabels_strings");
}

TEST(OnnxTrees, EnsembleWithMembership) {
  const double nan = std::nan("");
  const auto build = [&](OnnxNodeBuilder& node) {
    node.set("tree_roots", Whole{0})
        .set("n_targets", 1)
        .set("nodes_featureids", Whole{0, 1})
        .set("nodes_modes", tensor_of({2}, {6, 2}, DType::u8))
        .set("nodes_splits", tensor_of({2}, {0, 0.5}))
        .set("nodes_truenodeids", Whole{1, 1})
        .set("nodes_trueleafs", Whole{0, 1})
        .set("nodes_falsenodeids", Whole{0, 2})
        .set("nodes_falseleafs", Whole{1, 1})
        .set("membership_values", tensor_of({3}, {1, 3, nan}))
        .set("leaf_targetids", Whole{0, 0, 0})
        .set("leaf_weights", tensor_of({3}, {10, 20, 30}));
  };
  const OneNode ensemble = {.op = "TreeEnsemble", .version = 5};
  const HostTensor x = tensor_of({4, 2}, {1, 1, 3, 0, 2, 1, nan, 1});
  expect_values(run(ensemble, x, build), 0, {4, 1}, {20, 30, 10, 10});
  expect_refused(run(ensemble, x,
                     [&](OnnxNodeBuilder& node) {
                       build(node);
                       node.proto().mutable_attribute(5)->set_ints(1, 3);
                     }),
                 ErrorKind::invalid_argument, "branch (3)");
}

TEST(OnnxFeatures, ListsOfNumbers) {
  const HostTensor whole = tensor_of({4}, {1, 5, 2, 9}, DType::i64);
  const OneNode encoder = {.op = "LabelEncoder"};
  expect_values(run(encoder, whole,
                    [](OnnxNodeBuilder& node) {
                      node.set("keys_int64s", Whole{1, 2, 5})
                          .set("values_floats", Floats{0.5f, 1.5f, 2.5f})
                          .set("default_float", 7.0f);
                    }),
                0, {4}, {0.5, 2.5, 1.5, 7});
  expect_values(run(encoder, whole,
                    [](OnnxNodeBuilder& node) {
                      node.set("keys_tensor", tensor_of({2}, {9, 1}, DType::i64))
                          .set("values_int64s", Whole{3, 4});
                    }),
                0, {4}, {4, -1, -1, 3});
  expect_refused(run(encoder, whole,
                     [](OnnxNodeBuilder& node) {
                       node.set("keys_int64s", Whole{1});
                       set_texts(node, "values_strings", {"one"});
                     }),
                 ErrorKind::unsupported, "values_strings");
  const OneNode classifier = {.op = "LinearClassifier", .outputs = {"label", "scores"}};
  const auto linear = run(classifier, kRows, [](OnnxNodeBuilder& node) {
    node.set("coefficients", Floats{1, 2}).set("intercepts", Floats{-0.5f});
    node.set("classlabels_ints", Whole{3, 8});
  });
  expect_values(linear, 0, {3}, {3, 3, 8});
  expect_values(linear, 1, {3, 2}, {1.5, -1.5, 0.5, -0.5, -3.5, 3.5});
  expect_values(run({.op = "FeatureVectorizer"}, whole,
                    [](OnnxNodeBuilder& node) { node.set("inputdimensions", Whole{4}); }),
                0, {1, 4}, {1, 5, 2, 9});
  expect_refused(run({.op = "FeatureVectorizer"}, whole,
                     [](OnnxNodeBuilder& node) { node.set("inputdimensions", Whole{3}); }),
                 ErrorKind::invalid_argument, "inputdimensions");
}

TEST(OnnxFeatures, GramsAndSvmRefuseWhatTheyLack) {
  const HostTensor tokens = tensor_of({4}, {1, 2, 1, 2}, DType::i64);
  const OneNode grams = {.op = "TfIdfVectorizer", .domain = ""};
  const auto build = [](OnnxNodeBuilder& node) {
    node.set("min_gram_length", 2).set("max_gram_length", 2).set("max_skip_count", 0);
    node.set("mode", "IDF").set("ngram_counts", Whole{0, 0}).set("ngram_indexes", Whole{1, 0});
    node.set("weights", Floats{0.5f, 4});
  };
  expect_values(run(grams, tokens,
                    [&](OnnxNodeBuilder& node) {
                      build(node);
                      node.set("pool_int64s", Whole{1, 2, 2, 2});
                    }),
                0, {2}, {0, 0.5});
  expect_refused(run(grams, tokens,
                     [&](OnnxNodeBuilder& node) {
                       build(node);
                       set_texts(node, "pool_strings", {"a", "b"});
                     }),
                 ErrorKind::unsupported, "pool_strings");
  const OneNode svm = {.op = "SVMRegressor", .version = 1};
  expect_refused(run(svm, kRows, [](OnnxNodeBuilder& node) { node.set("n_supports", 0); }),
                 ErrorKind::invalid_argument, "rho");
  expect_refused(run({.op = "SVMClassifier", .version = 1}, kRows, [](OnnxNodeBuilder&) {}),
                 ErrorKind::unsupported, "SVMClassifier");
}

}  // namespace
}  // namespace leat
