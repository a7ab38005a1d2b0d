// Enforces what style rules can be checked on the text of the tree: who may include whom, sizes of
// lines, functions and files, names. Each rule is a function from a file to findings, and has a
// case here that feeds it a bad sample. What a rule must let through stands in a table with the
// reason. This program links nothing of Leat, so it runs when nothing else builds.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy_functions.h"
#include "tests/tidy_source.h"

namespace tidy {
namespace {

// --- The tables ----------------------------------------------------------------------------------

constexpr size_t kLineColumnsMax = 100;
constexpr size_t kFunctionLinesMax = 70;
constexpr size_t kFileLinesMax = 1000;

struct FolderRule {
  std::string folder;                    // "leat/backend/*" is each backend
  std::vector<std::string> may_include;  // folders, or single headers
};

const std::vector<FolderRule> kFolders = {
    {"leat/base", {}},
    {"leat/tensor", {"leat/base"}},
    {"leat/ir", {"leat/base"}},
    {"leat/device", {"leat/base"}},
    {"leat/schedule", {"leat/tensor", "leat/base"}},
    {"leat/lower", {"leat/schedule", "leat/tensor", "leat/ir", "leat/base"}},
    {"leat/emit", {"leat/ir", "leat/base"}},
    {"leat/tune", {"leat/schedule", "leat/tensor", "leat/base"}},
    {"leat/route", {"leat/device", "leat/base"}},
    {"leat/backend/*", {"leat/route", "leat/device", "leat/base"}},
    {"leat/backend", {"leat/backend/*", "leat/route", "leat/device", "leat/base"}},
    {"leat/pack", {"leat/schedule", "leat/tensor", "leat/base"}},
    {"leat/run",
     {"leat/base", "leat/tensor", "leat/schedule", "leat/ir", "leat/lower", "leat/emit",
      "leat/tune", "leat/pack", "leat/device", "leat/route", "leat/backend/backends.h"}},
    {"leat/model", {"leat/run", "leat/tensor", "leat/base"}},
    {"leat/media", {"leat/tensor", "leat/base"}},
    {"leat/report",
     {"leat/model", "leat/run", "leat/device", "leat/schedule", "leat/tensor", "leat/base",
      "leat/backend/backends.h"}},
    {"cli",
     {"leat/report", "leat/run", "leat/pack", "leat/model", "leat/media", "leat/tune",
      "leat/tensor", "leat/device", "leat/base", "leat/backend/backends.h"}},
    {"bench",
     {"cli", "leat/report", "leat/run", "leat/pack", "leat/model", "leat/media", "leat/tune",
      "leat/tensor", "leat/device", "leat/base", "leat/backend/backends.h", "bindings/c/leat.h"}},
    {"bindings/c",
     {"leat/run", "leat/pack", "leat/model", "leat/tune", "leat/tensor", "leat/device", "leat/base",
      "leat/backend/backends.h"}},
    {"bindings/cpp", {"bindings/c/leat.h"}},
    {"bindings/python", {"bindings/c/leat.h"}},
    {"bindings/fortran", {"bindings/c/leat.h"}},
};

/// Lets `what` in the file `path` through; the reason is for the reader.
struct Exception {
  std::string path;
  std::string what;
  std::string reason;
};
using Exceptions = std::vector<Exception>;

// what = the header.
const Exceptions kIncludeExceptions = {
    {"bench/opengl_floors.cpp", "leat/backend/opengl/opengl_context.h",
     "measures the driver below the seam"},
    {"leat/emit/llvm_ptx_test.cpp", "leat/route/cubin.h",
     "what an assembler makes is checked as the routes check it"},
    {"leat/emit/llvm_ptx_test.cpp", "leat/route/nvidia_target.h",
     "the same, for the target that the routes open"},
};

// what = the function's name. Only a straight list of steps, one switch, or a table.
const Exceptions kLongFunctions = {
    {"leat/emit/spirv_control.cpp", "ProgramEmitter::emit_instruction",
     "one switch over all opcodes"},
    {"leat/emit/llvm_control.cpp", "KernelWriter::write_instruction",
     "one switch over all opcodes"},
    {"leat/emit/supported.cpp", "is_supported", "one switch over all opcodes"},
    {"leat/ir/interpret.cpp", "Machine::execute", "one branch for each kind of instruction"},
    {"leat/ir/rewrite.cpp", "Rewriter::copy_as", "one branch for each kind of instruction"},
    {"tests/amd/amd_kernels_test.cpp", "element_cases", "a table of cases"},
    {"leat/tensor/ops_recurrent_test.cpp", "computed", "the standard's formulas of three cells"},
    {"tests/amd/amd_decode_test.cpp", "draw_words", "one switch over all formats"},
    {"tests/amd/amd_emulator_scalar.cpp", "SOP", "rows of a macro, each a function"},
    {"leat/emit/wgsl_arithmetic.cpp", "WgslEmitter::emit_instruction",
     "one switch over all opcodes"},
};

// what = "" (the whole file). Only tables.
const Exceptions kLongFiles = {};

// what = the feature macro, or "" for any.
const Exceptions kFeatureFiles = {
    {"leat/backend/backends.cpp", "", "the list of backends"},
    {"leat/emit/emit.cpp", "LEAT_HAS_LLVM", "the choice of an emitter; small builds lack LLVM"},
    {"leat/emit/emit_test.cpp", "LEAT_HAS_LLVM", "tests what a build without LLVM answers"},
    {"tests/wire/mock_gpu.cpp", "LEAT_HAS_NVIDIA", "the mock is there when the direct route is"},
    {"bench/peers.cpp", "LEAT_HAS_ONEDNN", "the list of libraries to compare with"},
};

// path = the name that several files may have. what is unused.
const Exceptions kSharedNames = {
    {"README.md", "", "each folder may have one"},
    {"CMakeLists.txt", "", "the tree's, and that of a project outside it"},
};

const std::vector<std::string> kForbiddenSuffixes = {"_new", "_v2", "_fixed", "_simple"};
// Names that a library gives, which we only call.
const std::vector<std::string> kForeignPrefixes = {"sqlite3_"};
const std::vector<std::string> kForbiddenWords = {"Manager", "Helper", "Util", "Base2"};
const std::set<std::string> kForbiddenFileWords = {"manager", "helper", "helpers",
                                                   "util",    "utils",  "base2"};

bool is_excepted(const Exceptions& exceptions, std::string_view path, std::string_view what) {
  return std::ranges::any_of(exceptions, [&](const Exception& exception) {
    return exception.path == path && (exception.what.empty() || exception.what == what);
  });
}

// --- Rules on one file ---------------------------------------------------------------------------

/// The row of kFolders that the file or header `path` belongs to, "" when it is none of ours.
std::string folder_of(const std::string& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : fs::path(path)) parts.push_back(part.string());
  if (parts.size() < 2) return "";
  if (parts[0] == "cli" || parts[0] == "bench") return parts[0];
  if (parts[0] != "leat" && parts[0] != "bindings") return "";
  if (parts[1] == "backend" && parts.size() > 3) return "leat/backend/*";
  return parts.size() > 2 ? parts[0] + "/" + parts[1] : parts[0];
}

/// The folder that a file belongs to; what is generated belongs to the folder above.
fs::path home_of(const fs::path& path) {
  const fs::path folder = path.parent_path();
  return folder.filename() == "generated" ? folder.parent_path() : folder;
}

bool may_include(const std::string& path, const std::string& header) {
  const std::string folder = folder_of(path);
  const std::string other = folder_of(header);
  if (other == folder) {
    return folder != "leat/backend/*" || home_of(path) == home_of(header);
  }
  const auto rule = std::ranges::find(kFolders, folder, &FolderRule::folder);
  return rule != kFolders.end() && std::ranges::any_of(rule->may_include, [&](const auto& allowed) {
           return allowed == other || allowed == header;
         });
}

Findings check_includes(const SourceFile& file, const Exceptions& exceptions = kIncludeExceptions) {
  Findings findings;
  const std::string folder = folder_of(file.path);
  if (folder.empty()) return {};
  if (std::ranges::find(kFolders, folder, &FolderRule::folder) == kFolders.end()) {
    return {{file.path, 0, "folder", "Folder \"" + folder + "\" has no row in kFolders."}};
  }
  for (const Include& include : includes_of(file)) {
    const std::string header = include.header.substr(1, include.header.size() - 2);
    const bool is_ours = include.header[0] == '"' || !folder_of(header).empty();
    if (!is_ours || header == "leat_version.h" || may_include(file.path, header)) continue;
    if (is_excepted(exceptions, file.path, header)) continue;
    const std::string advice =
        folder_of(header).empty()
            ? "Write \"" + header + "\" from the root of the tree, or with <> if it is not ours."
            : folder + " may not include " + header +
                  ": move the thing, or pass plain data (table in docs/architecture.md).";
    findings.push_back({file.path, include.line, "include", advice});
  }
  return findings;
}

/// leat/emit/llvm*, headers too, leat/backend/cpu/*jit*.cpp, and tests/amd/llvm*, which is the
/// encoder that the emulator's decoder is compared with.
bool may_see_llvm(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  const std::string folder = fs::path(path).parent_path().string();
  if (folder == "leat/emit" || folder == "tests/amd") return name.starts_with("llvm");
  return folder == "leat/backend/cpu" && name.find("jit") != std::string::npos &&
         name.ends_with(".cpp");
}

bool is_llvm_header(const std::string& header) {
  return header.starts_with("llvm/") || header.starts_with("llvm-c/");
}

/// `files` tells which of our own headers include LLVM's.
Findings check_llvm_headers(const SourceFile& file, const std::vector<SourceFile>& files) {
  if (may_see_llvm(file.path)) return {};
  Findings findings;
  for (const Include& include : includes_of(file)) {
    const std::string header = include.header.substr(1, include.header.size() - 2);
    const auto ours = std::ranges::find(files, header, &SourceFile::path);
    const bool passes_on =
        ours != files.end() && std::ranges::any_of(includes_of(*ours), [](const Include& inner) {
          return is_llvm_header(inner.header.substr(1));
        });
    if (!is_llvm_header(header) && !passes_on) continue;
    findings.push_back({file.path, include.line, "llvm",
                        "LLVM headers are slow to compile: include " + header +
                            " only in leat/emit/llvm* and leat/backend/cpu/*jit*.cpp."});
  }
  return findings;
}

Findings check_features(const SourceFile& file) {
  Findings findings;
  for (const Identifier& identifier : identifiers_of(file.code)) {
    if (!identifier.name.starts_with("LEAT_HAS_")) continue;
    if (is_excepted(kFeatureFiles, file.path, identifier.name)) continue;
    findings.push_back({file.path, identifier.line, "feature",
                        identifier.name + " may stand only in the lists named in kFeatureFiles; "
                                          "everybody else asks the list."});
  }
  return findings;
}

/// Foreign names reach the terminal escaped because every command prints through one file.
Findings check_printing(const SourceFile& file) {
  static const std::set<std::string> words = {"print", "printf", "fprintf", "puts",
                                              "fputs", "cout",   "cerr",    "fwrite"};
  // The last is a program without our command line.
  static const std::set<std::string> may_print = {"cli/report.cpp", "cli/progress.cpp",
                                                  "bench/opengl_floors.cpp"};
  const bool is_command = file.path.starts_with("cli/") || file.path.starts_with("bench/");
  if (!is_command || may_print.contains(file.path)) return {};
  Findings findings;
  for (const Identifier& identifier : identifiers_of(file.code)) {
    if (!words.contains(identifier.name)) continue;
    findings.push_back({file.path, identifier.line, "print",
                        "Print through cli/report.h, which escapes what a terminal acts on."});
  }
  return findings;
}

size_t columns_of(const std::string& line) {  // code points: all bytes but continuation bytes
  return size_t(std::ranges::count_if(line, [](char c) { return (c & 0xC0) != 0x80; }));
}

Findings check_line_length(const SourceFile& file) {
  static const std::set<std::string> extensions = {".h", ".cpp", ".def", ".proto", ".py", ""};
  if (!extensions.contains(fs::path(file.path).extension().string()) &&
      !file.path.ends_with("CMakeLists.txt")) {
    return {};
  }
  Findings findings;
  const std::vector<std::string> lines = lines_of(file.text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const size_t columns = columns_of(lines[i]);
    if (columns <= kLineColumnsMax) continue;
    findings.push_back({file.path, i + 1, "line",
                        "Line (" + std::to_string(columns) +
                            " columns) is longer than the limit (" +
                            std::to_string(kLineColumnsMax) + "): break it."});
  }
  return findings;
}

Findings check_file_length(const SourceFile& file, const Exceptions& exceptions = kLongFiles) {
  const size_t lines = lines_of(file.text).size();
  if (!is_cpp(file.path) || lines <= kFileLinesMax) return {};
  if (is_excepted(exceptions, file.path, "")) return {};
  return {{file.path, 0, "file",
           "File (" + std::to_string(lines) + " lines) is longer than the limit (" +
               std::to_string(kFileLinesMax) + "): split it, or name it in kLongFiles."}};
}

Findings check_functions(const SourceFile& file, const Exceptions& exceptions = kLongFunctions) {
  Findings findings;
  for (const Function& function : functions_of(file.code)) {
    const size_t lines = function.last_line - function.first_line + 1;
    if (lines <= kFunctionLinesMax || is_excepted(exceptions, file.path, function.name)) continue;
    findings.push_back({file.path, function.first_line, "function",
                        "Function " + function.name + " (" + std::to_string(lines) +
                            " lines) is longer than the limit (" +
                            std::to_string(kFunctionLinesMax) +
                            "): split it, or name it in kLongFunctions."});
  }
  return findings;
}

/// Whether `name` has `word` as one of its PascalCase words, in singular or plural.
bool has_word(const std::string& name, const std::string& word) {
  for (size_t at = name.find(word); at != std::string::npos; at = name.find(word, at + 1)) {
    std::string_view rest = std::string_view(name).substr(at + word.size());
    if (rest.starts_with('s')) rest.remove_prefix(1);
    if (rest.empty() || std::islower(static_cast<unsigned char>(rest[0])) == 0) return true;
  }
  return false;
}

std::optional<std::string> forbidden_part(const Identifier& identifier) {
  static const std::set<std::string> type_words = {"class", "struct", "enum", "using", "concept"};
  std::string_view name = identifier.name;
  if (name.ends_with('_')) name.remove_suffix(1);
  for (const std::string& prefix : kForeignPrefixes) {
    if (name.starts_with(prefix)) return std::nullopt;
  }
  for (const std::string& suffix : kForbiddenSuffixes) {
    if (name.ends_with(suffix)) return suffix;
  }
  if (!type_words.contains(identifier.before)) return std::nullopt;
  for (const std::string& word : kForbiddenWords) {
    if (has_word(identifier.name, word)) return word;
  }
  return std::nullopt;
}

Findings check_names(const SourceFile& file) {
  Findings findings;
  for (const Identifier& identifier : identifiers_of(file.code)) {
    if (const auto part = forbidden_part(identifier)) {
      findings.push_back({file.path, identifier.line, "name",
                          "Name " + identifier.name + " has \"" + *part +
                              "\": say what it is, and delete what it replaces."});
    }
  }
  const std::string stem = fs::path(file.path).stem().string();
  std::istringstream words(stem);
  bool is_forbidden = std::ranges::any_of(
      kForbiddenSuffixes, [&](const std::string& suffix) { return stem.ends_with(suffix); });
  for (std::string word; std::getline(words, word, '_');) {
    is_forbidden = is_forbidden || kForbiddenFileWords.contains(word);
  }
  if (is_forbidden) findings.push_back({file.path, 0, "name", "Name the file after what it does."});
  return findings;
}

/// The names of the enum classes that the files declare.
std::set<std::string> enums_of(const std::vector<SourceFile>& files) {
  std::set<std::string> names;
  for (const SourceFile& file : files) {
    if (!file.path.starts_with("leat/")) continue;
    bool is_enum = false;
    for (const Identifier& identifier : identifiers_of(file.code)) {
      if (is_enum) names.insert(identifier.name);
      is_enum = identifier.before == "enum" && identifier.name == "class";
    }
  }
  return names;
}

/// The labels of the `case`s in `code`, "Opcode::add" or "add".
std::vector<std::string> labels_of(const std::string& code) {
  std::vector<std::string> labels;
  for (size_t at = code.find("case "); at != std::string::npos; at = code.find("case ", at + 1)) {
    if (at > 0 && is_word(code[at - 1])) continue;
    size_t end = at + 5;
    while (end < code.size() && (is_word(code[end]) || code.compare(end, 2, "::") == 0)) {
      end += is_word(code[end]) ? 1 : 2;
    }
    labels.push_back(code.substr(at + 5, end - at - 5));
  }
  return labels;
}

/// Our enumerators are named with their enum or, behind `using enum`, by small letters alone;
/// constants and vendors' enumerators are not.
bool is_our_label(const std::string& label, const std::set<std::string>& enums) {
  const size_t colons = label.rfind("::");
  if (colons == std::string::npos) {
    return !label.empty() && std::islower(static_cast<unsigned char>(label[0])) != 0 &&
           !(label[0] == 'k' && label.size() > 1 &&
             std::isupper(static_cast<unsigned char>(label[1])) != 0);
  }
  const size_t before = label.rfind("::", colons - 1);
  const size_t begin = before == std::string::npos ? 0 : before + 2;
  return enums.contains(label.substr(begin, colons - begin));
}

/// A `default:` would keep the compiler from naming the places that a new enumerator needs.
Findings check_defaults(const SourceFile& file, const std::set<std::string>& enums) {
  Findings findings;
  const std::string code = without_preprocessor(file.code);
  size_t line = 1;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '\n') ++line;
    if (code.compare(i, 6, "switch") != 0 || (i > 0 && is_word(code[i - 1]))) continue;
    const size_t open = code.find('{', i);
    if (open == std::string::npos) break;
    const std::string body = code.substr(open, matching_brace(code, open) - open);
    if (body.find("default:") == std::string::npos) continue;
    const std::vector<std::string> labels = labels_of(body);
    const auto ours = [&](const std::string& label) { return is_our_label(label, enums); };
    if (std::ranges::none_of(labels, ours)) continue;
    findings.push_back({file.path, line, "default",
                        "A switch over an enum of ours has no default: name every enumerator."});
  }
  return findings;
}

