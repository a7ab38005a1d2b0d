// Operators whose meaning or whose place for a parameter changed between opset versions: the same
// computation said in the words of each version gives the same numbers, and different meanings give
// the ones of their version. Expected values are worked out by hand from the operator schemas.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

HostTensor tensor_of(const Shape& shape, const std::vector<double>& values,
                     DType dtype = DType::f32) {
  HostTensor tensor = HostTensor::zeros(dtype, shape);
  for (size_t i = 0; i < values.size(); ++i) tensor.set_number(static_cast<int64_t>(i), values[i]);
  return tensor;
}

/// Builds a model with input x and output y, and runs it on the reference evaluator.
Result<HostTensor> run(int64_t opset, const HostTensor& x,
                       const std::function<void(OnnxBuilder&)>& build) {
  OnnxBuilder builder(opset);
  builder.input("x", x.shape);
  build(builder);
  builder.output("y");
  TRY_ASSIGN(const Model model, import_onnx_bytes(builder.bytes(), "built.onnx"));
  TRY_ASSIGN(const std::vector<HostTensor> outputs, evaluate(model.graph, {&x, 1}));
  return outputs[0];
}

void expect_values(const Result<HostTensor>& actual, const Shape& shape,
                   const std::vector<double>& values) {
  ASSERT_TRUE(actual.has_value()) << actual.error().message();
  ASSERT_EQ(actual->shape, shape);
  for (size_t i = 0; i < values.size(); ++i) {
    // f32 results of a handful of roundings, magnitude around 1.
    EXPECT_NEAR(actual->number(static_cast<int64_t>(i)), values[i], 1e-5) << "element " << i;
  }
}

const HostTensor kRow = tensor_of({1, 4}, {-2, -1, 1, 2});

TEST(OnnxOpsets, ClipLimitsMovedToInputs) {
  const std::vector<double> expected = {-1, -1, 1, 1.5};
  expect_values(
      run(7, kRow,
          [](OnnxBuilder& b) { b.node("Clip", {"x"}, {"y"}).set("min", -1.0f).set("max", 1.5f); }),
      {1, 4}, expected);
  expect_values(run(11, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("low", tensor_of({}, {-1}));
                      b.constant("high", tensor_of({}, {1.5}));
                      b.node("Clip", {"x", "low", "high"}, {"y"});
                    }),
                {1, 4}, expected);
  expect_values(run(13, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("high", tensor_of({}, {1.5}));
                      b.node("Clip", {"x", "", "high"}, {"y"});
                    }),
                {1, 4}, {-2, -1, 1, 1.5});
}

TEST(OnnxOpsets, SoftmaxFlattenedBefore13) {
  const HostTensor x = tensor_of({1, 2, 2}, {0, 0, 0, 0});
  const auto softmax = [](OnnxBuilder& b) { b.node("Softmax", {"x"}, {"y"}); };
  expect_values(run(12, x, softmax), {1, 2, 2}, {0.25, 0.25, 0.25, 0.25});
  expect_values(run(13, x, softmax), {1, 2, 2}, {0.5, 0.5, 0.5, 0.5});
}

TEST(OnnxOpsets, PadsMovedToInputs) {
  const std::vector<double> expected = {9, -2, -1, 1, 2, 9};
  expect_values(run(10, kRow,
                    [](OnnxBuilder& b) {
                      b.node("Pad", {"x"}, {"y"})
                          .set("pads", std::vector<int64_t>{0, 1, 0, 1})
                          .set("value", 9.0f);
                    }),
                {1, 6}, expected);
  expect_values(run(11, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("pads", std::vector<int64_t>{0, 1, 0, 1});
                      b.constant("nine", tensor_of({}, {9}));
                      b.node("Pad", {"x", "pads", "nine"}, {"y"});
                    }),
                {1, 6}, expected);
  expect_values(run(18, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("pads", std::vector<int64_t>{1, 1});
                      b.constant("axes", std::vector<int64_t>{-1});
                      b.node("Pad", {"x", "pads", "", "axes"}, {"y"}).set("mode", "reflect");
                    }),
                {1, 6}, {-1, -2, -1, 1, 2, 1});
}

