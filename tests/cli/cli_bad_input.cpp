// Bad input gives one clear sentence on stderr, exit code 1, and nothing on stdout.
#include <gtest/gtest.h>

#include "leat/base/files.h"
#include "leat/media/npy.h"
#include "leat/model/onnx_builder.h"
#include "tests/cli/leat_program.h"

namespace leat {
namespace {

const std::string kDigits = LEAT_SOURCE_DIR "/examples/digits/digits.onnx";
const std::string kSeven = LEAT_SOURCE_DIR "/examples/digits/pictures/7.png";

/// `part` must stand in the sentence.
void expect_one_sentence(const std::vector<std::string>& arguments, const std::string& part) {
  SCOPED_TRACE(testing::PrintToString(arguments));
  const ProgramResult result = run_leat(arguments);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("leat: ")) << result.err;
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "one line: " << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

void expect_bad_model(const std::string& name, const std::string& bytes, const std::string& part) {
  const std::string path = scratch_file(name, bytes);
  expect_one_sentence({"run", path, "--input", kSeven, "--device", "cpu"}, part);
}

OnnxBuilder relu_model(const Shape& shape) {
  OnnxBuilder model;
  model.input("x", shape);
  model.node("Relu", {"x"}, {"y"});
  model.output("y");
  return model;
}

TEST(CliBadInput, Models) {
  const std::string digits = read_file(kDigits, size_t{1} << 24).value();
  expect_bad_model("truncated.onnx", digits.substr(0, digits.size() / 2), "truncated.onnx");
  expect_bad_model("magic.onnx", "This is not a model.", "magic.onnx");
  expect_bad_model("empty.onnx", "", "empty.onnx");

  OnnxBuilder cyclic;
  cyclic.input("x", {1});
  cyclic.node("Add", {"x", "b"}, {"a"});
  cyclic.node("Relu", {"a"}, {"b"});
  cyclic.output("b");
  expect_bad_model("cyclic.onnx", cyclic.bytes(), "cycl");

  expect_bad_model("huge.onnx", relu_model({int64_t{1} << 40, int64_t{1} << 40}).bytes(), "\"x\"");
  OnnxBuilder negative;
  negative.input("x", {1, 3, 4, 4});
  negative.constant("shape", {-5, 48});
  negative.node("Reshape", {"x", "shape"}, {"y"});
  negative.output("y");
  expect_bad_model("negative.onnx", negative.bytes(), "-5");
}

TEST(CliBadInput, UnknownOperatorIsNamed) {
  OnnxBuilder model;
  model.input("x", {1});
  model.node("Telepathy", {"x"}, {"y"});
  model.output("y");
  expect_bad_model("telepathy.onnx", model.bytes(), "Telepathy");
}

/// Nothing that a terminal would act on but the ends of lines.
void expect_harmless(const std::string& text) {
  for (const char* part : {"\x1b", "\r", "\u009b", "\u202e", "\xff"}) {
    EXPECT_EQ(text.find(part), std::string::npos) << text;
  }
  EXPECT_EQ(text.find("\nleat: all is well"), std::string::npos) << "forged line: " << text;
}

const std::string kEvil = "a\x1b[2J\u202e\u009b\xff\r\nleat: all is well\n";

/// Relu by a node, input and output of that name.
OnnxBuilder named_model(const std::string& name, const std::string& op) {
  OnnxBuilder model;
  model.input(name, {1, 2});
  model.node(op, {name}, {name + "y"}).proto().set_name(name);
  model.output(name + "y");
  return model;
}

TEST(CliForeignText, NamesInErrors) {
  const std::string model = scratch_file("evil.onnx", named_model(kEvil, "Relu").bytes());
  const std::string odd = scratch_file("odd.onnx", named_model(kEvil, kEvil).bytes());
  const std::string labels = scratch_file("none.txt", "\n");
  const std::vector<std::vector<std::string>> mistakes = {
      {"run", model},
      {"run", odd},
      {"run", kEvil},
      {"run", model, "-i", kEvil},
      {"run", model, "-i", kEvil + "=" + kSeven},
      {"run", model, "-i", kSeven, "--device", kEvil},
      {"run", kDigits, "-i", kSeven, "-o", kEvil, "--device", "cpu"},
      {"run", kDigits, "-i", kSeven, "--labels", kEvil, "--device", "cpu"},
      {"test-onnx", kEvil},
      {"dump", kEvil},
      {"dump", model, "--node", kEvil + "x", "--after", "lower", "--target", "x86-64-v3"},
      {"dump", scratch_file("evil.ir", "leat-kernel 1\nkernel " + kEvil)},
  };
  for (const std::vector<std::string>& arguments : mistakes) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 1);
    expect_harmless(result.err);
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
  const ProgramResult usage = run_leat({kEvil});
  EXPECT_EQ(usage.exit_code, 2);
  expect_harmless(usage.err);
}

TEST(CliForeignText, NamesInResults) {
  const std::string model = scratch_file("evil.onnx", named_model(kEvil, "Relu").bytes());
  const std::string input =
      scratch_file("evil.npy", npy_bytes(HostTensor::zeros(DType::f32, {1, 2})));
  const std::string labels = scratch_file("evil.txt", "a\x1b[2J\u202e\u009b\xff\rb\nc\n");
  std::vector<std::vector<std::string>> commands = {
      {"run", model, "-i", input, "--top", "2", "--labels", labels, "--device", "cpu", "--profile"},
      {"run", model, "-i", input, "--top", "2", "--labels", labels, "--device", "cpu", "--json"},
  };
  for (const char* stage : {"graph", "schedule", "lower"}) {
    commands.push_back({"dump", model, "--after", stage, "--target", "x86-64-v3"});
  }
  for (const std::vector<std::string>& arguments : commands) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const ProgramResult result = run_leat(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    expect_harmless(result.out);
  }
}

TEST(CliBadInput, Inputs) {
  const auto run = [](const std::string& input) {
    return std::vector<std::string>{"run", kDigits, "--input", input, "--device", "cpu"};
  };
  const std::string wrong =
      scratch_file("wrong.npy", npy_bytes(HostTensor::zeros(DType::f32, {1, 1, 5, 5})));
  expect_one_sentence(run(wrong), "(1, 1, 5, 5)");
  expect_one_sentence(run(scratch_file("short.npy", "\x93NUMPY")), "short.npy");
  expect_one_sentence(run(scratch_file("no.png", "no picture")), "no.png");
  expect_one_sentence(run(scratch_file("no.jpg", "no picture")), "no.jpg");
  expect_one_sentence(run("/nonexistent/7.png"), "/nonexistent/7.png");
  expect_one_sentence(run("/nonexistent/7.gif"), ".npy");
  expect_one_sentence(run("picture=" + kSeven), "\"image\"");
  expect_one_sentence({"run", kDigits, "--device", "cpu"}, "\"image\"");
  expect_one_sentence({"run", "/nonexistent.onnx", "--input", kSeven}, "/nonexistent.onnx");
}

TEST(CliBadInput, NumbersOfPictures) {
  const auto run = [](const std::string& option, const std::string& value) {
    return std::vector<std::string>{"run",      kDigits, "--input", kSeven,
                                    "--device", "cpu",   option,    value};
  };
  for (const char* value : {"1e300", "nan", "inf", "-2e6"}) {
    expect_one_sentence(run("--scale", value), "(1000000)");
  }
  expect_one_sentence(run("--mean", "nan,0,0"), "--mean (nan)");
  expect_one_sentence(run("--mean", "0,0,1e300"), "--mean (1e+300)");
}

TEST(CliBadInput, Arrays) {
  const auto run = [](const std::string& input) {
    return std::vector<std::string>{"run", kDigits, "--input", input, "--device", "cpu"};
  };
  const std::string good = npy_bytes(HostTensor::zeros(DType::f32, {1, 1, 28, 28}));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string bytes = good;
    return bytes.replace(bytes.find(from), from.size(), to);
  };
  expect_one_sentence(run(scratch_file("empty.npy", "")), "empty.npy");
  expect_one_sentence(run(scratch_file("complex.npy", changed("<f4", "<c8"))), "<c8");
  const std::string whole =
      scratch_file("whole.npy", npy_bytes(HostTensor::zeros(DType::i32, {1, 1, 28, 28})));
  expect_one_sentence(run(whole), "i32");
  const std::string ones = scratch_file("ones.npy", good);
  expect_one_sentence({"run", kDigits, "-i", ones, "-i", ones, "--device", "cpu"}, "(2)");
  expect_one_sentence({"run", kDigits, "-i", "image=" + ones, "-i", "image=" + ones}, "Two files");
}