/// A plan and a kernel hang on what a target can do; by which route its code goes, and whether a
/// processor or a software renderer stands behind it, is not theirs to ask.
Findings check_target_facts(const SourceFile& file) {
  static const std::set<std::string> routes = {"CodeFormat", "software", "is_cpu", "family"};
  const bool is_plan =
      std::ranges::any_of(std::array{"leat/tensor/", "leat/schedule/", "leat/lower/"},
                          [&](const char* folder) { return file.path.starts_with(folder); });
  if (!is_plan || file.path.find("_test.") != std::string::npos) return {};
  Findings findings;
  for (const Identifier& identifier : identifiers_of(file.code)) {
    const bool is_format = identifier.name == "format" && identifier.before.starts_with("target");
    if (!is_format && !routes.contains(identifier.name)) continue;
    findings.push_back({file.path, identifier.line, "target facts",
                        identifier.name + " is no fact that a plan or a kernel may hang on."});
  }
  return findings;
}

Findings check_markers(const SourceFile& file) {
  static const std::string marker = std::string("FIX") + "ME";
  Findings findings;
  const std::vector<std::string> lines = lines_of(file.text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find(marker) == std::string::npos) continue;
    findings.push_back({file.path, i + 1, "marker", marker + " does not land: mend it now."});
  }
  return findings;
}