TEST(OnnxOpsets, SliceBoundsMovedToInputs) {
  expect_values(run(9, kRow,
                    [](OnnxBuilder& b) {
                      b.node("Slice", {"x"}, {"y"})
                          .set("starts", std::vector<int64_t>{1})
                          .set("ends", std::vector<int64_t>{INT64_MAX})
                          .set("axes", std::vector<int64_t>{1});
                    }),
                {1, 3}, {-1, 1, 2});
  expect_values(run(10, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("starts", std::vector<int64_t>{-1});
                      b.constant("ends", std::vector<int64_t>{INT64_MIN});
                      b.constant("axes", std::vector<int64_t>{-1});
                      b.constant("steps", std::vector<int64_t>{-2});
                      b.node("Slice", {"x", "starts", "ends", "axes", "steps"}, {"y"});
                    }),
                {1, 2}, {2, -1});
}

TEST(OnnxOpsets, SplitSizes) {
  const auto attribute = [](OnnxBuilder& b) {
    b.node("Split", {"x"}, {"a", "y"}).set("axis", 1).set("split", std::vector<int64_t>{1, 3});
  };
  expect_values(run(11, kRow, attribute), {1, 3}, {-1, 1, 2});
  EXPECT_FALSE(run(13, kRow, attribute).has_value()) << "the attribute is gone in opset 13";
  expect_values(run(13, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("sizes", std::vector<int64_t>{1, 3});
                      b.node("Split", {"x", "sizes"}, {"a", "y"}).set("axis", 1);
                    }),
                {1, 3}, {-1, 1, 2});
  expect_values(run(18, kRow,
                    [](OnnxBuilder& b) {
                      b.node("Split", {"x"}, {"a", "b", "y"}).set("axis", 1).set("num_outputs", 3);
                    }),
                {1, 0}, {});
}

TEST(OnnxOpsets, ReduceAxes) {
  const auto attribute = [](const char* op) {
    return [op](OnnxBuilder& b) {
      b.node(op, {"x"}, {"y"}).set("axes", std::vector<int64_t>{1}).set("keepdims", 0);
    };
  };
  const auto input = [](const char* op) {
    return [op](OnnxBuilder& b) {
      b.constant("axes", std::vector<int64_t>{-1});
      b.node(op, {"x", "axes"}, {"y"}).set("keepdims", 0);
    };
  };
  expect_values(run(11, kRow, attribute("ReduceSum")), {1}, {0});
  expect_values(run(13, kRow, input("ReduceSum")), {1}, {0});
  expect_values(run(17, kRow, attribute("ReduceMax")), {1}, {2});
  expect_values(run(18, kRow, input("ReduceMax")), {1}, {2});
  EXPECT_FALSE(run(18, kRow, attribute("ReduceMax")).has_value());
  EXPECT_FALSE(run(17, kRow, input("ReduceMax")).has_value());
  expect_values(
      run(18, kRow,
          [](OnnxBuilder& b) { b.node("ReduceL1", {"x"}, {"y"}).set("noop_with_empty_axes", 1); }),
      {1, 4}, {2, 1, 1, 2});
}

TEST(OnnxOpsets, SqueezeAndUnsqueezeAxes) {
  expect_values(run(11, kRow,
                    [](OnnxBuilder& b) {
                      b.node("Squeeze", {"x"}, {"s"}).set("axes", std::vector<int64_t>{0});
                      b.node("Unsqueeze", {"s"}, {"y"}).set("axes", std::vector<int64_t>{0, 2});
                    }),
                {1, 4, 1}, {-2, -1, 1, 2});
  expect_values(run(13, kRow,
                    [](OnnxBuilder& b) {
                      b.constant("first", std::vector<int64_t>{0});
                      b.constant("both", std::vector<int64_t>{0, -1});
                      b.node("Squeeze", {"x", "first"}, {"s"});
                      b.node("Unsqueeze", {"s", "both"}, {"y"});
                    }),
                {1, 4, 1}, {-2, -1, 1, 2});
}