TEST(CliBadInput, OutputsAreCheckedBeforeTheRun) {
  const auto run = [](const std::string& output) {
    return std::vector<std::string>{"run",      kDigits, "--input",  kSeven,
                                    "--device", "cpu",   "--output", output};
  };
  const std::string folder = scratch_path("missing_folder");
  expect_one_sentence(run(folder + "/y.npy"), folder);
  expect_one_sentence(run("y.txt"), "y.txt");
  expect_one_sentence(run("other=y.npy"), "\"probabilities\"");
  expect_one_sentence(run(scratch_path("y.png")), "channels");
}

TEST(CliBadInput, JsonKeepsStdoutEmpty) {
  expect_one_sentence({"run", kDigits, "--json", "--device", "cpu"}, "\"image\"");
  expect_one_sentence({"run", "/nonexistent.onnx", "--json"}, "/nonexistent.onnx");
  expect_one_sentence({"run", kDigits, "--input", kSeven, "--json", "--device", "gpu77"}, "gpu77");
  expect_one_sentence({"test-onnx", "/nonexistent", "--json"}, "/nonexistent");
  expect_one_sentence({"devices", "--json=/proc/nonexistent/d.json"}, "/proc/nonexistent");
}

TEST(CliBadInput, FullStandardOutput) {
  const std::vector<std::vector<std::string>> commands = {
      {"devices"},
      {"devices", "--json"},
      {"dump", kDigits, "--after", "lower"},  // more than one buffer of stdio
  };
  for (const std::vector<std::string>& arguments : commands) {
    const ProgramResult result = run_leat_without_room(arguments);
    EXPECT_EQ(result.exit_code, 1) << testing::PrintToString(arguments);
    EXPECT_EQ(result.err, "leat: Standard output cannot be written: No space left on device.\n");
  }
}