// --- Rules on the tree ---------------------------------------------------------------------------

/// A header and its source share a stem, in one folder; every other name stands once in the tree.
Findings check_unique_names(const std::vector<SourceFile>& files) {
  Findings findings;
  std::map<std::string, std::string> first;  // name -> folder of sources, or path
  for (const SourceFile& file : files) {
    const fs::path path(file.path);
    const bool is_source = file.path.ends_with(".h") || file.path.ends_with(".cpp");
    const std::string name = is_source ? path.stem().string() : path.filename().string();
    if (is_excepted(kSharedNames, name, "")) continue;
    const std::string place = is_source ? path.parent_path().string() : file.path;
    const auto [entry, is_first] = first.emplace(is_source ? name + ".cpp" : name, place);
    if (is_first || entry->second == place) continue;
    findings.push_back({file.path, 0, "unique",
                        "The name stands in " + entry->second +
                            " too: put the folder's word in front (amd_queue.cpp)."});
  }
  return findings;
}

/// An exception that lets nothing through any more is deleted.
Findings check_stale(const Exceptions& exceptions, const std::vector<SourceFile>& files,
                     const std::function<Findings(const SourceFile&)>& rule) {
  Findings findings;
  for (const Exception& exception : exceptions) {
    const auto file = std::ranges::find(files, exception.path, &SourceFile::path);
    const bool is_needed =
        file != files.end() && std::ranges::any_of(rule(*file), [&](const Finding& finding) {
          return finding.advice.find(exception.what) != std::string::npos;
        });
    if (is_needed) continue;
    findings.push_back({exception.path, 0, "exception",
                        "Exception \"" + exception.what + "\" is not needed: delete its row."});
  }
  return findings;
}

