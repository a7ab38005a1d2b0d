// `leat kernel`: kernels that somebody wrote, right ones and wrong ones, run as a person would.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "leat/base/files.h"
#include "leat/media/npy.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

using Json = nlohmann::json;

const std::string kKernels = LEAT_SOURCE_DIR "/examples/kernels/";
const std::string kAdd = kKernels + "add.ir";

std::string numbers_file(const std::string& name, DType dtype, Shape shape,
                         double (*number)(int64_t)) {
  HostTensor tensor = HostTensor::zeros(dtype, std::move(shape));
  for (int64_t i = 0; i < element_count(tensor.shape); ++i) tensor.set_number(i, number(i));
  return scratch_file(name, npy_bytes(tensor));
}

double itself(int64_t i) { return static_cast<double>(i); }
double hundred(int64_t) { return 100; }

/// The options that give `add` its arrays.
std::vector<std::string> add_with(std::vector<std::string> more, const std::string& file = kAdd) {
  const std::string a = numbers_file("a.npy", DType::f32, {1000}, itself);
  const std::string b = numbers_file("b.npy", DType::f32, {1000}, hundred);
  std::vector<std::string> arguments = {"kernel", "run", file, "--in", "a=" + a, "--in", "b=" + b};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string text_of(const std::string& path) {
  const Result<std::string> text = read_file(path, size_t{1} << 20);
  EXPECT_TRUE(text) << text.error().message();
  return text ? *text : "";
}

/// add.ir with one part of its text in place of another.
std::string changed_add(const std::string& name, const std::string& from, const std::string& to) {
  std::string text = text_of(kAdd);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return scratch_file(name, text.replace(at, from.size(), to));
}

void expect_sentence(const ProgramResult& result, const std::string& part) {
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_TRUE(result.out.empty()) << result.out;
  EXPECT_TRUE(result.err.starts_with("leat: ")) << result.err;
  EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

TEST(CliKernel, RunsOnFiles) {
  const std::string c = scratch_path("c.npy");
  const ProgramResult run = run_leat(add_with({"--out", "c=" + c, "--device", "cpu", "--json"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json object = Json::parse(run.out);
  EXPECT_EQ(object["kernel"], "add");
  EXPECT_EQ(object["devices"][0]["device"], "cpu");
  EXPECT_EQ(object["devices"][0]["agrees"], true);
  EXPECT_EQ(object["devices"][0]["largest_difference"], 0.0);
  EXPECT_EQ(object["devices"][0]["masked_accesses"], 0);
  const Result<HostTensor> sums = read_npy(c);
  ASSERT_TRUE(sums) << sums.error().message();
  ASSERT_EQ(sums->shape, (Shape{1000}));
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(sums->number(i), 100.0 + static_cast<double>(i));
}

TEST(CliKernel, RunsOnEveryDeviceThatIsThere) {
  std::string devices;
  const Json found = Json::parse(run_leat({"devices", "--json"}).out);
  for (const Json& device : found["devices"]) {
    if (device.contains("refusal")) continue;
    devices += (devices.empty() ? "" : ",") + device["name"].get<std::string>();
  }
  const ProgramResult run = run_leat(add_with({"--device", devices, "--json"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json told = Json::parse(run.out);
  for (const Json& device : told["devices"]) {
    EXPECT_EQ(device["agrees"], true) << device;
  }
}

TEST(CliKernel, TakesOtherSizesWithAGrid) {
  const std::string a = numbers_file("long.npy", DType::f32, {40, 50}, itself);
  const std::string c = scratch_path("long_sum.npy");
  const std::string text = changed_add("open.ir", "constant 1000", "constant 2000");
  const std::vector<std::string> arguments = {"kernel", "run",    text,       "--in", "a=" + a,
                                              "--in",   "b=" + a, "--device", "cpu"};
  expect_sentence(run_leat(arguments), "\"a\" is f32[1000]");
  std::vector<std::string> whole = arguments;
  for (const std::string& more : {std::string("--grid"), std::string("125"), std::string("--out"),
                                  "c=" + c + ":f32[40,50]"}) {
    whole.push_back(more);
  }
  const ProgramResult run = run_leat(whole);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Result<HostTensor> sums = read_npy(c);
  ASSERT_TRUE(sums);
  EXPECT_EQ(sums->shape, (Shape{40, 50}));
  EXPECT_EQ(sums->number(1999), 2 * 1999.0);
}

TEST(CliKernel, SaysWhatIsWrongWithALaunch) {
  const std::string a = numbers_file("a.npy", DType::f32, {1000}, itself);
  const std::string whole = numbers_file("whole.npy", DType::i32, {1000}, itself);
  const std::string shorter = numbers_file("shorter.npy", DType::f32, {999}, itself);
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"--in", "d=" + a}, "names no parameter; kernel \"add\" has (a : f32[1000], "},
      {{"--in", "a=" + a}, "\"b\" : f32[1000] is read and not given"},
      {{"--in", "a=" + a, "--in", "a=" + a}, "\"a\" is given two values"},
      {{"--in", "a=" + whole}, "holds i32"},
      {{"--in", "a=" + shorter}, "has (999) elements"},
      {{"--in", "a=" + scratch_path("none.npy")}, "none.npy\" cannot be opened"},
      {{"--set", "a=1,2"}, "--set a=1,2 has (2) elements"},
      {{"--set", "a=one", "--grid", "1"}, "\"one\" is no f32"},
      {{"--out", "a=x.npy"}, "\"a\" is only read"},
      {{"--out", "c=x.png"}, "does not end with (.npy)"},
      {{"--out", "c=x.npy:i32[1000]"}, "no such type with extents"},
      {{"--out", "c=x.npy:f32[1,x]"}, "is no extent"},
      {{"--out", "c=x.npy:f32[10]"}, "has (10) elements"},
      {{"--grid", "0"}, "Grid \"0\""},
      {{"--grid", "1,2,3,4"}, "Grid \"1,2,3,4\""},
      {{"--grid", "99999999999"}, "Grid \"99999999999\""},
  };
  for (const auto& [options, part] : wrong) {
    std::vector<std::string> arguments = {"kernel", "run", kAdd, "--device", "cpu"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    expect_sentence(run_leat(arguments), part);
  }
  EXPECT_EQ(run_leat({"kernel"}).exit_code, 2);
  EXPECT_EQ(run_leat({"kernel", "run"}).exit_code, 2);
  EXPECT_EQ(run_leat({"kernel", "fly", kAdd}).exit_code, 2);
  expect_sentence(run_leat(add_with({"--device", "gpu99"})), "gpu99");
}

TEST(CliKernel, NoOutputTakesTheNameOfAnInput) {
  const std::vector<std::string> arguments = add_with({"--device", "cpu"});
  const std::string a = scratch_path("a.npy");
  const std::string before = text_of(a);
  for (const std::vector<std::string>& outputs :
       {std::vector<std::string>{"--out", "c=" + a}, {"--json=" + a}}) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), outputs.begin(), outputs.end());
    expect_sentence(run_leat(all), "a.npy");
    EXPECT_EQ(text_of(a), before);
  }
}

TEST(CliKernel, RoundsWithAWord) {
  const std::string wide = numbers_file("wide.npy", DType::f64, {1000}, itself);
  const ProgramResult run = run_leat(
      {"kernel", "run", kAdd, "--in", "a=" + wide, "--in", "b=" + wide, "--device", "cpu"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.err.find("rounded"), std::string::npos) << run.err;
}

TEST(CliKernel, NamesLineAndColumn) {
  const std::string wrong = changed_add("syntax.ir", "mul_i %group", "mul_q %group");
  const ProgramResult run = run_leat({"kernel", "check", wrong});
  expect_sentence(run, "syntax.ir:13:20: The text has \"mul_q\"");
  const std::string rule = changed_add("rule.ir", "%sum : v.f32", "%sum : u.f32");
  expect_sentence(run_leat({"kernel", "check", rule}), "\"%sum : u.f32 = add_f %x, %y\"");
}

TEST(CliKernel, TheCheckFindsWhatIsWrongWithATextAndADeviceIsNotAsked) {
  const auto refused = [](const std::string& file, const std::string& part) {
    expect_sentence(run_leat({"kernel", "check", file}), part);
    expect_sentence(run_leat(add_with({"--device", "cpu"}, file)), part);
    expect_sentence(run_leat({"kernel", "bench", file, "--device", "cpu"}), part);
  };
  refused(changed_add("bounds.ir", "[%first + lane * 1] if %inside", "[%first + lane * 1]"),
          "\"%x : v.f32 = load a[%first + lane * 1]\" that in wave (62), lane (8) reaches element "
          "(1000) outside of 0 to 999");
  refused(changed_add("race.ir", "store c[%first + lane * 1]", "store c[%sixteen + lane * 0]"),
          "writes element (16), which another lane touches");
  std::string unwritten = text_of(kAdd);
  unwritten.insert(unwritten.find("# c[i]"), "local t : f32[16]\n");
  unwritten.replace(unwritten.find("add_f %x, %y"), 12,
                    "add_f %x, %y\n  %t : v.f32 = load_local t[%lane]");
  refused(scratch_file("unwritten.ir", unwritten), "which its workgroup has not written");
}

// What no check has seen, because the user trusts it, still touches nothing outside.
TEST(CliKernel, AGridThatIsTooLargeTouchesNothingOutside) {
  const std::string wild = changed_add("wild.ir", "%inside : v.b1 = lt_i %i, %count",
                                       "%inside : v.b1 = lt_i %lane, %sixteen");
  const std::string c = scratch_path("wild.npy");
  const std::vector<std::string> arguments = add_with(
      {"--grid", "60000", "--device", "cpu", "--trust", "--json", "--out", "c=" + c}, wild);
  const ProgramResult run = run_leat(arguments);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json object = Json::parse(run.out);
  EXPECT_EQ(object["checked"], false);
  EXPECT_EQ(object["devices"][0]["masked_accesses"], 3);
  const Result<HostTensor> sums = read_npy(c);
  ASSERT_TRUE(sums);
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(sums->number(i), 100.0 + static_cast<double>(i));
  std::vector<std::string> checked = arguments;
  std::erase(checked, "--trust");
  expect_sentence(run_leat(checked), "reaches element (1000)");
}

TEST(CliKernel, AGridBeyondTheDeviceIsRefused) {
  const Json found = Json::parse(run_leat({"devices", "--json"}).out);
  for (const Json& device : found["devices"]) {
    if (device["route"] != "vulkan" || device.contains("refusal")) continue;
    expect_sentence(run_leat(add_with({"--grid", "2147483647", "--trust", "--device",
                                       device["name"].get<std::string>()})),
                    "Number of workgroups (2147483647)");
    return;
  }
  GTEST_SKIP() << "No Vulkan device.";
}

TEST(CliKernel, CheckTellsWhatIsMadeUpWrittenAndNotProven) {
  const ProgramResult plain = run_leat({"kernel", "check", kAdd});
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_NE(plain.out.find("c: 1000 of 1000 elements are written"), std::string::npos) << plain.out;
  EXPECT_NE(plain.out.find("Made-up values: a, b"), std::string::npos) << plain.out;
  const Json object = Json::parse(run_leat({"kernel", "check", kAdd, "--json"}).out);
  EXPECT_EQ(object["flop"], 1024.0);
  EXPECT_TRUE(object["not_proven"].empty());
  EXPECT_EQ(object["parameters"][2]["elements_written"], 1000);
}

TEST(CliKernel, BenchTellsRatesBelowThePeaks) {
  const ProgramResult run =
      run_leat({"kernel", "bench", kAdd, "--device", "cpu", "--time", "0.01", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json result = Json::parse(run.out)["results"][0];
  EXPECT_GT(result["median_us"], 0.0);
  EXPECT_GE(result["samples"].size(), 20u);
  EXPECT_GT(result["stream_gbps"], 0.0);
  EXPECT_LE(result.value("peak_share", 0.0), 1.0);
  EXPECT_LE(result.value("stream_share", 0.0), 1.0);
  const ProgramResult too_fast = run_leat(
      {"kernel", "bench", kAdd, "--device", "cpu", "--time", "0.01", "--flop", "1e15", "--json"});
  ASSERT_EQ(too_fast.exit_code, 0) << too_fast.err;
  EXPECT_FALSE(Json::parse(too_fast.out)["results"][0].contains("gflops"));
}

TEST(CliKernel, FmtKeepsNamesAndComments) {
  const ProgramResult printed = run_leat({"kernel", "fmt", kAdd});
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_EQ(printed.out, text_of(kAdd));
  EXPECT_EQ(run_leat({"kernel", "fmt", "--check", kAdd}).exit_code, 0);
  const std::string file = changed_add("ugly.ir", "  %sum : v.f32 = add_f", "%sum:v.f32=add_f");
  expect_sentence(run_leat({"kernel", "fmt", "--check", file}), "ugly.ir");
  EXPECT_EQ(run_leat({"kernel", "fmt", "-w", file}).exit_code, 0);
  EXPECT_EQ(text_of(file), text_of(kAdd));
}

TEST(CliKernel, TheExamplesAreRightAndProven) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kKernels)) {
    const std::string file = entry.path().string();
    if (entry.path().extension() != ".ir") continue;  // models with kernels, too
    ++count;
    EXPECT_EQ(run_leat({"kernel", "fmt", "--check", file}).exit_code, 0) << file;
    const ProgramResult run = run_leat({"kernel", "check", file, "--json"});
    ASSERT_EQ(run.exit_code, 0) << file << "\n" << run.err;
    EXPECT_TRUE(Json::parse(run.out)["not_proven"].empty()) << file;
  }
  EXPECT_GE(count, 7u);
}

// matmul.ir is product.ir with more of c in registers.
TEST(CliKernel, TheProductsOfTheTutorialAgree) {
  const Shape square = {480, 480};
  const auto whole = [](int64_t i) { return static_cast<double>(i * 7 % 11 - 5); };  // exact sums
  const std::string a = numbers_file("left.npy", DType::f32, square, whole);
  std::vector<std::string> results;
  for (const char* name : {"product", "matmul"}) {
    const std::string c = scratch_path(std::string(name) + ".npy");
    const ProgramResult run =
        run_leat({"kernel", "run", kKernels + name + ".ir", "--in", "a=" + a, "--in", "b=" + a,
                  "--out", "c=" + c + ":f32[480,480]", "--device", "cpu", "--trust"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    results.push_back(text_of(c));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(CliKernel, ShowsWhatGoesToNoFile) {
  const ProgramResult run = run_leat({"kernel", "run", kKernels + "count.ir", "--device", "cpu"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("y : f32[1000] = 0, 1, 2, 3, 4, 5, 6, 7, ...\n"), std::string::npos)
      << run.out;
}

TEST(CliKernel, CtrlCEndsACheck) {
  std::string text = text_of(kAdd);
  text.replace(text.find("grid 64 1 1"), 11, "grid 64 30000 1000");
  const std::string endless = scratch_file("endless.ir", text);
  const std::string c = scratch_path("never.npy");
  const ProgramResult run =
      interrupt_leat(add_with({"--device", "cpu", "--out", "c=" + c}, endless), 500);
  EXPECT_EQ(run.exit_code, 130) << run.err;
  EXPECT_FALSE(read_npy(c));
}

}  // namespace
}  // namespace leat
