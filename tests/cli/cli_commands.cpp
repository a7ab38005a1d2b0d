// Every command of `leat`, run as a program on small things.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "leat/backend/gpu_nodes.h"
#include "leat/base/files.h"
#include "leat/base/output_file.h"
#include "leat/media/npy.h"
#include "leat/model/onnx_builder.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

using Json = nlohmann::json;

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kSeven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";
const std::string kLabels = LEAT_SOURCE_DIR "/examples/digits/labels.txt";

/// The JSON object that the program printed; null when it printed something else.
Json json_of(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json object = Json::parse(result.out, nullptr, false);
  EXPECT_TRUE(object.is_object()) << result.out;
  return object.is_object() ? object : Json();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CliUsage, MistakesExitWithTwo) {
  const std::vector<std::vector<std::string>> mistakes = {
      {},
      {"fly"},
      {"run"},
      {"bench"},
      {"devices", "--colour"},
      {"run", kDigits, "--channels", "cmyk"},
      {"run", kDigits, "--repeat", "0"},
      {"bench", "conv2d", "--dtype", "f8"},
      {"dump", kDigits, "--after", "lunch"},
      {"bench", "flow", "--rounds", "0"},
  };
  for (const std::vector<std::string>& arguments : mistakes) {
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 2) << testing::PrintToString(arguments);
    EXPECT_TRUE(result.out.empty());
    EXPECT_FALSE(result.err.empty());
  }
}

