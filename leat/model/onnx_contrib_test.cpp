// Operators of ONNX Runtime beside the same computation in operators of the standard.
#include <gtest/gtest.h>

#include <functional>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

using Build = std::function<void(OnnxBuilder&)>;
using List = std::vector<int64_t>;

OnnxBuilder model_of(const Build& build, int64_t opset = 24) {
  OnnxBuilder builder(opset);
  auto* contrib = builder.proto().add_opset_import();
  contrib->set_domain("com.microsoft");
  contrib->set_version(1);
  build(builder);
  return builder;
}

OnnxNodeBuilder contrib(OnnxBuilder& b, const std::string& op,
                        const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs) {
  OnnxNodeBuilder node = b.node(op, inputs, outputs);
  node.proto().set_domain("com.microsoft");
  return node;
}

/// Inputs are fed multiples of 1/8 that look random and depend on the input's place only.
Result<std::vector<HostTensor>> run(const OnnxBuilder& builder) {
  TRY_ASSIGN(const Model model, import_onnx_bytes(builder.bytes(), "built.onnx"));
  std::vector<HostTensor> feeds;
  uint32_t state = 77;
  for (const ModelValue& input : model.inputs) {
    feeds.push_back(HostTensor::zeros(input.dtype, input.shape));
    for (int64_t i = 0; i < element_count(input.shape); ++i) {
      state = state * 1664525u + 1013904223u;
      feeds.back().set_number(i, (static_cast<double>((state >> 16) % 15) - 7) / 8);
    }
  }
  return evaluate(model.graph, feeds);
}

/// Both build from inputs that `prepare` declares, and name their outputs alike.
void expect_same(const Build& prepare, const Build& ours, const Build& standard,
                 const std::vector<std::string>& outputs = {"y"}) {
  const auto all = [&](const Build& build) {
    return run(model_of([&](OnnxBuilder& b) {
      prepare(b);
      build(b);
      for (const std::string& output : outputs) b.output(output);
    }));
  };
  const auto got = all(ours), want = all(standard);
  ASSERT_TRUE(got.has_value()) << got.error().message();
  ASSERT_TRUE(want.has_value()) << want.error().message();
  for (size_t o = 0; o < outputs.size(); ++o) {
    SCOPED_TRACE(outputs[o]);
    ASSERT_EQ((*got)[o].shape, (*want)[o].shape);
    ASSERT_EQ((*got)[o].dtype, (*want)[o].dtype);
    for (int64_t i = 0; i < element_count((*got)[o].shape); ++i) {
      // Some roundings to f32, at different places.
      ASSERT_NEAR((*got)[o].number(i), (*want)[o].number(i), 2e-6) << "element " << i;
    }
  }
}

void expect_refused(const Build& build, ErrorKind kind, const std::string& part) {
  const auto result = run(model_of([&](OnnxBuilder& b) {
    build(b);
    b.output("y");
  }));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), kind);
  EXPECT_NE(result.error().message().find(part), std::string::npos) << result.error().message();
}

HostTensor whole(const Shape& shape, const List& values, DType dtype = DType::i32) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) {
    tensor.set_integer(static_cast<int64_t>(i), values[i]);
  }
  return tensor;
}

HostTensor floats(const Shape& shape, const std::vector<double>& values) {
  HostTensor tensor = HostTensor::zeros(DType::f32, shape);
  for (size_t i = 0; i < values.size(); ++i) {
    tensor.set_number(static_cast<int64_t>(i), values[i]);
  }
  return tensor;
}

TEST(OnnxContrib, Activations) {
  const Build inputs = [](OnnxBuilder& b) {
    b.input("x", {3, 8});
    b.weights("bias", {8});
  };
  expect_same(
      inputs, [](OnnxBuilder& b) { contrib(b, "Gelu", {"x"}, {"y"}); },
      [](OnnxBuilder& b) { b.node("Gelu", {"x"}, {"y"}); });
  const auto of_sum = [](const char* approximation) {
    return [approximation](OnnxBuilder& b) {
      b.node("Add", {"x", "bias"}, {"sum"});
      b.node("Gelu", {"sum"}, {"y"}).set("approximate", approximation);
    };
  };
  expect_same(
      inputs,
      [](OnnxBuilder& b) {
        contrib(b, "BiasGelu", {"x", "bias"}, {"y"});
      },
      of_sum("none"));
  expect_same(
      inputs,
      [](OnnxBuilder& b) {
        contrib(b, "FastGelu", {"x", "bias"}, {"y"});
      },
      of_sum("tanh"));
  expect_same(
      inputs, [](OnnxBuilder& b) { contrib(b, "QuickGelu", {"x"}, {"y"}).set("alpha", 1.0f); },
      [](OnnxBuilder& b) {
        b.node("Sigmoid", {"x"}, {"gate"});
        b.node("Mul", {"x", "gate"}, {"y"});
      });
}

