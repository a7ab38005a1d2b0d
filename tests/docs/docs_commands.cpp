// Runs the commands of the documents as a reader would. Each ```sh block of README.md, docs/*.md
// and the like is a script for sh -e; the blocks of one document run in their order in one folder,
// which has the built programs on its PATH and small files under the names that documents use. A
// block must exit 0, unless a line before it says why it cannot run here:
//   <!-- not run: REASON -->       never
//   <!-- needs: PROGRAM... -->     where one of these is not installed
// The examples of each --help run there, too, and what a document names in its text, `leat COMMAND
// --option`, must exist in the program.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/ran_command.h"

namespace {

using leat::Ran;
using leat::run_command;
namespace fs = std::filesystem;

const fs::path kSource = LEAT_SOURCE_DIR;
const fs::path kPrograms = fs::path(LEAT_PROGRAM).parent_path();
const std::string kPython = "/usr/bin/python3";
constexpr int kBlockSecondsMax = 600;  // many times what any takes; a sanitized build is slow

struct Block {
  size_t line = 0;  // of the fence, 1-based
  std::string script;
  std::string not_run;             // the reason
  std::vector<std::string> needs;  // programs
};

struct Document {
  std::vector<Block> blocks;
  std::vector<std::string> mistakes;
};

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What stands between `begin` and "-->" where the line starts so.
bool read_mark(const std::string& line, const std::string& begin, std::string& words) {
  const size_t end = line.rfind("-->");
  if (!line.starts_with(begin) || end == std::string::npos) return false;
  words = line.substr(begin.size(), end - begin.size());
  while (words.ends_with(' ')) words.pop_back();
  return true;
}

std::string at_line(size_t line) { return "line " + std::to_string(line) + ": "; }

/// Reads line after line; what it is told is of the block that comes next.
class Reader {
 public:
  Document read(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) take(line);
    if (is_inside_) mistake("A block does not end.");
    return std::move(document_);
  }

 private:
  void mistake(const std::string& words) { document_.mistakes.push_back(at_line(line_) + words); }

  void take(const std::string& line) {
    ++line_;
    if (line.starts_with("```")) return take_fence(line.substr(3));
    if (is_inside_) {
      if (is_shell_) next_.script += line + '\n';
    } else if (std::string words; read_mark(line, "<!-- not run: ", words)) {
      next_.not_run = words;
      if (words.empty()) mistake("A mark \"not run\" gives no reason.");
      is_marked_ = true;
    } else if (read_mark(line, "<!-- needs: ", words)) {
      std::istringstream in(words);
      next_.needs.assign(std::istream_iterator<std::string>(in), {});
      is_marked_ = true;
    } else if (line.starts_with("    leat ") || line.starts_with("    leat-bench ")) {
      mistake("An indented command is not run; write it into a ```sh block.");
    } else if (!line.empty() && is_marked_) {
      mistake("A mark stands before something that is no ```sh block.");
      reset();
    }
  }

  void take_fence(const std::string& language) {
    if (is_inside_) {
      if (is_shell_) document_.blocks.push_back(std::move(next_));
      reset();
      is_inside_ = is_shell_ = false;
      return;
    }
    is_inside_ = true;
    is_shell_ = language == "sh";
    next_.line = line_;
    if (is_marked_ && !is_shell_) mistake("A mark stands before something that is no ```sh block.");
    if (language == "bash" || language == "console" || language == "shell") {
      mistake("Commands are written in ```sh blocks, which are run.");
    }
  }

  void reset() {
    next_ = {};
    is_marked_ = false;
  }

  Document document_;
  Block next_;
  size_t line_ = 0;
  bool is_inside_ = false;
  bool is_shell_ = false;
  bool is_marked_ = false;
};

