// Runs the commands of the documents as a reader would. Each ```sh block of README.md, docs/*.md
// and the like is a script for sh -e; the blocks of one document run in their order in one folder,
// which has the built programs on its PATH and small files under the names that documents use. A
// block must exit 0, unless a line before it says why it cannot run here:
//   <!-- not run: REASON -->       never
//   <!-- needs: PROGRAM... -->     where one of these is not installed
// What a document names in its text, `leat COMMAND --option`, must exist in the program, too.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kSource = LEAT_SOURCE_DIR;
const fs::path kPrograms = fs::path(LEAT_PROGRAM).parent_path();
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

struct Ran {
  int exit_code = -1;
  std::string text;  // of both streams
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = popen(("exec 2>&1 </dev/null; " + command).c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> piece{};
  while (fgets(piece.data(), int{piece.size()}, pipe) != nullptr) ran.text += piece.data();
  const int status = pclose(pipe);
  if (WIFEXITED(status)) ran.exit_code = WEXITSTATUS(status);
  return ran;
}

/// A reader's folder with the files that documents speak of; removed at the end.
class DocumentCommands : public testing::TestWithParam<std::string> {
 protected:
  /// Shared by all documents of this process: their kernels are compiled once.
  static fs::path root() {
    return fs::path(testing::TempDir()) / ("leat_docs_" + std::to_string(getpid()));
  }
  static void SetUpTestSuite() { fs::create_directories(root() / "home"); }
  static void TearDownTestSuite() { fs::remove_all(root()); }

  void SetUp() override {
    folder_ = root() / "work";
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "examples");
    const fs::path digits = kSource / "examples" / "digits";
    fs::copy(digits, folder_ / "examples" / "digits", fs::copy_options::recursive);
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
    for (const char* name : {"x.npy", "in.npy"}) write_array(folder_ / name);
  }

  /// An upright bar, a one, f32 (1, 1, 28, 28). Source: NumPy's manual, numpy.lib.format.
  static void write_array(const fs::path& path) {
    std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 28, 28), }";
    head.resize(117, ' ');  // with ten bytes before it and its line's end: 128
    std::array<float, 28 * 28> pixels{};
    for (size_t row = 4; row < 24; ++row) pixels[row * 28 + 14] = 255;
    std::ofstream file(path, std::ios::binary);
    file << std::string("\x93NUMPY\x01\x00\x76\x00", 10) << head << '\n';
    file.write(reinterpret_cast<const char*>(pixels.data()), sizeof pixels);
  }

  Ran run_block(const Block& block) const {
    std::ofstream(folder_ / ".script") << block.script;
    const std::string home = (root() / "home").string();
    return run("cd " + folder_.string() + " && XDG_CACHE_HOME=" + home + "/.cache XDG_STATE_HOME=" +
               home + "/.state HOME=" + home + " PATH=" + kPrograms.string() +
               ":\"$PATH\" timeout " + std::to_string(kBlockSecondsMax) + " sh -e .script");
  }

  fs::path folder_;
};

bool is_installed(const std::string& program) {
  return run("command -v " + program).exit_code == 0;
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
