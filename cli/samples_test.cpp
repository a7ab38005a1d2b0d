// Statistics, tables, labels and shapes: the plain parts of the command line.
#include "cli/samples.h"

#include <gtest/gtest.h>

#include "cli/conv_case.h"
#include "cli/labels.h"
#include "cli/report.h"
#include "cli/top_classes.h"

namespace leat::cli {
namespace {

TEST(Samples, MedianAndTail) {
  EXPECT_EQ(median_of({}), 0);
  EXPECT_EQ(median_of({3, 1, 2}), 2);
  EXPECT_EQ(median_of({4, 1, 2, 3}), 2.5);
  std::vector<double> hundred;
  for (int i = 1; i <= 100; ++i) hundred.push_back(i);
  EXPECT_EQ(p99_of(hundred), 99);
  EXPECT_EQ(p99_of({7}), 7);
  EXPECT_DOUBLE_EQ(geometric_mean_of({1, 4}), 2);
}

TEST(Samples, TakesAsManyAsAsked) {
  std::vector<double> samples;
  const TimedRun run = []() -> Result<double> { return 0.5; };
  ASSERT_TRUE(take_samples(run, {.samples_min = 7}, samples));
  EXPECT_EQ(samples.size(), 7u);
  const TimedRun broken = []() -> Result<double> { return Error(ErrorKind::io, "Broken."); };
  EXPECT_FALSE(take_samples(broken, {}, samples));
  EXPECT_FALSE(warm_up(broken, {}));
}

TEST(Report, AlignsColumns) {
  Table table({"name", "us"});
  table.add({"a", "1.5"});
  table.add({"long", "10.25"});
  EXPECT_EQ(table.text(), "name     us\na       1.5\nlong  10.25\n");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
}

TEST(Labels, WithAndWithoutNumbers) {
  EXPECT_EQ(parse_labels("cat\ndog\n"), (Labels{"cat", "dog"}));
  EXPECT_EQ(parse_labels("0 cat\r\n1: dog\r\n"), (Labels{"cat", "dog"}));
  EXPECT_EQ(parse_labels("1 cat\n2 dog\n"), (Labels{"cat", "dog"}));
  EXPECT_EQ(parse_labels("2,dog\n0,cat\n"), (Labels{"cat", "", "dog"}));
  EXPECT_EQ(parse_labels("0\n1\n"), (Labels{"0", "1"}));
  EXPECT_TRUE(parse_labels("").empty());
}

TEST(TopClasses, BestFirstOfEachItem) {
  HostTensor scores = HostTensor::zeros(DType::f32, {2, 3});
  const double values[] = {0.1, 0.7, 0.2, 0.5, 0.5, 0.0};
  for (int64_t i = 0; i < 6; ++i) scores.set_number(i, values[i]);
  const auto top = top_classes({scores}, 2, {"a", "b"});
  ASSERT_TRUE(top);
  ASSERT_EQ(top->size(), 4u);
  EXPECT_EQ((*top)[0].index, 1);
  EXPECT_EQ((*top)[0].label, "b");
  EXPECT_EQ((*top)[1].index, 2);
  EXPECT_EQ((*top)[1].label, "");
  EXPECT_EQ((*top)[2].item, 1);
  EXPECT_EQ((*top)[2].index, 0);
  EXPECT_FALSE(top_classes({}, 1, {}));
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
