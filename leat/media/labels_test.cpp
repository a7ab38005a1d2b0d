// Labels: with and without numbers, and files that ask for much memory.
#include "leat/media/labels.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

Labels labels_of(const std::string& text) {
  const Result<Labels> labels = parse_labels(text, "a.txt");
  return labels ? *labels : Labels{labels.error().message()};
}

void expect_error(const std::string& text, const std::string& part) {
  const Result<Labels> labels = parse_labels(text, "a.txt");
  ASSERT_FALSE(labels);
  EXPECT_NE(labels.error().message().find(part), std::string::npos) << labels.error().message();
}

TEST(Labels, WithAndWithoutNumbers) {
  EXPECT_EQ(labels_of("cat\ndog\n"), (Labels{"cat", "dog"}));
  EXPECT_EQ(labels_of("0 cat\r\n1: dog\r\n"), (Labels{"cat", "dog"}));
  EXPECT_EQ(labels_of("1 cat\n2 dog\n"), (Labels{"cat", "dog"}));
  EXPECT_EQ(labels_of("2,dog\n0,cat\n"), (Labels{"cat", "", "dog"}));
  EXPECT_EQ(labels_of("0\n1\n"), (Labels{"0", "1"}));
}

TEST(Labels, NoClassIsAnError) {
  for (const char* text : {"", "\n", " \r\n\n"}) expect_error(text, "names no class");
}

TEST(Labels, LimitsAreNamed) {
  expect_error(std::string(2 * kLabelsMax, '\n') + "a", "(1048576)");
  expect_error(std::string(kLabelBytesMax + 1, 'a'), "(4096)");
  EXPECT_EQ(labels_of(std::string(kLabelBytesMax, 'a')).size(), 1u);
  // A class number is memory: this was half a gigabyte.
  EXPECT_EQ(labels_of("16777215: x"), Labels{"16777215: x"});
  EXPECT_EQ(labels_of("1048575: x").size(), kLabelsMax);
}

}  // namespace
}  // namespace leat
