// A transformer block, a network of odd shapes, and the list of all.
#include <vector>

#include "leat/tensor/ops_recurrent.h"
#include "tests/replay/network_builder.h"
#include "tests/replay/replay_networks.h"

namespace leat::replay {

namespace {

TensorId attention(NetworkBuilder& net, TensorId x, int64_t heads) {
  const int64_t tokens = net.shape_of(x)[1];
  const int64_t width = net.shape_of(x)[2];
  const auto split = [&](TensorId y, const Ints& order) {
    return net.transpose(net.reshape(y, {1, tokens, heads, width / heads}), order);
  };
  const TensorId q = split(net.linear(x, width), {0, 2, 1, 3});
  const TensorId k = split(net.linear(x, width), {0, 2, 3, 1});
  const TensorId v = split(net.linear(x, width), {0, 2, 1, 3});
  HostTensor scale = HostTensor::zeros(DType::f32, {});
  scale.set_number(0, 0.125);
  const TensorId factor = net.graph().add_constant(net.name("scale"), std::move(scale));
  const TensorId scores = net.mul(net.matmul(q, k), factor);
  const TensorId mixed = net.matmul(net.softmax(scores), v);
  return net.linear(net.reshape(net.transpose(mixed, {0, 2, 1, 3}), {1, tokens, width}), width);
}

/// As exporters write it: x * (1 + erf(x / sqrt 2)) / 2.
TensorId gelu(NetworkBuilder& net, TensorId x) {
  const TensorId scaled =
      net.keep(ops::affine(net.graph(), net.name("scaled"), x, 0.7071067811865476, 0));
  const TensorId erf = net.keep(ops::unary(net.graph(), net.name("erf"), ScalarOp::erf, scaled));
  return net.mul(x, net.keep(ops::affine(net.graph(), net.name("gate"), erf, 0.5, 0.5)));
}

}  // namespace

/// Embedding, two blocks of a transformer, and the mean of the tokens.
Result<Graph> build_transformer() {
  NetworkBuilder net;
  const TensorId tokens = net.input({1, 96}, DType::i64);
  const TensorId table = net.weights({500, 256});
  TensorId x = net.keep(ops::gather(net.graph(), net.name("embedding"), table, tokens, 0));
  x = net.add(x, net.weights({1, 96, 256}));
  for (int block = 0; block < 2; ++block) {
    x = net.add(x, attention(net, net.layer_norm(x), 4));
    const TensorId wide = gelu(net, net.linear(net.layer_norm(x), 1024));
    x = net.add(x, net.linear(wide, 256));
  }
  return net.finish({net.keep(ops::reduce(net.graph(), "mean", ops::Reduction::mean,
                                          net.layer_norm(x), {.axes = Ints{1}}))});
}

namespace {

TensorId whole_numbers(NetworkBuilder& net) {
  Graph& graph = net.graph();
  const TensorId a = net.input({7, 13}, DType::i32);
  const TensorId sum =
      net.keep(ops::reduce(graph, "int_sum", ops::Reduction::sum, a, {.axes = Ints{1}}));
  const TensorId less = net.keep(ops::compare(graph, "less", ops::Comparison::less, a, sum));
  return net.keep(ops::where(graph, "chosen", less, a, sum));
}

/// Layers along a sequence whose units and columns are no multiple of any wave.
TensorId sequences(NetworkBuilder& net) {
  Graph& graph = net.graph();
  const TensorId x = net.input({7, 3, 13});
  const auto layer = [&](CellKind cell, int64_t gates, ops::RecurrentDirection direction,
                         int64_t directions, int64_t units) {
    const ops::RecurrentInputs inputs = {.x = x,
                                         .w = net.weights({directions, gates * units, 13}),
                                         .r = net.weights({directions, gates * units, units}),
                                         .bias = net.weights({directions, 2 * gates * units})};
    const auto result =
        ops::recurrent(graph, net.name("layer"), inputs, {.cell = cell, .direction = direction});
    return net.reshape(net.keep(result ? Result<TensorId>(result->y) : result.error()), {-1});
  };
  using enum ops::RecurrentDirection;
  const ops::LinearAttentionInputs inputs = {
      .q = net.input({2, 5, 44}), .k = net.input({2, 5, 22}), .v = net.input({2, 5, 38})};
  const auto linear =
      ops::linear_attention(graph, net.name("linear"), inputs,
                            {.q_heads = 4, .kv_heads = 2, .corrects = true, .scale = 0});
  const TensorId parts[] = {
      layer(CellKind::lstm, 4, bidirectional, 2, 45), layer(CellKind::gru, 3, reverse, 1, 77),
      layer(CellKind::rnn, 1, forward, 1, 19),
      net.reshape(net.keep(linear ? Result<TensorId>(linear->y) : linear.error()), {-1})};
  return net.concat(parts, 0);
}

TensorId products(NetworkBuilder& net, TensorId x) {
  TensorId factor = net.weights({1155, 517});
  TensorId few_rows = net.matmul(net.weights({3, 1155}), factor);
  factor = net.weights({1155, 517});
  few_rows = net.matmul(net.reshape(x, {5, 1155}), factor);
  const TensorId tall = net.input({4099, 65});
  const TensorId few_columns = net.matmul(tall, net.weights({65, 3}));
  factor = net.weights({8192, 40});
  const TensorId long_k = net.matmul(net.input({33, 8192}), factor);
  const TensorId parts[] = {net.reshape(few_rows, {-1}), net.reshape(few_columns, {-1}),
                            net.reshape(long_k, {-1})};
  return net.concat(parts, 0);
}

}  // namespace

/// Primes, odd kernels and strides, dilation, transposed and three-dimensional convolutions, long
/// and prime reductions, whole numbers, layers along a sequence.
Result<Graph> build_odd_shapes() {
  NetworkBuilder net;
  Graph& graph = net.graph();
  TensorId x = net.input({1, 13, 37, 41});
  x = net.relu(net.conv(x, {.features = 17, .kernel = {5, 7}, .stride = 3, .pad = 2}));
  x = net.conv(x, {.features = 19, .pad = 2, .dilation = 2});
  const TensorId w = net.weights({19, 5, 3, 3});
  x = net.keep(
      ops::conv_transpose(graph, "up", x, w, net.weights({5}), {.window = {.strides = {2, 2}}}));
  const TensorId volume =
      net.conv(net.input({1, 3, 5, 11, 11}), {.features = 7, .kernel = {3, 3, 3}, .pad = 1});
  const TensorId narrow = net.input({5, 1155});
  const TensorId product = products(net, narrow);
  const TensorId rows = net.input({3, 100003});
  const TensorId sums =
      net.keep(ops::reduce(graph, "long_sum", ops::Reduction::sum, rows, {.axes = Ints{1}}));
  const TensorId most = net.keep(ops::reduce(graph, "column_max", ops::Reduction::max,
                                             net.input({8192, 24}), {.axes = Ints{0}}));
  const TensorId log = net.keep(ops::log_softmax(graph, "log_softmax", net.input({31, 257}), {}));
  ops::ResizeOptions resize;
  resize.mode = ops::ResizeMode::linear;
  resize.sizes = {1, 5, 29, 31};
  const TensorId resized = net.keep(ops::resize(graph, "resized", x, resize));
  const TensorId running = net.keep(ops::cumsum(graph, "running", net.input({5, 29}), {.axis = 1}));
  return net.finish(
      {x, volume, product, sums, most, log, resized, running, whole_numbers(net), sequences(net)});
}

std::span<const ReplayNetwork> replay_networks() {
  static constexpr ReplayNetwork kNetworks[] = {
      {"digits", build_digits},
      {"squeezenet", build_squeezenet},
      {"candy", build_candy},
      {"resnet", build_resnet},
      {"densenet", build_densenet},
      {"inception", build_inception},
      {"shufflenet", build_shufflenet},
      {"mobilenet", build_mobilenet},
      {"transformer", build_transformer},
      {"odd_shapes", build_odd_shapes},
  };
  return kNetworks;
}

}  // namespace leat::replay
