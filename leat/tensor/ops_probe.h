// For the tests of this folder: feeds numbers to a graph of one operator and takes numbers out.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "leat/tensor/graph.h"
#include "leat/tensor/ops.h"

namespace leat::ops {

using Numbers = std::vector<double>;

inline HostTensor host_tensor(DType dtype, Shape shape, const Numbers& values) {
  HostTensor tensor = HostTensor::zeros(dtype, std::move(shape));
  EXPECT_EQ(element_count(tensor.shape), static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    tensor.set_number(static_cast<int64_t>(i), values[i]);
  }
  return tensor;
}

inline Numbers numbers_of(const HostTensor& tensor) {
  Numbers numbers;
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) numbers.push_back(tensor.number(i));
  return numbers;
}

/// A graph with the values that will be fed to its inputs.
class Probe {
 public:
  Graph graph;

  TensorId feed(Shape shape, const Numbers& values, DType dtype = DType::f32) {
    const std::string name = "in" + std::to_string(feeds_.size());
    const TensorId id = graph.add_tensor(name, dtype, shape);
    graph.inputs.push_back(id);
    feeds_.push_back(host_tensor(dtype, std::move(shape), values));
    return id;
  }
  TensorId constant(Shape shape, const Numbers& values, DType dtype = DType::f32) {
    return graph.add_constant("constant", host_tensor(dtype, std::move(shape), values));
  }
  /// Small whole numbers that look random: sums of products stay exact.
  static Numbers noise(const Shape& shape, uint32_t seed = 1) {
    Numbers values;
    uint32_t state = seed * 2654435761u + 12345u;
    for (int64_t i = 0; i < element_count(shape); ++i) {
      state = state * 1664525u + 1013904223u;
      values.push_back(static_cast<double>((state >> 16) % 15) - 7);
    }
    return values;
  }

  const Shape& shape(TensorId id) const { return graph.tensors[id].shape; }
  DType dtype(TensorId id) const { return graph.tensors[id].dtype; }

  HostTensor run(TensorId output) {
    graph.outputs = {output};
    auto results = evaluate(graph, feeds_);
    EXPECT_TRUE(results) << (results ? "" : results.error().message());
    return results ? (*results)[0] : HostTensor();
  }
  /// Constants of 32 bits have the value that they say: a device keeps no more of it.
  void expect_constants_fit() const {
    for (const Node& node : graph.nodes) {
      for (ExprId id = 0; id < node.exprs.size(); ++id) {
        const ExprNode& expr = node.exprs.node(id);
        if (expr.kind != ExprKind::constant || expr.type != ScalarType::i32) continue;
        EXPECT_EQ(expr.integer, static_cast<int32_t>(expr.integer)) << node.name;
      }
    }
  }
  Numbers numbers(TensorId output) { return numbers_of(run(output)); }
  /// The operator must have succeeded; runs it.
  Numbers numbers(const Result<TensorId>& output) {
    EXPECT_TRUE(output) << (output ? "" : output.error().message());
    return output ? numbers(*output) : Numbers();
  }

 private:
  std::vector<HostTensor> feeds_;
};

inline void expect_close(const Numbers& actual, const Numbers& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(actual[i])) << "at " << i;
    } else if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]) << "at " << i;
    } else {
      EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::fabs(expected[i])))
          << "at " << i;
    }
  }
}

/// Results are rounded to f32 once per node; a few nodes and inexact constants make some 1e-7.
inline constexpr double kRounding = 1e-6;

template <typename T>
void expect_error(const Result<T>& result, const std::string& part) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(result.error().message().find(part), std::string::npos) << result.error().message();
}

}  // namespace leat::ops
