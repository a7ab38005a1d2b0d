// Which compiler builds Leat does not change a kernel. The compiler chooses the order in which
// the arguments of a call are evaluated, and g++ and clang choose differently: so of what writes
// into a program or a node, each call numbering its values, at most one stands among the arguments
// of a call or the operands of an operator. The others get names before. Links nothing of Leat.
#include <gtest/gtest.h>

#include <regex>

#include "tests/tidy_functions.h"

namespace tidy {
namespace {

using Names = std::set<std::string>;

size_t close_of(const std::string& code, size_t open) {
  int depth = 0;
  for (size_t i = open; i < code.size(); ++i) {
    if (std::string_view("([{").find(code[i]) != std::string_view::npos) ++depth;
    if (std::string_view(")]}").find(code[i]) != std::string_view::npos && --depth == 0) return i;
  }
  return code.size() - 1;
}

/// The names of all that `code` calls.
Names calls_in(const std::string& code) {
  static const std::regex call(R"((\w+)\s*\()");
  Names names;
  for (std::sregex_iterator at(code.begin(), code.end(), call), end; at != end; ++at) {
    names.insert((*at)[1]);
  }
  return names;
}

bool calls_one_of(const std::string& code, const Names& names) {
  return std::ranges::any_of(calls_in(code),
                             [&](const std::string& name) { return names.contains(name); });
}

/// A lambda among the arguments runs in the call, or later.
std::string without_lambdas(std::string code) {
  static const std::regex head(R"(\[[^\[\]]*\]\s*(\([^()]*(\([^()]*\)[^()]*)*\))?\s*\{)");
  std::smatch found;
  while (std::regex_search(code, found, head)) {
    const size_t begin = size_t(found.position());
    code.erase(begin, close_of(code, begin + size_t(found.length()) - 1) + 1 - begin);
  }
  return code;
}

/// What stands between `separator`s outside of all brackets.
std::vector<std::string> parts_of(const std::string& code, const std::regex& separator) {
  std::string flat = code;  // what is in brackets as spaces
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] != '(' && code[i] != '[' && code[i] != '{') continue;
    const size_t close = close_of(code, i);
    std::fill(flat.begin() + ptrdiff_t(i), flat.begin() + ptrdiff_t(close), '_');
    i = close;
  }
  std::vector<std::string> parts;
  size_t begin = 0;
  for (std::sregex_iterator at(flat.begin(), flat.end(), separator), end; at != end; ++at) {
    parts.push_back(code.substr(begin, size_t(at->position()) - begin));
    begin = size_t(at->position() + at->length());
  }
  parts.push_back(code.substr(begin));
  return parts;
}

size_t count_writing(const std::vector<std::string>& parts, const Names& writing) {
  return size_t(std::ranges::count_if(
      parts, [&](const std::string& part) { return calls_one_of(part, writing); }));
}

/// Adds the functions and the named lambdas of `code` whose bodies call one of `writing`.
void add_callers(const std::string& code, Names& writing) {
  static const std::regex head(R"((\w+)\s*(=\s*\[[^\]]*\]\s*)?\()");
  static const std::regex body(R"(^\s*(const\s*)?(->\s*[\w:<>]+\s*)?\{)");
  static const Names words = {"if", "for", "while", "switch"};
  for (std::sregex_iterator at(code.begin(), code.end(), head), end; at != end; ++at) {
    const std::string name = (*at)[1];
    const size_t close = close_of(code, size_t(at->position() + at->length()) - 1);
    const std::string rest = code.substr(close + 1, 80);
    std::smatch found;
    if (words.contains(name) || !std::regex_search(rest, found, body)) continue;
    const size_t open = close + size_t(found.length());
    const std::string inside = code.substr(open, close_of(code, open) + 1 - open);
    if (calls_one_of(inside, writing)) writing.insert(name);
  }
}

void find_callers(const std::vector<SourceFile>& files, Names& writing) {
  for (size_t before = 0; before != writing.size();) {
    before = writing.size();
    for (const SourceFile& file : files) add_callers(file.code, writing);
  }
}

