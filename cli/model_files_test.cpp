// How files become a model's inputs: which file is which input, and a picture as numbers.
#include "cli/model_files.h"

#include <gtest/gtest.h>

namespace leat::cli {
namespace {

InputFile file_of(Picture picture) {
  InputFile file;
  file.path = "a.png";
  file.picture = std::move(picture);
  return file;
}

TEST(ModelFiles, PicturesBecomeInputs) {
  const InputFile file = file_of({1, 1, {10, 20, 30}});
  PictureNumbers numbers{.is_bgr = true, .scale = 2, .mean = {1, 2, 3}};
  const auto planes = fit_to_input(file, {"x", DType::f32, {1, 3, 1, 1}, 0}, numbers);
  ASSERT_TRUE(planes) << planes.error().message();
  EXPECT_EQ(planes->number(0), 54);  // blue first, less blue's mean
  EXPECT_EQ(planes->number(2), 18);
  const auto grey = fit_to_input(file, {"x", DType::f32, {1, 1, 1, 1}, 0}, {});
  ASSERT_TRUE(grey);
  EXPECT_EQ(grey->number(0), 18);  // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
  EXPECT_FALSE(fit_to_input(file, {"x", DType::f32, {1, 10}, 0}, {}));
}

TEST(ModelFiles, OpenSizesTakeThePicturesSize) {
  const InputFile file = file_of({5, 4, std::vector<uint8_t>(5 * 4 * 3)});
  EXPECT_EQ(wanted_shape(file, {"x", DType::f32, {1, 3, 1, 1}, 0}), (Shape{1, 3, 4, 5}));
  EXPECT_EQ(wanted_shape(file, {"x", DType::f32, {1, 3, 8, 8}, 0}), std::nullopt);
}

TEST(ModelFiles, MatchesNames) {
  const std::vector<ModelValue> values = {{"a", DType::f32, {1}, 0}, {"b", DType::f32, {1}, 1}};
  const auto files = match_files({"b=one.npy", "two.npy"}, values, "input");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->at(0), "two.npy");
  EXPECT_EQ(files->at(1), "one.npy");
  EXPECT_FALSE(match_files({"c=one.npy"}, values, "input"));
  EXPECT_FALSE(match_files({"a=one.npy", "a=two.npy"}, values, "input"));
  EXPECT_FALSE(match_files({"1.npy", "2.npy", "3.npy"}, values, "input"));
}

}  // namespace
}  // namespace leat::cli