/// Every document of the tree that readers are given, from its root.
std::vector<std::string> documents() {
  std::vector<std::string> paths;
  for (const char* folder : {".", "docs", "bench", "examples/digits"}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(kSource / folder)) {
      if (entry.path().extension() != ".md") continue;
      paths.push_back(fs::relative(entry.path(), kSource).string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// A reader's folder with the files that documents speak of; removed at the end.
class ReadersFolder : public testing::Test {
 protected:
  /// Shared by all documents of this process: their kernels are compiled once.
  static fs::path root() {
    return fs::path(testing::TempDir()) / ("leat_docs_" + std::to_string(getpid()));
  }
  static void SetUpTestSuite() {
    fs::create_directories(root() / "home");
    fs::create_directories(root() / "bin");
    if (fs::exists(root() / "bin" / "python3")) return;
    fs::create_symlink(kPython, root() / "bin" / "python3");  // the system's has NumPy
  }
  static void TearDownTestSuite() { fs::remove_all(root()); }

  void SetUp() override {
    folder_ = root() / "work";
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "examples");
    const fs::path digits = kSource / "examples" / "digits";
    fs::copy(digits, folder_ / "examples" / "digits", fs::copy_options::recursive);
    fs::copy(kSource / "examples" / "kernels", folder_ / "examples" / "kernels");
    fs::copy_file(kSource / "examples/kernels/relu.ir", folder_ / "KERNEL.ir");
    for (const char* name : {"digits.onnx", "model.onnx", "MODEL.onnx", "x.onnx"}) {
      fs::copy_file(digits / "digits.onnx", folder_ / name);
    }
    for (const char* name : {"labels.txt", "LABELS.txt"}) {
      fs::copy_file(digits / "labels.txt", folder_ / name);
    }
    for (const char* name : {"7.png", "picture.png", "PICTURE.png"}) {
      fs::copy_file(digits / "pictures" / "7.png", folder_ / name);
    }
    for (const char* name : {"pictures", "FOLDER"}) fs::copy(digits / "pictures", folder_ / name);
    for (const char* name : {"x.npy", "in.npy"})
      write_array(folder_ / name, "1, 1, 28, 28", pixels());
    fs::copy_file(kSource / "examples" / "kernels" / "add.ir", folder_ / "add.ir");
    fs::copy_file(kSource / "examples" / "states" / "echo.onnx", folder_ / "echo.onnx");
    const std::array<float, 4> one = {1, 0, 0, 0};
    write_array(folder_ / "chunks.npy", "3, 1, 4",
                {std::string(reinterpret_cast<const char*>(one.data()), sizeof one) +
                 std::string(2 * sizeof one, '\0')});
    for (const char* name : {"a.npy", "b.npy"}) {
      write_array(folder_ / name, "1000,", std::string(1000 * sizeof(float), '\0'));
    }
    write_case(folder_ / "CASES" / "test_digits");
  }

  /// An upright bar, a one, f32 (1, 1, 28, 28).
  static std::string pixels() {
    std::array<float, 28 * 28> pixels{};
    for (size_t row = 4; row < 24; ++row) pixels[row * 28 + 14] = 255;
    return {reinterpret_cast<const char*>(pixels.data()), sizeof pixels};
  }

  /// Source: NumPy's manual, numpy.lib.format.
  static void write_array(const fs::path& path, const std::string& shape,
                          const std::string& bytes) {
    std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
    head.resize(117, ' ');  // with ten bytes before it and its line's end: 128
    std::ofstream file(path, std::ios::binary);
    file << std::string("\x93NUMPY\x01\x00\x76\x00", 10) << head << '\n' << bytes;
  }

  /// As the ONNX project's suite has them; what is expected is what the program says.
  static void write_case(const fs::path& folder) {
    const fs::path data = folder / "test_data_set_0";
    fs::create_directories(data);
    fs::copy_file(kSource / "examples/digits/digits.onnx", folder / "model.onnx");
    const std::string shape("\x08\x01\x08\x01\x08\x1c\x08\x1c\x10\x01\x4a\xc0\x18", 13);
    std::ofstream(data / "input_0.pb", std::ios::binary) << shape << pixels();
    const Ran ran =
        run_command(kPrograms.string() + "/leat run " + (folder / "model.onnx").string() +
                    " --device cpu --no-cache --input " + (data / "input_0.pb").string() +
                    " --output " + (data / "output_0.pb").string());
    ASSERT_EQ(ran.exit_code, 0) << ran.text;
  }

  Ran run_block(const Block& block) const {
    std::ofstream(folder_ / ".script") << block.script;
    const std::string home = (root() / "home").string();
    std::string command = "cd " + folder_.string() + " && HOME=" + home;
    command += " XDG_CACHE_HOME=" + home + "/.cache XDG_STATE_HOME=" + home + "/.state";
    command += " PATH=" + kPrograms.string() + ":" + (root() / "bin").string() + ":\"$PATH\"";
    command += " LEAT_LIBRARY=" + std::string(LEAT_LIBRARY) + " PYTHONDONTWRITEBYTECODE=1";
    command += " PYTHONPATH=" + (kSource / "bindings" / "python").string();
    return run_command(command + " timeout " + std::to_string(kBlockSecondsMax) + " sh -e .script");
  }

  fs::path folder_;
};

class DocumentCommands : public ReadersFolder, public testing::WithParamInterface<std::string> {};

// A program that is not instrumented cannot load a library that is.
constexpr bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

/// Python counts with NumPy and a library that it can load.
bool is_installed(const std::string& program) {
  if (program == "python3") {
    return !is_sanitized() && run_command(kPython + " -c 'import numpy'").exit_code == 0;
  }
  return run_command("command -v " + program).exit_code == 0;
}

TEST_P(DocumentCommands, Run) {
  const Document document = Reader().read(text_of(kSource / GetParam()));
  for (const std::string& mistake : document.mistakes)
    ADD_FAILURE() << GetParam() << ' ' << mistake;
  size_t count = 0;
  for (const Block& block : document.blocks) {
    const bool is_possible = std::all_of(block.needs.begin(), block.needs.end(), is_installed);
    if (!block.not_run.empty() || !is_possible) continue;
    const Ran ran = run_block(block);
    EXPECT_EQ(ran.exit_code, 0) << GetParam() << ' ' << at_line(block.line) << '\n'
                                << block.script << "prints\n"
                                << ran.text;
    ++count;
  }
  if (count == 0 && !document.blocks.empty())
    GTEST_SKIP() << GetParam() << " has no command that runs here.";
}

INSTANTIATE_TEST_SUITE_P(Documents, DocumentCommands, testing::ValuesIn(documents()),
                         [](const testing::TestParamInfo<std::string>& document) {
                           std::string name;
                           for (const char c : document.param) {
                             name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           }
                           return name;
                         });

// --- The examples of --help ----------------------------------------------------------------------

using Json = nlohmann::json;

Json table_of(const std::string& program) {
  const Ran ran = run_command((kPrograms / program).string() + " --describe json");
  const Json table = Json::parse(ran.text, nullptr, false);
  EXPECT_TRUE(table.is_object()) << ran.text;
  return table;
}

/// The examples of a command and those below it, each once, as one script.
std::string script_of(const Json& command) {
  std::string script;
  const auto add = [&](const Json& from, const auto& again) -> void {
    for (const Json& line : from["examples"]) {
      const auto text = line.get<std::string>() + '\n';
      if (script.find(text) == std::string::npos) script += text;
    }
    for (const Json& below : from["commands"]) again(below, again);
  };
  add(command, add);
  return script;
}

/// Take tens of seconds.
bool is_slow(const std::string& command) {
  return command == "report" || command == "tune" || command == "host";
}

class HelpExamples : public ReadersFolder {
 protected:
  void run_commands(const std::string& program, const std::function<bool(const Json&)>& wanted) {
    const Json table = table_of(program);
    for (const Json& command : table["commands"]) {
      if (!wanted(command)) continue;
      const Ran ran = run_block({.script = script_of(command)});
      EXPECT_EQ(ran.exit_code, 0) << script_of(command) << "prints\n" << ran.text;
    }
  }
};

TEST_F(HelpExamples, OfThePrograms) {
  run_commands("leat", [](const Json&) { return true; });
  run_commands("leat-bench", [](const Json& command) { return !is_slow(command["name"]); });
}

TEST_F(HelpExamples, OfLongBenchmarksSlow) {
  run_commands("leat-bench", [](const Json& command) { return is_slow(command["name"]); });
}

// --- What --json prints --------------------------------------------------------------------------

class JsonSchemas : public ReadersFolder {
 protected:
  void hold(const std::string& environment) {
    if (run_command(kPython + " -c 'import jsonschema'").exit_code != 0) {
      GTEST_SKIP() << "There is no python3-jsonschema.";
    }
    const std::string tree = kSource.string();
    const Ran ran =
        run_block({.script = environment + kPython + " -B " + tree +
                             "/tests/docs/json_schemas.py " + tree + "/docs/schemas\n"});
    EXPECT_EQ(ran.exit_code, 0) << ran.text;
  }
};

TEST_F(JsonSchemas, HoldForEveryCommand) { hold(""); }

TEST_F(JsonSchemas, HoldForLongBenchmarksSlow) { hold("LEAT_SLOW_SCHEMAS=1 "); }

// --- The reference -------------------------------------------------------------------------------

TEST_F(ReadersFolder, ReferenceIsMadeWithoutAWarning) {
  if (!is_installed("doxygen")) GTEST_SKIP() << "There is no Doxygen.";
  const std::string out = (folder_ / "reference").string();
  fs::create_directories(out);
  const Ran ran = run_command("cd " + kSource.string() + " && LEAT_DOCS_FOLDER=" + out +
                              " doxygen docs/Doxyfile");
  EXPECT_EQ(ran.exit_code, 0) << ran.text;
  EXPECT_EQ(ran.text, "");
  const std::string page = text_of(fs::path(out) / "html" / "leat_8h.html");
  for (const char* name : {"leat_model_load", "leat_run", "leat_conv2d", "leat_message"}) {
    EXPECT_NE(page.find(name), std::string::npos) << name;
  }
}

// --- What documents say in passing ---------------------------------------------------------------

/// The spans between backticks that are command lines of ours, outside of blocks.
std::vector<std::string> spans_of(const std::string& text) {
  std::vector<std::string> spans;
  bool is_inside = false;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) is_inside = !is_inside;
    if (is_inside || line.starts_with("```")) continue;
    for (size_t begin = line.find("`leat "); begin != std::string::npos;) {
      const size_t end = line.find('`', begin + 1);
      if (end == std::string::npos) break;
      spans.push_back(line.substr(begin + 1, end - begin - 1));
      begin = line.find("`leat ", end + 1);
    }
  }
  return spans;
}