Findings check_sequence(const std::vector<SourceFile>& files, Names writing) {
  static const std::regex call(R"((\w+)\s*\()"), comma(","), operation(R"(\s(<=?|[-+*/%])\s)");
  static const std::regex value(R"((\breturn|\s=)\s([^;]*);)");
  find_callers(files, writing);
  Findings findings;
  const auto find = [&](const SourceFile& file, size_t at, const std::string& what) {
    const size_t line =
        1 + size_t(std::count(file.code.begin(), file.code.begin() + ptrdiff_t(at), '\n'));
    findings.push_back({file.path, line, "sequence",
                        "Name what two " + what + " write, in the order that is meant."});
  };
  for (const SourceFile& file : files) {
    const std::string& code = file.code;
    for (std::sregex_iterator at(code.begin(), code.end(), call), end; at != end; ++at) {
      const size_t open = size_t(at->position() + at->length()) - 1;
      const std::string name = (*at)[1];
      if (name == "for" || name == "if") continue;
      const std::string inside = code.substr(open + 1, close_of(code, open) - open - 1);
      const auto arguments = parts_of(without_lambdas(inside), comma);
      if (count_writing(arguments, writing) > 1) find(file, open, "arguments");
      for (const std::string& argument : arguments) {
        if (count_writing(parts_of(argument, operation), writing) > 1) find(file, open, "operands");
      }
    }
    for (std::sregex_iterator at(code.begin(), code.end(), value), end; at != end; ++at) {
      const auto operands = parts_of(without_lambdas((*at)[2]), operation);
      if (count_writing(operands, writing) > 1) find(file, size_t(at->position()), "operands");
    }
  }
  return findings;
}

/// What the builder's header declares before `private:` and has a result or nothing at all; what
/// only looks something up is const.
Names builder_calls() {
  static const std::regex declared(
      R"((ValueId|std::vector<ValueId>|void) (\w+)\([^;{]*\)( const)?)");
  const std::string text = read_file("leat/ir/builder.h").value_or("");
  const std::string code = code_of(text.substr(0, text.find(" private:")));
  Names names;
  for (std::sregex_iterator at(code.begin(), code.end(), declared), end; at != end; ++at) {
    if (!(*at)[3].matched) names.insert((*at)[2]);
  }
  return names;
}

std::vector<SourceFile> files_of(std::initializer_list<std::string_view> beginnings) {
  std::vector<SourceFile> files;
  for (const SourceFile& file : tree()) {
    const bool is_its = std::ranges::any_of(
        beginnings, [&](std::string_view beginning) { return file.path.starts_with(beginning); });
    if (is_its && is_cpp(file.path) && file.path.find("_test.") == std::string::npos) {
      files.push_back(file);
    }
  }
  return files;
}

TEST(TidySequence, BuilderCallsAreOneAfterTheOther) {
  const Names calls = builder_calls();
  EXPECT_GE(calls.size(), 40u);
  EXPECT_TRUE(calls.contains("add") && calls.contains("loop") && !calls.contains("constant"));
  const Findings findings =
      check_sequence(files_of({"leat/lower/", "leat/tensor/recurrent_cell.h"}), calls);
  EXPECT_TRUE(findings.empty()) << report(findings);
}

/// The order of a node's inputs is that of its kernel's arguments.
TEST(TidySequence, LoadsOfANodeAreOneAfterTheOther) {
  const Findings findings = check_sequence(files_of({"leat/tensor/ops_", "leat/tensor/fractional"}),
                                           {"load", "broadcast", "only_element", "input"});
  EXPECT_TRUE(findings.empty()) << report(findings);
}

/// Types and constants get their numbers where they are first asked for.
TEST(TidySequence, IdsOfSpirvAreOneAfterTheOther) {
  const Findings findings =
      check_sequence(files_of({"leat/emit/spirv"}), {"value", "type", "constant"});
  EXPECT_TRUE(findings.empty()) << report(findings);
}

/// The golden list has their names, which are counted.
TEST(TidySequence, NodesOfReplayedNetworksAreOneAfterTheOther) {
  const Findings findings = check_sequence(files_of({"tests/replay/net"}), {"name", "weights"});
  EXPECT_TRUE(findings.empty()) << report(findings);
}

TEST(TidySequence, FindsWhatTheCompilerOrders) {
  const auto count = [](const std::string& code) {
    const std::string text = "V twice(V x) { return b.add(x, x); }\n" + code;
    return check_sequence({make_file("leat/lower/a.cpp", text)}, {"add", "f32", "load"}).size();
  };
  EXPECT_EQ(count("V f() { return b.mul(b.add(x, y), b.f32(1)); }"), 1u);
  EXPECT_EQ(count("V f() { return b.mul(b.add(x, y), z); }"), 0u);
  EXPECT_EQ(count("V f() { return b.mul(twice(x), twice(y)); }"), 1u);
  EXPECT_EQ(count("auto more = [&](V x) { return b.add(x, y); };\nV z = g(more(x), more(y));"), 1u);
  EXPECT_EQ(count("V f() { return g(b.add(x, y), [&](V z) { return b.add(z, z); }); }"), 0u);
  EXPECT_EQ(count("V f() { return V{b.add(x, y), b.add(x, z)}; }"), 0u);
  EXPECT_EQ(count("V f() { return w.load(x) * w.load(y); }"), 1u);
  EXPECT_EQ(count("V f() { return w.map(w.load(x) * 2 + w.load(y)); }"), 1u);
  EXPECT_EQ(count("V f() { return w.load(x) * y + 1; }"), 0u);
}

}  // namespace
}  // namespace tidy