TEST(CliUsage, HelpNamesEveryCommand) {
  const ProgramResult result = run_leat({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* command : {"devices", "run", "test-onnx", "bench", "tune", "dump", "doctor"}) {
    EXPECT_TRUE(contains(result.out, command)) << command;
  }
}

TEST(CliUsage, BenchIsAProgramBesideThisOne) {
  const ProgramResult help = run_leat({"bench", "conv2d", "--help"});
  EXPECT_EQ(help.exit_code, 0) << help.err;
  EXPECT_TRUE(contains(help.out, "leat bench conv2d")) << help.out;
  const ProgramResult alone = run_leat_alone({"bench", "conv2d", "--help"});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_TRUE(contains(alone.err, "leat-bench\"")) << alone.err;
  EXPECT_EQ(std::ranges::count(alone.err, '\n'), 1) << alone.err;
  EXPECT_TRUE(contains(run_leat_alone({"doctor"}).out, "none: Program"));
}

TEST(CliDevices, ListsTheCpu) {
  const Json object = json_of(run_leat({"devices", "--json"}));
  ASSERT_TRUE(object.contains("devices"));
  const auto is_cpu = [](const Json& device) { return device["name"] == "cpu"; };
  EXPECT_TRUE(std::ranges::any_of(object["devices"], is_cpu));
  const ProgramResult text = run_leat({"devices"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_TRUE(contains(text.out, "native"));
}

TEST(CliDoctor, ShowsDevicesCacheAndEnvironment) {
  const ProgramResult result = run_leat({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"works    cpu", "Cache", "LEAT_THREADS", "What to do", "  cudnn: "}) {
    EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out;
  }
}

TEST(CliDoctor, WritesAReportThatTellsWhenItWasChanged) {
  const std::string suite = scratch_file("suite.csv", "small,1,3,16,16,8,3,1,1\n");
  const std::string report = scratch_path("report.json");
  const ProgramResult result =
      run_leat({"doctor", "--report", report, "--device", "cpu", "--suite", suite});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(run_leat({"bench", "report", "--check-report", report}).exit_code, 0);
  const Result<std::string> text = read_file(report, 64 << 20);
  ASSERT_TRUE(text);
  using Ordered = nlohmann::ordered_json;
  const Ordered object = Ordered::parse(*text);
  EXPECT_EQ(object["device"], "cpu");
  EXPECT_EQ(object["route"], "native");
  ASSERT_EQ(object["results"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(object["results"][i]["name"], (std::array{"self_test", "latency", "conv2d"})[i]);
    EXPECT_EQ(object["results"][i]["status"], "passed") << object["results"][i].dump();
  }
  EXPECT_EQ(object["results"][2]["object"]["results"][0]["name"], "small");
  const auto refuses = [&](const Ordered& changed, const std::string& reason) {
    const ProgramResult checked = run_leat(
        {"bench", "report", "--check-report", scratch_file("changed.json", changed.dump())});
    EXPECT_EQ(checked.exit_code, 1);
    EXPECT_TRUE(contains(checked.err, reason)) << checked.err;
  };
  const std::string same = scratch_file("same.json", object.dump());
  EXPECT_EQ(run_leat({"bench", "report", "--check-report", same}).exit_code, 0);
  Ordered changed = object;
  changed["results"][2]["object"]["results"][0]["gflops"] = 1e6;
  refuses(changed, "was changed");
  changed = object;
  changed.erase("driver");
  refuses(changed, "lacks \"driver\"");
  refuses(Ordered::object(), "is no report");
  EXPECT_EQ(run_leat({"doctor", "--device", "cpu"}).exit_code, 2);
}

TEST(CliRun, ReadsADigit) {
  const std::string output = scratch_path("probabilities.npy");
  const std::vector<std::string> arguments = {
      "run", kDigits,    "--input", kSeven,   "--output", output, "--top",
      "3",   "--labels", kLabels,   "--json", "--device", "cpu"};
  const Json first = json_of(run_leat(arguments));
  ASSERT_TRUE(first.contains("top"));
  EXPECT_EQ(first["top"].size(), 3u);
  EXPECT_EQ(first["top"][0]["index"], 7);
  EXPECT_EQ(first["top"][0]["label"], "7");
  EXPECT_EQ(first["device"], "cpu");
  EXPECT_GT(first["peak_gflops"], 0.0);
  EXPECT_GE(first["memory"]["planned_bytes"], first["memory"]["lower_bound_bytes"]);
  const Result<HostTensor> tensor = read_npy(output);
  ASSERT_TRUE(tensor) << tensor.error().message();
  EXPECT_EQ(tensor->shape, (Shape{1, 10}));

  const Json second = json_of(run_leat(arguments));
  EXPECT_EQ(second["compiled"], 0) << "the second start compiles nothing";
  EXPECT_EQ(second["from_cache"], second["kernels"]);
}

// Opening the drivers of software renderers costs more than the answer.
TEST(CliRun, OpensNoDriverWhereThereIsNoGpu) {
  if (may_have_gpu()) GTEST_SKIP() << "This machine may have a GPU.";
  const ProgramResult result = run_leat({"run", kDigits, "--input", kSeven, "--top", "1", "--json"},
                                        [] { setenv("VK_LOADER_DEBUG", "all", 1); });
  EXPECT_EQ(json_of(result)["device"], "cpu");
  EXPECT_EQ(result.err, "") << "Vulkan's loader has spoken.";
  const ProgramResult named = run_leat({"devices"}, [] { setenv("VK_LOADER_DEBUG", "all", 1); });
  if (contains(named.out, ":vulkan")) {
    EXPECT_TRUE(contains(named.err, "libvulkan")) << named.err;
  }
}

TEST(CliTune, MeasuresShowsHandsOnAndForgets) {
  const Json first =
      json_of(run_leat({"tune", kDigits, "--device", "cpu", "--time", "20", "--json"}));
  ASSERT_FALSE(first["kernels"].empty());
  for (const Json& kernel : first["kernels"]) {
    EXPECT_EQ(kernel["source"], "measured");
    EXPECT_LE(kernel["us"], kernel["model_us"]);
  }
  // What the time cut short goes on; all else is known.
  const Json again = json_of(run_leat({"tune", kDigits, "--device", "cpu", "--json"}));
  ASSERT_EQ(again["kernels"].size(), first["kernels"].size());
  for (const Json& kernel : again["kernels"]) {
    EXPECT_TRUE(kernel["source"] == "store" || kernel["source"] == "measured") << kernel;
  }
  const Json run = json_of(run_leat(
      {"run", kDigits, "--input", kSeven, "--tune", "--top", "1", "--device", "cpu", "--json"}));
  EXPECT_EQ(run["top"][0]["index"], 7);

  const std::string file = scratch_path("tuned.json");
  const ProgramResult exported = run_leat({"tune", "export", file});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  const size_t known = json_of(run_leat({"tune", "list", "--json"}))["entries"].size();
  EXPECT_GE(known, first["kernels"].size());
  EXPECT_TRUE(contains(run_leat({"tune", "forget", "no such chip"}).out, "0 kernels"));
  const ProgramResult forgotten = run_leat({"tune", "forget", "all"});
  EXPECT_TRUE(contains(forgotten.out, std::to_string(known) + " kernels")) << forgotten.out;
  EXPECT_TRUE(json_of(run_leat({"tune", "list", "--json"}))["entries"].empty());
  const ProgramResult taken = run_leat({"tune", "import", file});
  EXPECT_TRUE(contains(taken.out, std::to_string(known) + " kernels")) << taken.err;
  EXPECT_TRUE(contains(run_leat({"tune", "list"}).out, "f32 "));
  EXPECT_EQ(run_leat({"tune", "forget", "all"}).exit_code, 0);
}

TEST(CliProfiles, ADeviceBehavesAsASmallerOne) {
  const ProgramResult refused =
      run_leat({"run", kDigits, "-i", kSeven, "--device", "cpu", "--as", "v3d"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_TRUE(contains(refused.err, "Profile \"v3d\"")) << refused.err;
  EXPECT_EQ(run_leat({"run", kDigits, "-i", kSeven, "--as", "toaster"}).exit_code, 2);
  const Json devices = json_of(run_leat({"devices", "--json"}));
  for (const Json& device : devices["devices"]) {
    if (device["route"] != "vulkan" || device.contains("refusal")) continue;
    const Json run = json_of(run_leat({"run", kDigits, "-i", kSeven, "--top", "1", "--json",
                                       "--device", device["name"], "--as", "vulkan-1.1-min"}));
    EXPECT_EQ(run["top"][0]["index"], 7);
    return;
  }
  GTEST_SKIP() << "No Vulkan device.";
}

TEST(CliTune, SaysWhatIsWrong) {
  const ProgramResult nothing = run_leat({"tune"});
  EXPECT_EQ(nothing.exit_code, 1);
  EXPECT_TRUE(contains(nothing.err, "leat tune --help")) << nothing.err;
  const std::string broken = scratch_file("broken.json", "{}");
  const ProgramResult import = run_leat({"tune", "import", broken});
  EXPECT_EQ(import.exit_code, 1);
  EXPECT_TRUE(contains(import.err, "broken.json")) << import.err;
  EXPECT_EQ(run_leat({"tune", kDigits, "--time", "0"}).exit_code, 2);
  EXPECT_EQ(run_leat({"tune", kDigits, "--time", "nan"}).exit_code, 2);
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"tune", "forget", ""}, {"tune", kDigits, "list"}}) {
    const ProgramResult refused = run_leat(wrong);
    EXPECT_EQ(refused.exit_code, 1) << testing::PrintToString(wrong);
    EXPECT_FALSE(refused.err.empty());
  }
}

TEST(CliRun, EndsWithATable) {
  const ProgramResult result =
      run_leat({"run", kDigits, "--input", "image=" + kSeven, "--top", "1", "--device", "cpu"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"route", "GFLOPS", "of peak", "copied", "lower bound", "first answer"}) {
    EXPECT_TRUE(contains(result.out, part)) << part;
  }
  EXPECT_TRUE(result.err.empty()) << "progress is for terminals: " << result.err;
}

TEST(CliRun, TakesOpenSizesFromTheFile) {
  OnnxBuilder model;
  model.input("x", {1, 3, -1, -1});
  model.node("Relu", {"x"}, {"y"});
  model.output("y");
  const std::string path = scratch_file("open.onnx", model.bytes());
  const std::string picture = scratch_path("open.png");
  const Json object = json_of(
      run_leat({"run", path, "--input", kSeven, "--output", picture, "--json", "--device", "cpu"}));
  EXPECT_EQ(object["outputs"][0]["shape"], (Json{1, 3, 28, 28}));
  EXPECT_TRUE(std::filesystem::exists(picture));
}

TEST(CliRun, RoundsWiderNumbersWithAWord) {
  const HostTensor picture = HostTensor::zeros(DType::f64, {1, 1, 28, 28});
  const std::string wide = scratch_file("wide.npy", npy_bytes(picture));
  const ProgramResult run = run_leat({"run", kDigits, "--input", wide, "--device", "cpu"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(contains(run.err, "numbers (f64) are rounded to what the input takes (f32)"))
      << run.err;
}

TEST(CliTestOnnx, CountsCases) {
  OnnxBuilder model;
  model.input("x", {3});
  model.node("Relu", {"x"}, {"y"});
  model.output("y");
  HostTensor x = HostTensor::zeros(DType::f32, {3});
  HostTensor y = x;
  for (int64_t i = 0; i < 3; ++i) x.set_number(i, static_cast<double>(i - 1));
  y.set_number(2, 1);
  const std::string folder = "cases/test_relu/";
  const std::string data = folder + "test_data_set_0/";
  scratch_file(folder + "model.onnx", model.bytes());
  scratch_file(data + "input_0.pb", tensor_file_bytes(x, "x"));
  scratch_file(data + "output_0.pb", tensor_file_bytes(y, "y"));
  const ProgramResult good = run_leat({"test-onnx", scratch_path("cases"), "--device", "cpu"});
  EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
  EXPECT_TRUE(good.out.ends_with("1 passed, 0 failed, 0 skipped\n")) << good.out;

  y.set_number(2, 5);
  scratch_file(data + "output_0.pb", tensor_file_bytes(y, "y"));
  const ProgramResult bad = run_leat({"test-onnx", scratch_path("cases"), "--device", "cpu"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_TRUE(bad.out.ends_with("0 passed, 1 failed, 0 skipped\n")) << bad.out;
}

TEST(CliBench, ConvolutionsAreRightAndBelowThePeak) {
  const std::string file = scratch_path("conv.json");
  const ProgramResult result =
      run_leat({"bench", "conv2d", "--shape", "1,8,16,16,16,3,1,1", "--shape", "2,3,9,9,5,3,2,1",
                "--device", "cpu", "--min-time", "0", "--json=" + file});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  const Json object = Json::parse(read_file(file, size_t{1} << 24).value(), nullptr, false);
  ASSERT_TRUE(object.is_object());
  for (const char* key : {"device", "route", "driver", "commit", "host", "date", "peak_gflops"}) {
    EXPECT_TRUE(object.contains(key)) << key;
  }
  ASSERT_EQ(object["results"].size(), 2u);
  for (const Json& row : object["results"]) {
    EXPECT_LE(row["max_error"], row["error_limit"]);
    EXPECT_LE(row["peak_share"], 1.01);
    EXPECT_GE(row["samples"].size(), 20u);
    EXPECT_GT(row["gflops"], 0.0);
  }
}

bool has_products_of_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

// Where a CPU computes in f32, a narrower type is only what values are rounded to, and is said.
TEST(CliBench, NarrowTypesAreRoundedToAndTheirStorageIsSaid) {
  for (const auto& [dtype, unit] : {std::pair{"f16", 0x1p-11}, {"bf16", 0x1p-8}}) {
    const ProgramResult result =
        run_leat({"bench", "conv2d", "--shape", "1,8,16,16,16,3,1,1", "--dtype", dtype, "--device",
                  "cpu", "--min-time", "0", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json object = json_of(result);
    ASSERT_EQ(object["results"].size(), 1u);
    const Json& row = object["results"][0];
    EXPECT_EQ(row["dtype"], dtype);
    const bool is_stored = std::string_view(dtype) == "bf16" && has_products_of_bf16();
    EXPECT_EQ(row["storage"], is_stored ? dtype : "f32");
    EXPECT_LE(row["max_error"], row["error_limit"]);
    EXPECT_GE(row["max_error"], unit / 8) << "The result was not rounded to " << dtype << ".";
  }
}

TEST(CliBench, LatencyOfEveryWayToSubmit) {
  const Json object =
      json_of(run_leat({"bench", "latency", "--device", "cpu", "--rounds", "5", "--json"}));
  ASSERT_EQ(object["results"].size(), 7u);  // a CPU cannot be armed
  for (const Json& row : object["results"]) {
    EXPECT_GT(row["median_us"], 0.0);
    EXPECT_LE(row["quantiles_us"]["0.1"], row["quantiles_us"]["0.9"]);
  }
  EXPECT_EQ(object["replays"][0]["allocations"], 0.0);
}

TEST(CliDump, ShowsEveryStage) {
  const std::pair<const char*, const char*> stages[] = {{"graph", "Conv"},
                                                        {"normalise", "Conv"},
                                                        {"fuse", "Conv+BatchNormalization"},
                                                        {"layout", "f32 packed"},
                                                        {"choose", "regs"},
                                                        {"schedule", "regs"},
                                                        {"lower", "leat-kernel 1"},
                                                        {"expand_math", "leat-kernel 1"},
                                                        {"code", "contraction_"}};
  for (const auto& [stage, part] : stages) {
    const ProgramResult result = run_leat({"dump", kDigits, "--after", stage});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(contains(result.out, part)) << stage << ": " << result.out.substr(0, 500);
  }
}

TEST(CliDump, KernelsReadBackIn) {
  OnnxBuilder model;
  model.input("x", {3});
  model.node("Relu", {"x"}, {"y"});
  model.output("y");
  const std::string path = scratch_file("one.onnx", model.bytes());
  const ProgramResult kernel = run_leat({"dump", path, "--after", "lower"});
  ASSERT_EQ(kernel.exit_code, 0) << kernel.err;
  const std::string file = scratch_file("one.ir", kernel.out);
  const ProgramResult again = run_leat({"dump", file});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(contains(kernel.out, again.out)) << again.out;
  for (const char* target : {"cpu", "vulkan", "opengl"}) {
    const ProgramResult code = run_leat({"dump", file, "--after", "code", "--target", target});
    EXPECT_EQ(code.exit_code, 0) << target << ": " << code.err;
    EXPECT_FALSE(code.out.empty());
  }
}

TEST(CliInterrupt, ExitsWith130AndLeavesNoFile) {
  const std::string file = scratch_path("never.json");
  const ProgramResult result =
      interrupt_leat({"bench", "conv2d", "--shape", "1,64,56,56,64,3,1,1", "--device", "cpu",
                      "--min-time", "30", "--json=" + file},
                     700);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_FALSE(std::filesystem::exists(file));
}

// --- Streams -------------------------------------------------------------------------------------

/// A folder of its own, removed at the end.
class CliStream : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::path(testing::TempDir()) / ("leat_stream_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "in");
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string in() const { return (folder_ / "in").string(); }
  std::string out() const { return (folder_ / "out").string(); }
  std::string result(const std::string& name) const {
    const auto text = read_file(out() + "/" + name, 1 << 20);
    EXPECT_TRUE(text.has_value()) << name;
    return text ? *text : "";
  }

  std::filesystem::path folder_;
};

TEST_F(CliStream, AFolderOfPicturesBecomesAFolderOfResults) {
  const std::string pictures = LEAT_SOURCE_DIR "/examples/digits/pictures";
  const std::string trace = (folder_ / "trace.json").string();
  const Json object =
      json_of(run_leat({"run", kDigits, "--input", pictures, "--output", out(), "--top", "1",
                        "--labels", kLabels, "--device", "cpu", "--trace", trace, "--json"}));
  EXPECT_EQ(object["stream"]["items"], 20);
  EXPECT_EQ(object["stream"]["errors"], 0);
  for (const auto& [cause, size_bytes] : object["copied_bytes"].items()) {
    if (cause == "weights") continue;
    EXPECT_EQ(size_bytes, cause == "receipt" ? 20 * 8 : 0) << cause;
  }
  for (int digit = 0; digit < 10; ++digit) {
    EXPECT_TRUE(result(std::to_string(digit) + ".txt").starts_with(std::to_string(digit) + " "));
  }
  const auto text = read_file(trace, 1 << 26);
  ASSERT_TRUE(text.has_value());
  const Json events = Json::parse(*text);
  size_t runs = 0;
  for (const auto& event : events["traceEvents"]) runs += event["name"] == "run";
  EXPECT_EQ(runs, 20u);
}

TEST_F(CliStream, WithoutTopItWritesArrays) {
  std::filesystem::copy(kSeven, in());
  const Json object = json_of(
      run_leat({"run", kDigits, "--input", in(), "--output", out(), "--device", "cpu", "--json"}));
  EXPECT_EQ(object["copied_bytes"]["output_tensor"], 10 * sizeof(float));  // one item's scores
  const auto scores = read_npy(out() + "/7.npy");
  ASSERT_TRUE(scores.has_value()) << scores.error().message();
  EXPECT_GT(scores->number(7), 0.9);
}

TEST_F(CliStream, ABadPictureIsNamedAndTheOthersAreDone) {
  std::filesystem::copy(kSeven, in());
  ASSERT_TRUE(write_file(in() + "/bad.png", "no picture").has_value());
  const ProgramResult result = run_leat(
      {"run", kDigits, "--input", in(), "--output", out(), "--top", "1", "--device", "cpu"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "bad.png")) << result.err;
  EXPECT_TRUE(CliStream::result("7.txt").starts_with("7 "));
}

TEST_F(CliStream, OfManyBadPicturesTheJsonNamesAll) {
  std::filesystem::copy(kSeven, in());
  constexpr size_t kBad = 12;
  for (size_t i = 0; i < kBad; ++i) {
    const std::string path = in() + "/bad" + std::to_string(i) + ".png";
    ASSERT_TRUE(write_file(path, "no").has_value());
  }
  const std::string file = (folder_ / "report.json").string();
  const ProgramResult result = run_leat(
      {"run", kDigits, "--input", in(), "--output", out(), "--device", "cpu", "--json=" + file});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "(7) more pictures")) << result.err;
  EXPECT_TRUE(contains(result.err, file)) << "where the others are named: " << result.err;
  const Json object = Json::parse(read_file(file, 1 << 20).value());
  ASSERT_EQ(object["failures"].size(), kBad);
  EXPECT_EQ(object["failures_not_listed"], 0);
  for (const Json& failure : object["failures"]) {
    EXPECT_TRUE(contains(failure["picture"], "bad")) << failure;
    EXPECT_TRUE(contains(failure["error"], "cannot be read")) << failure;
  }
}

TEST_F(CliStream, AnEmptyFolderIsOneSentence) {
  const ProgramResult result =
      run_leat({"run", kDigits, "--input", in(), "--output", out(), "--device", "cpu"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "holds no picture")) << result.err;
}

// Pictures that become pictures of the same names.
TEST_F(CliStream, ResultsDoNotReplaceTheirPictures) {
  OnnxBuilder model;
  model.input("x", {1, 3, 28, 28});
  model.node("Neg", {"x"}, {"y"});
  model.output("y");
  const std::string path = scratch_file("negative.onnx", model.bytes());
  std::filesystem::copy(kSeven, in());
  const std::string before = read_file(in() + "/7.png", 1 << 20).value();
  const auto run_into = [&](const std::string& folder) {
    return run_leat({"run", path, "--input", in(), "--output", folder, "--device", "cpu"});
  };
  const ProgramResult refused = run_into(in() + "/../in");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_TRUE(contains(refused.err, "both input and output")) << refused.err;
  EXPECT_EQ(read_file(in() + "/7.png", 1 << 20).value(), before);
  EXPECT_EQ(run_into(out()).exit_code, 0);
  EXPECT_NE(result("7.png"), before);
}

TEST_F(CliStream, WhatAFolderCannotHaveIsRefused) {
  std::filesystem::copy(kSeven, in());
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--profile"}, std::vector<std::string>{"--repeat", "3"}}) {
    std::vector<std::string> arguments = {"run",      kDigits, "--input",  in(),
                                          "--device", "cpu",   "--output", out()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(contains(result.err, more[0])) << result.err;
  }
}

TEST_F(CliStream, AnOutputFolderThatCannotBeIsOneSentence) {
  for (const char* name : {"a.png", "b.png", "c.png"}) {
    std::filesystem::copy(kSeven, in() + "/" + name);
  }
  for (const std::string& folder : {in() + "/a.png", in() + "/a.png/out", std::string()}) {
    const ProgramResult result =
        run_leat({"run", kDigits, "--input", in(), "--output", folder, "--device", "cpu"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    EXPECT_TRUE(result.out.empty()) << result.out;
  }
}

// The broken picture is not among those done step by step.
TEST_F(CliStream, BenchFlowMeasuresNoBrokenPictures) {
  std::filesystem::copy(kSeven, in());
  ASSERT_TRUE(write_file(in() + "/z_bad.png", "no picture").has_value());
  const ProgramResult result =
      run_leat({"bench", "flow", "--device", "cpu", "--rounds", "3", "--model", kDigits, "--input",
                in(), "--steps", "1", "--items", "40"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "(20) of (40)")) << result.err;
  EXPECT_TRUE(contains(result.err, "z_bad.png")) << result.err;
  EXPECT_TRUE(result.out.empty()) << result.out;
}

TEST(CliBench, FlowRefusesWhatItCannotDo) {
  EXPECT_EQ(run_leat({"bench", "flow", "--host-threads", "100000"}).exit_code, 2);
  EXPECT_EQ(run_leat({"bench", "flow", "--input", "folder"}).exit_code, 2);
}

TEST_F(CliStream, BenchFlowMeasuresEveryRow) {
  const Json object =
      json_of(run_leat({"bench", "flow", "--device", "cpu", "--rounds", "3", "--model", kDigits,
                        "--input", LEAT_SOURCE_DIR "/examples/digits/pictures", "--items", "40",
                        "--top", "1", "--output", out(), "--json"}));
  std::map<std::string, Json> rows;
  for (const Json& row : object["results"]) rows[row["name"]] = row;
  for (const char* name : {"poll", "wait_finished", "wait_overhead", "submit_seen_number",
                           "submit_seen_wait", "long_kernel", "blocked_thread",
                           "replay_allocations", "replay_descriptors", "memory_beyond_tensors",
                           "stream_steps", "stream_juggled", "stream_ratio", "stream_copied"}) {
    ASSERT_TRUE(rows.contains(name)) << name;
    EXPECT_TRUE(rows[name]["value"].is_number());
  }
  EXPECT_EQ(rows["replay_allocations"]["value"], 0);
  EXPECT_EQ(rows["replay_descriptors"]["value"], 0);
  EXPECT_EQ(rows["stream_copied"]["value"], 0);
  EXPECT_GT(object["copied_bytes"]["weights"], 0);
  EXPECT_EQ(object["copied_bytes"]["output_tensor"], 0);
  EXPECT_GT(rows["poll"]["value"], 0);
  EXPECT_TRUE(rows.contains("replay_syscalls") || object.contains("note"));
}

}  // namespace
}  // namespace leat