TEST(OnnxContrib, FusedProducts) {
  expect_same(
      [](OnnxBuilder& b) {
        b.input("a", {2, 4, 3});
        b.weights("b", {2, 5, 4});
        b.constant("alpha", floats({}, {0.5}));
      },
      [](OnnxBuilder& b) {
        contrib(b, "FusedMatMul", {"a", "b"}, {"y"})
            .set("transA", 1)
            .set("transB", 1)
            .set("alpha", 0.5f);
      },
      [](OnnxBuilder& b) {
        b.node("Transpose", {"a"}, {"at"}).set("perm", List{0, 2, 1});
        b.node("Transpose", {"b"}, {"bt"}).set("perm", List{0, 2, 1});
        b.node("MatMul", {"at", "bt"}, {"product"});
        b.node("Mul", {"product", "alpha"}, {"y"});
      });
  expect_same(
      [](OnnxBuilder& b) {
        b.input("x", {1, 3, 6, 6});
        b.input("z", {1, 4, 4, 4});
        b.weights("w", {4, 3, 3, 3});
        b.weights("bias", {4});
      },
      [](OnnxBuilder& b) {
        contrib(b, "FusedConv", {"x", "w", "bias", "z"}, {"y"})
            .set("activation", "LeakyRelu")
            .set("activation_params", std::vector<float>{0.25f});
      },
      [](OnnxBuilder& b) {
        b.node("Conv", {"x", "w", "bias"}, {"conv"});
        b.node("Add", {"conv", "z"}, {"sum"});
        b.node("LeakyRelu", {"sum"}, {"y"}).set("alpha", 0.25f);
      });
}

TEST(OnnxContrib, Normalisations) {
  const Build inputs = [](OnnxBuilder& b) {
    b.input("x", {2, 3, 8});
    b.input("skip", {3, 8});
    for (const char* name : {"gamma", "beta", "bias"}) b.weights(name, {8});
  };
  const auto sum = [](OnnxBuilder& b) {
    b.node("Add", {"x", "skip"}, {"placed"});
    b.node("Add", {"placed", "bias"}, {"sum"});
  };
  expect_same(
      inputs,
      [](OnnxBuilder& b) {
        contrib(b, "SkipLayerNormalization", {"x", "skip", "gamma", "beta", "bias"},
                {"y", "mean", "", "sum"})
            .set("epsilon", 0.001f);
      },
      [&](OnnxBuilder& b) {
        sum(b);
        b.node("LayerNormalization", {"sum", "gamma", "beta"}, {"y", "mean"})
            .set("epsilon", 0.001f);
      },
      {"y", "mean", "sum"});
  const Build rms = [](OnnxBuilder& b) {
    b.node("RMSNormalization", {"sum", "gamma"}, {"y"}).set("epsilon", 0.001f);
  };
  expect_same(
      inputs,
      [](OnnxBuilder& b) {
        contrib(b, "SkipSimplifiedLayerNormalization", {"x", "skip", "gamma", "bias"},
                {"y", "", "", "sum"})
            .set("epsilon", 0.001f);
      },
      [&](OnnxBuilder& b) { sum(b), rms(b); }, {"y", "sum"});
  expect_same(
      inputs,
      [&](OnnxBuilder& b) {
        sum(b);
        b.node("SimplifiedLayerNormalization", {"sum", "gamma"}, {"y"}).set("epsilon", 0.001f);
      },
      [&](OnnxBuilder& b) { sum(b), rms(b); });
}