TEST(CliBadInput, DevicesAndPaths) {
  expect_one_sentence({"run", kDigits, "--input", kSeven, "--device", "gpu77"}, "gpu77");
  expect_one_sentence(
      {"run", kDigits, "--input", kSeven, "--device", "cpu", "--output", "/proc/nonexistent/y.npy"},
      "/proc/nonexistent");
  expect_one_sentence({"test-onnx", "/nonexistent"}, "/nonexistent");
  expect_one_sentence({"bench", "conv2d"}, "--shape");
  expect_one_sentence({"bench", "conv2d", "--shape", "1,2,3"}, "1,2,3");
  expect_one_sentence({"bench", "conv2d", "--suite", "/nonexistent.csv"}, "/nonexistent.csv");
  expect_one_sentence({"bench", "latency", "--device", "gpu77"}, "gpu77");
  const std::string suite = scratch_file("suite.csv", "a,1,1,4,4,1,3,1,1\n");
  expect_one_sentence({"bench", "conv2d", "--suite", suite, "--json=" + suite},
                      "same file as input");
  const std::string model = scratch_file("flow.onnx", relu_model({1}).bytes());
  expect_one_sentence({"bench", "flow", "--model", model, "--json=" + model}, "same file as input");
  expect_one_sentence({"bench", "flow", "--model", model, "--trace", model}, "same file as input");
  expect_one_sentence({"dump", "/nonexistent.ir"}, "/nonexistent.ir");
  expect_one_sentence({"dump", scratch_file("bad.ir", "leat-kernel 1\nkernel")}, "bad.ir");
}

// Both results would be named after the picture's stem.
TEST(CliBadInput, PicturesWhoseResultsHaveOneName) {
  const std::string picture = read_file(kSeven, size_t{1} << 20).value();
  scratch_file("twins/a.png", picture);
  scratch_file("twins/a.jpg", picture);
  expect_one_sentence({"run", kDigits, "--input", scratch_path("twins"), "--output",
                       scratch_path("twins_out"), "--device", "cpu"},
                      "a.jpg");
}

}  // namespace
}  // namespace leat
