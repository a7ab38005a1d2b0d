// Tables and classes: what commands print.
#include "cli/report.h"

#include <gtest/gtest.h>

#include "cli/top_classes.h"

namespace leat::cli {
namespace {

TEST(Report, AlignsColumns) {
  Table table({"name", "us"});
  table.add({"a", "1.5"});
  table.add({"long", "10.25"});
  EXPECT_EQ(table.text(), "name     us\na       1.5\nlong  10.25\n");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
}

TEST(Report, CellsAreShortAndHarmless) {
  Table table({"name"});
  table.add({"a\x1b[2J\nb"});
  EXPECT_EQ(table.text(), "name\na\\x1b[2J\\x0ab\n");
  table.add({std::string(size_t{1} << 20, 'a')});
  EXPECT_LT(table.text().size(), 2000u);
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

}  // namespace
}  // namespace leat::cli