// --- The tree keeps the rules --------------------------------------------------------------------

TEST(TidyTree, IsThere) { EXPECT_GE(tree().size(), 10u); }

TEST(TidyTree, Includes) {
  expect_clean_tree([](const SourceFile& file) { return check_includes(file); });
}

TEST(TidyTree, LlvmHeaders) {
  expect_clean_tree([](const SourceFile& file) { return check_llvm_headers(file, tree()); });
}

TEST(TidyTree, Features) { expect_clean_tree(check_features); }

TEST(TidyTree, Printing) { expect_clean_tree(check_printing); }

TEST(TidyTree, LineLength) { expect_clean_tree(check_line_length); }

TEST(TidyTree, FileLength) {
  expect_clean_tree([](const SourceFile& file) { return check_file_length(file); });
}

TEST(TidyTree, FunctionLength) {
  expect_clean_tree([](const SourceFile& file) { return check_functions(file); });
}

TEST(TidyTree, Names) { expect_clean_tree(check_names); }

TEST(TidyTree, UniqueNames) {
  const Findings findings = check_unique_names(tree());
  EXPECT_TRUE(findings.empty()) << report(findings);
}

TEST(TidyTree, Defaults) {
  const std::set<std::string> enums = enums_of(tree());
  EXPECT_TRUE(enums.contains("Opcode") && enums.contains("ScalarOp"));
  expect_clean_tree([&](const SourceFile& file) { return check_defaults(file, enums); });
}