bool has_option(const Json& command, const std::string& name) {
  return std::any_of(command["options"].begin(), command["options"].end(), [&](const Json& option) {
    return std::find(option["names"].begin(), option["names"].end(), name) != option["names"].end();
  });
}

/// The first word of the span that is no command and no option; empty when all are.
std::string stranger_in(const std::string& span, const Json& leat, const Json& bench) {
  std::istringstream in(span);
  std::string word;
  in >> word;
  const Json* command = &leat;
  while (in >> word) {
    if (word.starts_with("[")) word = word.substr(1);
    while (word.ends_with(']') || word.ends_with(',')) word.pop_back();
    if (word.starts_with("--")) {
      if (!has_option(*command, word.substr(0, word.find_first_of("=[")))) return word;
      continue;
    }
    const Json* next = nullptr;
    for (const Json& below : (*command)["commands"]) next = below["name"] == word ? &below : next;
    if (next == nullptr && (command == &leat || command == &bench)) {
      const bool is_placeholder = std::isupper(static_cast<unsigned char>(word[0])) != 0;
      return is_placeholder || word == "..." ? "" : word;
    }
    if (next != nullptr) command = command == &leat && word == "bench" ? &bench : next;
  }
  return "";
}

TEST(Documents, NameCommandsAndOptionsThatThereAre) {
  const Json leat = table_of("leat");
  const Json bench = table_of("leat-bench");
  size_t count = 0;
  for (const std::string& path : documents()) {
    for (const std::string& span : spans_of(text_of(kSource / path))) {
      EXPECT_EQ(stranger_in(span, leat, bench), "") << path << ": " << span;
      ++count;
    }
  }
  EXPECT_GE(count, 50u);
  EXPECT_EQ(stranger_in("leat rnu x", leat, bench), "rnu");
  EXPECT_EQ(stranger_in("leat run MODEL --jsn", leat, bench), "--jsn");
  EXPECT_EQ(stranger_in("leat bench conv2d --shape 1 --json=FILE", leat, bench), "");
}

