// What only moves elements: no copies between a product and what reads its heads, and the same
// results.
#include "leat/schedule/move_views.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "leat/schedule/fuse.h"
#include "leat/tensor/ops.h"

namespace leat {
namespace {

using namespace ops;

HostTensor numbers_of(const Shape& shape) {
  HostTensor x = HostTensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < element_count(shape); ++i) x.set_number(i, static_cast<double>(i));
  return x;
}

/// Sees through, and expects the same results; how many nodes copy elements then.
int64_t copies_of(Graph& graph) {
  const HostTensor inputs[] = {numbers_of(graph.tensors[graph.inputs[0]].shape)};
  const std::vector<HostTensor> before = evaluate(graph, inputs).value();
  see_through_moves(graph);
  const std::vector<HostTensor> after = evaluate(graph, inputs).value();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].shape, after[i].shape);
    EXPECT_EQ(before[i].bytes, after[i].bytes) << "output " << i;
  }
  return std::ranges::count_if(graph.nodes,
                               [](const Node& node) { return moves_only(node) && !node.reshape; });
}

struct Net {
  explicit Net(Shape shape) : x(graph.add_tensor("x", DType::f32, std::move(shape))) {
    graph.inputs = {x};
    source = unary(graph, "source", ScalarOp::neg, x).value();
  }
  TensorId end(TensorId tensor) { return unary(graph, "end", ScalarOp::neg, tensor).value(); }

  Graph graph;
  TensorId x, source = kNoTensor;
};

/// Three of heads: (tokens, 3 * heads * width) as (3, heads, tokens, width), one after the other.
Net heads_of(int64_t tokens) {
  Net net({tokens, 24});
  const TensorId apart = reshape(net.graph, "apart", net.source, {tokens, 3, 2, 4}).value();
  const TensorId turned = transpose(net.graph, "turned", apart, {1, 2, 0, 3}).value();
  const std::vector<TensorId> parts = split(net.graph, "split", turned, {1, 1, 1}, 0).value();
  for (const TensorId part : parts) {
    const TensorId head = reshape(net.graph, "head", part, {2, tokens, 4}).value();
    net.graph.outputs.push_back(net.end(head));
  }
  return net;
}

TEST(MoveViews, HeadsAreReadWhereTheyLie) {
  Net many = heads_of(5);
  EXPECT_EQ(copies_of(many.graph), 3);  // one for each, to be read through by what takes it
  Net one = heads_of(1);                // whose transposition turns nothing
  EXPECT_EQ(copies_of(one.graph), 3);
}

TEST(MoveViews, ATurnOfSingleElementsIsNone) {
  Net net({1, 6, 1, 4});
  net.graph.outputs = {net.end(transpose(net.graph, "t", net.source, {2, 0, 1, 3}).value())};
  EXPECT_EQ(copies_of(net.graph), 0);
}

TEST(MoveViews, ARealTurnStays) {
  Net net({1, 6, 2, 4});
  net.graph.outputs = {net.end(transpose(net.graph, "t", net.source, {2, 0, 1, 3}).value())};
  EXPECT_EQ(copies_of(net.graph), 1);
}

TEST(MoveViews, AReshapeBetweenTwoTurnsTakesTheFirst) {
  Net net({3, 4, 5});
  const TensorId there = transpose(net.graph, "there", net.source, {2, 0, 1}).value();
  const TensorId flat = reshape(net.graph, "flat", there, {5, 1, 3, 4}).value();
  net.graph.outputs = {net.end(transpose(net.graph, "back", flat, {2, 3, 0, 1}).value())};
  EXPECT_EQ(copies_of(net.graph), 2);  // so that fuse makes one of both
}

TEST(MoveViews, AnOutputIsNotReadThrough) {
  Net net({2, 3, 4});
  const TensorId turned = transpose(net.graph, "turned", net.source, {1, 0, 2}).value();
  const std::vector<TensorId> parts = split(net.graph, "split", turned, {1, 2}, 0).value();
  net.graph.outputs = {turned, net.end(parts[0]), net.end(parts[1])};
  EXPECT_EQ(copies_of(net.graph), 3);
}

TEST(MoveViews, WhatAComputationReadsTooStays) {
  Net net({2, 3, 4});
  const TensorId turned = transpose(net.graph, "turned", net.source, {1, 0, 2}).value();
  const std::vector<TensorId> parts = split(net.graph, "split", turned, {1, 2}, 0).value();
  net.graph.outputs = {net.end(turned), net.end(parts[0]), net.end(parts[1])};
  EXPECT_EQ(copies_of(net.graph), 3);  // one reader is no move
}

// Each is read by two that only move elements, so that all could be read through by the last one.
TEST(MoveViews, AChainOfThemIsCut) {
  Net net({400, 2});
  const auto less = [&](TensorId x) {
    return slice(net.graph, "less", x, {.starts = {1}, .ends = {INT64_MAX}, .axes = {0}}).value();
  };
  TensorId x = net.source;
  for (int i = 0; i < 300; ++i) {
    x = less(x);
    net.graph.outputs.push_back(net.end(less(x)));
  }
  copies_of(net.graph);
  size_t most = 0;
  for (const Node& node : net.graph.nodes) most = std::max(most, node.exprs.size());
  EXPECT_GT(most, 50u);
  EXPECT_LE(most, 260u);
}

}  // namespace
}  // namespace leat
