// Files that are small on disk and large in memory are refused before they are parsed, and what is
// charged is never less than what protobuf takes.
#include "leat/model/onnx_wire.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <functional>

#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_file.h"

namespace leat {
namespace {

std::string model_with(const std::function<void(onnx::GraphProto&)>& fill) {
  onnx::ModelProto model;
  fill(*model.mutable_graph());
  return model.SerializeAsString();
}

/// `count` times `item` as field 7, a graph, of a model.
std::string repeated(std::string_view item, size_t count) {
  std::string graph;
  for (size_t i = 0; i < count; ++i) graph += item;
  std::string size;
  for (size_t left = graph.size(); left > 0; left >>= 7) {
    size += static_cast<char>((left & 0x7F) | (left > 0x7F ? 0x80 : 0));
  }
  return "\x3a" + size + graph;
}

TEST(OnnxWire, ChargesAtLeastWhatProtobufTakes) {
  using namespace std::string_literals;
  const std::string items[] = {
      "\x0a\x00"s,                      // empty nodes
      "\x2a\x00"s,                      // empty tensors
      "\x5a\x04\x12\x02\x0a\x00"s,      // inputs with an empty tensor type
      "\x0a\x02\x2a\x00"s,              // nodes with an empty attribute
      "\x0a\x02\x0a\x00"s,              // nodes with an empty input
      "\x0a\x03\x0a\x01x"s,             // nodes with an input of one letter
      "\x2a\x02\x08\x05"s,              // tensors with a dimension
      "\x2a\x05\x3a\x03\x01\x02\x03"s,  // tensors with three numbers
      "\x78\x01"s,                      // unknown numbers
      "\x92\x03\x00"s,                  // unknown strings
      "\xa3\x01\xa4\x01"s,              // unknown groups
      "\x08\x01"s,                      // a number where a message belongs
  };
  for (const std::string& item : items) {
    const std::string bytes = repeated(item, 20000);
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromString(bytes)) << testing::PrintToString(item);
    const size_t taken = model.SpaceUsedLong();
    EXPECT_EQ(check_wire(bytes, WireRoot::model, taken - std::min(taken, bytes.size())),
              WireState::too_large)
        << testing::PrintToString(item) << " takes " << taken;
    EXPECT_EQ(check_wire(bytes, WireRoot::model, 4 * taken + 4096), WireState::good)
        << testing::PrintToString(item) << " takes " << taken;
  }
}

TEST(OnnxWire, BombsAreRefusedByName) {
  const std::string bytes = repeated(std::string_view("\x0a\x00", 2), size_t{4} << 20);
  const auto model = parse_model(bytes, "bomb.onnx");
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("(512 MiB)"), std::string::npos)
      << model.error().message();
}

TEST(OnnxWire, LargeDataCostsNothing) {
  const std::string bytes = model_with([](onnx::GraphProto& graph) {
    graph.add_initializer()->set_raw_data(std::string(1 << 20, 'x'));
  });
  EXPECT_EQ(check_wire(bytes, WireRoot::model, 4096), WireState::good);
}

TEST(OnnxWire, NestingHasALimit) {
  onnx::ModelProto model;
  onnx::GraphProto* graph = model.mutable_graph();
  for (int depth = 0; depth < 40; ++depth) {
    graph = graph->add_node()->add_attribute()->mutable_g();
  }
  EXPECT_EQ(check_wire(model.SerializeAsString(), WireRoot::model), WireState::malformed);
}

TEST(OnnxWire, RandomBytesEnd) {
  google::protobuf::LogSilencer silence;
  uint32_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 40; ++i)
      bytes += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    onnx::ModelProto model;
    if (model.ParsePartialFromString(bytes)) {
      EXPECT_EQ(check_wire(bytes, WireRoot::model), WireState::good)
          << "the walk is stricter than the parser";
    }
  }
}

}  // namespace
}  // namespace leat