TEST(OnnxContrib, EmbedLayerNormalization) {
  expect_same(
      [](OnnxBuilder& b) {
        b.input("words", {7, 8});
        b.weights("places", {4, 8});
        b.weights("kinds", {2, 8});
        b.weights("gamma", {8});
        b.weights("beta", {8});
        b.constant("ids", whole({2, 3}, {6, 0, 3, 1, 1, 2}));
        b.constant("segments", whole({2, 3}, {0, 1, 1, 0, 0, 1}));
        b.constant("mask", whole({2, 3}, {1, 1, 0, 1, 1, 1}));
        b.constant("zero_to_2", whole({3}, {0, 1, 2}));
        b.constant("ends", whole({2}, {2, 3}));
      },
      [](OnnxBuilder& b) {
        contrib(b, "EmbedLayerNormalization",
                {"ids", "segments", "words", "places", "kinds", "gamma", "beta", "mask"},
                {"y", "index", "sum"})
            .set("epsilon", 0.001f);
      },
      [](OnnxBuilder& b) {
        b.node("Gather", {"words", "ids"}, {"word"});
        b.node("Gather", {"places", "zero_to_2"}, {"place"});
        b.node("Gather", {"kinds", "segments"}, {"kind"});
        b.node("Add", {"word", "place"}, {"placed"});
        b.node("Add", {"placed", "kind"}, {"sum"});
        b.node("Identity", {"ends"}, {"index"});
        b.node("LayerNormalization", {"sum", "gamma", "beta"}, {"y"}).set("epsilon", 0.001f);
      },
      {"y", "index", "sum"});
}

TEST(OnnxContrib, Attention) {
  expect_same(
      [](OnnxBuilder& b) {
        b.input("x", {2, 3, 6});
        b.input("past", {2, 2, 2, 1, 4});
        b.weights("w", {6, 24});
        b.weights("bias", {24});
        b.constant("mask", whole({2, 4}, {1, 1, 1, 0, 1, 1, 1, 1}));
        b.constant("added", floats({2, 1, 1, 4}, {0, 0, 0, -9, 0, 0, 0, 0}));
        b.constant("sizes", List{8, 8, 8});
        b.constant("axis", List{0});
      },
      [](OnnxBuilder& b) {
        contrib(b, "Attention", {"x", "w", "bias", "mask", "past"}, {"y", "present"})
            .set("num_heads", 2)
            .set("unidirectional", 1)
            .set("mask_filter_value", -9.0f)
            .set("scale", 0.25f);
      },
      [](OnnxBuilder& b) {
        b.node("MatMul", {"x", "w"}, {"product"});
        b.node("Add", {"product", "bias"}, {"qkv"});
        b.node("Split", {"qkv", "sizes"}, {"q", "k", "v"}).set("axis", 2);
        b.node("Split", {"past"}, {"k1", "v1"}).set("axis", 0).set("num_outputs", 2);
        b.node("Squeeze", {"k1", "axis"}, {"pk"});
        b.node("Squeeze", {"v1", "axis"}, {"pv"});
        b.node("Attention", {"q", "k", "v", "added", "pk", "pv"}, {"y", "nk", "nv"})
            .set("q_num_heads", 2)
            .set("kv_num_heads", 2)
            .set("is_causal", 1)
            .set("scale", 0.25f);
        b.node("Unsqueeze", {"nk", "axis"}, {"nk1"});
        b.node("Unsqueeze", {"nv", "axis"}, {"nv1"});
        b.node("Concat", {"nk1", "nv1"}, {"present"}).set("axis", 0);
      },
      {"y", "present"});
}

/// Masks by numbers of keys, by spans, and by pairs.
TEST(OnnxContrib, AttentionMasks) {
  const auto check = [](const HostTensor& mask, const HostTensor& added) {
    expect_same(
        [&](OnnxBuilder& b) {
          b.input("x", {2, 3, 4});
          b.weights("w", {4, 12});
          b.constant("mask", mask);
          b.constant("added", added);
          b.constant("sizes", List{4, 4, 4});
        },
        [](OnnxBuilder& b) {
          contrib(b, "Attention", {"x", "w", "", "mask"}, {"y"})
              .set("num_heads", 1)
              .set("mask_filter_value", -2.0f);
        },
        [](OnnxBuilder& b) {
          b.node("MatMul", {"x", "w"}, {"qkv"});
          b.node("Split", {"qkv", "sizes"}, {"q", "k", "v"}).set("axis", 2);
          b.node("Attention", {"q", "k", "v", "added"}, {"y"})
              .set("q_num_heads", 1)
              .set("kv_num_heads", 1);
        });
  };
  check(whole({2}, {2, 0}), floats({2, 1, 1, 3}, {0, 0, -2, -2, -2, -2}));
  check(whole({4}, {3, 2, 1, 0}), floats({2, 1, 1, 3}, {-2, 0, 0, 0, 0, -2}));
  check(whole({2, 3, 3}, {1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0}),
        floats({2, 1, 3, 3}, {0, -2, -2, 0, 0, -2, 0, 0, 0, -2, 0, 0, 0, -2, 0, 0, 0, -2}));
}

