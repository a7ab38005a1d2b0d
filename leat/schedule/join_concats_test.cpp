// What is put together of others and is part of something larger: no memory of its own, the same
// results.
#include "leat/schedule/join_concats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "leat/tensor/ops.h"

namespace leat {
namespace {

using namespace ops;

constexpr int64_t kSide = 3;

struct Net {
  Graph graph;
  TensorId x = graph.add_tensor("x", DType::f32, {1, 8, kSide, kSide});

  Net() { graph.inputs = {x}; }

  TensorId layer(TensorId from) { return unary(graph, "layer", ScalarOp::exp, from).value(); }
  /// Eight channels that are computed of all channels of `from`: a sum, then eight multiples of it.
  TensorId features(TensorId from) {
    const TensorId sum =
        reduce(graph, "sum", Reduction::mean, from, {.axes = Ints{1}, .keep_dims = true}).value();
    HostTensor scale = HostTensor::zeros(DType::f32, {1, 8, 1, 1});
    for (int64_t i = 0; i < 8; ++i) scale.set_number(i, 0.25 * static_cast<double>(i) - 0.5);
    const TensorId scales = graph.add_constant("scales", std::move(scale));
    return binary(graph, "features", ScalarOp::mul, sum, scales).value();
  }
  TensorId join(std::vector<TensorId> parts, int64_t axis = 1) {
    return concat(graph, "join", parts, axis).value();
  }
};

HostTensor input_of(const Graph& graph) {
  const Shape& shape = graph.tensors[graph.inputs[0]].shape;
  HostTensor x = HostTensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < element_count(shape); ++i) {
    x.set_number(i, static_cast<double>(i * 37 % 101) / 50 - 1);
  }
  return x;
}

/// Joins, and expects the same results; how many tensors are put together of more than one then.
size_t joined_count(Net& net, std::vector<TensorId> outputs) {
  net.graph.outputs = std::move(outputs);
  const HostTensor inputs[] = {input_of(net.graph)};
  const std::vector<HostTensor> before = evaluate(net.graph, inputs).value();
  join_concats(net.graph);
  const std::vector<HostTensor> after = evaluate(net.graph, inputs).value();
  EXPECT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].shape, after[i].shape);
    EXPECT_EQ(before[i].bytes, after[i].bytes) << "output " << i;
  }
  std::multiset<TensorId> written;
  std::set<TensorId> joined;
  for (const Node& node : net.graph.nodes) {
    for (const NodeResult& result : node.results) {
      written.insert(result.output);
      if (written.count(result.output) > 1) joined.insert(result.output);
    }
  }
  return joined.size();
}

size_t readers_of(const Graph& graph, TensorId tensor) {
  return static_cast<size_t>(std::ranges::count_if(
      graph.nodes, [&](const Node& node) { return std::ranges::count(node.inputs, tensor) > 0; }));
}

TEST(JoinConcats, ABlockWhereEachLayerReadsAllBeforeIsOneTensor) {
  Net net;
  std::vector<TensorId> parts = {net.layer(net.x)};
  for (int i = 0; i < 5; ++i) {
    const TensorId all = parts.size() == 1 ? parts[0] : net.join(parts);
    parts.push_back(net.features(net.layer(all)));
  }
  const TensorId last = net.layer(net.join(parts));
  EXPECT_EQ(joined_count(net, {last}), 1u);
  // Each part is read by its copy alone, the first layer's too.
  for (TensorId part : parts) EXPECT_EQ(readers_of(net.graph, part), 1u);
}

TEST(JoinConcats, AChainOfPairsIsOneTensor) {
  for (const bool new_in_front : {false, true}) {
    Net net;
    TensorId all = net.layer(net.x);
    for (int i = 0; i < 5; ++i) {
      const TensorId more = net.features(net.layer(all));
      all = new_in_front ? net.join({more, all}) : net.join({all, more});
    }
    EXPECT_EQ(joined_count(net, {net.layer(all)}), 1u) << new_in_front;
  }
}

TEST(JoinConcats, PartsInTheMiddleAreReadWhereTheyLie) {
  Net net;
  const TensorId a = net.layer(net.x), b = net.features(a), c = net.features(b);
  const TensorId middle = net.layer(net.join({b, c}));
  const TensorId all = net.layer(net.join({a, b, c}));
  EXPECT_EQ(joined_count(net, {middle, all}), 1u);
}

