// The ten networks of process replay: small, but each with the shapes, the layers and the chains of
// layers that its namesake has, so that what the schedule does to the large one shows here.
#pragma once

#include <span>
#include <string_view>

#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::replay {

struct ReplayNetwork {
  std::string_view name;
  Result<Graph> (*build)();
};

/// digits (the model in examples/), squeezenet, candy, resnet, densenet, inception, shufflenet,
/// mobilenet, transformer, odd_shapes.
std::span<const ReplayNetwork> replay_networks();

/// The parts; replay_networks() lists them.
Result<Graph> build_digits();
Result<Graph> build_squeezenet();
Result<Graph> build_candy();
Result<Graph> build_resnet();
Result<Graph> build_densenet();
Result<Graph> build_inception();
Result<Graph> build_shufflenet();
Result<Graph> build_mobilenet();
Result<Graph> build_transformer();
Result<Graph> build_odd_shapes();

}  // namespace leat::replay
