// The scanner behind tests/tidy.cpp finds the functions that are there, and no others.

#include "tests/tidy_functions.h"

#include <gtest/gtest.h>

#include <string>

namespace tidy {
namespace {

/// The functions in `code`, as "name:first-last" with spaces between.
std::string listed_functions(const std::string& code) {
  std::string list;
  for (const Function& function : functions_of(code_of(code))) {
    list += (list.empty() ? "" : " ") + function.name + ":" + std::to_string(function.first_line) +
            "-" + std::to_string(function.last_line);
  }
  return list;
}

TEST(TidyScanner, FindsFunctions) {
  EXPECT_EQ(listed_functions("int f(int a) {\n  if (a) {\n  }\n  return 1;\n}\nint g() { }\n"),
            "f:1-5 g:6-6");
  EXPECT_EQ(listed_functions("namespace a::b {\nstruct C : D {\n void f() const {\n}\n};\n}\n"),
            "f:3-4");
  EXPECT_EQ(listed_functions("class A {\n public:\n  A() : a_{1}, b_(2) {\n\n  }\n};"),
            "A:3-3 A:3-5");
  EXPECT_EQ(listed_functions("template <typename T = int>\nbool operator==(T a, T b) {\n}\n"),
            "operator==:1-3");
  EXPECT_EQ(listed_functions("struct alignas(16) A {\n  int a = 1;\n};\nenum class B { c, d };\n"),
            "");
  EXPECT_EQ(listed_functions("void f(std::vector<int> a = {}) {\n}\n"), "f:1-2");
  EXPECT_EQ(listed_functions("auto f(int a) -> std::vector<int> {\n}\n"), "f:1-2");
  EXPECT_EQ(listed_functions("const auto f = [](int a) {\n  return a;\n};\n"), "lambda:1-3");
  EXPECT_EQ(listed_functions("struct A f(int a) {\n}\nint A::g() {\n}\n"), "f:1-2 A::g:3-4");
  EXPECT_EQ(listed_functions("extern \"C\" {\nint f() {\n}\n}\n"), "f:2-3");
}

TEST(TidyScanner, IsNotFooledByText) {
  EXPECT_EQ(listed_functions("void f() {\n  // }\n  a = \"}\";\n  b = '}';\n  c = 1'0;\n}\n"),
            "f:1-6");
  EXPECT_EQ(listed_functions("void f() {\n  a = R\"x(}\" )\"\n)x\";\n}\n"), "f:1-4");
  EXPECT_EQ(listed_functions("#define A(x) \\\n  void x() {\nvoid f() {\n}\n"), "f:3-4");
  EXPECT_EQ(listed_functions("/* void f() {\n */\nvoid g() {}\n"), "g:3-3");
  EXPECT_EQ(code_of("a = \"b\\\"c\"; // d\n"), "a = \"    \";     \n");
}

}  // namespace
}  // namespace tidy