TEST(TidyTree, TargetFacts) { expect_clean_tree(check_target_facts); }

TEST(TidyTree, Markers) { expect_clean_tree(check_markers); }

bool uses_feature(const Exception& exception) {
  return std::ranges::any_of(tree(), [&](const SourceFile& file) {
    if (file.path != exception.path) return false;
    const std::string wanted = exception.what.empty() ? "LEAT_HAS_" : exception.what;
    return std::ranges::any_of(identifiers_of(file.code), [&](const Identifier& identifier) {
      return identifier.name.starts_with(wanted);
    });
  });
}

size_t files_named(const std::string& name) {
  return static_cast<size_t>(std::ranges::count_if(
      tree(), [&](const SourceFile& file) { return fs::path(file.path).filename() == name; }));
}

TEST(TidyTree, ExceptionsAreNeeded) {
  Findings findings = check_stale(kIncludeExceptions, tree(),
                                  [](const SourceFile& file) { return check_includes(file, {}); });
  for (const Finding& finding : check_stale(kLongFunctions, tree(), [](const SourceFile& file) {
         return check_functions(file, {});
       })) {
    findings.push_back(finding);
  }
  for (const Finding& finding : check_stale(kLongFiles, tree(), [](const SourceFile& file) {
         return check_file_length(file, {});
       })) {
    findings.push_back(finding);
  }
  EXPECT_TRUE(findings.empty()) << report(findings);
  for (const Exception& exception : kFeatureFiles) {
    EXPECT_TRUE(uses_feature(exception)) << exception.path << " needs no row in kFeatureFiles.";
  }
  for (const Exception& exception : kSharedNames) {
    EXPECT_GE(files_named(exception.path), 2u)
        << exception.path << " needs no row in kSharedNames.";
  }
}