TEST(JoinConcats, OtherOrdersAndOtherAxesStay) {
  Net net;
  const TensorId a = net.layer(net.x), b = net.features(a), c = net.features(b);
  const TensorId turned = net.layer(net.join({b, a}));
  const TensorId apart = net.layer(net.join({a, c}));
  const TensorId rows = net.layer(net.join({a, b}, 2));
  const TensorId all = net.layer(net.join({a, b, c}));
  EXPECT_EQ(joined_count(net, {turned, apart, rows, all}), 4u);
}

TEST(JoinConcats, WhatIsAnOutputOrReadInOneRowStays) {
  Net net;
  const TensorId a = net.layer(net.x), b = net.features(a), c = net.features(b);
  const TensorId output = net.join({a, b});
  const TensorId flat = reshape(net.graph, "flat", net.join({b, c}), {0, -1}).value();
  const TensorId all = net.layer(net.join({a, b, c}));
  EXPECT_EQ(joined_count(net, {output, net.layer(flat), all}), 3u);
}

TEST(JoinConcats, VectorsFitAsBefore) {
  Net net;
  const TensorId a = net.layer(net.x), b = net.features(a);
  const TensorId one = reduce(net.graph, "one", Reduction::max, b, {.axes = Ints{1}}).value();
  const TensorId small = net.layer(net.join({a, b}));
  const TensorId odd = net.layer(net.join({a, b, one}));
  EXPECT_EQ(joined_count(net, {small, odd}), 2u);
}

TEST(JoinConcats, WhatIsAddedToOthersStays) {
  Net net;
  const TensorId a = net.layer(net.x), b = net.features(a), c = net.features(b);
  const TensorId pair = net.join({a, b});
  const TensorId twice = net.join({net.layer(c), net.layer(c)});
  const TensorId sum = binary(net.graph, "sum", ScalarOp::add, twice, pair).value();
  const TensorId all = net.layer(net.join({a, b, c}));
  EXPECT_EQ(joined_count(net, {sum, all}), 3u);
}

TEST(JoinConcats, ALargePartThatComesLaterIsNotWaitedFor) {
  Net net;
  const TensorId a = net.layer(net.x), b = net.features(a);
  const TensorId small = net.layer(net.join({a, b}));
  const TensorId large = net.join({small, net.layer(small), net.layer(small)});
  const TensorId all = net.layer(net.join({a, b, net.layer(net.layer(large))}));
  EXPECT_EQ(joined_count(net, {all}), 3u);
}

// X holds more parts than are taken apart, so that it stays a part of W and Y.
TEST(JoinConcats, WhatIsNotTakenApartIsStillWritten) {
  for (const int64_t count : {510, 511, 512, 600}) {
    Net net;
    std::vector<TensorId> many;
    for (int64_t i = 0; i < count; ++i) many.push_back(net.layer(net.x));
    const TensorId p = net.layer(net.x), q = net.features(p), r = net.features(q);
    const TensorId x1 = net.join(many), x2 = net.join({p, q});
    const TensorId w = net.join({x1, x2}), y = net.join({x2, r});
    joined_count(net, {net.layer(x1), net.layer(x2), net.layer(w), net.layer(y)});
    std::vector<bool> written(net.graph.tensors.size(), false);
    written[net.x] = true;
    for (const Node& node : net.graph.nodes) {
      for (TensorId input : node.inputs) {
        EXPECT_TRUE(written[input] || net.graph.tensors[input].constant) << count << node.name;
      }
      for (const NodeResult& result : node.results) written[result.output] = true;
    }
  }
}

TEST(JoinConcats, ManyThatShareOnlyAPartStay) {
  Net net;
  std::vector<TensorId> outputs, parts = {net.layer(net.x)};
  for (int i = 0; i < 400; ++i) {
    parts.push_back(net.layer(net.x));
    outputs.push_back(net.layer(net.join({parts[0], parts.back(), parts.back()})));
  }
  net.graph.outputs = outputs;
  join_concats(net.graph);
  EXPECT_EQ(net.graph.nodes.size(), 401u + 400u * 4u);
}

}  // namespace
}  // namespace leat
