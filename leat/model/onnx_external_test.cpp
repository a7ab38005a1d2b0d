// Data of tensors in files beside the model: what is read, and every way out of the folder.
#include "leat/model/onnx_external.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>

#include "leat/base/scratch_folder_test.h"
#include "leat/model/onnx_builder.h"
#include "leat/model/onnx_import.h"

namespace leat {
namespace {

class OnnxExternal : public ScratchFolder {
 protected:
  void SetUp() override {
    ScratchFolder::SetUp();
    std::filesystem::create_directories(path("net/parts"));
    write("net/parts/w.bin", numbers());
  }
  static std::string numbers() {
    const float values[] = {9, 1, 2, 3};
    return std::string(reinterpret_cast<const char*>(values), sizeof values);
  }

  using Entries = std::vector<std::pair<std::string, std::string>>;
  /// y = x + w, of three elements, whose data `entries` say, in net/model.onnx.
  Result<Model> import_with(const Entries& entries, int copies = 1) {
    OnnxBuilder builder;
    builder.input("x", {3});
    std::string sum = "x";
    for (int i = 0; i < copies; ++i) {
      onnx::TensorProto& w = *builder.proto().mutable_graph()->add_initializer();
      w.set_name("w" + std::to_string(i));
      w.set_data_type(onnx::TensorProto::FLOAT);
      w.add_dims(3);
      w.set_data_location(onnx::TensorProto::EXTERNAL);
      Entries all = entries;
      if (!names_.empty()) {
        all.emplace_back("location", names_[static_cast<size_t>(i) % names_.size()]);
      }
      for (const auto& [key, value] : all) {
        auto* entry = w.add_external_data();
        entry->set_key(key);
        entry->set_value(value);
      }
      builder.node("Add", {sum, w.name()}, {"s" + std::to_string(i)});
      sum = "s" + std::to_string(i);
    }
    builder.output(sum);
    write("net/model.onnx", builder.bytes());
    return import_onnx(path(model_));
  }
  void expect_refused(const Entries& entries, const std::string& part, int copies = 1) {
    const Result<Model> model = import_with(entries, copies);
    ASSERT_FALSE(model) << part;
    EXPECT_NE(model.error().message().find(part), std::string::npos) << model.error().message();
  }

  std::string model_ = "net/model.onnx";
  std::vector<std::string> names_;  // of the files, one after the other, where entries name none
};

TEST_F(OnnxExternal, ReadsFromTheOffset) {
  const Result<Model> model =
      import_with({{"location", "parts/w.bin"}, {"offset", "4"}, {"length", "12"}});
  ASSERT_TRUE(model) << model.error().message();
  HostTensor x = HostTensor::zeros(DType::f32, {3});
  const auto results = evaluate(model->graph, std::span(&x, 1));
  ASSERT_TRUE(results);
  EXPECT_EQ((*results)[0].number(0), 1);
  EXPECT_EQ((*results)[0].number(2), 3);
}

TEST_F(OnnxExternal, TheLengthMayBeLeftOut) {
  EXPECT_TRUE(import_with({{"location", "parts/w.bin"}, {"offset", "4"}}));
}

TEST_F(OnnxExternal, AModelThatIsALinkHasItsDataWhereItLeads) {
  std::filesystem::create_directories(path("links"));
  std::filesystem::create_symlink("../net/model.onnx", path("links/model.onnx"));
  std::filesystem::create_symlink("../net/parts", path("links/parts"));
  model_ = "links/model.onnx";
  const Result<Model> model = import_with({{"location", "parts/w.bin"}, {"offset", "4"}});
  EXPECT_TRUE(model) << model.error().message();
}

TEST_F(OnnxExternal, RefusesWhatLiesElsewhere) {
  write("secret", numbers());
  expect_refused({{"location", "../secret"}}, "\"../secret\"");
  expect_refused({{"location", "parts/../../secret"}}, "secret");
  expect_refused({{"location", path("secret")}}, "model's folder");
  std::filesystem::create_symlink(path("secret"), path("net/link"));
  expect_refused({{"location", "link"}}, "outside of the model's folder");
  std::filesystem::create_symlink("..", path("net/up"));
  expect_refused({{"location", "up/secret"}}, "outside of the model's folder");
}

TEST_F(OnnxExternal, RefusesWhatIsNoFileOrIsTooShort) {
  expect_refused({{"location", "parts/none"}}, "No such file");
  expect_refused({{"location", "parts"}}, "is no file");
  ASSERT_EQ(mkfifo(path("net/pipe").c_str(), 0600), 0);
  expect_refused({{"location", "pipe"}}, "is no file");
  expect_refused({{"offset", "4"}}, "does not say in which");
  expect_refused({{"location", "parts/w.bin"}}, "needs 12 bytes");
  expect_refused({{"location", "parts/w.bin"}, {"offset", "8"}}, "needs 12 bytes at byte 8");
  expect_refused({{"location", "parts/w.bin"}, {"length", "8"}}, "the model says 8");
  expect_refused({{"location", "parts/w.bin"}, {"offset", "-4"}}, "\"-4\"");
  expect_refused({{"location", "parts/w.bin"}, {"offset", "1e3"}}, "\"1e3\"");
  expect_refused({{"location", "parts/w.bin"}, {"offset", "99999999999999999999"}}, "offset");
}

TEST_F(OnnxExternal, ASmallFileDoesNotBecomeGigabytes) {
  const Entries whole = {{"location", "parts/w.bin"}, {"offset", "4"}};
  EXPECT_TRUE(import_with(whole, 5));
  expect_refused(whole, "4 times", 6);
}

/// Of holes: four times its size is no number of bytes.
TEST_F(OnnxExternal, AFileAsLargeAsAFileSystemAllows) {
  std::error_code code;
  std::filesystem::resize_file(path("net/parts/w.bin"), std::uintmax_t{1} << 62, code);
  if (code) GTEST_SKIP() << "The file system has no files of 2^62 bytes: " << code.message();
  const Result<Model> model =
      import_with({{"location", "parts/w.bin"}, {"offset", "4"}, {"length", "12"}}, 2);
  EXPECT_TRUE(model) << model.error().message();
}

TEST_F(OnnxExternal, ManyNamesOfAFileAreOneFile) {
  std::filesystem::create_hard_link(path("net/parts/w.bin"), path("net/twin.bin"));
  std::filesystem::create_symlink("parts/w.bin", path("net/link.bin"));
  names_ = {"parts/w.bin", "./parts/w.bin", "parts/./w.bin", "twin.bin", "link.bin"};
  EXPECT_TRUE(import_with({{"offset", "4"}}, 5));
  expect_refused({{"offset", "4"}}, "4 times", 6);
}

TEST_F(OnnxExternal, AFileForEachOfManyTensors) {
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit few = {32, limit.rlim_max};
  names_.clear();
  for (int i = 0; i < 64; ++i) {
    write("net/w" + std::to_string(i), numbers());
    names_.push_back("w" + std::to_string(i));
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const Result<Model> model = import_with({{"offset", "4"}}, 64);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_TRUE(model) << model.error().message();
}

TEST_F(OnnxExternal, AModelInMemoryHasNone) {
  ASSERT_TRUE(import_with({{"location", "parts/w.bin"}, {"offset", "4"}}));
  const std::string file = path("net/model.onnx");
  const Result<Model> model = import_onnx_bytes(bytes_of(file), file);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("in memory"), std::string::npos);
}

}  // namespace
}  // namespace leat
