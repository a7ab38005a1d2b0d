// Results of a stream: classes keep their order whatever the scores are.
#include "cli/view_files.h"

#include <gtest/gtest.h>

#include <cmath>

namespace leat::cli {
namespace {

std::string classes_of(std::vector<float> scores, int64_t top, const Labels& labels = {}) {
  ExternalView view;
  view.host = reinterpret_cast<std::byte*>(scores.data());
  view.size_bytes = scores.size() * sizeof(float);
  view.shape = {1, static_cast<int64_t>(scores.size())};
  view.strides = row_major_strides(view.shape);
  return result_bytes(view, ResultFile::classes, top, labels, false).value();
}

TEST(ViewFiles, WhatIsNoNumberComesLast) {
  EXPECT_EQ(classes_of({NAN, 0.25f, NAN, 0.75f, -INFINITY, 0.5f}, 4),
            "3 0.750000 \n5 0.500000 \n1 0.250000 \n4 -inf \n");
}

// 300 scores, every third no number: partial_sort by `>` left better ones out.
TEST(ViewFiles, ManyThatAreNoNumbers) {
  std::vector<float> scores;
  for (int i = 0; i < 300; ++i) scores.push_back(i % 3 == 0 ? NAN : static_cast<float>(i));
  EXPECT_EQ(classes_of(scores, 3), "299 299.000000 \n298 298.000000 \n296 296.000000 \n");
}

TEST(ViewFiles, LabelsAreHarmless) {
  EXPECT_EQ(classes_of({1.0f}, 1, {"a\x1b[2J\rb"}), "0 1.000000 a\\x1b[2J\\x0db\n");
}

}  // namespace
}  // namespace leat::cli