TEST(OnnxOpsets, ResizeBefore11IsAsymmetricAndRoundsDown) {
  const HostTensor x = tensor_of({1, 1, 1, 2}, {0, 1});
  const HostTensor scales = tensor_of({4}, {1, 1, 1, 2});
  const auto resize = [&](const char* op) {
    return [&scales, op](OnnxBuilder& b) {
      b.constant("scales", scales);
      b.node(op, {"x", "scales"}, {"y"}).set("mode", "linear");
    };
  };
  expect_values(run(9, x, resize("Upsample")), {1, 1, 1, 4}, {0, 0.5, 1, 1});
  expect_values(run(10, x, resize("Resize")), {1, 1, 1, 4}, {0, 0.5, 1, 1});
  expect_values(
      run(7, x,
          [](OnnxBuilder& b) {
            b.node("Upsample", {"x"}, {"y"}).set("scales", std::vector<float>{1, 1, 1, 2});
          }),
      {1, 1, 1, 4}, {0, 0, 1, 1});
  expect_values(run(11, x,
                    [&](OnnxBuilder& b) {
                      b.constant("scales", scales);
                      b.node("Resize", {"x", "", "scales"}, {"y"}).set("mode", "linear");
                    }),
                {1, 1, 1, 4}, {0, 0.25, 0.75, 1});
}