TEST(OnnxContrib, MultiHeadAttention) {
  expect_same(
      [](OnnxBuilder& b) {
        b.input("qkv", {2, 3, 2, 3, 4});
        b.weights("bias", {24});
        b.weights("added", {1, 2, 3, 3});
        b.constant("rows", List{2, 3, 8});
        b.constant("sizes", List{8, 8, 8});
      },
      [](OnnxBuilder& b) {
        contrib(b, "MultiHeadAttention", {"qkv", "", "", "bias", "", "added"}, {"y", "pk", "pv"})
            .set("num_heads", 2);
      },
      [](OnnxBuilder& b) {
        b.node("Split", {"qkv"}, {"q0", "k0", "v0"}).set("axis", 3).set("num_outputs", 3);
        b.node("Split", {"bias", "sizes"}, {"bq", "bk", "bv"}).set("axis", 0);
        for (const std::string part : {"q", "k", "v"}) {
          b.node("Reshape", {part + "0", "rows"}, {part + "1"});
          b.node("Add", {part + "1", "b" + part}, {part});
        }
        b.node("Attention", {"q", "k", "v", "added"}, {"y", "pk", "pv"})
            .set("q_num_heads", 2)
            .set("kv_num_heads", 2);
      },
      {"y", "pk", "pv"});
}

/// The cache is a buffer of seven rows, of which batch elements have three and five.
TEST(OnnxContrib, GroupQueryAttention) {
  expect_same(
      [](OnnxBuilder& b) {
        b.input("q", {2, 1, 16});
        b.input("k", {2, 1, 8});
        b.input("v", {2, 1, 8});
        b.input("pk", {2, 2, 7, 4});
        b.input("pv", {2, 2, 7, 4});
        b.weights("cosine", {9, 2});
        b.weights("sine", {9, 2});
        b.constant("last", whole({2}, {3, 5}));
        b.constant("total", whole({}, {6}));
        b.constant("place", whole({2, 1}, {3, 5}, DType::i64));
        b.constant("counts", whole({2}, {4, 6}, DType::i64));
        b.constant("start", whole({2}, {3, 5}, DType::i64));
        b.constant("apart", List{2, 1, 2, 4});
      },
      [](OnnxBuilder& b) {
        contrib(b, "GroupQueryAttention",
                {"q", "k", "v", "pk", "pv", "last", "total", "cosine", "sine"}, {"y", "nk", "nv"})
            .set("num_heads", 4)
            .set("kv_num_heads", 2)
            .set("do_rotary", 1)
            .set("local_window_size", 3);
      },
      [](OnnxBuilder& b) {
        b.node("RotaryEmbedding", {"q", "cosine", "sine", "place"}, {"qt"}).set("num_heads", 4);
        b.node("RotaryEmbedding", {"k", "cosine", "sine", "place"}, {"kt"}).set("num_heads", 2);
        for (const std::string part : {"k", "v"}) {
          b.node("Reshape", {part == "k" ? "kt" : part, "apart"}, {part + "1"});
          b.node("Transpose", {part + "1"}, {part + "2"}).set("perm", List{0, 2, 1, 3});
        }
        b.constant("hot_rows", floats({2, 1, 7, 1}, {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}));
        b.constant("half", floats({}, {0.5}));
        b.node("Greater", {"hot_rows", "half"}, {"is_new"});
        b.node("Where", {"is_new", "k2", "pk"}, {"nk"});
        b.node("Where", {"is_new", "v2", "pv"}, {"nv"});
        // Keys 1 to 3 and 3 to 5.
        b.constant("seen", floats({2, 1, 1, 7}, {-99, 0, 0, 0, -99, -99, -99,  //
                                                 -99, -99, -99, 0, 0, 0, -99}));
        b.constant("shape", List{2, 1, 4, 4});
        b.node("Reshape", {"qt", "shape"}, {"q1"});
        b.node("Transpose", {"q1"}, {"q2"}).set("perm", List{0, 2, 1, 3});
        b.node("Attention", {"q2", "nk", "nv", "seen"}, {"y1"});
        b.node("Transpose", {"y1"}, {"y2"}).set("perm", List{0, 2, 1, 3});
        b.constant("rows", List{2, 1, 16});
        b.node("Reshape", {"y2", "rows"}, {"y"});
      },
      {"y", "nk", "nv"});
}

