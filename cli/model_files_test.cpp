// How files become a model's inputs: which file is which input, and a picture as numbers.
#include "cli/model_files.h"

#include <gtest/gtest.h>

#include "leat/base/scratch_folder_test.h"

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

TEST(ModelFiles, NamesAndPathsMayHaveEqualsSigns) {
  const std::vector<ModelValue> values = {
      {"a", DType::f32, {1}, 0}, {"a=b", DType::f32, {1}, 1}, {"c", DType::f32, {1}, 2}};
  const auto files = match_files({"a=b=x=1.npy", "c=y=2.npy", "a=z.npy"}, values, "input");
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_EQ(files->at(0), "z.npy");
  EXPECT_EQ(files->at(1), "x=1.npy");
  EXPECT_EQ(files->at(2), "y=2.npy");
}

class NamedFiles : public ScratchFolder {};

TEST_F(NamedFiles, APathThatIsThereIsNoName) {
  const std::string file = write("k=v.npy", "");
  const auto files = match_files({file}, {{"a", DType::f32, {1}, 0}}, "input");
  ASSERT_TRUE(files) << files.error().message();
  EXPECT_EQ(files->at(0), file);
}

TEST(ModelFiles, WholeNumbersBecomeWiderOnes) {
  const auto fits = [](DType read, DType wanted) {
    InputFile file;
    file.tensor = HostTensor::zeros(read, {1});
    file.tensor->set_integer(0, 100);
    const auto fitted = fit_to_input(file, {"x", wanted, {1}, 0}, {});
    return fitted && fitted->dtype == wanted && fitted->integer(0) == 100;
  };
  EXPECT_TRUE(fits(DType::i32, DType::i64));
  EXPECT_TRUE(fits(DType::u8, DType::i32));
  EXPECT_FALSE(fits(DType::i64, DType::i32));
  EXPECT_FALSE(fits(DType::i8, DType::u16));
  EXPECT_FALSE(fits(DType::i32, DType::f32));
}

}  // namespace
}  // namespace leat::cli