// --- The reader itself ---------------------------------------------------------------------------

TEST(DocumentReader, FindsBlocksAndMarks) {
  const Document document = Reader().read(
      "# A\n```sh\nleat devices\nleat doctor\n```\ntext\n<!-- not run: takes an hour -->\n\n"
      "```sh\ntools/check\n```\n```c\nint x;\n```\n<!-- needs: man groff -->\n```sh\nman x\n```\n");
  EXPECT_TRUE(document.mistakes.empty()) << document.mistakes[0];
  ASSERT_EQ(document.blocks.size(), 3u);
  EXPECT_EQ(document.blocks[0].line, 2u);
  EXPECT_EQ(document.blocks[0].script, "leat devices\nleat doctor\n");
  EXPECT_TRUE(document.blocks[0].not_run.empty());
  EXPECT_EQ(document.blocks[1].not_run, "takes an hour");
  EXPECT_TRUE(document.blocks[2].not_run.empty());
  EXPECT_EQ(document.blocks[2].needs, (std::vector<std::string>{"man", "groff"}));
}

TEST(DocumentReader, SaysWhatWouldNotBeRun) {
  const auto mistakes = [](const std::string& text) { return Reader().read(text).mistakes.size(); };
  EXPECT_EQ(mistakes("    leat devices\n"), 1u);
  EXPECT_EQ(mistakes("```bash\nleat devices\n```\n"), 1u);
  EXPECT_EQ(mistakes("<!-- not run:  -->\n```sh\nleat\n```\n"), 1u);
  EXPECT_EQ(mistakes("<!-- not run: why -->\ntext\n"), 1u);
  EXPECT_EQ(mistakes("<!-- not run: why -->\n```c\nint x;\n```\n"), 1u);
  EXPECT_EQ(mistakes("```sh\nleat devices\n"), 1u);
  EXPECT_EQ(mistakes("```sh\n    leat devices\n```\n"), 0u);
}

}  // namespace