// --- The rules catch what they should, and only that ---------------------------------------------

size_t include_findings(const std::string& path, const std::string& line) {
  return check_includes(make_file(path, line + "\n")).size();
}

TEST(TidyRule, Includes) {
  EXPECT_EQ(include_findings("leat/tensor/a.h", "#include \"leat/base/b.h\""), 0u);
  EXPECT_EQ(include_findings("leat/tensor/a.h", "#include \"leat/tensor/b.h\""), 0u);
  EXPECT_EQ(include_findings("leat/tensor/a.h", "#include <vector>"), 0u);
  EXPECT_EQ(include_findings("leat/tensor/a.h", "// #include \"leat/ir/b.h\""), 0u);
  EXPECT_EQ(include_findings("leat/base/a.h", "#include \"leat/ir/b.h\""), 1u);
  EXPECT_EQ(include_findings("leat/base/a.h", "#include <leat/ir/b.h>"), 1u);
  EXPECT_EQ(include_findings("leat/base/a.h", "#include \"b.h\""), 1u);
  EXPECT_EQ(include_findings("leat/base/a.cpp", "#include \"leat_version.h\""), 0u);
  EXPECT_EQ(include_findings("leat/lower/a_test.cpp", "#include \"leat/emit/b.h\""), 1u);
  EXPECT_EQ(include_findings("leat/stray/a.cpp", "int a;"), 1u);
  EXPECT_EQ(include_findings("cli/a.cpp", "#include \"bench/b.h\""), 1u);
  EXPECT_EQ(include_findings("bench/a.cpp", "#include \"cli/b.h\""), 0u);
  EXPECT_EQ(include_findings("tests/ops/a.cpp", "#include \"leat/emit/b.h\""), 0u);
}

TEST(TidyRule, Printing) {
  const auto count = [](const std::string& path, const std::string& line) {
    return check_printing(make_file(path, line + "\n")).size();
  };
  EXPECT_EQ(count("cli/a.cpp", "fmt::print(stderr, \"{}\", name);"), 1u);
  EXPECT_EQ(count("cli/a.cpp", "std::cerr << name;"), 1u);
  EXPECT_EQ(count("cli/a.cpp", "print_text(text); fmt::format(\"print\");"), 0u);
  EXPECT_EQ(count("cli/report.cpp", "fmt::print(\"{}\", name);"), 0u);
  EXPECT_EQ(count("leat/run/a.cpp", "std::puts(name);"), 0u);
}

