// Pictures: files survive a round trip, resizing means what it says, damaged files give one
// sentence; and how a picture becomes a model's input.
#include "cli/picture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "cli/model_files.h"
#include "leat/base/files.h"

namespace leat::cli {
namespace {

Picture gradient(int64_t width, int64_t height) {
  Picture picture{width, height, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (const int64_t value : {x * 8, y * 8, int64_t{100}}) {
        picture.rgb.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return picture;
}

std::string temporary_path(const std::string& name) {
  return testing::TempDir() + "leat_picture_" + std::to_string(getpid()) + name;
}

std::string write_temporary(const std::string& name, const std::string& bytes) {
  const std::string path = temporary_path(name);
  EXPECT_TRUE(write_file_atomically(path, bytes));
  return path;
}

TEST(Picture, PngIsExactJpegIsNear) {
  const Picture picture = gradient(20, 10);
  const Result<std::string> png = encode_picture(picture, "a.png");
  ASSERT_TRUE(png) << png.error().message();
  const Result<Picture> exact = read_picture(write_temporary("a.png", *png));
  ASSERT_TRUE(exact) << exact.error().message();
  EXPECT_EQ(exact->rgb, picture.rgb);

  const Result<std::string> jpeg = encode_picture(picture, "a.JPG");
  ASSERT_TRUE(jpeg) << jpeg.error().message();
  const Result<Picture> near = read_picture(write_temporary("a.jpg", *jpeg));
  ASSERT_TRUE(near) << near.error().message();
  ASSERT_EQ(near->rgb.size(), picture.rgb.size());
  for (size_t i = 0; i < picture.rgb.size(); ++i) {
    // JPEG halves the resolution of colour; on this gradient that costs up to one step of it.
    EXPECT_NEAR(near->rgb[i], picture.rgb[i], 16);
  }
}

TEST(Picture, DamagedFilesGiveOneSentence) {
  for (const char* name : {"b.png", "b.jpg"}) {
    const Result<std::string> whole = encode_picture(gradient(64, 64), name);
    ASSERT_TRUE(whole);
    const std::string half = whole->substr(0, whole->size() / 2);
    for (const std::string& bytes : {std::string(), std::string("not a picture at all"), half}) {
      const Result<Picture> picture = read_picture(write_temporary(name, bytes));
      ASSERT_FALSE(picture) << name;
      EXPECT_NE(picture.error().message().find("cannot be read"), std::string::npos);
      EXPECT_EQ(picture.error().message().find('\n'), std::string::npos);
    }
  }
  EXPECT_FALSE(read_picture("/nonexistent/a.png"));
}

TEST(Picture, ResizesAroundPixelCentres) {
  Picture line{2, 1, {0, 0, 0, 200, 200, 200}};
  const Picture wide = resize(line, 4, 1);
  // Centres of the four pixels lie at -0.25, 0.25, 0.75 and 1.25 of the two.
  const int expected[] = {0, 50, 150, 200};
  for (int64_t x = 0; x < 4; ++x) EXPECT_EQ(wide.at(0, x, 0), expected[x]);
  EXPECT_EQ(resize(line, 1, 1).at(0, 0, 0), 100) << "shrinking counts every pixel";
  EXPECT_EQ(resize(line, 2, 3).at(2, 1, 1), 200);
}

TEST(Picture, LuminanceOfGreyIsTheGrey) {
  for (int value = 0; value < 256; ++value) {
    const uint8_t grey = static_cast<uint8_t>(value);
    EXPECT_EQ((Picture{1, 1, {grey, grey, grey}}.luminance(0, 0)), grey);
  }
}

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
  const InputFile file = file_of(gradient(5, 4));
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
