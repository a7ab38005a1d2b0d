// Samples and shapes: the plain parts of the benchmarks.
#include "bench/samples.h"

#include <gtest/gtest.h>

#include "bench/conv_case.h"

namespace leat::cli {
namespace {

TEST(Samples, TakesAsManyAsAsked) {
  std::vector<double> samples;
  const TimedRun run = []() -> Result<double> { return 0.5; };
  ASSERT_TRUE(take_samples(run, {.samples_min = 7}, samples));
  EXPECT_EQ(samples.size(), 7u);
  const TimedRun broken = []() -> Result<double> { return Error(ErrorKind::io, "Broken."); };
  EXPECT_FALSE(take_samples(broken, {}, samples));
  EXPECT_FALSE(warm_up(broken, {}));
}

TEST(ConvCase, ParsesShapes) {
  const auto shape = parse_conv_shape("1,3,224,224,64,7,2,3", "stem");
  ASSERT_TRUE(shape) << shape.error().message();
  EXPECT_EQ(shape->p(), 112);
  EXPECT_EQ(shape->flop(), 2.0 * 64 * 112 * 112 * 3 * 49);
  for (const char* bad :
       {"", "1,2,3", "1,3,4,4,4,3,1,1,1", "1,3,4,4,4,3,0,1", "1,3,4,4,4,-3,1,1", "1,3,4,4,4,9,1,1",
        "a,3,4,4,4,3,1,1", "1,3,4,4,4,3,1,1x", "1048576,1048576,4,4,4,3,1,1"}) {
    EXPECT_FALSE(parse_conv_shape(bad, "")) << bad;
  }
}

TEST(ConvCase, ReferenceAgreesWithTheGraphsOwn) {
  const auto shape = parse_conv_shape("2,3,5,6,4,3,2,1", "");
  ASSERT_TRUE(shape);
  for (const DType dtype : {DType::f32, DType::f16}) {
    const ConvData data = make_conv_data(*shape, dtype);
    const auto graph = make_conv_graph(*shape, data);
    ASSERT_TRUE(graph) << graph.error().message();
    const auto y = evaluate(*graph, std::vector<HostTensor>{data.x});
    ASSERT_TRUE(y) << y.error().message();
    EXPECT_EQ((*y)[0].shape, shape->y_shape());
    EXPECT_LE(sampled_error(*shape, data, (*y)[0]), error_limit(*shape, dtype));
    HostTensor wrong = (*y)[0];
    wrong.set_number(0, wrong.number(0) + 0.5);
    EXPECT_GT(sampled_error(*shape, data, wrong), error_limit(*shape, dtype));
  }
}

}  // namespace
}  // namespace leat::cli