TEST(TidyRule, IncludesOfBackends) {
  EXPECT_EQ(include_findings("leat/backend/amd/a.h", "#include \"leat/backend/amd/b.h\""), 0u);
  EXPECT_EQ(include_findings("leat/backend/amd/a.h", "#include \"leat/backend/cpu/b.h\""), 1u);
  const std::string generated = "#include \"leat/backend/amd/generated/b.h\"";
  EXPECT_EQ(include_findings("leat/backend/amd/a.h", generated), 0u);
  EXPECT_EQ(include_findings("leat/backend/cpu/a.h", generated), 1u);
  EXPECT_EQ(include_findings("leat/backend/amd/a.h", "#include \"leat/backend/backends.h\""), 1u);
  EXPECT_EQ(include_findings("leat/backend/backends.cpp", "#include \"leat/backend/amd/a.h\""), 0u);
  EXPECT_EQ(include_findings("leat/run/a.h", "#include \"leat/backend/backends.h\""), 0u);
  EXPECT_EQ(include_findings("leat/run/a.h", "#include \"leat/backend/amd/a.h\""), 1u);
}

TEST(TidyRule, ExceptionsLetThroughAndGoStale) {
  const Exceptions exceptions = {{"leat/base/a.h", "leat/ir/b.h", "a sample"}};
  const SourceFile needed = make_file("leat/base/a.h", "#include \"leat/ir/b.h\"\n");
  const auto rule = [](const SourceFile& file) { return check_includes(file, {}); };
  EXPECT_TRUE(check_includes(needed, exceptions).empty());
  EXPECT_TRUE(check_stale(exceptions, {needed}, rule).empty());
  EXPECT_EQ(check_stale(exceptions, {make_file("leat/base/a.h", "\n")}, rule).size(), 1u);
  EXPECT_EQ(check_stale(exceptions, {}, rule).size(), 1u);
}

TEST(TidyRule, LlvmHeaders) {
  const std::string text = "#include <llvm/IR/Module.h>\n#include \"llvm-c/Core.h\"\n";
  const std::vector<SourceFile> files = {make_file("leat/emit/llvm_writer.h", text)};
  const auto count = [&](const std::string& path, const std::string& code) {
    return check_llvm_headers(make_file(path, code), files).size();
  };
  EXPECT_EQ(count("leat/emit/spirv.cpp", text), 2u);
  EXPECT_EQ(count("leat/emit/llvm_cpu.cpp", text), 0u);
  EXPECT_EQ(count("leat/backend/cpu/cpu_jit.cpp", text), 0u);
  EXPECT_EQ(count("leat/backend/cpu/cpu_jit.h", text), 2u);
  EXPECT_EQ(count("tests/amd/llvm_amd_compiler.cpp", text), 0u);
  EXPECT_EQ(count("tests/wire/llvm_amd_compiler.cpp", text), 2u);
  const std::string indirect = "#include \"leat/emit/llvm_writer.h\"\n";
  EXPECT_EQ(count("leat/emit/emit.cpp", indirect), 1u);
  EXPECT_EQ(count("leat/emit/llvm_cpu.cpp", indirect), 0u);
}

TEST(TidyRule, Features) {
  const std::string text = "#ifdef LEAT_HAS_VULKAN\n#endif\n// LEAT_HAS_VULKAN\n";
  EXPECT_EQ(check_features(make_file("leat/run/run.cpp", text)).size(), 1u);
  EXPECT_EQ(check_features(make_file("cli/peers.cpp", text)).size(), 1u);
  EXPECT_EQ(check_features(make_file("leat/backend/backends.cpp", text)).size(), 0u);
}

TEST(TidyRule, LineLength) {
  const std::string wide(kLineColumnsMax, 'x');
  EXPECT_TRUE(check_line_length(make_file("a.cpp", wide + "\n")).empty());
  EXPECT_EQ(check_line_length(make_file("a.cpp", "\n" + wide + "x\n")).at(0).line, 2u);
  EXPECT_TRUE(check_line_length(make_file("a.md", wide + "x\n")).empty());
  std::string dots;
  for (size_t i = 0; i < kLineColumnsMax; ++i) dots += "\u00b7";
  EXPECT_TRUE(check_line_length(make_file("a.cpp", dots)).empty());
  EXPECT_EQ(check_line_length(make_file("tools/check", dots + "\u00b7")).size(), 1u);
}

std::string repeated(const std::string& line, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += line;
  return text;
}

TEST(TidyRule, FileLength) {
  EXPECT_TRUE(check_file_length(make_file("a.cpp", repeated("\n", kFileLinesMax))).empty());
  const SourceFile file = make_file("a.cpp", repeated("\n", kFileLinesMax + 1));
  EXPECT_EQ(check_file_length(file).size(), 1u);
  EXPECT_TRUE(check_file_length(file, {{"a.cpp", "", "a sample"}}).empty());
}