TEST(OnnxContrib, RotaryEmbedding) {
  const auto check = [](const HostTensor& position, const HostTensor& places) {
    expect_same(
        [&](OnnxBuilder& b) {
          b.input("x", {2, 2, 12});
          b.weights("cosine", {5, 2});
          b.weights("sine", {5, 2});
          b.constant("position", position);
          b.constant("places", places);
        },
        [](OnnxBuilder& b) {
          contrib(b, "RotaryEmbedding", {"x", "position", "cosine", "sine"}, {"y"})
              .set("interleaved", 1);
        },
        [](OnnxBuilder& b) {
          b.node("RotaryEmbedding", {"x", "cosine", "sine", "places"}, {"y"})
              .set("interleaved", 1)
              .set("num_heads", 3);
        });
  };
  check(whole({1}, {2}, DType::i64), whole({2, 2}, {2, 3, 2, 3}, DType::i64));
  check(whole({2, 2}, {4, 0, 1, 2}, DType::i64), whole({2, 2}, {4, 0, 1, 2}, DType::i64));
}

TEST(OnnxContrib, Refuses) {
  const auto one = [](const std::string& op, const std::function<void(OnnxNodeBuilder&)>& set) {
    return [=](OnnxBuilder& b) {
      b.input("x", {2, 3, 4});
      b.weights("w", {4, 12});
      OnnxNodeBuilder node = contrib(b, op, {"x", "w"}, {"y"});
      set(node);
    };
  };
  using enum ErrorKind;
  const auto nothing = [](OnnxNodeBuilder&) {};
  expect_refused(one("Inverse", nothing), unsupported, "Operator Inverse of domain");
  expect_refused(one("FusedMatMul", [](auto& n) { n.set("transBatchA", 1); }), unsupported,
                 "transBatchA");
  expect_refused(one("Attention", nothing), invalid_argument, "num_heads");
  expect_refused(one("Attention", [](auto& n) { n.set("num_heads", 1).set("do_rotary", 1); }),
                 unsupported, "do_rotary");
  expect_refused(one("Attention",
                     [](auto& n) {
                       n.set("num_heads", 1).set("qkv_hidden_sizes", List{4, 4, 5});
                     }),
                 invalid_argument, "(4 + 4 + 5)");
  expect_refused(one("MultiHeadAttention", [](auto& n) { n.set("num_heads", 2); }),
                 invalid_argument, "(4, 12)");
  expect_refused(
      [](OnnxBuilder& b) {
        b.input("q", {});
        b.input("k", {1, 2, 4});
        b.input("mask", {1, 2}, onnx::TensorProto::INT32);
        contrib(b, "MultiHeadAttention", {"q", "k", "k", "", "mask"}, {"y"}).set("num_heads", 1);
      },
      invalid_argument, "scalar");
  expect_refused(one("FusedConv", [](auto& n) { n.set("activation", "Mish"); }), invalid_argument,
                 "(2, 3, 4)");
  expect_refused(
      [](OnnxBuilder& b) {
        b.input("q", {1, 2, 8});
        b.input("total", {}, onnx::TensorProto::INT32);
        b.constant("last", whole({1}, {1}));
        contrib(b, "GroupQueryAttention", {"q", "q", "q", "", "", "last", "total"}, {"y"})
            .set("num_heads", 2)
            .set("kv_num_heads", 2);
      },
      unsupported, "total_sequence_length");
}

}  // namespace
}  // namespace leat