TEST(OnnxOpsets, ResizeAxesAndAspectRatio) {
  const HostTensor x = tensor_of({1, 1, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  expect_values(run(18, x,
                    [](OnnxBuilder& b) {
                      b.constant("sizes", std::vector<int64_t>{4, 4});
                      b.node("Resize", {"x", "", "", "sizes"}, {"y"})
                          .set("axes", std::vector<int64_t>{2, 3})
                          .set("keep_aspect_ratio_policy", "not_larger");
                    }),
                {1, 1, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
}

TEST(OnnxOpsets, BroadcastBefore7HadAnAxis) {
  const HostTensor x = tensor_of({1, 2, 2}, {0, 0, 0, 0});
  expect_values(run(6, x,
                    [](OnnxBuilder& b) {
                      b.constant("bias", tensor_of({2}, {1, 2}));
                      b.node("Add", {"x", "bias"}, {"y"}).set("broadcast", 1).set("axis", 1);
                    }),
                {1, 2, 2}, {1, 1, 2, 2});
  expect_values(run(7, x,
                    [](OnnxBuilder& b) {
                      b.constant("bias", tensor_of({2}, {1, 2}));
                      b.node("Add", {"x", "bias"}, {"y"});
                    }),
                {1, 2, 2}, {1, 2, 1, 2});
}

void add_batch_norm_constants(OnnxBuilder& builder) {
  builder.constant("scale", tensor_of({2}, {2, 1}));
  builder.constant("bias", tensor_of({2}, {1, 0}));
  builder.constant("mean", tensor_of({2}, {1, 0}));
  builder.constant("variance", tensor_of({2}, {4, 1}));
}

OnnxNodeBuilder add_batch_norm(OnnxBuilder& builder) {
  add_batch_norm_constants(builder);
  return builder.node("BatchNormalization", {"x", "scale", "bias", "mean", "variance"}, {"y"})
      .set("epsilon", 0.0f);
}

TEST(OnnxOpsets, BatchNormalizationTrainsFrom14On) {
  const HostTensor x = tensor_of({1, 2, 1, 1}, {3, 3});
  const std::vector<double> expected = {3, 3};
  expect_values(run(7, x, [](OnnxBuilder& b) { add_batch_norm(b).set("spatial", 1); }),
                {1, 2, 1, 1}, expected);
  expect_values(run(15, x, [](OnnxBuilder& b) { add_batch_norm(b).set("momentum", 0.9f); }),
                {1, 2, 1, 1}, expected);
  EXPECT_EQ(run(7, tensor_of({1, 2, 1, 2}, {1, 2, 3, 4}),
                [](OnnxBuilder& b) { add_batch_norm(b).set("spatial", 0); })
                .error()
                .kind(),
            ErrorKind::invalid_argument);
  const HostTensor pairs = tensor_of({1, 2, 1, 2}, {1, 3, 5, 7});
  const auto trained = [](OnnxBuilder& b) { add_batch_norm(b).set("training_mode", 1); };
  expect_values(run(15, pairs, trained), {1, 2, 1, 2}, {-1, 3, -1, 1});
  EXPECT_EQ(run(13, pairs, trained).error().kind(), ErrorKind::unsupported);
}

TEST(OnnxOpsets, DropoutInTrainingDropsAndScales) {
  const HostTensor x = tensor_of({1, 4}, {1, 1, 1, 1});
  const auto dropped = run(13, x, [](OnnxBuilder& b) {
    b.constant("ratio", tensor_of({}, {0.5}));
    b.constant("training", tensor_of({}, {1}, DType::boolean));
    b.node("Dropout", {"x", "ratio", "training"}, {"y"}).set("seed", 3);
  });
  ASSERT_TRUE(dropped.has_value()) << dropped.error().message();
  for (int64_t i = 0; i < 4; ++i) {
    const double value = dropped->number(i);
    EXPECT_TRUE(value == 0 || value == 2) << value;
  }
}

TEST(OnnxOpsets, BatchNormalizationWithOneMeanPerElement) {
  const HostTensor x = tensor_of({2, 1, 2}, {3, 5, 1, -1});
  expect_values(run(8, x,
                    [](OnnxBuilder& b) {
                      b.constant("scale", tensor_of({1, 2}, {2, 1}));
                      b.constant("bias", tensor_of({1, 2}, {0, 10}));
                      b.constant("mean", tensor_of({1, 2}, {1, 0}));
                      b.constant("variance", tensor_of({1, 2}, {4, 1}));
                      b.node("BatchNormalization", {"x", "scale", "bias", "mean", "variance"},
                             {"y"})
                          .set("epsilon", 0.0f)
                          .set("spatial", 0);
                    }),
                {2, 1, 2}, {2, 15, 0, 9});
}

TEST(OnnxOpsets, DropoutIsACopyAndItsMaskOnes) {
  expect_values(run(7, kRow,
                    [](OnnxBuilder& b) {
                      b.node("Dropout", {"x"}, {"y", "mask"});
                    }),
                {1, 4}, {-2, -1, 1, 2});
  const Result<HostTensor> mask = run(12, kRow, [](OnnxBuilder& b) {
    b.node("Dropout", {"x"}, {"d", "y"});
  });
  ASSERT_TRUE(mask.has_value()) << mask.error().message();
  EXPECT_EQ(mask->dtype, DType::boolean);
  expect_values(mask, {1, 4}, {1, 1, 1, 1});
}

TEST(OnnxOpsets, ShapeHasBounds) {
  const Result<HostTensor> shape = run(15, HostTensor::zeros(DType::f32, {2, 3, 4}), [](auto& b) {
    b.node("Shape", {"x"}, {"y"}).set("start", -2).set("end", 100);
  });
  expect_values(shape, {2}, {3, 4});
}

TEST(OnnxOpsets, OldExperimentalOperators) {
  const HostTensor x = tensor_of({1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  expect_values(run(7, x,
                    [](OnnxBuilder& b) {
                      b.node("ImageScaler", {"x"}, {"a"})
                          .set("scale", 2.0f)
                          .set("bias", std::vector<float>{1, -1});
                      b.node("Crop", {"a"}, {"c"}).set("border", std::vector<int64_t>{1, 0, 0, 1});
                      b.node("Affine", {"c"}, {"y"}).set("alpha", 0.5f).set("beta", 3.0f);
                    }),
                {1, 2, 1, 1}, {5.5, 8.5});
}

}  // namespace
}  // namespace leat