TEST(TidyRule, FunctionLength) {
  const std::string body = repeated("  ++a;\n", kFunctionLinesMax - 2);
  EXPECT_TRUE(check_functions(make_file("a.cpp", "void f() {\n" + body + "}\n")).empty());
  const SourceFile file = make_file("a.cpp", "\nvoid f() {\n" + body + "  ++a;\n}\n");
  const Findings findings = check_functions(file);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].line, 2u);
  EXPECT_TRUE(check_functions(file, {{"a.cpp", "f", "a sample"}}).empty());
  EXPECT_EQ(check_functions(file, {{"a.cpp", "g", "another"}}).size(), 1u);
  const std::string table = "const int kTable[] = {\n" + repeated("    1,\n", 200) + "};\n";
  EXPECT_TRUE(check_functions(make_file("a.cpp", table)).empty());
}

TEST(TidyRule, Names) {
  const auto count = [](const std::string& text) {
    return check_names(make_file("leat/ir/ir.cpp", text)).size();
  };
  EXPECT_EQ(count("int size_new = f(a_v2, b_fixed_);\nint run_simple();\n"), 4u);
  EXPECT_EQ(count("sqlite3_open_v2(a, sqlite_v2);\n"), 1u);
  EXPECT_EQ(count("class QueueManager;\nstruct Helpers;\nusing Base2 = int;\n"), 3u);
  EXPECT_EQ(count("llvm::PassManager passes;\nstruct Utilization;\nint v2 = renew;\n"), 0u);
  EXPECT_EQ(check_names(make_file("leat/ir/ir_utils.cpp", "")).size(), 1u);
  EXPECT_EQ(check_names(make_file("leat/ir/ir_new.h", "")).size(), 1u);
}

TEST(TidyRule, UniqueNames) {
  const auto count = [](const std::vector<std::string>& paths) {
    std::vector<SourceFile> files;
    for (const std::string& path : paths) files.push_back(make_file(path, ""));
    return check_unique_names(files).size();
  };
  EXPECT_EQ(count({"leat/ir/a.h", "leat/ir/a.cpp", "docs/README.md", "README.md"}), 0u);
  EXPECT_EQ(count({"leat/ir/a.h", "leat/lower/a.cpp"}), 1u);
  EXPECT_EQ(count({"leat/ir/README.md", "leat/tensor/README.md", "leat/ir/a.cpp"}), 0u);
  EXPECT_EQ(count({"docs/a.md", "bench/a.md", "tests/text/a.ir"}), 1u);
}

TEST(TidyRule, Defaults) {
  const SourceFile enums = make_file("leat/a.h", "enum class Kind : uint8_t { red, blue };\n");
  const auto count = [&](const std::string& cases) {
    const std::string text = "int f(Kind k) {\n  switch (k) {\n" + cases + "  }\n}\n";
    return check_defaults(make_file("leat/b.cpp", text), enums_of({enums})).size();
  };
  EXPECT_EQ(count("case Kind::red: return 1;\ndefault: return 2;\n"), 1u);
  EXPECT_EQ(count("case x::Kind::red: return 1;\ndefault: return 2;\n"), 1u);
  EXPECT_EQ(count("case red: return 1;\ndefault: return 2;\n"), 1u);
  EXPECT_EQ(count("case Kind::red: return 1;\ncase Kind::blue: return 2;\n"), 0u);
  EXPECT_EQ(count("case 3: return 1;\ndefault: return 2;\n"), 0u);
  EXPECT_EQ(count("case kRed:\ncase VK_RED:\ncase m::kRed: return 1;\ndefault: return 2;\n"), 0u);
  EXPECT_EQ(count("case Kind::red: return 1; // default: none\n"), 0u);
}

TEST(TidyRule, TargetFacts) {
  const auto count = [](const char* path, const char* text) {
    return check_target_facts(make_file(path, text)).size();
  };
  EXPECT_EQ(count("leat/lower/a.cpp", "if (target_.format == cubin) f();\n"), 1u);
  EXPECT_EQ(count("leat/schedule/a.cpp", "if (target.software || is_cpu) f();\n"), 2u);
  EXPECT_EQ(count("leat/schedule/a.cpp", "fmt::format(target.name);\n"), 0u);
  EXPECT_EQ(count("leat/run/a.cpp", "if (target.software) f();\n"), 0u);
}

TEST(TidyRule, Markers) {
  const std::string marker = std::string("FIX") + "ME";
  EXPECT_EQ(check_markers(make_file("tools/check", "\n# " + marker + "\n")).at(0).line, 2u);
  EXPECT_TRUE(check_markers(make_file("tools/check", "# TODO: fix me\n")).empty());
}

}  // namespace
}  // namespace tidy
